/** An upstream that speaks HTTP/2: one stream of a session that many exchanges share. */

import type { Onward } from '../exchange.ts'
import type { UpstreamFailure } from '../flow/problem.ts'
import type { Request } from '../http1/request.ts'
import { readTrailers, type Trailers } from '../http1/trailers.ts'
import { errorCode } from '../http2/frames.ts'
import { type RawFields, readHttp2Response } from '../http2/head.ts'
import type { HeaderList } from '../http2/hpack/decoder.ts'
import type { Session } from '../http2/session.ts'
import type { Stream, StreamUser } from '../http2/stream.ts'
import { http2Request } from '../http2/write.ts'
import type { Limits } from '../limits.ts'
import { requestChanges } from './changes.ts'
import type { Http2Pool, SessionBorrower } from './http2-pool.ts'
import type { Leg, LegUser } from './leg.ts'

export class Http2Leg implements Leg, SessionBorrower, StreamUser {
  readonly #request: Request
  readonly #onward: Onward
  readonly #user: LegUser
  readonly #pool: Http2Pool
  readonly #limits: Limits
  /** What to do where the other end speaks HTTP/1.1 alone. */
  readonly #instead: () => void
  #stream: Stream | undefined
  #release: (() => void) | undefined
  #over = false
  #begun = false
  #touched = false
  #mayRetry = true
  /** Body bytes of the answer that are still to come, where it said how many. */
  #left = Infinity

  constructor(request: Request, onward: Onward, user: LegUser, pool: Http2Pool, limits: Limits, instead: () => void) {
    this.#request = request
    this.#onward = onward
    this.#user = user
    this.#pool = pool
    this.#limits = limits
    this.#instead = instead
    pool.acquire(onward.endpoint, this, onward.connections)
  }

  onSession(session: Session, name: string, release: () => void): void {
    if (this.#over) {
      release()
      return
    }
    const stream = session.open()
    if (!stream) {
      release()
      this.#again()
      return
    }
    const { identity, outside } = this.#onward.endpoint
    const scheme = identity === undefined && !outside?.tls ? 'http' : 'https'
    const { fields, framing } = this.#request
    this.#stream = stream
    this.#release = release
    stream.user = this
    stream.sendHead(
      http2Request(this.#request, requestChanges(this.#onward), scheme),
      framing.kind === 'none',
      fields.secret,
    )
    stream.resume()
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

  onHead({ fields, whole, secret }: HeaderList, endsHere: boolean): void {
    if (this.#over) return
    const response = readHttp2Response(fields, endsHere, this.#request.method, this.#limits, secret)
    if (!whole || 'wrong' in response) {
      this.#fail('upstream_invalid')
      return
    }
    if (response.status < 200) return
    this.#begun = true
    const { framing } = response
    if (framing.kind === 'length') this.#left = framing.length
    else if (framing.kind === 'none') this.#left = 0
    this.#user.onResponse(response)
  }

  onData(bytes: Uint8Array): void {
    if (this.#over) return
    this.#left -= bytes.length
    if (this.#left < 0) this.#fail('upstream_invalid')
    else if (!this.#user.onBody(bytes)) this.#stream?.pause()
  }

  onEnd(received: RawFields): void {
    if (this.#over) return
    const trailers = readTrailers(received)
    // RFC 9113 section 8.1.1: a body is as long as it was said to be.
    if ('wrong' in trailers || (this.#left > 0 && this.#left < Infinity)) {
      this.#fail('upstream_invalid')
      return
    }
    this.#over = true
    const stream = this.#stream!
    if (!stream.localEnded && (!stream.ending || stream.out.length > 0)) stream.reset() // Nobody reads the rest of it.
    this.#user.onBodyEnd(trailers)
  }

  onDrain(): void {
    if (!this.#over) this.#user.onDrain()
  }

  onClose(code: number | undefined): void {
    this.#release?.()
    this.#release = undefined
    if (this.#over) return
    if (code === errorCode.refused && !this.#begun && !this.#touched) this.#again()
    else this.#fail('upstream_reset')
  }

  write(bytes: Uint8Array): boolean {
    this.#touched = true
    return this.#stream?.write(bytes) ?? true
  }

  end(trailers: Trailers): void {
    this.#stream?.end(trailers)
  }

  resume(): void {
    this.#stream?.resume()
  }

  close(): void {
    if (this.#over) return
    this.#over = true
    if (this.#stream) this.#stream.reset()
    else this.#pool.cancel(this.#onward.endpoint, this)
  }

  #fail(code: UpstreamFailure): void {
    if (this.#over) return
    this.#over = true
    this.#stream?.reset()
    this.#user.onFailure(code)
  }
}
