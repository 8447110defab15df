/**
 * One exchange between a caller and an upstream of which at least one speaks HTTP/2: bodies and trailers go both ways in
 * pieces, and whoever is slow holds the other side back.
 */

import type { Outcome, OutcomeCode } from '../../core/outcome.ts'
import type { Onward, Refusal } from '../exchange.ts'
import { isGrpc, readGrpcStatus } from '../flow/grpc.ts'
import { problem, type UpstreamFailure, upstreamProblem } from '../flow/problem.ts'
import { fieldValue } from '../http1/fields.ts'
import type { Request } from '../http1/request.ts'
import type { Response } from '../http1/response.ts'
import type { Trailers } from '../http1/trailers.ts'
import type { FieldChanges } from '../http1/write.ts'
import { responseChanges } from './changes.ts'
import type { Leg, LegUser, OpenLeg } from './leg.ts'
import { peerAnswer, type Tried } from './peer-answer.ts'
import { againAndAgain, opensTunnel } from './tunnel.ts'

/** The caller's half. */
export interface CallerEnd {
  readonly request: Request
  readonly gone: boolean
  begin(response: Response, changes: FieldChanges): void
  write(bytes: Uint8Array): boolean
  end(trailers: Trailers): void
  /** An answer of our own, before anything else was sent. How many bytes its body has. */
  answer(refusal: Refusal): number
  /** What was sent is not whole, and the caller must see that. */
  cut(): void
  /** The upstream is there: the body may come, as long as it is not paused. */
  startBody(): void
  pauseBody(): void
  resumeBody(): void
  /** Something moved. */
  touch(): void
}

export class Relay implements LegUser {
  readonly #caller: CallerEnd
  readonly #onward: Onward
  readonly #finish: (outcome: Outcome) => void
  readonly #startMs: number
  readonly #timer: NodeJS.Timeout | undefined
  readonly #leg: Leg
  #over = false
  /** Of a tunnel alone, once it is open: ends it where it would not be opened any more. */
  judgeAgain: (() => Promise<void>) | undefined
  #upstream = ''
  /** Whether it was sent twice, since the first connection died. */
  #sentTwice = false
  #response: Response | undefined
  #status = 0
  #requestBytes = 0
  #responseBytes = 0
  #grpcStatus: number | undefined

  constructor(caller: CallerEnd, onward: Onward, open: OpenLeg, startMs: number, finish: (outcome: Outcome) => void) {
    this.#caller = caller
    this.#onward = onward
    this.#startMs = startMs
    this.#finish = finish
    if (onward.timeoutMs > 0) this.#timer = setTimeout(() => this.fail('upstream_timeout'), onward.timeoutMs)
    this.#leg = open(caller.request, onward, this)
  }

  get over(): boolean {
    return this.#over
  }

  /** False where the caller has to wait. */
  onCallerBody(bytes: Uint8Array): boolean {
    if (this.#over) return true
    this.#caller.touch()
    this.#requestBytes += bytes.length
    const { bodyBytes } = this.#onward
    if (bodyBytes !== undefined && !this.judgeAgain && this.#requestBytes > bodyBytes) {
      this.fail('request_too_large')
      return true
    }
    return this.#leg.write(bytes)
  }

  onCallerEnd(trailers: Trailers): void {
    if (!this.#over) this.#leg.end(trailers)
  }

  onCallerDrain(): void {
    if (this.#over) return
    this.#caller.touch()
    this.#leg.resume()
  }

  onCallerGone(): void {
    this.#end(this.judgeAgain ? 'completed' : 'caller_gone')
  }

  /** The head was allowed, but its body cannot be read: the caller hears why, the upstream never sees an end. */
  onBadBody(wrong: string): void {
    if (this.#over) return
    const begun = this.#status !== 0
    if (!begun) this.#answer(problem(400, 'bad_request', this.#ids, wrong))
    this.#end('refused')
    if (begun) this.#caller.cut()
  }

  /** Ends the exchange for a reason on our side or the upstream's. */
  fail(code: UpstreamFailure): void {
    if (this.#over) return
    const begun = this.#status !== 0
    if (!begun && !this.#caller.gone) {
      this.#answer(upstreamProblem(code, this.#ids, isGrpc(this.#caller.request)))
    }
    this.#end(code)
    if (begun) this.#caller.cut()
  }

  onReady(upstream: string, sentAgain = false): void {
    if (this.#over) return
    this.#sentTwice = this.#upstream !== ''
    this.#upstream = upstream
    if (!sentAgain && !this.#caller.request.tunnels) this.#caller.startBody()
  }

  onResponse(response: Response): void {
    if (this.#over) return
    this.#caller.touch()
    this.#status = response.status
    this.#response = response
    this.#grpcStatus = readGrpcStatus(fieldValue(response.fields, 'grpc-status')) // There in an answer of trailers only.
    this.#caller.begin(response, responseChanges(this.#onward, response.status))
    if (opensTunnel(this.#caller.request, response)) this.#beginTunnel()
  }

  /** What the caller sends goes on from here, and not before: a refusal would leave it for the next request. */
  #beginTunnel(): void {
    clearTimeout(this.#timer)
    this.judgeAgain = againAndAgain(this.#onward.stillAllowed, () => this.fail('revoked'))
    this.#caller.startBody()
  }

  onBody(bytes: Uint8Array): boolean {
    if (this.#over) return true
    this.#caller.touch()
    this.#responseBytes += bytes.length
    return this.#caller.write(bytes)
  }

  onBodyEnd(trailers: Trailers): void {
    if (this.#over) return
    this.#grpcStatus ??= readGrpcStatus(valueIn(trailers, 'grpc-status'))
    this.#caller.end(trailers)
    this.#end('completed')
  }

  onDrain(): void {
    if (this.#over) return
    this.#caller.touch()
    this.#caller.resumeBody()
  }

  onFailure(code: UpstreamFailure): void {
    this.fail(code)
  }

  get #ids(): { readonly requestId: string; readonly decisionId: string | undefined } {
    const { setHeaders, setResponseHeaders } = this.#onward
    return { requestId: setHeaders['x-request-id'] ?? '', decisionId: setResponseHeaders['x-writ-decision'] }
  }

  /** The last attempt. */
  get #last(): Tried {
    const { attempts, endpoint } = this.#onward
    return attempts ?? { endpoint, upstream: this.#upstream, sentTwice: this.#sentTwice }
  }

  #answer(refusal: Refusal): void {
    this.#status = refusal.status
    this.#responseBytes = this.#caller.answer(refusal)
  }

  #end(code: OutcomeCode): void {
    if (this.#over) return
    this.#over = true
    clearTimeout(this.#timer)
    const peer = peerAnswer(this.#last, this.#response)
    queueMicrotask(() => this.#leg.close()) // It may not be there yet, where opening it failed at once.
    this.#finish({
      code,
      status: this.#status,
      requestBytes: this.#requestBytes,
      responseBytes: this.#responseBytes,
      durationUs: Math.round((performance.now() - this.#startMs) * 1000),
      upstream: this.#last.upstream,
      ...(this.#grpcStatus !== undefined && { grpcStatus: this.#grpcStatus }),
      ...(peer && { peer }),
    })
  }
}

function valueIn(trailers: Trailers, name: string): string | undefined {
  for (let i = 0; i < trailers.length; i += 2) if (trailers[i] === name) return trailers[i + 1]
  return undefined
}
