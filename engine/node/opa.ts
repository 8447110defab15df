/** OPA's own program: the Rego compiler, tester, formatter and evaluator, by the words of its command line. */

import { spawn } from 'node:child_process'
import { messageOf, WritError } from '../../core/fault.ts'
import { type CompilerOptions, checkVersion, compilerAtHand, findCompiler } from './compiler.ts'

export interface Opa {
  /** A program of this machine, or OPA compiled to WebAssembly, which runs in this process. Both print the same. */
  readonly kind: 'native' | 'wasm'
  /** Runs one command, such as `['fmt', '--list', '.']`. Rejects where it cannot be run to its end, not where it fails. */
  run(args: readonly string[], options: OpaRun): Promise<OpaRan>
}

export interface OpaRun {
  /** Folder that names in the arguments are relative to; nothing outside it is read or written. */
  readonly cwd: string
  /** Standard input. Default empty. */
  readonly input?: string
  /** Time after which it is ended, in milliseconds. Default 5 minutes. */
  readonly timeoutMs?: number
}

export interface OpaRan {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

/** What it may print, in bytes. */
const maxOutputBytes = 64 * 1024 ** 2

/** Throws `compiler_missing` where there is none and none can be had. */
export async function openOpa(options: CompilerOptions): Promise<Opa> {
  const path = await findCompiler(options)
  await checkVersion(path, options)
  return native(path)
}

/** The same without installing anything: undefined where there is none yet. */
export async function opaAtHand(env: CompilerOptions['env']): Promise<Opa | undefined> {
  const path = await compilerAtHand(env)
  return path === undefined ? undefined : native(path)
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
