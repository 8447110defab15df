/**
 * What one connection may cost beyond what it moves: streams that end before their time, whoever ends them for the peer's
 * fault, and frames that ask for work and bring nothing.
 */

export interface BudgetLimits {
  /** Streams that may be reset at once. */
  readonly streamResets: number
  /** Frames without anything of a stream in between. */
  readonly controlFrames: number
}

/** Resets that are forgiven each second. */
const resetsASecond = 20

export class Budget {
  readonly #limits: BudgetLimits
  readonly #nowMs: () => number
  #resets = 0
  #sinceMs: number
  #idle = 0

  constructor(limits: BudgetLimits, nowMs: () => number) {
    this.#limits = limits
    this.#nowMs = nowMs
    this.#sinceMs = nowMs()
  }

  /** A stream was reset by the peer, or by us because of what the peer sent. False where that is one too many. */
  reset(): boolean {
    const nowMs = this.#nowMs()
    this.#resets = Math.max(0, this.#resets - ((nowMs - this.#sinceMs) * resetsASecond) / 1000)
    this.#sinceMs = nowMs
    return ++this.#resets <= this.#limits.streamResets
  }

  /** A frame came that moves nothing. False where it is one too many. */
  idle(): boolean {
    return ++this.#idle <= this.#limits.controlFrames
  }

  /** Something of a request or an answer moved. */
  moved(): void {
    this.#idle = 0
  }
}
