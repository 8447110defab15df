/** A signer that is another process, over its Unix socket. What it signs is looked at before it is believed. */

import { request } from 'node:http'
import { toBase64 } from '../../core/bytes.ts'
import { type FaultCode, messageOf, WritError } from '../../core/fault.ts'
import { isObject, type Json, parseJson } from '../../core/json.ts'
import type { CheckpointSigner, Sha256 } from '../../core/ports.ts'
import { formatCheckpoint, parseCheckpoint } from '../log/checkpoint.ts'
import { openNote, parseVerifierKey } from '../log/note.ts'
import { verifyEd25519 } from './ed25519.ts'
import { forkCure } from './signer.ts'

export interface SignerClientSettings {
  readonly socketPath: string
  /** Name that its key must have: `bank.example/audit`. */
  readonly name: string
  readonly sha256: Sha256
  /** Longest wait for an answer, in milliseconds. Default 10 000. */
  readonly timeoutMs?: number
}

/** An answer is a checkpoint with one signature. */
const maxAnswerBytes = 16 * 1024

/** Throws `unavailable` where nobody answers. Each later call may, too, and succeed once the signer is back. */
export async function openSignerClient(settings: SignerClientSettings): Promise<CheckpointSigner> {
  const { socketPath, name, sha256 } = settings
  const ask = (path: string, body?: Json): Promise<Json> => call(settings, path, body)
  const { verifierKey } = await ask('/v1/key').then(objectOf)
  const key = typeof verifierKey === 'string' ? parseVerifierKey(sha256, verifierKey) : undefined
  if (typeof verifierKey !== 'string' || key?.name !== name) {
    throw new WritError('config_invalid', `the signer at ${socketPath} signs as ${key?.name}, not as ${name}`, {
      cure: 'start it for the trust domain of this mesh, with `writ signer --trust-domain`',
    })
  }
  return {
    verifierKey,
    last: async (origin) => {
      const { checkpoint: text } = objectOf(await ask('/v1/last', { origin }))
      if (text === null) return undefined
      const last = typeof text === 'string' ? parseCheckpoint(text) : undefined
      if (last?.origin !== origin) throw strange(socketPath)
      return last
    },
    sign: async (next, proof) => {
      const text = formatCheckpoint(next)
      const { note } = objectOf(await ask('/v1/sign', { checkpoint: text, proof: proof.map(toBase64) }))
      const opened = typeof note === 'string' ? await openNote(note, [key], verifyEd25519) : undefined
      if (typeof note !== 'string' || !opened?.ok || opened.text !== text) throw strange(socketPath)
      return { checkpoint: next, note }
    },
  }
}

const objectOf = (value: Json): { readonly [name: string]: Json | undefined } => (isObject(value) ? value : {})

const strange = (socketPath: string): WritError =>
  new WritError('unavailable', `the signer at ${socketPath} answers with something that it was not asked for`, {
    cure: 'see what listens there: its key may have been changed under a running auditor',
  })

/** Refusals that are passed on as they are. */
const passedOn: readonly FaultCode[] = ['fork', 'usage']

async function call(
  { socketPath, timeoutMs = 10_000 }: SignerClientSettings,
  path: string,
  body?: Json,
): Promise<Json> {
  let answer: { readonly status: number; readonly text: string }
  try {
    answer = await exchange(socketPath, path, body === undefined ? undefined : JSON.stringify(body), timeoutMs)
  } catch (thrown) {
    throw new WritError('unavailable', `the signer at ${socketPath} does not answer: ${messageOf(thrown)}`, {
      cure: 'start it: `writ signer`; until then nothing is signed, and nothing is lost',
      cause: thrown,
    })
  }
  const value = parseJson(answer.text) ?? null
  if (answer.status === 200) return value
  const { code, detail } = objectOf(value)
  const known = passedOn.find((one) => one === code)
  throw new WritError(known ?? 'unavailable', `the signer refused: ${String(detail ?? answer.status)}`, {
    ...(known === 'fork' && { cure: forkCure }),
  })
}

function exchange(
  socketPath: string,
  path: string,
  body: string | undefined,
  timeoutMs: number,
): Promise<{ readonly status: number; readonly text: string }> {
  return new Promise((resolve, reject) => {
    const asked = request(
      {
        socketPath,
        path,
        method: body === undefined ? 'GET' : 'POST',
        headers: body === undefined ? {} : { 'content-type': 'application/json' },
        agent: false,
        signal: AbortSignal.timeout(timeoutMs),
      },
      (response) => {
        let text = ''
        response.setEncoding('utf8').on('data', (part: string) => {
          text += part
          if (text.length > maxAnswerBytes) asked.destroy(new Error('the answer is too long'))
        })
        response.once('end', () => resolve({ status: response.statusCode ?? 0, text }))
        response.once('error', reject)
      },
    )
    asked.once('error', reject)
    asked.end(body)
  })
}
