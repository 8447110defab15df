/** A circuit breaker: a service that keeps failing is not asked for a while, then tried. The state is a value, and time moves it. */

import type { BreakerOptions } from '../../core/traffic.ts'

export type Breaker =
  | {
      readonly state: 'closed'
      /** In a row. */
      readonly failures: number
      readonly answers: number
    }
  | { readonly state: 'open'; readonly untilMs: number }
  | { readonly state: 'half-open'; readonly successes: number; readonly trials: number }

export const closed: Breaker = { state: 'closed', failures: 0, answers: 0 }

/** One more request wants to pass: the state with it, or undefined where it does not pass. */
export function admitted(breaker: Breaker, nowMs: number, options: BreakerOptions): Breaker | undefined {
  switch (breaker.state) {
    case 'closed':
      return breaker
    case 'open':
      return nowMs < breaker.untilMs ? undefined : { state: 'half-open', successes: 0, trials: 1 }
    case 'half-open': {
      const { successes, trials } = breaker
      return successes + trials < options.successThreshold ? { ...breaker, trials: trials + 1 } : undefined
    }
  }
}

/** A request ended that passed in this state. `said`: undefined where its end tells nothing of the service. */
export function ended(
  breaker: Breaker,
  said: 'success' | 'failure' | undefined,
  nowMs: number,
  options: BreakerOptions,
): Breaker {
  switch (breaker.state) {
    case 'open':
      return breaker
    case 'half-open': {
      if (said === 'failure') return { state: 'open', untilMs: nowMs + options.openForMs }
      const successes = breaker.successes + Number(said === 'success')
      return successes >= options.successThreshold ? closed : { ...breaker, successes, trials: breaker.trials - 1 }
    }
    case 'closed': {
      if (said === undefined) return breaker
      const answers = breaker.answers + 1
      const failures = said === 'failure' ? breaker.failures + 1 : 0
      const opens = failures >= options.failureThreshold && answers >= options.minimumRequests
      return opens ? { state: 'open', untilMs: nowMs + options.openForMs } : { state: 'closed', failures, answers }
    }
  }
}

/** Holds the state of one service. */
export interface Circuit {
  /** To be called with what the request's end says; undefined where it does not pass. */
  admit(): ((said: 'success' | 'failure' | undefined) => void) | undefined
  use(options: BreakerOptions): void
  stats(): Breaker['state']
}

export function makeCircuit(nowMs: () => number, first: BreakerOptions): Circuit {
  let options = first
  let breaker = closed
  /** Grows with each change of state: what was sent before it says nothing of the time after. */
  let term = 0
  const move = (next: Breaker): void => {
    if (next.state !== breaker.state) term++
    breaker = next
  }
  return {
    admit() {
      const next = admitted(breaker, nowMs(), options)
      if (!next) return undefined
      move(next)
      const of = term
      return (said) => {
        if (of === term) move(ended(breaker, said, nowMs(), options))
      }
    },
    use(newer) {
      options = newer
    },
    stats: () => (breaker.state === 'open' && nowMs() >= breaker.untilMs ? 'half-open' : breaker.state),
  }
}
