/**
 * Policies on trial. A shadow is asked about requests that are answered already, and changes nothing. A canary decides
 * for its share of the callers, until it takes itself back; what it cannot tell, the policy in force is asked.
 */

import { type Decision, fault } from '../../core/decision.ts'
import type { RequestFacts } from '../../core/facts.ts'
import { messageOf } from '../../core/fault.ts'
import type { PolicyRef, PolicyTrial, PolicyUse, TrialNumbers } from '../../core/policy.ts'
import type { Decide, LogRules, NowNs, RecordSink } from '../../core/ports.ts'
import { decisionId, type RecordId } from '../../core/record.ts'
import { type Canary, counted, decidesFor, newCanary, numbersOf, placeOf, type Side } from './canary.ts'
import { decisionBody, disclosuresOf, moveDisclosures } from './record.ts'
import type { Found } from './route.ts'

export interface TrialParts {
  readonly decide: Decide
  /** Those of the policy in force: a candidate's are not asked. Default each record is kept as it is. */
  readonly logRules?: LogRules | undefined
  readonly sink: RecordSink
  readonly now: NowNs
  /** Runs work when there is nothing better to do, and not much of it at once. Default: a timer of 0 ms each. */
  readonly later?: (work: () => void) => void
  /** A canary took itself back. */
  readonly onRolledBack?: (report: TrialReport) => void
}

/** One request with its answer. */
export interface Answered {
  readonly facts: RequestFacts
  readonly found: Found | undefined
  readonly decision: Decision
  /** What was asked about it. */
  readonly use: PolicyUse | undefined
  readonly kept: RecordId
}

/** How a trial went here so far, since the process began or its bundle changed. */
export interface TrialReport extends Pick<PolicyTrial, 'name' | 'mode' | 'bundle'> {
  /** Of the bundle on trial; empty where that is not there. */
  readonly revision: string
  readonly sha256: string
  /** Requests that it was asked about. */
  readonly asked: number
  /** Of a shadow: its verdict was the one that was given, or another one. */
  readonly same: number
  readonly differ: number
  /** It could not tell. */
  readonly faults: number
  /** Of a shadow: it was not asked, since too many others waited. */
  readonly dropped: number
  /** Differences and faults of which no record was kept: over the rate, dropped by the policy, or refused by the spool. */
  readonly unrecorded: number
  /** Of a canary: both sides, in its window. */
  readonly numbers?: TrialNumbers
  readonly rolledBack: boolean
}

export interface Trials {
  /** Like the one it was given, but a canary decides for its callers. */
  readonly decide: Decide
  /** Called once a request is over. Takes no time and never throws; resolves once a shadow that is asked has answered, and its record is kept. */
  answered(answered: Answered): Promise<void> | undefined
  /** Which trials there are from now on, and the bundles they ask. What is on trial still goes on with its counts. */
  follow(uses: readonly PolicyUse[], refs: readonly PolicyRef[]): void
  reports(): readonly TrialReport[]
  /** Requests that passed although nobody could judge them (`fault_passed`). */
  faultsPassed(): number
  /** Resolves once no shadow is left to be asked. */
  settled(): Promise<void>
}

/** Requests that wait for a shadow, per workload; more are dropped and counted. Each holds its head, and its body if read. */
const maxWaiting = 256
/** Records of one trial a second; more differences are counted only. A candidate that is all wrong must not fill the spool. */
const maxRecordsPerSecond = 100

interface State {
  readonly trial: PolicyTrial
  readonly ref: PolicyRef | undefined
  canary: Canary
  asked: number
  same: number
  differ: number
  faults: number
  dropped: number
  unrecorded: number
  /** Requests seen, for the share of them that a shadow is asked about. */
  seen: number
  second: number
  recordsInSecond: number
}

export function makeTrials(parts: TrialParts): Trials {
  const { sink } = parts
  const later = parts.later ?? ((work) => void setTimeout(work, 0))
  const nowMs = (): number => Number(parts.now() / 1_000_000n)
  let states = new Map<string, State>()
  let byTrial = new WeakMap<PolicyTrial, State>()
  let refs: readonly PolicyRef[] = []
  /** What a canary could not tell, until the answer that was given instead is kept. */
  const failed = new WeakMap<RequestFacts, Decision>()
  const idle: (() => void)[] = []
  let waiting = 0
  let faultsPassed = 0

  function stateOf(trial: PolicyTrial): State {
    const known = byTrial.get(trial)
    if (known) return known
    const ref = refs.find(({ bundle }) => bundle === trial.bundle)
    const before = states.get(keyOf(trial, ref))
    const state: State = before ? Object.assign(before, { trial }) : newState(trial, ref)
    byTrial.set(trial, state)
    return state
  }

  async function ask(facts: RequestFacts, use: PolicyUse): Promise<Decision> {
    try {
      return await parts.decide(facts, candidateOf(use))
    } catch (thrown) {
      return fault('policy_error', messageOf(thrown))
    }
  }

  function count(state: State, side: Side, decision: Decision): void {
    const before = state.canary
    state.canary = counted(before, side, decision.verdict !== 'allow', nowMs(), state.trial)
    if (state.canary.rolledBack && !before.rolledBack) rollBack(state, state.canary.rolledBack)
  }

  function rollBack(state: State, numbers: TrialNumbers): void {
    const { name, bundle } = state.trial
    const { revision = '', sha256 = '' } = state.ref ?? {}
    const trial = { name, ...numbers }
    void keepLossy(state, () =>
      sink.keep({ kind: 'policy', action: 'canary_rolled_back', bundle, revision, sha256, trial }),
    )
    parts.onRolledBack?.(reportOf(state))
  }

  async function byCanary(facts: RequestFacts, use: PolicyUse, state: State): Promise<Decision> {
    const answer = await ask(facts, use)
    state.asked++
    count(state, 'candidate', answer)
    if (answer.verdict !== 'fault') return onTrial(answer, state.trial)
    state.faults++
    failed.set(facts, answer)
    return parts.decide(facts, use)
  }

  async function keepLossy(state: State, keep: () => unknown): Promise<void> {
    try {
      await keep()
    } catch {
      state.unrecorded++
    }
  }

  async function record(
    { facts, found, kept, decision }: Answered,
    use: PolicyUse,
    state: State,
    answer: Decision,
  ): Promise<void> {
    const second = Math.floor(nowMs() / 1000)
    if (second !== state.second) Object.assign(state, { second, recordsInSecond: 0 })
    if (state.recordsInSecond++ >= maxRecordsPerSecond) {
      state.unrecorded++
      return
    }
    const beside = { trial: state.trial, of: decisionId(kept), verdict: decision.verdict }
    const whole = decisionBody(facts, found, answer, candidateOf(use), beside)
    const { body, drop } = parts.logRules?.(whole, use, facts.atNs) ?? { body: whole, drop: false }
    if (drop) {
      state.unrecorded++
      return
    }
    moveDisclosures(whole, body)
    await keepLossy(state, () => sink.keep(body, disclosuresOf(body)))
  }

  async function askShadow(answered: Answered, use: PolicyUse, state: State): Promise<void> {
    const answer = await ask(answered.facts, use)
    state.asked++
    const isSame = answer.verdict === answered.decision.verdict
    if (answer.verdict === 'fault') state.faults++
    else if (isSame) state.same++
    else state.differ++
    if (answer.verdict === 'fault' || !isSame) await record(answered, use, state, answer)
  }

  function shadow(answered: Answered, use: PolicyUse, state: State): Promise<void> | undefined {
    const { name, percent } = state.trial
    // By its number, which no caller chooses.
    if (placeOf(`${name}\0${state.seen++}`) >= percent) return undefined
    if (waiting >= maxWaiting) {
      state.dropped++
      return undefined
    }
    waiting++
    return new Promise((resolve) => {
      later(() => {
        void askShadow(answered, use, state).finally(() => {
          waiting--
          resolve()
          if (waiting === 0) for (const done of idle.splice(0)) done()
        })
      })
    })
  }

  return {
    decide(facts, use) {
      if (use?.trial?.mode !== 'canary' || !facts.source.identified.ok) return parts.decide(facts, use)
      const state = stateOf(use.trial)
      if (state.canary.rolledBack) return parts.decide(facts, use)
      if (decidesFor(use.trial, facts.source.identified.identity.id)) return byCanary(facts, use, state)
      const decision = parts.decide(facts, use)
      if (decision instanceof Promise) {
        return decision.then((settled) => {
          count(state, 'inForce', settled)
          return settled
        })
      }
      count(state, 'inForce', decision)
      return decision
    },
    answered(answered) {
      const { facts, decision, use } = answered
      if (decision.code === 'fault_passed') faultsPassed++
      if (!use?.trial || !wasAsked(decision)) return undefined
      const state = stateOf(use.trial)
      if (use.trial.mode === 'shadow') return shadow(answered, use, state)
      const answer = failed.get(facts)
      return answer && record(answered, use, state, answer)
    },
    follow(uses, now) {
      refs = now
      byTrial = new WeakMap()
      const followed = uses.flatMap(({ trial }) => (trial ? [stateOf(trial)] : []))
      states = new Map(followed.map((state) => [keyOf(state.trial, state.ref), state]))
    },
    reports: () => [...states.values()].map(reportOf),
    faultsPassed: () => faultsPassed,
    settled: () => (waiting > 0 ? new Promise((resolve) => void idle.push(resolve)) : Promise.resolve()),
  }
}

/** Another revision of the bundle is another trial. */
const keyOf = ({ name, mode, bundle, entrypoint }: PolicyTrial, ref: PolicyRef | undefined): string =>
  [name, mode, bundle, entrypoint, ref?.sha256].join(' ')

const newState = (trial: PolicyTrial, ref: PolicyRef | undefined): State => ({
  trial,
  ref,
  canary: newCanary,
  asked: 0,
  same: 0,
  differ: 0,
  faults: 0,
  dropped: 0,
  unrecorded: 0,
  seen: 0,
  second: 0,
  recordsInSecond: 0,
})

function reportOf({ trial, ref, canary, ...counts }: State): TrialReport {
  const { name, mode, bundle } = trial
  const { asked, same, differ, faults, dropped, unrecorded } = counts
  return {
    ...{ name, mode, bundle, revision: ref?.revision ?? '', sha256: ref?.sha256 ?? '' },
    ...{ asked, same, differ, faults, dropped, unrecorded },
    ...(mode === 'canary' && { numbers: numbersOf(canary) }),
    rolledBack: canary.rolledBack !== undefined,
  }
}

/** Whether a policy had its say, or should have had: the proxy's own refusals are nobody's trial. */
const wasAsked = ({ from, code }: Decision): boolean =>
  from.by === 'policy' || code === 'policy_missing' || code === 'fault_passed'

/** The same question to the policy on trial. */
function candidateOf(use: PolicyUse): PolicyUse {
  const known = candidates.get(use)
  if (known) return known
  const { trial, onFault: _, ...rest } = use
  const candidate = { ...rest, bundle: trial!.bundle, entrypoint: trial!.entrypoint }
  candidates.set(use, candidate)
  return candidate
}

const candidates = new WeakMap<PolicyUse, PolicyUse>()

function onTrial(decision: Decision, { name, mode, entrypoint }: PolicyTrial): Decision {
  const { from } = decision
  return from.by === 'policy' ? { ...decision, from: { ...from, trial: { name, mode, entrypoint } } } : decision
}
