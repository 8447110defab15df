/** An upstream that speaks HTTP/1.1, for callers that do not. */

import { randomBytes } from 'node:crypto'
import type { Onward } from '../exchange.ts'
import type { UpstreamFailure } from '../flow/problem.ts'
import { BodyReader } from '../http1/body.ts'
import { fieldValue } from '../http1/fields.ts'
import type { Request } from '../http1/request.ts'
import { type Response, readResponse } from '../http1/response.ts'
import { headEnd, more } from '../http1/scan.ts'
import { chunkedEnd, type Trailers } from '../http1/trailers.ts'
import { type RequestChanges, writeRequest } from '../http1/write.ts'
import type { Limits } from '../limits.ts'
import { requestChanges } from './changes.ts'
import type { Leg, LegUser } from './leg.ts'
import type { Borrower, Pool, Upstream, UpstreamUser } from './pool.ts'
import { acceptOf, endTunnel, established, opensTunnel, untilClose } from './tunnel.ts'

export class Http1Leg implements Leg, Borrower, UpstreamUser {
  readonly #request: Request
  readonly #onward: Onward
  readonly #user: LegUser
  readonly #pool: Pool
  readonly #limits: Limits
  #upstream: Upstream | undefined
  #mayRetry = true
  #over = false
  #sent: boolean
  #response: Response | undefined
  #body: BodyReader | undefined
  #partial: Buffer | undefined
  #scanned = 0
  #flowing = true
  /** Whether bytes go both ways as they come. */
  #tunnels = false
  /** Of WebSocket: what HTTP/2 does without and HTTP/1.1 wants (RFC 8441 section 5). */
  readonly #key: string | undefined

  constructor(request: Request, onward: Onward, user: LegUser, pool: Pool, limits: Limits) {
    this.#request = request
    this.#onward = onward
    this.#user = user
    this.#pool = pool
    this.#limits = limits
    this.#sent = request.framing.kind === 'none'
    if (request.upgrades) this.#key = randomBytes(16).toString('base64')
    pool.acquire(onward.endpoint, this, onward.connections)
  }

  onUpstream(upstream: Upstream): void {
    if (this.#over) {
      upstream.release(true)
      return
    }
    this.#upstream = upstream
    upstream.user = this
    const opened = this.#request.connects && this.#onward.endpoint.identity === undefined
    if (!opened) upstream.socket.write(writeRequest(this.#request, this.#changes), 'latin1')
    this.#user.onReady(upstream.name)
    if (opened) this.#begin(established)
  }

  get #changes(): RequestChanges {
    const changes = requestChanges(this.#onward)
    return this.#key === undefined ? changes : { ...changes, set: { ...changes.set, 'sec-websocket-key': this.#key } }
  }

  #begin(response: Response): void {
    this.#response = response
    this.#tunnels = opensTunnel(this.#request, response)
    const framing = this.#tunnels ? untilClose : response.framing
    if (framing.kind !== 'none') this.#body = new BodyReader(framing)
    this.#user.onResponse(this.#tunnels ? { ...response, framing } : response)
  }

  /** Whether a 101 is there where it may be, and no other success where HTTP/2 would take it for one. */
  #isAsked(response: Response): boolean {
    if (this.#key === undefined) return response.status !== 101
    if (response.status === 101) {
      const accepted = fieldValue(response.fields, 'sec-websocket-accept') === acceptOf(this.#key)
      return accepted && opensTunnel(this.#request, response)
    }
    return response.status < 200 || response.status >= 300
  }

  onNoUpstream(code: UpstreamFailure): void {
    this.#fail(code)
  }

  get #chunked(): boolean {
    return this.#request.framing.kind === 'chunked'
  }

  write(bytes: Uint8Array): boolean {
    const socket = this.#upstream?.socket
    if (!socket || bytes.length === 0) return true // A chunk without bytes would be the last one.
    if (!this.#chunked) return socket.write(bytes)
    socket.cork()
    socket.write(`${bytes.length.toString(16)}\r\n`, 'latin1')
    socket.write(bytes)
    const flowing = socket.write('\r\n', 'latin1')
    socket.uncork()
    return flowing
  }

  end(trailers: Trailers): void {
    if (this.#tunnels) this.#upstream?.socket.end()
    if (this.#sent) return
    this.#sent = true
    if (this.#chunked) this.#upstream?.socket.write(chunkedEnd(trailers), 'latin1')
  }

  resume(): void {
    if (this.#flowing) return
    this.#flowing = true
    this.#upstream?.socket.resume()
  }

  close(): void {
    if (this.#over) return
    this.#over = true
    if (this.#upstream && this.#tunnels) {
      this.#upstream.user = undefined
      endTunnel(this.#upstream.socket)
    } else if (this.#upstream) this.#upstream.release(false)
    else this.#pool.cancel(this.#onward.endpoint, this)
    this.#upstream = undefined
  }

  onUpstreamDrain(): void {
    this.#user.onDrain()
  }

  onUpstreamBytes(bytes: Buffer, length: number): boolean {
    const surplus = this.#response ? this.#readBody(bytes, 0, length) : this.#readHead(bytes, length)
    if (this.#over || !this.#response) return true
    if (this.#body?.done ?? true) this.#complete(!surplus)
    return this.#flowing
  }

  onUpstreamEnd(clean: boolean): void {
    if (this.#over) return
    if (!this.#response && this.#retry()) return
    const said = clean && (this.#tunnels || this.#upstream?.endIsProven)
    if (said && this.#response && this.#body?.closed()) this.#complete(false)
    else this.#fail('upstream_reset')
  }

  /** Reads a response head and what follows it; whether bytes are left over after the response. */
  #readHead(arrived: Buffer, length: number): boolean {
    let bytes = this.#partial ? Buffer.concat([this.#partial, arrived.subarray(0, length)]) : arrived
    let to = this.#partial ? bytes.length : length
    this.#partial = undefined
    while (to > 0) {
      const end = headEnd(bytes, this.#scanned, to, this.#limits.headBytes)
      if (end === more) {
        this.#scanned = to
        this.#partial = Buffer.from(bytes.subarray(0, to)) // A copy: the buffer is used again.
        return false
      }
      this.#scanned = 0
      const { method } = this.#request
      const response = end < 0 ? undefined : readResponse(bytes.toString('latin1', 0, end), method, this.#limits)
      if (!response || 'wrong' in response || !this.#isAsked(response)) {
        this.#fail('upstream_invalid')
        return false
      }
      if (response.status >= 200 || response.status === 101) {
        this.#begin(response)
        return this.#readBody(bytes, end, to)
      }
      bytes = bytes.subarray(end, to)
      to = bytes.length
    }
    return false
  }

  #readBody(bytes: Buffer, from: number, to: number): boolean {
    const body = this.#body
    if (!body) return from < to
    const end = body.read(bytes, from, to, (start, stop) => {
      // A copy: the buffer is used again.
      if (!this.#user.onBody(Buffer.from(bytes.subarray(start, stop)))) this.#flowing = false
    })
    if (body.wrong !== undefined) this.#fail('upstream_invalid')
    return end < to
  }

  #complete(reusable: boolean): void {
    const upstream = this.#upstream
    this.#over = true
    this.#upstream = undefined
    if (!this.#flowing) upstream?.socket.resume()
    upstream?.release(reusable && this.#sent && this.#response!.keepAlive)
    this.#user.onBodyEnd(this.#body?.trailers ?? [])
  }

  /** As between callers and upstreams of HTTP/1.1: what surely changed nothing is asked once more. */
  #retry(): boolean {
    const { method, framing } = this.#request
    const safe = (method === 'GET' || method === 'HEAD') && framing.kind === 'none'
    if (!safe || !this.#mayRetry || !this.#upstream?.reused || this.#partial) return false
    this.#mayRetry = false
    this.#upstream.release(false)
    this.#upstream = undefined
    this.#pool.forget(this.#onward.endpoint)
    this.#pool.acquire(this.#onward.endpoint, this, this.#onward.connections)
    return true
  }

  #fail(code: UpstreamFailure): void {
    if (this.#over) return
    this.#over = true
    this.#upstream?.release(false)
    this.#upstream = undefined
    this.#user.onFailure(code)
  }
}
