/** Speaks to the admin door: HTTP over a Unix socket, for the command line. */

import { request } from 'node:http'
import { messageOf, WritError } from '../../core/fault.ts'
import { isObject, type Json, parseJson } from '../../core/json.ts'
import { isFaultCode } from '../problem.ts'

/** Longest answer that is read, in bytes. */
const maxAnswerBytes = 64 * 1024 * 1024
/** Longest silence, in milliseconds. */
const silenceMs = 60_000

/**
 * Sends one request and gives the answer: parsed where it is JSON, a string otherwise. Throws the WritError that the
 * problem details name, or `unavailable` where no process listens.
 */
export function adminRequest(socketPath: string, method: string, path: string, body?: Json): Promise<Json> {
  const sent = body === undefined ? undefined : JSON.stringify(body)
  const headers =
    sent === undefined ? {} : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(sent) }
  return new Promise((resolve, reject) => {
    const fail = (thrown: unknown): void =>
      reject(thrown instanceof WritError ? thrown : unreachable(socketPath, thrown))
    const sending = request({ socketPath, method, path, headers, timeout: silenceMs }, (answer) => {
      const chunks: Buffer[] = []
      let length = 0
      answer.on('data', (chunk: Buffer) => {
        length += chunk.length
        chunks.push(chunk)
        if (length > maxAnswerBytes) {
          sending.destroy(new WritError('unavailable', `an answer of more than ${maxAnswerBytes} bytes`, narrower))
        }
      })
      answer.on('end', () => {
        try {
          const type = String(answer.headers['content-type'] ?? '')
          resolve(read(answer.statusCode ?? 0, type, Buffer.concat(chunks).toString('utf8')))
        } catch (thrown) {
          reject(thrown)
        }
      })
      answer.on('error', fail)
    })
    sending.on('timeout', () => {
      sending.destroy(
        new WritError('unavailable', `no answer from ${socketPath} for ${silenceMs / 1000} s`, { cure: 'try again' }),
      )
    })
    sending.on('error', fail)
    sending.end(sent)
  })
}

const narrower = { cure: 'ask for less, for instance a shorter time' }

function read(status: number, type: string, text: string): Json {
  const value = /\bjson\b/.test(type) && !type.includes('ndjson') ? parseJson(text) : text
  if (status >= 200 && status < 300) return value ?? null
  const { code, detail, cure } = isObject(value) ? value : {}
  throw new WritError(
    typeof code === 'string' && isFaultCode(code) ? code : 'unavailable',
    typeof detail === 'string' ? detail : `control answered ${status}`,
    typeof cure === 'string' ? { cure } : {},
  )
}

function unreachable(socketPath: string, thrown: unknown): WritError {
  const { code } = thrown as NodeJS.ErrnoException
  const nobody = code === 'ENOENT' || code === 'ECONNREFUSED' || code === 'ENOTSOCK'
  const message = nobody ? `no control process listens on ${socketPath}` : `${socketPath}: ${messageOf(thrown)}`
  const cure = nobody
    ? 'start one with writ up or writ control, or give its folder with --state'
    : code === 'EACCES'
      ? 'run as the user that the control process runs as'
      : 'see whether the control process still runs'
  return new WritError('unavailable', message, { cure, cause: thrown })
}
