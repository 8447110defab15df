/** The times of one attempt: until it has a connection, without a byte, and in all. */

import type { TryTimes } from '../../core/traffic.ts'
import type { UpstreamFailure } from '../flow/problem.ts'

export class TryClock {
  readonly #times: TryTimes
  readonly #late: (code: UpstreamFailure) => void
  #connect: NodeJS.Timeout | undefined
  #whole: NodeJS.Timeout | undefined
  #idle: NodeJS.Timeout | undefined

  /** `late` is called once at most between `start` and `stop`. */
  constructor(times: TryTimes, late: (code: UpstreamFailure) => void) {
    this.#times = times
    this.#late = late
  }

  start(): void {
    const { connectMs, tryMs } = this.#times
    if (connectMs) this.#connect = setTimeout(() => this.#over('upstream_unreachable'), connectMs)
    if (tryMs) this.#whole = setTimeout(() => this.#over('upstream_timeout'), tryMs)
  }

  ready(): void {
    const { idleMs } = this.#times
    clearTimeout(this.#connect)
    clearTimeout(this.#idle)
    if (idleMs) this.#idle = setTimeout(() => this.#over('upstream_timeout'), idleMs)
  }

  moved(): void {
    this.#idle?.refresh()
  }

  stop(): void {
    clearTimeout(this.#connect)
    clearTimeout(this.#whole)
    clearTimeout(this.#idle)
    this.#idle = undefined
  }

  #over(code: UpstreamFailure): void {
    this.stop()
    this.#late(code)
  }
}
