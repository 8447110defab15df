/**
 * One request on a raw socket: its body goes up and the answer comes down in pieces, and whoever is slow holds the other
 * side back. Nothing is gathered but heads.
 *
 * A caller that waits for `100 Continue` gets it from us once its request has been allowed and an upstream found, so a
 * refused one never sends its body; where a policy judges by the body, once it is known who calls. `Expect` does not
 * travel on, and other interim responses (1xx) do not travel back.
 */

import type { HeadFault } from '../../core/facts.ts'
import type { Peer } from '../../core/identity.ts'
import type { Outcome, OutcomeCode, PeerAnswer } from '../../core/outcome.ts'
import type { BodyRead, Exchange, Onward, Refusal } from '../exchange.ts'
import { isGrpc } from '../flow/grpc.ts'
import { type ProblemIds, problem, type UpstreamFailure, upstreamProblem } from '../flow/problem.ts'
import { BodyReader } from '../http1/body.ts'
import { type Framing, noBody } from '../http1/fields.ts'
import { Gathered } from '../http1/gather.ts'
import { Request } from '../http1/request.ts'
import { type Response, readResponse } from '../http1/response.ts'
import { headEnd, more } from '../http1/scan.ts'
import { chunkedEnd } from '../http1/trailers.ts'
import { writeAnswer, writeRequest, writeResponse } from '../http1/write.ts'
import type { Limits } from '../limits.ts'
import { requestChanges, responseChanges } from './changes.ts'
import { framingFor, Http1Relay, type Side } from './http1-relay.ts'
import { peerAnswer } from './peer-answer.ts'
import type { Borrower, Pool, Upstream, UpstreamUser } from './pool.ts'
import { againAndAgain, endTunnel, established, opensTunnel, untilClose } from './tunnel.ts'

/** The caller's connection, as far as an exchange needs it. */
export interface CallerSide extends Side {
  readonly peer: Peer
  readonly local: { readonly address: string; readonly port: number }
  readonly limits: Limits
  readonly pool: Pool
}

/** Pieces of an answer up to this many bytes are sent as one text together with their head. */
const smallBytes = 8192

export class SocketExchange implements Exchange, Borrower, UpstreamUser {
  readonly head: Request | HeadFault
  readonly #caller: CallerSide
  readonly #startMs = performance.now()
  #requestBody: BodyReader
  #onward: Onward | undefined
  /** What was read of the request's body to be judged, until it is sent on. */
  #gathered: Gathered | undefined
  /** Tells that gathering is over; undefined while there is none. */
  #gatheredAll: ((read: BodyRead) => void) | undefined
  #readLimit = 0
  #continued = false
  #finish: ((outcome: Outcome) => void) | undefined
  #timer: NodeJS.Timeout | undefined
  #upstream: Upstream | undefined
  #upstreamName = ''
  /** Whether the one second try is still there. */
  #mayRetry = true
  #status = 0
  #responseBody: BodyReader | undefined
  #response: Response | undefined
  #callerFraming: Framing = noBody
  #responseBytes = 0
  /** Part of a response head, and how far it was looked at. */
  #partial: Buffer | undefined
  #scanned = 0
  /** Text that leaves with the next write. */
  #out = ''
  /** In place of all of this where the upstream speaks HTTP/2. */
  #relay: Http1Relay | undefined
  /** Whether the connection has gone over to another protocol, both ways. */
  tunnels = false
  /** Of a tunnel alone: ends it where it would not be opened any more. */
  judgeAgain: (() => Promise<void>) | undefined
  #flowing = true

  constructor(caller: CallerSide, head: Request | HeadFault) {
    this.#caller = caller
    this.head = head
    this.#requestBody = new BodyReader(head instanceof Request ? head.framing : noBody)
  }

  get peer(): Peer {
    return this.#caller.peer
  }

  get local(): { readonly address: string; readonly port: number } {
    return this.#caller.local
  }

  /** Whether bytes of the caller belong to this exchange now; until then they are held. */
  get wantsBytes(): boolean {
    return (
      (this.#relay?.flows || this.#upstream !== undefined || this.#gatheredAll !== undefined) && !this.#requestBody.done
    )
  }

  get upgrades(): boolean {
    return this.head instanceof Request && this.head.tunnels
  }

  get #method(): string {
    return this.head instanceof Request ? this.head.method : ''
  }

  get #requestFraming(): Framing['kind'] {
    return this.head instanceof Request ? this.head.framing.kind : 'none'
  }

  async readBody(maxBytes: number): Promise<BodyRead> {
    const { head } = this
    if (this.#requestBody.done || !(head instanceof Request)) return nothingRead
    if (this.#caller.gone) return callerGone
    const { framing } = head
    // Of a body without a length only one byte more tells that there is more.
    const known = framing.kind === 'length'
    const gathered = new Gathered(known ? maxBytes : maxBytes + 1, known ? framing.length : smallBytes)
    this.#gathered = gathered
    const { promise, resolve } = Promise.withResolvers<BodyRead>()
    this.#gatheredAll = resolve
    this.#readLimit = maxBytes
    const held = this.#caller.takeHeld()
    if (held) this.#gather(gathered, held)
    else this.#sayContinue()
    if (!this.#gatheredAll) return promise
    const timer = setTimeout(() => this.#gatheringOver({ kind: 'late' }), this.#caller.limits.bodyMs)
    this.#caller.resume()
    const read = await promise
    clearTimeout(timer)
    return read
  }

  #gather(gathered: Gathered, bytes: Buffer): void {
    const body = this.#requestBody
    const used = body.read(bytes, 0, bytes.length, (from, to) => gathered.add(bytes.subarray(from, to)))
    if (used < bytes.length && body.wrong === undefined) this.#caller.hold(bytes.subarray(used))
    if (body.wrong !== undefined) this.#gatheringOver({ kind: 'bad', detail: body.wrong })
    else if (body.done || gathered.full) this.#gatheringOver(this.#readOf(gathered))
  }

  #readOf({ bytes }: Gathered): BodyRead {
    const { framing } = this.head as Request
    const { done } = this.#requestBody
    const size = framing.kind === 'length' ? framing.length : done ? bytes.length : -1
    const truncated = !done || bytes.length > this.#readLimit
    return { kind: 'read', bytes: bytes.subarray(0, this.#readLimit), truncated, size }
  }

  #gatheringOver(read: BodyRead): void {
    const resolve = this.#gatheredAll
    this.#gatheredAll = undefined
    resolve?.(read)
  }

  /** Only where nothing of the body has come: then the caller may wait for it. */
  #sayContinue(): void {
    if (this.#continued || this.#requestBody.done || !(this.head as Request).expectsContinue) return
    this.#continued = true
    this.#caller.write('HTTP/1.1 100 Continue\r\n\r\n')
  }

  async refuse(refusal: Refusal): Promise<Outcome> {
    if (this.#caller.gone) return this.#outcome('caller_gone')
    this.#answer(refusal)
    return this.#outcome('refused')
  }

  forward(onward: Onward): Promise<Outcome> {
    return new Promise((resolve) => {
      this.#finish = resolve
      this.#onward = onward
      if (this.#caller.gone) return this.#end('caller_gone')
      if (this.head instanceof Request && takesLeg(onward, this.head)) {
        this.#finish = undefined
        const ahead = this.#gathered?.bytes
        this.#relay = new Http1Relay(this.#caller, this.head, this.#requestBody, ahead, this.#continued)
        this.#relay.open(onward, this.#startMs, resolve)
        return
      }
      if (onward.timeoutMs > 0) this.#timer = setTimeout(() => this.fail('upstream_timeout'), onward.timeoutMs)
      this.#caller.pool.acquire(onward.endpoint, this, onward.connections)
    })
  }

  onUpstream(upstream: Upstream): void {
    if (!this.#finish) {
      // Over while it was coming.
      upstream.release(true)
      return
    }
    const { head } = this
    if (!(head instanceof Request)) {
      this.fail('upstream_invalid')
      return
    }
    this.#upstream = upstream
    this.#upstreamName = upstream.name
    upstream.user = this
    if (head.connects && this.#onward!.endpoint.identity === undefined) {
      this.#beginTunnel(established)
      this.#flush()
      return
    }
    const text = writeRequest(head, requestChanges(this.#onward!))
    const held = this.#caller.takeHeld()
    const { framing } = head
    const small = framing.kind === 'length' && held && held.length >= framing.length && framing.length <= smallBytes
    if (small && !this.#gathered) {
      // All of a small body is here: one write.
      upstream.socket.write(text + held.toString('latin1', 0, framing.length), 'latin1')
      this.#requestBody.read(held, 0, framing.length, ignore)
      if (held.length > framing.length) this.#caller.hold(held.subarray(framing.length))
      return
    }
    if (this.#gathered) this.#sendGathered(upstream, text, this.#gathered)
    else upstream.socket.write(text, 'latin1')
    if (held && this.#requestBody.done) this.#caller.hold(held)
    else if (held) this.onCallerBytes(held)
    else this.#sayContinue()
    this.#caller.resume()
  }

  onNoUpstream(code: UpstreamFailure): void {
    this.fail(code)
  }

  /** What was judged goes first, exactly as it came but for the sizes of chunks. */
  #sendGathered({ socket }: Upstream, head: string, { bytes }: Gathered): void {
    this.#gathered = undefined
    const chunked = this.#requestFraming === 'chunked'
    socket.cork()
    socket.write(chunked && bytes.length > 0 ? `${head}${bytes.length.toString(16)}\r\n` : head, 'latin1')
    if (bytes.length > 0) socket.write(bytes)
    if (chunked && bytes.length > 0) socket.write('\r\n', 'latin1')
    if (chunked && this.#requestBody.done) socket.write(chunkedEnd(this.#requestBody.trailers), 'latin1')
    socket.uncork()
  }

  /** Body bytes, which are ours to keep. */
  onCallerBytes(bytes: Buffer): void {
    if (this.#gatheredAll) {
      this.#gather(this.#gathered!, bytes)
      return
    }
    if (this.#relay) {
      this.#relay.onCallerBytes(bytes)
      return
    }
    const upstream = this.#upstream
    if (!upstream) return
    const { socket } = upstream
    const body = this.#requestBody
    const chunked = this.#requestFraming === 'chunked'
    let flowing = true
    socket.cork()
    const used = body.read(bytes, 0, bytes.length, (from, to) => {
      if (chunked) socket.write(`${(to - from).toString(16)}\r\n`, 'latin1')
      flowing = socket.write(bytes.subarray(from, to))
      if (chunked) flowing = socket.write('\r\n', 'latin1')
    })
    if (chunked && body.done) flowing = socket.write(chunkedEnd(body.trailers), 'latin1')
    socket.uncork()
    if (body.wrong !== undefined) {
      this.#refuseBody(body.wrong)
      return
    }
    if (used < bytes.length) this.#caller.hold(bytes.subarray(used))
    if (!flowing && !body.done) this.#caller.pause()
  }

  onCallerDrain(): void {
    this.#relay?.relay.onCallerDrain()
    if (this.#flowing) return
    this.#flowing = true
    this.#upstream?.socket.resume()
  }

  onUpstreamDrain(): void {
    this.#caller.touch()
    this.#caller.resume()
  }

  /** The caller closed, or will hear no more. */
  onCallerGone(): void {
    this.#gatheringOver(callerGone)
    this.#relay?.relay.onCallerGone()
    this.#end(this.tunnels ? 'completed' : 'caller_gone')
  }

  onUpstreamBytes(bytes: Buffer, length: number): boolean {
    this.#caller.touch()
    const surplus = this.#response ? this.#readBody(bytes, 0, length) : this.#readHead(bytes, length)
    if (!this.#finish || !this.#response) return true
    const over = this.#responseBody?.done ?? true
    if (over && this.#callerFraming.kind === 'chunked') this.#out += chunkedEnd(this.#responseBody?.trailers ?? none)
    this.#flush()
    if (!over) return this.#flowing
    this.#complete(surplus)
    return true
  }

  onUpstreamEnd(clean: boolean): void {
    if (!this.#finish) return
    if (!this.#response) {
      if (this.#retry()) return
      this.fail('upstream_reset')
      return
    }
    // A tunnel's end is for the protocol in it to vouch for.
    const said = clean && (this.tunnels || this.#upstream?.endIsProven)
    if (!said || !this.#responseBody?.closed()) {
      this.fail('upstream_reset')
      return
    }
    if (this.#callerFraming.kind === 'chunked') this.#out += chunkedEnd(this.#responseBody?.trailers ?? none)
    this.#flush()
    this.#complete(true)
  }

  /** Ends the exchange for a reason on our side or the upstream's. */
  fail(code: UpstreamFailure): void {
    this.#relay?.relay.fail(code)
    if (!this.#finish) return
    const begun = this.#status !== 0
    if (!begun && !this.#caller.gone) {
      this.#answer(upstreamProblem(code, this.#ids, this.head instanceof Request && isGrpc(this.head)))
    }
    this.#end(code)
    if (begun) this.#caller.cut()
  }

  /** Reads a response head and what follows it; whether bytes are left over after the response. */
  #readHead(arrived: Buffer, length: number): boolean {
    let bytes = arrived
    let to = length
    if (this.#partial) {
      bytes = Buffer.concat([this.#partial, arrived.subarray(0, length)])
      to = bytes.length
      this.#partial = undefined
    }
    while (to > 0) {
      const end = headEnd(bytes, this.#scanned, to, this.#caller.limits.headBytes)
      if (end === more) {
        this.#scanned = to
        this.#partial = Buffer.from(bytes.subarray(0, to)) // A copy: the buffer is used again.
        return false
      }
      this.#scanned = 0
      const response =
        end < 0 ? undefined : readResponse(bytes.toString('latin1', 0, end), this.#method, this.#caller.limits)
      const opens = response && !('wrong' in response) && opensTunnel(this.head as Request, response)
      if (!response || 'wrong' in response || (response.status === 101 && !opens)) {
        this.fail('upstream_invalid')
        return false
      }
      if (response.status >= 200 || response.status === 101) {
        if (opens) this.#beginTunnel(response)
        else this.#begin(response)
        return this.#readBody(bytes, end, to)
      }
      bytes = bytes.subarray(end, to)
      to = bytes.length
    }
    return false
  }

  /** From now on bytes go both ways as they come, until one side closes or the caller is allowed no longer. */
  #beginTunnel(response: Response): void {
    clearTimeout(this.#timer)
    this.tunnels = true
    this.judgeAgain = againAndAgain(this.#onward!.stillAllowed, () => this.fail('revoked'))
    this.#response = response
    this.#status = response.status
    this.#requestBody = new BodyReader(untilClose)
    this.#responseBody = new BodyReader(untilClose)
    this.#callerFraming = untilClose
    this.#caller.closeAfter()
    const { status } = response
    const upgrades = status === 101
    const changes = responseChanges(this.#onward!, status)
    this.#out += writeResponse(
      { status, framing: untilClose, close: false, upgrades },
      response.fields,
      upgrades ? changes : { ...changes, remove: [...changes.remove, 'content-length'] }, // RFC 9110 section 9.3.6: what follows is not a body.
    )
    const held = this.#caller.takeHeld()
    if (held) this.onCallerBytes(held)
    this.#caller.resume()
  }

  /** Puts together the head that the caller gets. */
  #begin(response: Response): void {
    const request = this.head as Request
    this.#response = response
    this.#status = response.status
    if (response.framing.kind !== 'none') this.#responseBody = new BodyReader(response.framing)
    this.#callerFraming = framingFor(request, response)
    if (!request.keepAlive || this.#callerFraming.kind === 'close') this.#caller.closeAfter()
    this.#out += writeResponse(
      { status: response.status, framing: this.#callerFraming, close: this.#caller.last },
      response.fields,
      responseChanges(this.#onward!, response.status),
    )
  }

  /** Passes body bytes on; whether bytes are left over after the body. */
  #readBody(bytes: Buffer, from: number, to: number): boolean {
    const body = this.#responseBody
    if (!body) return from < to
    const chunked = this.#callerFraming.kind === 'chunked'
    const end = body.read(bytes, from, to, (start, stop) => {
      if (chunked) this.#out += `${(stop - start).toString(16)}\r\n`
      if (stop - start <= smallBytes) this.#out += bytes.toString('latin1', start, stop)
      else {
        this.#flush()
        const piece = bytes.subarray(start, stop)
        const lent = this.#upstream?.lend()
        this.#write(lent ? piece : Buffer.from(piece), lent)
      }
      if (chunked) this.#out += '\r\n'
    })
    this.#responseBytes = body.bytes
    if (body.wrong !== undefined) {
      this.#flush()
      this.fail('upstream_invalid')
    }
    return end < to
  }

  #flush(): void {
    if (this.#out === '') return
    this.#write(this.#out)
    this.#out = ''
  }

  #write(data: string | Uint8Array, written?: () => void): void {
    if (!this.#caller.write(data, written)) this.#flowing = false
  }

  /**
   * The response is whole. A request body that is not will never be, so the caller's connection ends. The upstream's
   * ends too where it closed or sent more than its response: those bytes must not answer somebody else.
   */
  #complete(upstreamOver: boolean): void {
    const upstream = this.#upstream!
    this.#upstream = undefined
    const bodySent = this.#requestBody.done
    if (!bodySent) this.#caller.closeAfter()
    if (!this.#flowing) upstream.socket.resume()
    upstream.release(!upstreamOver && bodySent && this.#response!.keepAlive)
    this.#caller.resume()
    this.#end('completed')
  }

  /** A kept connection may die just as it is lent; what surely changed nothing is asked once more (RFC 9110 section 9.2.2). */
  #retry(): boolean {
    const safe = (this.#method === 'GET' || this.#method === 'HEAD') && this.#requestFraming === 'none'
    if (!safe || !this.#mayRetry || !this.#upstream?.reused || this.#partial || this.#caller.gone) return false
    this.#mayRetry = false
    this.#upstream.release(false)
    this.#upstream = undefined
    this.#caller.pool.forget(this.#onward!.endpoint)
    this.#caller.pool.acquire(this.#onward!.endpoint, this, this.#onward!.connections)
    return true
  }

  /** The head was allowed, but its body cannot be read: the caller hears why, the upstream never sees an end. */
  #refuseBody(wrong: string): void {
    if (!this.#finish) return
    const begun = this.#status !== 0
    if (!begun) this.#answer(problem(400, 'bad_request', this.#ids, wrong))
    this.#end('refused')
    if (begun) this.#caller.cut()
  }

  get #ids(): ProblemIds {
    const { setHeaders, setResponseHeaders } = this.#onward!
    return { requestId: setHeaders['x-request-id'] ?? '', decisionId: setResponseHeaders['x-writ-decision'] }
  }

  /** An answer of our own. Unless the whole body has come, the connection cannot be used again. */
  #answer(refusal: Refusal): void {
    const { head } = this
    if (!(head instanceof Request) || !head.keepAlive || !this.#skipBody()) this.#caller.closeAfter()
    this.#status = refusal.status
    const body = Buffer.from(refusal.body)
    const silent = this.#method === 'HEAD'
    const text = writeAnswer(refusal.status, refusal.headers, body.length, this.#caller.last)
    this.#caller.write(silent ? text : text + body.toString('latin1'))
    if (!silent) this.#responseBytes = body.length
  }

  /** Reads over what has come of the body; whether that was all of it. */
  #skipBody(): boolean {
    const body = this.#requestBody
    const held = body.done ? undefined : this.#caller.takeHeld()
    if (!held) return body.done
    const used = body.read(held, 0, held.length, ignore)
    if (used < held.length) this.#caller.hold(held.subarray(used))
    return body.done
  }

  #end(code: OutcomeCode): void {
    const finish = this.#finish
    if (!finish) return
    this.#finish = undefined
    clearTimeout(this.#timer)
    if (this.#upstream) {
      if (this.tunnels && code === 'completed') {
        this.#upstream.user = undefined
        endTunnel(this.#upstream.socket)
      } else this.#upstream.release(false)
      this.#upstream = undefined
    } else this.#caller.pool.cancel(this.#onward!.endpoint, this)
    finish(this.#outcome(code))
  }

  get #peerAnswer(): PeerAnswer | undefined {
    if (!this.#onward) return undefined
    const { endpoint } = this.#onward
    return peerAnswer({ endpoint, upstream: this.#upstreamName, sentTwice: !this.#mayRetry }, this.#response)
  }

  #outcome(code: OutcomeCode): Outcome {
    const peer = this.#peerAnswer
    return {
      code,
      status: this.#status,
      requestBytes: this.#requestBody.bytes,
      responseBytes: this.#responseBytes,
      durationUs: Math.round((performance.now() - this.#startMs) * 1000),
      upstream: this.#upstreamName,
      ...(peer && { peer }),
    }
  }
}

const nothingRead: BodyRead = { kind: 'none' }
const callerGone: BodyRead = { kind: 'gone' }
const ignore = (): void => {}
const none: readonly string[] = []

/** Whether the request takes more than passing bytes from one socket to another. A tunnel is never tried twice. */
const takesLeg = (onward: Onward, { tunnels }: Request): boolean =>
  !tunnels &&
  (onward.endpoint.protocol === 'h2c' ||
    (onward.attempts ?? onward.times ?? onward.transform ?? onward.mirrors ?? onward.bodyBytes) !== undefined)
