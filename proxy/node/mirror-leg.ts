/** Copies of a request to further services. Nobody waits for them or reads their answers, and a slow one is given up. */

import type { MirrorTo, Onward } from '../exchange.ts'
import type { Request } from '../http1/request.ts'
import type { Response } from '../http1/response.ts'
import type { Trailers } from '../http1/trailers.ts'
import { discarding } from './discard.ts'
import type { Leg, LegUser, OpenLeg } from './leg.ts'
import { peerAnswer } from './peer-answer.ts'

/** Copies under way in one workload's pools, of which there may be `most`; further ones are left out and counted. */
export interface Mirrors {
  readonly most: number
  open: number
  leftOut: number
}

/** Time that a copy gets in all, in milliseconds, and body bytes of it that may wait. */
const copyMs = 10_000
const waitingBytes = 262_144

export class MirrorLeg implements Leg {
  readonly #leg: Leg
  readonly #copies: readonly Copy[]
  #ended: boolean

  constructor(request: Request, onward: Onward, user: LegUser, open: OpenLeg, mirrors: Mirrors, openCopy: OpenLeg) {
    this.#ended = request.framing.kind === 'none'
    this.#leg = open(request, onward, user)
    const { attempts: _, mirrors: to, times: __, ...rest } = onward
    this.#copies = (to ?? []).flatMap((mirror) => {
      if (mirrors.open >= mirrors.most) {
        mirrors.leftOut++
        return []
      }
      return new Copy(request, { ...rest, endpoint: mirror.endpoint }, mirror, openCopy, mirrors)
    })
  }

  write(bytes: Uint8Array): boolean {
    for (const copy of this.#copies) copy.write(bytes)
    return this.#leg.write(bytes)
  }

  end(trailers: Trailers): void {
    this.#ended = true
    for (const copy of this.#copies) copy.end(trailers)
    this.#leg.end(trailers)
  }

  resume(): void {
    this.#leg.resume()
  }

  /** Copies whose body is whole go on by themselves. */
  close(): void {
    if (!this.#ended) for (const copy of this.#copies) copy.giveUp()
    this.#leg.close()
  }
}

class Copy {
  readonly #mirror: MirrorTo
  readonly #mirrors: Mirrors
  #leg: Leg | undefined
  #waiting: Uint8Array[] = []
  #waitingBytes = 0
  #trailers: Trailers | undefined
  #ready = false
  #over = false
  #upstream = ''
  #response: Response | undefined

  constructor(request: Request, onward: Onward, mirror: MirrorTo, open: OpenLeg, mirrors: Mirrors) {
    this.#mirror = mirror
    this.#mirrors = mirrors
    mirrors.open++
    const rest = discarding(
      () => this.#leg,
      copyMs,
      () => this.#end(),
    )
    this.#leg = open(request, onward, {
      ...rest,
      onReady: (upstream) => queueMicrotask(() => this.#onReady(upstream)), // It may not be there yet.
      onResponse: (response) => {
        this.#response = response
      },
      onDrain: () => {
        this.#waitingBytes = 0
      },
    })
    if (this.#over) this.#leg.close() // It failed at once.
  }

  write(bytes: Uint8Array): void {
    if (this.#over) return
    if (this.#ready && this.#leg?.write(bytes)) return
    if (!this.#ready) this.#waiting.push(bytes)
    this.#waitingBytes += bytes.length
    if (this.#waitingBytes > waitingBytes) this.giveUp()
  }

  end(trailers: Trailers): void {
    this.#trailers = trailers
    if (this.#ready) this.#leg?.end(trailers)
  }

  giveUp(): void {
    this.#leg?.close()
    this.#end()
  }

  #onReady(upstream: string): void {
    if (this.#over) return
    this.#ready = true
    this.#upstream = upstream
    this.#waitingBytes = 0
    for (const bytes of this.#waiting.splice(0)) this.#leg?.write(bytes)
    if (this.#trailers) this.#leg?.end(this.#trailers)
  }

  #end(): void {
    if (this.#over) return
    this.#over = true
    this.#waiting = []
    this.#mirrors.open--
    const { endpoint, over } = this.#mirror
    const peer = peerAnswer({ endpoint, upstream: this.#upstream, sentTwice: false }, this.#response)
    if (peer) over?.(peer)
  }
}
