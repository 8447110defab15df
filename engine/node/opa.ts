/** Finds OPA's own program, or what stands in for it, and runs its commands. */

import { spawn } from 'node:child_process'
import { messageOf, WritError } from '../../core/fault.ts'
import { type CompilerOptions, checkVersion, compilerAtHand, findCompiler, missing } from './compiler.ts'
import { isThere, moduleAtHand } from './opa-module.ts'
import type { Opa, OpaRan, OpaRun } from './opa-port.ts'
import { wasmOpa } from './opa-wasm.ts'

export type { Opa, OpaRan, OpaRun } from './opa-port.ts'

/** What it may print, in bytes. */
const maxOutputBytes = 64 * 1024 ** 2

/**
 * WRIT_OPA (a program, a module, `wasm` for the one at hand, or `none`), else opa on PATH, else the one in the cache,
 * else the module that comes with the package, else opa installed with Go. Throws `compiler_missing` where there is none
 * and none can be had.
 */
export async function openOpa(options: CompilerOptions): Promise<Opa> {
  const module = await namedModule(options.env)
  if (module) return module
  const atHand = (await compilerAtHand(options.env)) ?? (await packed(options.env))
  if (typeof atHand === 'object') return atHand
  const path = atHand ?? (await findCompiler(options))
  await checkVersion(path, options)
  return native(path)
}

/** The same without installing anything: undefined where there is none yet. */
export async function opaAtHand(env: CompilerOptions['env']): Promise<Opa | undefined> {
  const module = await namedModule(env)
  if (module) return module
  const path = await compilerAtHand(env)
  return path === undefined ? packed(env) : native(path)
}

/** The module that WRIT_OPA asks for, or undefined where it asks for none. */
async function namedModule(env: CompilerOptions['env']): Promise<Opa | undefined> {
  const named = env['WRIT_OPA']
  if (named === 'wasm') {
    const path = await moduleAtHand(env)
    if (path !== undefined) return wasmOpa(path, env)
    throw missing('WRIT_OPA asks for OPA as WebAssembly, which is not at hand')
  }
  if (named === undefined || !/\.wasm(\.br)?$/.test(named)) return undefined
  if (await isThere(named)) return wasmOpa(named, env)
  throw missing(`WRIT_OPA names ${named}, which is not there`)
}

async function packed(env: CompilerOptions['env']): Promise<Opa | undefined> {
  const path = env['WRIT_OPA'] === 'none' ? undefined : await moduleAtHand(env)
  return path === undefined ? undefined : wasmOpa(path, env)
}

const native = (path: string): Opa => ({ kind: 'native', run: (args, how) => runNative(path, args, how) })

function runNative(path: string, args: readonly string[], how: OpaRun): Promise<OpaRan> {
  const { cwd, input = '', timeoutMs = 5 * 60_000 } = how
  return new Promise((resolve, reject) => {
    const child = spawn(path, args, { cwd, stdio: ['pipe', 'pipe', 'pipe'], timeout: timeoutMs })
    let length = 0
    const collect = (chunks: Buffer[]) => (chunk: Buffer) => {
      length += chunk.length
      if (length > maxOutputBytes) child.kill()
      else chunks.push(chunk)
    }
    const out: Buffer[] = []
    const err: Buffer[] = []
    child.stdout.on('data', collect(out))
    child.stderr.on('data', collect(err))
    child.stdin.on('error', () => undefined) // It ended before it had read all; its own words say why.
    child.stdin.end(input)
    child.once('error', (cause) => {
      reject(new WritError('compiler_missing', `${path} does not run: ${messageOf(cause)}`, { cause }))
    })
    child.once('close', (code, signal) => {
      const text = (chunks: Buffer[]): string => Buffer.concat(chunks).toString('utf8')
      if (length > maxOutputBytes) reject(limit(`opa ${args[0]} printed more than ${maxOutputBytes} bytes`))
      else if (signal) reject(limit(`opa ${args[0]} was stopped (${signal}) after ${timeoutMs / 1000} s at most`))
      else resolve({ code: code ?? 1, stdout: text(out), stderr: text(err) })
    })
  })
}

const limit = (why: string): WritError => new WritError('policy_invalid', why, { cure: 'Give it less to do.' })
