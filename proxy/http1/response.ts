/** Reads a response head of an upstream, as strictly as a request's. */

import type { Limits } from '../limits.ts'
import { type Fields, type Framing, noBody, readFields } from './fields.ts'

export interface Response {
  readonly status: number
  readonly fields: Fields
  readonly framing: Framing
  /** Whether the upstream keeps its connection (RFC 9112 section 9.3). */
  readonly keepAlive: boolean
}

export interface ResponseFault {
  readonly wrong: string
}

const untilClose: Framing = { kind: 'close' }

/** Reads a whole head: text from the status line to the blank line, one character for each byte. */
export function readResponse(
  text: string,
  method: string,
  limits: Pick<Limits, 'headFields'>,
): Response | ResponseFault {
  const http11 = text.startsWith('HTTP/1.1 ')
  if (!http11 && !text.startsWith('HTTP/1.0 ')) return { wrong: 'a status line of another version' }
  const status = threeDigits(text, 9)
  if (status < 100 || (text.charCodeAt(12) !== 32 && text.charCodeAt(12) !== 13)) return { wrong: 'a bad status line' }
  const lineEnd = text.indexOf('\r', 12)
  const fields = readFields(text, lineEnd + 2, limits.headFields)
  if ('code' in fields) return { wrong: fields.detail }
  const chunked = fields.framing?.kind === 'chunked'
  if (!http11 && chunked) return { wrong: 'Transfer-Encoding in HTTP/1.0' }
  // RFC 9112 section 6.3: these never have a body, whatever their fields say.
  const bodiless = method === 'HEAD' || status < 200 || status === 204 || status === 304
  const framing = bodiless ? noBody : (fields.framing ?? untilClose)
  const keepAlive = http11 && framing.kind !== 'close' && !fields.connection.includes('close')
  return { status, fields, framing, keepAlive }
}

function threeDigits(text: string, at: number): number {
  let value = 0
  for (let i = at; i < at + 3; i++) {
    const digit = text.charCodeAt(i) - 48
    if (!(digit >= 0 && digit <= 9)) return -1
    value = value * 10 + digit
  }
  return value
}
