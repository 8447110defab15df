/** An upstream that speaks HTTP/2: one stream of a session that many exchanges share. */

import { type ClientHttp2Session, type ClientHttp2Stream, constants } from 'node:http2'
import type { Onward } from '../exchange.ts'
import type { UpstreamFailure } from '../flow/problem.ts'
import type { Request } from '../http1/request.ts'
import { readTrailers, type Trailers } from '../http1/trailers.ts'
import { readHttp2Response } from '../http2/head.ts'
import { http2Request } from '../http2/write.ts'
import type { Limits } from '../limits.ts'
import { requestChanges } from './changes.ts'
import type { Http2Pool, SessionBorrower } from './http2-pool.ts'
import type { Leg, LegUser } from './leg.ts'

export class Http2Leg implements Leg, SessionBorrower {
  readonly #request: Request
  readonly #onward: Onward
  readonly #user: LegUser
  readonly #pool: Http2Pool
  readonly #limits: Limits
  /** What to do where the other end speaks HTTP/1.1 alone. */
  readonly #instead: () => void
  #stream: ClientHttp2Stream | undefined
  #over = false
  #begun = false
  #touched = false
  #mayRetry = true
  #trailers: Trailers = []
  #received: readonly string[] = []

  constructor(request: Request, onward: Onward, user: LegUser, pool: Http2Pool, limits: Limits, instead: () => void) {
    this.#request = request
    this.#onward = onward
    this.#user = user
    this.#pool = pool
    this.#limits = limits
    this.#instead = instead
    pool.acquire(onward.endpoint, this, onward.connections)
  }

  onSession(session: ClientHttp2Session, name: string, release: () => void): void {
    if (this.#over) {
      release()
      return
    }
    const { identity, outside } = this.#onward.endpoint
    const scheme = identity === undefined && !outside?.tls ? 'http' : 'https'
    const head = http2Request(this.#request, requestChanges(this.#onward), scheme)
    const kind = this.#request.framing.kind
    let stream: ClientHttp2Stream
    try {
      stream = session.request(head, { endStream: kind === 'none', waitForTrailers: kind === 'chunked' })
    } catch {
      release()
      this.#again()
      return
    }
    this.#stream = stream
    stream.on('wantTrailers', () => sendTrailers(stream, this.#trailers))
    stream.on('response', (_, flags, raw) => this.#onResponse(raw, (flags & constants.NGHTTP2_FLAG_END_STREAM) !== 0))
    stream.on('trailers', (_, __, raw) => {
      this.#received = raw
    })
    stream.on('drain', () => this.#over || this.#user.onDrain())
    stream.on('error', () => {}) // What matters about it is the close that follows.
    stream.on('end', () => this.#onEnd(stream))
    stream.on('close', () => {
      release()
      if (this.#over || stream !== this.#stream) return
      const refused = stream.rstCode === constants.NGHTTP2_REFUSED_STREAM
      if (refused && !this.#begun && !this.#touched) this.#again()
      else this.#fail('upstream_reset')
    })
    this.#user.onReady(name)
  }

  onNoSession(code: UpstreamFailure | 'http1'): void {
    if (this.#over) return
    if (code !== 'http1') {
      this.#fail(code)
      return
    }
    this.#over = true
    this.#instead()
  }

  /** A stream that was surely not looked at (RFC 9113 section 8.7), such as one that met a GOAWAY, is asked once more. */
  #again(): void {
    if (!this.#mayRetry) {
      this.#fail('upstream_reset')
      return
    }
    this.#mayRetry = false
    this.#stream = undefined
    this.#pool.acquire(this.#onward.endpoint, this, this.#onward.connections)
  }

  #onResponse(raw: readonly string[], endsHere: boolean): void {
    if (this.#over) return
    const response = readHttp2Response(raw, endsHere, this.#request.method, this.#limits)
    if ('wrong' in response) {
      this.#fail('upstream_invalid')
      return
    }
    this.#begun = true
    this.#user.onResponse(response)
    const stream = this.#stream!
    stream.on('data', (bytes: Buffer) => {
      if (!this.#over && !this.#user.onBody(bytes)) stream.pause()
    })
  }

  #onEnd(stream: ClientHttp2Stream): void {
    if (this.#over || stream !== this.#stream) return
    const trailers = readTrailers(this.#received)
    if (!this.#begun || stream.rstCode !== 0 || stream.aborted) return // The close that follows says so.
    if ('wrong' in trailers) {
      this.#fail('upstream_invalid')
      return
    }
    this.#over = true
    if (!stream.writableEnded) stream.close(constants.NGHTTP2_CANCEL) // Nobody reads the rest of the request.
    this.#user.onBodyEnd(trailers)
  }

  write(bytes: Uint8Array): boolean {
    this.#touched = true
    return this.#stream?.write(bytes) ?? true
  }

  end(trailers: Trailers): void {
    this.#trailers = trailers
    if (this.#stream && !this.#stream.writableEnded) this.#stream.end()
  }

  resume(): void {
    this.#stream?.resume()
  }

  close(): void {
    if (this.#over) return
    this.#over = true
    if (this.#stream) this.#stream.close(constants.NGHTTP2_CANCEL)
    else this.#pool.cancel(this.#onward.endpoint, this)
  }

  #fail(code: UpstreamFailure): void {
    if (this.#over) return
    this.#over = true
    this.#stream?.close(constants.NGHTTP2_CANCEL)
    this.#user.onFailure(code)
  }
}

/** Throws nothing where the stream is over meanwhile. */
export function sendTrailers(
  stream: { readonly destroyed: boolean; sendTrailers(headers: Record<string, string>): void; close(): void },
  trailers: Trailers,
): void {
  if (stream.destroyed) return
  const fields: Record<string, string> = Object.create(null)
  for (let i = 0; i < trailers.length; i += 2) {
    const before = fields[trailers[i]!]
    fields[trailers[i]!] = before === undefined ? trailers[i + 1]! : `${before}, ${trailers[i + 1]}`
  }
  try {
    stream.sendTrailers(fields)
  } catch {
    stream.close()
  }
}
