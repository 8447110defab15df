/** One HTTPS request on a connection of its own; nothing is sent before the caller has judged the server's chain. */

import { constants } from 'node:crypto'
import { request as httpRequest, type IncomingHttpHeaders } from 'node:http'
import { isIP } from 'node:net'
import { connect, type DetailedPeerCertificate, type TLSSocket } from 'node:tls'
import { messageOf, WritError } from '../../core/fault.ts'
import type { Svid } from '../../core/identity.ts'
import { pemOf } from './pem.ts'

export interface Call {
  /** `https://host:port`, or several with commas between them. Its path is ignored. */
  readonly url: string
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE'
  readonly path: string
  /** Lower-case names. */
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: Uint8Array
  /** The certificate shown to the server. Default none. */
  readonly svid?: Pick<Svid, 'chain' | 'keyPem'> | undefined
  /** Judges the server by its chain (DER, leaf first); throws to end the call. */
  readonly judge: (chain: readonly Uint8Array[]) => void
  /** Time for the whole call, in milliseconds. Default 10 000. */
  readonly timeoutMs?: number | undefined
  /** Longest answer, in bytes. Default 16 MiB; a longer one fails the call. */
  readonly maxBytes?: number | undefined
  /** Default TLS 1.3. */
  readonly minVersion?: 'TLSv1.2' | 'TLSv1.3' | undefined
  /** Ends the call early, as `unavailable`. */
  readonly signal?: AbortSignal | undefined
}

export interface Reply {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly bytes: Uint8Array
}

/** Of several places, the one that answered last. */
const answering = new Map<string, number>()
/** Faults of calls of which nothing was sent. */
const unsent = new WeakSet<object>()

/**
 * Of several places, separated by commas, each is tried from the one that answered last on; the next one only where
 * nothing was sent to the one before, so that no request is made twice.
 */
export async function call(options: Call): Promise<Reply> {
  const places = options.url.split(',')
  const first = answering.get(options.url) ?? 0
  for (let tried = 1; ; tried++) {
    const at = (first + tried - 1) % places.length
    try {
      const reply = await callAt({ ...options, url: places[at]!.trim() })
      if (at !== first) answering.set(options.url, at)
      return reply
    } catch (thrown) {
      if (tried >= places.length || !unsent.has(thrown as object) || options.signal?.aborted) throw thrown
    }
  }
}

async function callAt(options: Call): Promise<Reply> {
  const { timeoutMs = 10_000 } = options
  const socket = open(options)
  const timer = setTimeout(() => {
    socket.destroy(unavailable(options, `no answer within ${timeoutMs} ms`))
  }, timeoutMs)
  const ended = (): void => void socket.destroy(unavailable(options, 'the call was ended'))
  options.signal?.addEventListener('abort', ended)
  let sent = false
  try {
    options.signal?.throwIfAborted()
    await connected(socket)
    if (socket.isSessionReused()) throw unavailable(options, 'a resumed TLS session, which proves nothing')
    options.judge(chainOf(socket))
    sent = true
    return await exchange(socket, options)
  } catch (thrown) {
    const fault = faultOf(thrown, options)
    if (!sent && fault.code === 'unavailable') unsent.add(fault)
    throw fault
  } finally {
    clearTimeout(timer)
    options.signal?.removeEventListener('abort', ended)
    socket.destroy()
  }
}

/**
 * The handshake proves that the server has its leaf's key; whose key that is, `judge` says alone, because OpenSSL
 * would take any pooled root for any name. No session is offered and no ticket taken: every handshake is a full one.
 */
function open({ url, svid, minVersion = 'TLSv1.3' }: Call): TLSSocket {
  const { protocol, hostname, port } = parseUrl(url)
  if (protocol !== 'https:') throw badUrl(url)
  const host = hostname.replace(/^\[|\]$/g, '')
  return connect({
    host,
    port: port === '' ? 443 : Number(port),
    ...(isIP(host) ? {} : { servername: host }),
    ...(svid ? { key: svid.keyPem, cert: svid.chain.map((der) => pemOf(der, 'CERTIFICATE')).join('') } : {}),
    minVersion,
    secureOptions: constants.SSL_OP_NO_TICKET,
    ALPNProtocols: ['http/1.1'],
    rejectUnauthorized: false,
  })
}

function parseUrl(url: string): URL {
  try {
    return new URL(url)
  } catch {
    throw badUrl(url)
  }
}

const badUrl = (url: string): WritError =>
  new WritError('config_invalid', `${url} is not the address of a control plane`, {
    cure: 'write it as https://host:port',
  })

function connected(socket: TLSSocket): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.once('secureConnect', resolve)
    socket.once('error', reject)
    socket.once('close', () => reject(new Error('the connection closed during the handshake')))
  })
}

/** Certificates of a chain that are looked at; SVID chains have two or three. */
const maxChain = 8

/**
 * The chain that the peer showed and the root that Node ends it with, in DER, the leaf first. Not by `getPeerX509Certificate`: that takes the
 * issuers off OpenSSL's list and frees none of them (Node 24), several KiB for each connection.
 */
export function chainOf(socket: TLSSocket): readonly Uint8Array[] {
  const chain: Uint8Array[] = []
  let certificate: DetailedPeerCertificate | undefined = socket.getPeerCertificate(true)
  while (certificate?.raw && chain.length < maxChain) {
    chain.push(new Uint8Array(certificate.raw))
    const { issuerCertificate: issuer }: DetailedPeerCertificate = certificate
    certificate = issuer === certificate ? undefined : issuer // One that signed itself is its own.
  }
  return chain
}

function exchange(
  socket: TLSSocket,
  { url, method, path, headers = {}, body, maxBytes = 16 * 1024 ** 2 }: Call,
): Promise<Reply> {
  return new Promise((resolve, reject) => {
    socket.once('error', reject)
    const request = httpRequest({
      createConnection: () => socket,
      method,
      path,
      headers: { host: new URL(url).host, ...headers, 'content-length': body?.length ?? 0, connection: 'close' },
    })
    request.once('error', reject)
    request.once('response', (response) => {
      const parts: Buffer[] = []
      let length = 0
      response.on('data', (part: Buffer) => {
        length += part.length
        if (length > maxBytes) response.destroy(new Error(`an answer of more than ${maxBytes} bytes`))
        else parts.push(part)
      })
      response.once('error', reject)
      response.once('end', () => {
        resolve({
          status: response.statusCode ?? 0,
          headers: response.headers,
          bytes: new Uint8Array(Buffer.concat(parts)),
        })
      })
    })
    request.end(body)
  })
}

function unavailable({ url }: Call, why: string, cause?: unknown): WritError {
  return new WritError('unavailable', `${url} does not answer: ${why}`, {
    cure: 'start the control plane, or correct its address',
    cause,
  })
}

/** TLS 1.3 tells a client that its certificate was refused only when it first reads. */
function faultOf(thrown: unknown, options: Call): WritError {
  if (thrown instanceof WritError) return thrown
  const code = (thrown as { code?: unknown }).code
  if (typeof code === 'string' && code.includes('ALERT')) {
    return new WritError('unauthorized', `${options.url} refused our certificate: ${messageOf(thrown)}`, {
      cure: 'join again with a new token',
      cause: thrown,
    })
  }
  return unavailable(options, messageOf(thrown), thrown)
}
