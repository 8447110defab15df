/**
 * Several attempts that look like one to whoever waits for the answer. Until an answer has begun, an attempt that failed, or
 * whose status is not to be taken, is followed by the next one; what was sent of the body is kept for that, up to a limit.
 * Each attempt has its own times.
 */

import type { Attempt } from '../../core/outcome.ts'
import type { Onward } from '../exchange.ts'
import type { Attempts } from '../flow/attempts.ts'
import { readGrpcStatus } from '../flow/grpc.ts'
import type { UpstreamFailure } from '../flow/problem.ts'
import { fieldValue } from '../http1/fields.ts'
import type { Request } from '../http1/request.ts'
import type { Response } from '../http1/response.ts'
import type { Trailers } from '../http1/trailers.ts'
import { discarding } from './discard.ts'
import type { Leg, LegUser, OpenLeg } from './leg.ts'
import { peerAnswer } from './peer-answer.ts'
import { TryClock } from './try-clock.ts'

export class AttemptsLeg implements Leg {
  readonly #request: Request
  readonly #onward: Onward
  readonly #user: LegUser
  readonly #open: OpenLeg
  readonly #attempts: Attempts | undefined
  readonly #clock: TryClock
  #leg: Leg | undefined
  /** Of the attempt under way: who hears of it. Set anew with each, so that an older one is heard no more. */
  #heard: LegUser | undefined
  #wait: NodeJS.Timeout | undefined
  #ready = false
  /** Whether the caller was told that its body may come. */
  #told = false
  /** What was sent of the body; undefined where it is not, or no longer, kept. */
  #kept: Uint8Array[] | undefined
  #keptBytes = 0
  #bodySent = false
  #trailers: Trailers | undefined
  #begun = false
  #over = false

  constructor(request: Request, onward: Onward, user: LegUser, open: OpenLeg) {
    this.#request = request
    this.#onward = onward
    this.#user = user
    this.#open = open
    this.#attempts = onward.attempts
    this.#kept = onward.attempts && []
    this.#clock = new TryClock(onward.times ?? {}, (code) => {
      this.#leg?.close()
      this.#failed(code)
    })
    this.#begin(onward)
  }

  #begin(onward: Onward): void {
    const heard = this.#userOfOne()
    this.#heard = heard
    this.#leg = undefined
    this.#ready = false
    this.#clock.start()
    const leg = this.#open(this.#request, onward, heard)
    if (this.#heard !== heard || this.#over) {
      queueMicrotask(() => leg.close()) // It failed at once.
      return
    }
    this.#leg = leg
    if (this.#ready) this.#sendKept(leg)
  }

  /** Passes on what is heard of one attempt, as long as it is the one under way. */
  #userOfOne(): LegUser {
    let instead: LegUser | undefined
    const heard: LegUser = {
      onReady: (upstream) => this.#heard === heard && this.#onReady(upstream),
      onResponse: (response) => {
        if (this.#heard !== heard) return
        const leg = this.#leg
        if (!this.#isTaken(response)) instead = discarding(() => leg)
      },
      onBody: (bytes) => {
        if (instead) return instead.onBody(bytes)
        if (this.#heard !== heard) return true
        this.#clock.moved()
        return this.#user.onBody(bytes)
      },
      onBodyEnd: (trailers) => {
        if (instead) instead.onBodyEnd(trailers)
        else if (this.#heard === heard) this.#onBodyEnd(trailers)
      },
      onDrain: () => {
        if (this.#heard !== heard) return
        this.#clock.moved()
        this.#user.onDrain()
      },
      onFailure: (code) => {
        if (instead) instead.onFailure(code)
        else if (this.#heard === heard) this.#failed(code)
      },
    }
    return heard
  }

  #onReady(upstream: string): void {
    this.#ready = true
    if (this.#attempts) {
      this.#attempts.sentTwice = this.#attempts.upstream !== ''
      this.#attempts.upstream = upstream
    }
    this.#clock.ready()
    if (this.#leg) this.#sendKept(this.#leg)
    this.#user.onReady(upstream, this.#told)
    this.#told = true
  }

  /** What an attempt before this one was sent. */
  #sendKept(leg: Leg): void {
    let flowing = true
    for (const bytes of this.#kept ?? []) flowing = leg.write(bytes)
    if (this.#trailers) leg.end(this.#trailers)
    this.#dropKept()
    if (flowing && this.#bodySent) this.#user.onDrain() // The caller may have been told to wait.
  }

  /** What is more than may be kept was kept only until there was somebody to take it. */
  #dropKept(): void {
    if (this.#keptBytes > (this.#attempts?.bodyBytes ?? 0)) this.#kept = undefined
  }

  write(bytes: Uint8Array): boolean {
    this.#clock.moved()
    this.#bodySent = true
    if (this.#kept && bytes.length > 0) {
      this.#kept.push(bytes)
      this.#keptBytes += bytes.length
    }
    if (!this.#ready || !this.#leg) return false
    this.#dropKept()
    return this.#leg.write(bytes)
  }

  end(trailers: Trailers): void {
    this.#trailers = trailers
    if (this.#ready) this.#leg?.end(trailers)
  }

  resume(): void {
    this.#clock.moved()
    this.#leg?.resume()
  }

  close(): void {
    if (this.#over) return
    this.#end()
    this.#leg?.close()
  }

  #end(): void {
    this.#over = true
    this.#heard = undefined
    this.#kept = undefined
    clearTimeout(this.#wait)
    this.#clock.stop()
  }

  /** Whether the answer goes to the caller; where not, the next attempt is on its way. */
  #isTaken(response: Response): boolean {
    const { status, fields } = response
    const grpcStatus = readGrpcStatus(fieldValue(fields, 'grpc-status'))
    if (this.#again({ code: 'completed', status, ...(grpcStatus !== undefined && { grpcStatus }) }, response))
      return false
    this.#begun = true
    this.#kept = undefined
    this.#clock.moved()
    this.#user.onResponse(response)
    return true
  }

  #onBodyEnd(trailers: Trailers): void {
    this.#end()
    this.#user.onBodyEnd(trailers)
  }

  #failed(code: UpstreamFailure): void {
    if (this.#over) return
    if (!this.#begun && this.#again({ code, status: 0 })) return
    this.#end()
    this.#user.onFailure(code)
  }

  #again(failed: Pick<Attempt, 'code' | 'status' | 'grpcStatus'>, answer?: Response): boolean {
    const attempts = this.#attempts
    if (!attempts) return false
    const peer = peerAnswer(attempts, answer)
    const next = attempts.after({ ...failed, ...(peer && { peer }) }, this.#kept !== undefined)
    if (!next) return false
    this.#heard = undefined
    this.#ready = false
    this.#clock.stop()
    this.#wait = setTimeout(() => {
      attempts.begun()
      this.#begin({ ...this.#onward, endpoint: next.endpoint })
    }, next.waitMs)
    return true
  }
}
