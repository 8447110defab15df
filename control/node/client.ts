/** Speaks to the admin door: HTTP over a Unix socket, for the command line. */

import { type IncomingMessage, request } from 'node:http'
import { connect } from 'node:net'
import { messageOf, WritError } from '../../core/fault.ts'
import { isObject, type Json, parseJson } from '../../core/json.ts'
import { isFaultCode } from '../problem.ts'

/** Longest answer that is read, in bytes. */
const maxAnswerBytes = 64 * 1024 * 1024
/** Longest silence, in milliseconds. */
const silenceMs = 60_000
/** Longest problem details that are read, in characters. */
const maxProblem = 65_536

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
  throw faultOf(status, value)
}

/** What the problem details of an answer name. */
export function faultOf(status: number, problem: Json | undefined): WritError {
  const { code, detail, cure } = isObject(problem) ? problem : {}
  return new WritError(
    typeof code === 'string' && isFaultCode(code) ? code : 'unavailable',
    typeof detail === 'string' ? detail : `control answered ${status}`,
    typeof cure === 'string' ? { cure } : {},
  )
}

/** Whether a process listens there; the socket of one that was killed stays behind. Throws where it may not be asked. */
export function answers(socketPath: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const probe = connect(socketPath)
    probe.once('connect', () => {
      probe.destroy()
      resolve(true)
    })
    probe.once('error', (thrown: NodeJS.ErrnoException) => {
      if (thrown.code === 'ECONNREFUSED' || thrown.code === 'ENOENT' || thrown.code === 'ENOTSOCK') resolve(false)
      else reject(unreachable(socketPath, thrown))
    })
  })
}

/** The bytes of an answer as they come. An answer that was cut off throws, and so is never taken for a whole one. */
export async function* adminStream(socketPath: string, path: string): AsyncGenerator<Uint8Array> {
  const sending = request({ socketPath, method: 'GET', path, timeout: silenceMs })
  try {
    const answer = await new Promise<IncomingMessage>((resolve, reject) => {
      sending.once('response', resolve)
      sending.once('error', (thrown) => reject(unreachable(socketPath, thrown)))
      sending.once('timeout', () => sending.destroy(new Error(`no answer for ${silenceMs / 1000} s`)))
      sending.end()
    })
    const status = answer.statusCode ?? 0
    if (status >= 200 && status < 300) {
      for await (const chunk of answer) yield chunk as Uint8Array
      if (!answer.complete) throw new Error('the answer was cut off')
      return
    }
    let text = ''
    for await (const chunk of answer.setEncoding('utf8')) text += String(chunk).slice(0, maxProblem - text.length)
    throw faultOf(status, parseJson(text))
  } catch (thrown) {
    throw thrown instanceof WritError ? thrown : unreachable(socketPath, thrown)
  } finally {
    sending.destroy()
  }
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
