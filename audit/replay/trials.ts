/** What policies on trial would have decided otherwise, from the records that their proxies left beside the decisions. */

import type { Verdict } from '../../core/decision.ts'
import { isObject, type Json } from '../../core/json.ts'
import { type AuditEvent, type DecisionBody, parseDecisionId } from '../../core/record.ts'
import { groupLines } from './format.ts'
import type { FlipGroup } from './impact.ts'
import { recall } from './recorded.ts'
import { pathShape } from './shape.ts'
import { Tally } from './tally.ts'

/** One policy on trial, in one revision. */
export interface TrialDifferences {
  readonly name: string
  readonly mode: string
  /** Empty where its bundle was not there. */
  readonly bundle: string
  readonly revision: string
  /** Requests that it would have answered otherwise, or could not tell about. */
  readonly differences: number
  readonly groups: readonly FlipGroup[]
  /** Differences of groups beyond those that are kept apart. */
  readonly omitted: number
  readonly oldest: string | null
  readonly newest: string | null
}

/** Trials kept apart; those beyond are left out, the first in the log stay. */
const maxTrials = 256

type Of = Pick<TrialDifferences, 'name' | 'mode' | 'bundle' | 'revision'>

/** Of records that are none of a trial, or not as ours are, nothing is taken. */
export async function trialDifferences(
  events: AsyncIterable<AuditEvent> | Iterable<AuditEvent>,
): Promise<readonly TrialDifferences[]> {
  const trials = new Map<string, { readonly of: Of; readonly tally: Tally }>()
  for await (const event of events) {
    if (event.kind !== 'decision') continue
    const decision = event as AuditEvent<DecisionBody>
    const read = readTrial(decision)
    if (!read) continue
    const key = JSON.stringify(Object.values(read.of))
    if (!trials.has(key) && trials.size >= maxTrials) continue
    const { tally } = trials.get(key) ?? { tally: new Tally({}) }
    trials.set(key, { of: read.of, tally })
    tally.decision(read.of.revision, decision.timestamp)
    const example = { id: decision.decision_id ?? '', time: decision.timestamp, reasons: textsOf(decision.reasons) }
    tally.flip({ ...callOf(decision), was: read.was, wouldBe: decision.verdict, code: decision.code }, example)
  }
  return [...trials.values()].map(({ of, tally }) => {
    const { flips, groups, omitted, oldest, newest } = tally.finish()
    return { ...of, differences: flips, groups, omitted, oldest, newest }
  })
}

function readTrial(event: AuditEvent<DecisionBody>): { readonly of: Of; readonly was: Verdict } | undefined {
  const trial: unknown = event.trial
  if (event.enforced !== false || !isObject(trial)) return undefined
  const { name, mode, of, enforced_verdict: was } = trial
  if (typeof name !== 'string' || typeof mode !== 'string') return undefined
  if (typeof of !== 'string' || !parseDecisionId(of)) return undefined
  if (!isVerdict(was) || !isVerdict(event.verdict) || typeof event.code !== 'string') return undefined
  const bundles: unknown = event.bundles
  const [bundle, ref] = (isObject(bundles) ? Object.entries(bundles)[0] : undefined) ?? ['', undefined]
  const revision = isObject(ref) && typeof ref['revision'] === 'string' ? ref['revision'] : ''
  return { of: { name, mode, bundle, revision }, was }
}

const isVerdict = (value: unknown): value is Verdict => value === 'allow' || value === 'deny' || value === 'fault'

function callOf(event: AuditEvent<DecisionBody>): Pick<FlipGroup, 'caller' | 'target' | 'method' | 'shape'> {
  const target = String(event.workload)
  const recalled = recall(event)
  if (recalled.kind !== 'facts') return { caller: null, target, method: '', shape: '' }
  const { source, head } = recalled.facts
  const caller = source.identified.ok ? source.identified.identity.id : null
  return { caller, target, method: head?.method ?? '', shape: head ? pathShape(head.path) : '' }
}

const textsOf = (reasons: Json | readonly string[]): readonly string[] =>
  Array.isArray(reasons) ? reasons.filter((reason) => typeof reason === 'string') : []

export function formatTrials(trials: readonly TrialDifferences[]): string {
  const blocks = trials.map((trial) => {
    const { name, mode, bundle, revision, differences, oldest, newest } = trial
    const policy = bundle === '' ? 'a bundle that was not there' : `${bundle} revision ${revision}`
    const times = `${minute(oldest)} to ${minute(newest)}`
    const count = `${differences.toLocaleString('en-US')} ${differences === 1 ? 'request' : 'requests'}`
    return [
      `${mode.padEnd(10)} ${name}: ${policy}`,
      `differs    about ${count}, ${times}`,
      '',
      ...groupLines(trial),
      '',
    ].join('\n')
  })
  return blocks.join('\n')
}

const minute = (time: string | null): string => (time ?? '').slice(0, 16).replace('T', ' ')
