/** Others' witnessing in Go (test/audit/witness/go), built once, and keys in the form that it wants. */

import { type ChildProcess, spawn } from 'node:child_process'
import { createPrivateKey } from 'node:crypto'
import { rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { type CosignerKey, cosignerKey } from '../../../audit/log/cosignature.ts'
import { type Ed25519Key, newEd25519Pem, readEd25519Pem } from '../../../audit/node/ed25519.ts'
import { concat, toBase64, toHex } from '../../../core/bytes.ts'
import { buildGoSource } from '../../parts/go-source.ts'
import { sha256 } from '../log/naive.ts'

/** The program, from its source. */
export const buildWitnessing = (go: string): Promise<string> =>
  buildGoSource(go, join(import.meta.dirname, 'go'), 'witnessing')

export const removeWitnessing = (program: string): Promise<void> =>
  rm(dirname(program), { recursive: true, force: true })

/** What it prints for this input, or undefined where it ends with a failure. */
export function ask(program: string, args: readonly string[], input: string): Promise<string | undefined> {
  const child = spawn(program, args, { stdio: ['pipe', 'pipe', 'ignore'] })
  child.stdin.on('error', () => undefined).end(input)
  return new Promise((resolve) => {
    let printed = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      printed += text
    })
    child.once('close', (code) => resolve(code === 0 ? printed : undefined))
  })
}

/** A witness of one log, with its URL. It ends with its input. */
export async function serve(
  program: string,
  args: readonly string[],
): Promise<{ readonly url: string; readonly end: () => Promise<void> }> {
  const child: ChildProcess = spawn(program, ['serve', ...args], { stdio: ['pipe', 'pipe', 'inherit'] })
  const url = await new Promise<string>((resolve, reject) => {
    child.stdout!.setEncoding('utf8').once('data', (text: string) => resolve(text.trim()))
    child.once('exit', () => reject(new Error('the witness ended')))
  })
  return {
    url,
    end: () =>
      new Promise((resolve) => {
        child.once('exit', () => resolve())
        child.stdin!.end()
      }),
  }
}

export interface TestWitness {
  readonly key: CosignerKey
  readonly sign: Ed25519Key['sign']
  /** Its private key as Go's note package writes them. */
  readonly skey: string
}

export function testWitness(name = 'witness.example/w1'): TestWitness {
  const pem = newEd25519Pem()
  const { publicKey, sign } = readEd25519Pem(pem)!
  const key = cosignerKey(sha256, name, publicKey)!
  const seed = new Uint8Array(createPrivateKey(pem).export({ format: 'der', type: 'pkcs8' })).slice(-32)
  return { key, sign, skey: `PRIVATE+KEY+${name}+${toHex(key.id)}+${toBase64(concat(Uint8Array.of(4), seed))}` }
}
