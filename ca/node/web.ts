/** One request to a server of the Web PKI, with a bounded answer. Redirects are the caller's to follow. */

import { request as overHttp } from 'node:http'
import { request as overHttps } from 'node:https'
import { type Json, parseJson } from '../../core/json.ts'
import { pemOf } from '../pem.ts'

export interface WebRequest {
  readonly url: URL
  readonly method: 'GET' | 'POST' | 'DELETE'
  /** Lower-case names. */
  readonly headers: Readonly<Record<string, string>>
  readonly body?: Uint8Array
  /** What its certificate is judged by instead of the roots of this machine, DER. */
  readonly roots?: readonly Uint8Array[] | undefined
  /** Time for the whole of it, in milliseconds. Default 10 000. */
  readonly timeoutMs?: number | undefined
  /** Longest answer, in bytes. Default 1 MiB. */
  readonly maxBytes?: number
}

export interface WebAnswer {
  readonly status: number
  readonly location: string | undefined
  readonly bytes: Uint8Array
}

/** Rejects with whatever went wrong below HTTP; every status is an answer. */
export function askWeb(options: WebRequest): Promise<WebAnswer> {
  const { url, method, headers, body, roots, timeoutMs = 10_000, maxBytes = 1024 ** 2 } = options
  return new Promise((resolve, reject) => {
    const sending = (url.protocol === 'http:' ? overHttp : overHttps)(
      url,
      {
        ...{ method, headers, agent: false, minVersion: 'TLSv1.2', signal: AbortSignal.timeout(timeoutMs) },
        ...(roots && { ca: roots.map((der) => pemOf(der, 'CERTIFICATE')) }),
      },
      (response) => {
        const chunks: Buffer[] = []
        let length = 0
        response.on('data', (chunk: Buffer) => {
          length += chunk.length
          if (length > maxBytes) response.destroy(new Error(`more than ${maxBytes} bytes`))
          else chunks.push(chunk)
        })
        response.once('error', reject)
        response.once('end', () => {
          const { statusCode: status = 0, headers } = response
          resolve({ status, location: headers.location, bytes: new Uint8Array(Buffer.concat(chunks)) })
        })
      },
    )
    sending.once('error', reject)
    sending.end(body)
  })
}

/** Whether what is secret may be sent there: over TLS, or without leaving this machine. */
export const isSafe = ({ protocol, hostname }: URL): boolean =>
  protocol === 'https:' || (protocol === 'http:' && ['127.0.0.1', '[::1]', 'localhost'].includes(hostname))

/** What a JSON API answered; undefined for anything else. */
export const jsonIn = ({ bytes }: WebAnswer): Json | undefined => parseJson(new TextDecoder().decode(bytes))
