/** What only OPA can tell of a policy: which of its lines were tried. */

import { spawn } from 'node:child_process'
import { WritError } from '../../core/fault.ts'
import { type Json, parseJson } from '../../core/json.ts'
import { bundleFile } from '../../engine/node/open.ts'

/** Sources as `writ policy build` compiles them. */
export const sourceFlags: readonly string[] = ['-b', '.', '--ignore', '*_test.rego', '--ignore', bundleFile]

/** `writ/authz/result` as Rego refers to it. Brackets hold what is no plain name. */
export const refOf = (entrypoint: string): string =>
  `data${entrypoint
    .split('/')
    .map((step) => `[${JSON.stringify(step)}]`)
    .join('')}`

const maxOutputBytes = 64 * 1024 ** 2
const timeoutMs = 30_000

export interface OpaRun {
  readonly cwd: string
  readonly input?: string
}

/** The JSON that `opa` prints. Throws `policy_invalid` with what it says where it fails. */
export function runOpa(opa: string, args: readonly string[], { cwd, input }: OpaRun): Promise<Json> {
  return new Promise((resolve, reject) => {
    const fail = (why: string, cause?: unknown): void =>
      reject(new WritError('policy_invalid', `opa ${args[0]}: ${why}`, cause === undefined ? {} : { cause }))
    const child = spawn(opa, args, { cwd, stdio: ['pipe', 'pipe', 'pipe'], timeout: timeoutMs })
    const out: Buffer[] = []
    let length = 0
    let err = ''
    child.stdout.on('data', (chunk: Buffer) => {
      length += chunk.length
      if (length > maxOutputBytes) child.kill()
      else out.push(chunk)
    })
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      err = (err + text).slice(0, 4096)
    })
    child.stdin.on('error', () => undefined) // It ended before it had read all; its own words say why.
    child.stdin.end(input ?? '')
    child.once('error', (cause) => fail(`${opa} does not run`, cause))
    child.once('close', (code, signal) => {
      const text = Buffer.concat(out).toString('utf8')
      const value = parseJson(text)
      if (length > maxOutputBytes) fail(`it printed more than ${maxOutputBytes} bytes`)
      else if (signal) fail(`it was stopped (${signal}) after ${timeoutMs / 1000} s at most`)
      else if (code !== 0 || value === undefined) fail((err || text).trim().slice(0, 2048) || `it ended with ${code}`)
      else resolve(value)
    })
  })
}
