/**
 * Backends on trial: versions of a service that share a route by weight are compared side by side, by errors and by slow
 * answers. One that does worse than its route allows loses its weight to the others, and never gets it back by itself.
 */

import type { Outcome, OutcomeCode } from '../../core/outcome.ts'
import type { TrialNumbers } from '../../core/policy.ts'
import type { Route } from '../../core/snapshot.ts'
import type { RouteCanary } from '../../core/traffic.ts'
import { type Canary, type CanaryRules, counted, newCanary, numbersOf, type Side } from './canary.ts'

/** How a backend on trial does here, within its window. */
export interface VersionReport extends Pick<RouteCanary, 'backend' | 'version' | 'revision'> {
  /** The rule: matches of one rule are one trial. */
  readonly route: string
  /** `refused` are errors. */
  readonly errors: TrialNumbers
  /** `refused` are slow answers. Left out where nobody looks at them. */
  readonly slow?: TrialNumbers
  readonly returned: boolean
}

export type Told = Pick<Outcome, 'code' | 'status' | 'durationUs' | 'grpcStatus'>

/** One trial, as a route asks it. */
export interface Version {
  /** Whether its weight is the others' now. */
  returned(): boolean
  /** A request is over that went to this backend. `caller`: the workload that asked. */
  tell(backend: string, outcome: Told, caller: string | undefined): void
}

export interface Versions {
  /** Undefined for a route without one. */
  of(route: Route): Version | undefined
  /** These routes are in force: others are forgotten, and what is on trial still goes on with its counts. */
  follow(routes: readonly Route[]): void
  reports(): readonly VersionReport[]
}

interface State {
  readonly rule: string
  readonly canary: RouteCanary
  errors: Canary
  slow: Canary
}

/** `onReturned`: a weight has gone back; `caller` is the workload whose request was the last one needed. */
export function makeVersions(
  nowMs: () => number,
  onReturned: (report: VersionReport, caller: string | undefined) => void = () => {},
): Versions {
  let states = new Map<string, State>()

  function stateOf(route: Route, canary: RouteCanary): State {
    const key = keyOf(route, canary)
    const known = states.get(key)
    if (known) return known
    const state: State = { rule: ruleOf(route.name), canary, errors: newCanary, slow: newCanary }
    states.set(key, state)
    return state
  }

  function tell(state: State, side: Side, outcome: Told, caller: string | undefined): void {
    const { canary } = state
    const said = saidOfVersion(outcome)
    if (said === undefined || isReturned(state)) return
    const now = nowMs()
    state.errors = counted(state.errors, side, said === 'failure', now, rulesOf(canary, canary.errors))
    if (canary.slow) {
      const isSlow = outcome.durationUs > canary.slow.aboveMs * 1000
      state.slow = counted(state.slow, side, isSlow, now, rulesOf(canary, canary.slow))
    }
    if (isReturned(state)) onReturned(reportOf(state), caller)
  }

  return {
    of(route) {
      if (!route.canary) return undefined
      const state = stateOf(route, route.canary)
      return {
        returned: () => isReturned(state),
        tell: (backend, outcome, caller) =>
          tell(state, backend === state.canary.backend ? 'candidate' : 'inForce', outcome, caller),
      }
    },
    follow(routes) {
      const kept = routes.flatMap((route) => (route.canary ? [keyOf(route, route.canary)] : []))
      states = new Map(kept.flatMap((key) => (states.has(key) ? [[key, states.get(key)!] as const] : [])))
    },
    reports: () => [...states.values()].map(reportOf),
  }
}

const keyOf = ({ name }: Route, { backend, revision }: RouteCanary): string => `${ruleOf(name)} ${backend} ${revision}`

/** Matches of one rule share what is known of it: `orders/admin/0` and `orders/admin/1`. */
export const ruleOf = (route: string): string => route.slice(0, Math.max(0, route.lastIndexOf('/')))

const isReturned = ({ errors, slow }: State): boolean =>
  errors.rolledBack !== undefined || slow.rolledBack !== undefined

const rulesOf = ({ minRequests, windowMs }: RouteCanary, { maxRise, max }: RouteCanary['errors']): CanaryRules => ({
  minDecisions: minRequests,
  windowMs,
  maxRise,
  ...(max !== undefined && { max }),
})

function reportOf(state: State): VersionReport {
  const { backend, version, revision } = state.canary
  return {
    ...{ route: state.rule, backend, revision, errors: numbersOf(state.errors) },
    ...(version !== undefined && { version }),
    ...(state.canary.slow && { slow: numbersOf(state.slow) }),
    returned: isReturned(state),
  }
}

/** `orders/0: orders-next 2.1.0 failed 30 of 100 requests, the others 1 of 900`, for records and people. */
export function returnedText({ route, backend, version, errors, slow }: Omit<VersionReport, 'returned'>): string {
  const of = ({ asked, refused }: TrialNumbers): string => `${refused} of ${asked}`
  const others = ({ in_force_asked, in_force_refused }: TrialNumbers): string =>
    `the others ${in_force_refused} of ${in_force_asked}`
  const name = version === undefined ? backend : `${backend} ${version}`
  const failed = `${route}: ${name} failed ${of(errors)} requests, ${others(errors)}`
  return slow ? `${failed}; it was slow in ${of(slow)}, ${others(slow)}` : failed
}

/** What an answer says of the version that gave it: nothing where the caller left, was wrong, or a tunnel ended. */
function saidOfVersion({ code, status, grpcStatus }: Told): 'success' | 'failure' | undefined {
  if (failed.has(code)) return 'failure'
  if (code !== 'completed' || status === 101) return undefined
  return status >= 500 || (grpcStatus !== undefined && failedCalls.has(grpcStatus)) ? 'failure' : 'success'
}

/** What the caller gets in place of an answer of that version. */
const failed: ReadonlySet<OutcomeCode> = new Set<OutcomeCode>([
  ...(['upstream_unreachable', 'upstream_identity', 'upstream_reset', 'upstream_invalid', 'upstream_timeout'] as const),
  ...(['upstream_overflow', 'circuit_open', 'answer_unpatched'] as const),
])

/** UNKNOWN, DEADLINE_EXCEEDED, UNIMPLEMENTED, INTERNAL, UNAVAILABLE, DATA_LOSS: the server's, as OpenTelemetry has it. */
const failedCalls: ReadonlySet<number> = new Set([2, 4, 12, 13, 14, 15])
