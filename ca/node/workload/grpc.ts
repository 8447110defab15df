/** A small gRPC server (gRPC over HTTP/2) on a Unix socket, which keeps hold of the socket of each call. */

import { createServer, type Http2Session, type IncomingHttpHeaders, type ServerHttp2Stream } from 'node:http2'
import type { Server, Socket } from 'node:net'
import { messageOf } from '../../../core/fault.ts'

/** Status codes that are given here (gRPC, `statuscodes.md`). */
export const status = {
  ok: 0,
  invalidArgument: 3,
  permissionDenied: 7,
  resourceExhausted: 8,
  unimplemented: 12,
  internal: 13,
  unavailable: 14,
} as const

export class GrpcError extends Error {
  readonly status: number

  constructor(status: number, message: string) {
    super(message)
    this.status = status
  }
}

export interface GrpcCall {
  readonly headers: IncomingHttpHeaders
  /** The caller's connection. */
  readonly socket: Socket
  /** Aborted when the call is over, whoever ended it. */
  readonly signal: AbortSignal
  /** The next message of the caller; undefined when there is none any more. */
  read(): Promise<Uint8Array | undefined>
  /** Resolves once the caller may be sent more. */
  send(message: Uint8Array): Promise<void>
}

/** Serves one call; what it throws is the call's status. */
export type GrpcMethod = (call: GrpcCall) => Promise<void>

export interface GrpcOptions {
  /** By path: `/SpiffeWorkloadAPI/FetchX509SVID`. */
  readonly methods: ReadonlyMap<string, GrpcMethod>
  /** Judges every call before its method is looked for, by the service that it names; throws a `GrpcError`. */
  readonly admit: (call: GrpcCall, service: string) => void
  readonly unexpected: (thrown: unknown) => void
  /** Longest message of a caller, in bytes. Default 256 KiB; a longer one ends the call. */
  readonly maxMessage?: number
  /** Connections; further ones are closed at once. Default 16 384. */
  readonly maxConnections?: number
  /** Calls at once on a connection. Default 64. */
  readonly maxStreams?: number
}

export interface GrpcServer {
  /** Not listening yet. */
  readonly server: Server
  close(): Promise<void>
}

export function makeGrpcServer(options: GrpcOptions): GrpcServer {
  const sessions = new Set<Http2Session>()
  const server = createServer({
    maxSessionMemory: 1, // MiB a connection: messages here are small.
    settings: { maxConcurrentStreams: options.maxStreams ?? 64, enablePush: false },
  })
  server.maxConnections = options.maxConnections ?? 16_384
  server.on('session', (session) => {
    sessions.add(session)
    session.once('close', () => sessions.delete(session))
    session.on('error', () => {}) // The other end's business; the session closes.
  })
  server.on('stream', (stream, headers) => void answer(stream, headers, options))
  return {
    server: server as unknown as Server,
    async close() {
      await new Promise<void>((resolve) => {
        server.close(() => resolve())
        for (const session of sessions) session.destroy()
      })
    },
  }
}

async function answer(stream: ServerHttp2Stream, headers: IncomingHttpHeaders, options: GrpcOptions): Promise<void> {
  const gone = new AbortController()
  stream.on('error', () => {})
  stream.once('close', () => gone.abort())
  if (stream.destroyed || !stream.session) return // Its connection is gone already.
  const path = headers[':path'] ?? ''
  const call: GrpcCall = {
    headers,
    socket: realSocket(stream),
    signal: gone.signal,
    read: reader(stream, options.maxMessage ?? 256 * 1024, gone.signal),
    send: (message) => send(stream, message),
  }
  try {
    if (headers[':method'] !== 'POST' || !headers['content-type']?.startsWith('application/grpc')) {
      stream.respond({ ':status': 415 }, { endStream: true })
      return
    }
    options.admit(call, path.split('/')[1] ?? '')
    const method = options.methods.get(path)
    if (!method) throw new GrpcError(status.unimplemented, `there is no ${path}`)
    await method(call)
    finish(stream, status.ok, '')
  } catch (thrown) {
    if (gone.signal.aborted) return
    if (thrown instanceof GrpcError) return finish(stream, thrown.status, thrown.message)
    options.unexpected(thrown)
    finish(stream, status.internal, 'something went wrong that the log of this process tells')
  }
}

/** The socket itself: that of a session is a proxy which hides most of it. */
function realSocket(stream: ServerHttp2Stream): Socket {
  const session = stream.session as unknown as Record<symbol, Socket>
  const name = Object.getOwnPropertySymbols(session).find(({ description }) => description === 'socket')
  return (name && session[name]) ?? (stream.session!.socket as Socket)
}

const grpcHeaders = { ':status': 200, 'content-type': 'application/grpc' } as const

function send(stream: ServerHttp2Stream, message: Uint8Array): Promise<void> {
  if (stream.destroyed) return Promise.resolve()
  if (!stream.headersSent) stream.respond(grpcHeaders, { waitForTrailers: true })
  const frame = Buffer.alloc(5 + message.length)
  frame.writeUInt32BE(message.length, 1)
  frame.set(message, 5)
  return new Promise((resolve) => {
    if (stream.write(frame)) return resolve()
    const done = (): void => {
      stream.off('drain', done)
      stream.off('close', done)
      resolve()
    }
    stream.on('drain', done)
    stream.on('close', done)
  })
}

function finish(stream: ServerHttp2Stream, code: number, message: string): void {
  if (stream.destroyed) return
  stream.resume() // Whatever the caller still says is read over, so that the stream comes to its end.
  const trailers = { 'grpc-status': String(code), ...(message && { 'grpc-message': percent(message) }) }
  if (!stream.headersSent) {
    stream.respond({ ...grpcHeaders, ...trailers }, { endStream: true })
    return
  }
  stream.once('wantTrailers', () => stream.sendTrailers(trailers))
  stream.end()
}

/** gRPC over HTTP/2, `Percent-Encoded`. */
const percent = (text: string): string =>
  text.replace(/[^\x20-\x24\x26-\x7e]/gu, (character) => encodeURIComponent(character))

/** Length-prefixed messages of a stream, one for each call; none of them compressed. */
function reader(
  stream: ServerHttp2Stream,
  maxMessage: number,
  gone: AbortSignal,
): () => Promise<Uint8Array | undefined> {
  let held: Buffer = Buffer.alloc(0)
  let ended = false
  let wake = (): void => {}
  const next = (): Uint8Array | undefined => {
    if (held.length < 5) return undefined
    if (held[0] !== 0) throw new GrpcError(status.unimplemented, 'compressed messages are not taken')
    const length = held.readUInt32BE(1)
    if (length > maxMessage) throw new GrpcError(status.resourceExhausted, `a message of more than ${maxMessage} bytes`)
    if (held.length < 5 + length) return undefined
    const message = new Uint8Array(held.subarray(5, 5 + length))
    held = held.subarray(5 + length)
    return message
  }
  stream.pause()
  stream.on('data', (chunk: Buffer) => {
    held = held.length === 0 ? chunk : Buffer.concat([held, chunk])
    stream.pause()
    wake()
  })
  stream.once('end', () => {
    ended = true
    wake()
  })
  gone.addEventListener('abort', () => wake(), { once: true })
  return async () => {
    for (;;) {
      const message = next()
      if (message || ended || gone.aborted) return message
      await new Promise<void>((resolve) => {
        wake = resolve
        stream.resume()
      })
    }
  }
}

/** Where a method takes one message and gives one. */
export const unary =
  (answer: (request: Uint8Array, call: GrpcCall) => Promise<Uint8Array>): GrpcMethod =>
  async (call) => {
    const request = await call.read()
    if (!request) throw new GrpcError(status.invalidArgument, 'a call without a message')
    await call.send(await answer(request, call))
  }

/** The text of an error for a caller. */
export const toGrpc = (thrown: unknown, code: number): GrpcError =>
  thrown instanceof GrpcError ? thrown : new GrpcError(code, messageOf(thrown))
