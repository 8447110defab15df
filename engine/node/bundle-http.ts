/** What every request for a bundle has in common: bounds in time and bytes, and words for what went wrong. */

import { readFile } from 'node:fs/promises'
import { concat } from '../../core/bytes.ts'
import { messageOf, WritError } from '../../core/fault.ts'

/** Time for a whole answer, beyond what the server was asked to wait, in milliseconds. */
export const answerTimeoutMs = 60_000

/** Throws `policy_invalid` where the answer is longer. */
export async function boundedBytes(response: Response, maxBytes: number): Promise<Uint8Array> {
  const chunks: Uint8Array[] = []
  let length = 0
  for await (const chunk of response.body ?? []) {
    length += chunk.length
    if (length > maxBytes) throw new WritError('policy_invalid', `its answer is longer than ${maxBytes} bytes`)
    chunks.push(chunk)
  }
  return concat(...chunks)
}

/** What an answer that is no bundle says, as `unavailable` or `unauthorized`. */
export function statusFault(status: number): WritError {
  if (status >= 300 && status < 400 && status !== 304) {
    return unavailable(`it answered with a redirect (${status}), which is not followed: name the place itself`)
  }
  if (status === 401 || status === 403) {
    return new WritError('unauthorized', `it answered ${status}`, { cure: 'Renew the token in tokenFile.' })
  }
  return unavailable(`it answered ${status}`)
}

/** What fetch threw, in our words. */
export const translated = (thrown: unknown): WritError =>
  thrown instanceof WritError ? thrown : unavailable(`it cannot be asked: ${reasonOf(thrown)}`, thrown)

/** fetch hides what happened behind "fetch failed". */
const reasonOf = (thrown: unknown): string =>
  thrown instanceof Error && thrown.cause !== undefined ? messageOf(thrown.cause) : messageOf(thrown)

export const unavailable = (why: string, cause?: unknown): WritError =>
  new WritError('unavailable', why, cause === undefined ? {} : { cause })

const maxTokenBytes = 16 * 1024

/** A bearer token (RFC 6750 section 2.1). Throws `unauthorized`. */
export async function readToken(file: string): Promise<string> {
  const text = await readSecret(file)
  if (/^[A-Za-z0-9._~+/-]+=*$/.test(text)) return text
  throw new WritError('unauthorized', `${file} holds no bearer token`)
}

/** What a file holds that keeps one secret, without the space around it. Throws `unauthorized`. */
export async function readSecret(file: string): Promise<string> {
  const text = await readFile(file, 'utf8').catch((cause: unknown) => {
    throw new WritError('unauthorized', `the token ${file} cannot be read: ${messageOf(cause)}`, { cause })
  })
  if (text.length <= maxTokenBytes) return text.trim()
  throw new WritError('unauthorized', `${file} is too long for a token`)
}
