/** The words of each finding. */

import type { CheckResult, ComplianceReport, MeasuredVerdict } from '../../core/compliance.ts'
import type {
  AnomalyBody,
  FindingBody,
  FindingSeverity,
  GapBody,
  RecordId,
  SpoolLostBody,
  UnmatchedBody,
} from '../../core/record.ts'
import { decisionId } from '../../core/record.ts'
import type { Skew } from './clock.ts'
import type { Moved } from './mix.ts'
import type { Spike } from './spike.ts'
import type { EdgeSum, HourSum, NobodySum } from './tally.ts'

/** Operations, edges or ids that one finding lists. */
const maxListed = 20

const iso = (ms: number): string => new Date(ms).toISOString()
const hourMs = 3_600_000
const whole = (number: number): number => Math.round(number * 1000) / 1000

/** All that is new between one caller and one target at one time: a workload that is deployed uses many things at once. */
export function firstSeenOf(edges: readonly EdgeSum[], knownTarget: boolean): FindingBody {
  const [first] = edges as readonly [EdgeSum, ...EdgeSum[]]
  const { caller, target } = first
  const count = edges.reduce((sum, edge) => sum + edge.count, 0)
  const operations = edges.slice(0, maxListed).map(({ operation }) => operation)
  const which = edges.length === 1 ? first.operation : `${edges.length} operations, ${first.operation} among them`
  return {
    kind: 'finding',
    finding: 'first_seen',
    severity: knownTarget ? 'low' : 'medium',
    key: `first_seen ${caller} ${target} ${first.operation}`,
    subject: caller,
    target,
    what: `${caller} used ${which} on ${target} for the first time${knownTarget ? '' : ', and never called it before'}`,
    first_at: iso(Math.min(...edges.map(({ firstMs }) => firstMs))),
    last_at: iso(Math.max(...edges.map(({ lastMs }) => lastMs))),
    count,
    facts: { operations, new_operations: edges.length, new_target: !knownTarget },
    evidence: edges.slice(0, 5).map(({ firstId }) => firstId),
  }
}

export const spikeFinding = ({ caller, hour, ids }: HourSum, denied: number, spike: Spike): FindingBody => ({
  kind: 'finding',
  finding: 'denial_spike',
  severity: denied >= 5 * spike.threshold ? 'high' : 'medium',
  key: `denial_spike ${caller} ${hour}`,
  subject: caller,
  what: `${caller} was denied ${denied} times within an hour, where ${spike.median} is usual`,
  first_at: iso(hour * hourMs),
  last_at: iso((hour + 1) * hourMs),
  count: denied,
  facts: { ...spike, median: whole(spike.median), mad: whole(spike.mad) },
  evidence: ids,
})

export const mixFinding = (caller: string, day: number, count: number, { distance, movers }: Moved): FindingBody => ({
  kind: 'finding',
  finding: 'mix_moved',
  severity: 'medium',
  key: `mix_moved ${caller} ${day}`,
  subject: caller,
  what: `what ${caller} asks is mixed otherwise than in the days before: ${movers[0]?.operation ?? ''} went from ${percent(movers[0]?.before)} to ${percent(movers[0]?.share)}`,
  first_at: iso(day * 24 * hourMs),
  last_at: iso((day + 1) * 24 * hourMs),
  count,
  facts: {
    distance: whole(distance),
    movers: movers.map(({ operation, share, before }) => ({ operation, share: whole(share), before: whole(before) })),
  },
  evidence: [],
})

const percent = (share = 0): string => `${Math.round(share * 100)} %`

export interface UnusedEdge {
  readonly operation: string
  readonly count: number
  readonly lastMs: number
}

export function unusedFinding(caller: string, target: string, edges: readonly UnusedEdge[], days: number): FindingBody {
  const last = Math.max(...edges.map(({ lastMs }) => lastMs))
  return {
    kind: 'finding',
    finding: 'unused_grant',
    severity: 'low',
    key: `unused_grant ${caller} ${target} ${Math.floor(last / (24 * hourMs))} ${edges.length}`,
    subject: caller,
    target,
    what: `${caller} was let use ${edges.length} operations of ${target} that it has not used for ${days} days`,
    first_at: iso(Math.min(...edges.map(({ lastMs }) => lastMs))),
    last_at: iso(last),
    count: edges.length,
    facts: { operations: edges.slice(0, maxListed).map(({ operation }) => operation), days },
    evidence: [],
  }
}

export const nobodyFinding = ({ target, hour, count, firstId }: NobodySum): FindingBody => ({
  kind: 'finding',
  finding: 'allow_unidentified',
  severity: 'high',
  key: `allow_unidentified ${target} ${hour}`,
  subject: target,
  target,
  what: `${target} was reached by a caller that proved no name`,
  first_at: iso(hour * hourMs),
  last_at: iso((hour + 1) * hourMs),
  count,
  facts: {},
  evidence: [firstId],
})

export function gapFinding({ of, first, last }: GapBody, atMs: number): FindingBody {
  const count = last - first + 1
  return {
    kind: 'finding',
    finding: 'gap',
    severity: 'medium',
    key: `gap ${of.epoch} ${first} ${last}`,
    subject: of.producer,
    what: `${count} records of ${of.producer} did not arrive in their place: ${of.epoch}-${first} to ${last}`,
    first_at: iso(atMs),
    last_at: iso(atMs),
    count,
    facts: { epoch: of.epoch, first, last },
    evidence: [],
  }
}

export const spoolLostFinding = (
  { of, last, attested, silent_since, next }: SpoolLostBody,
  id: RecordId,
  atMs: number,
): FindingBody => ({
  kind: 'finding',
  finding: 'spool_lost',
  severity: 'high',
  key: `spool_lost ${of.epoch}`,
  subject: of.producer,
  what: `a run of ${of.producer} did not end and its spool did not come back: what it made after ${of.epoch}-${last} is lost, unless it returns`,
  first_at: silent_since,
  last_at: iso(atMs),
  count: 1,
  facts: { epoch: of.epoch, last, attested, next },
  evidence: [decisionId(id)],
})

export const unmatchedFinding = (
  { missing, silent, by, of, request_id, at }: UnmatchedBody,
  id: RecordId,
  atMs: number,
): FindingBody => ({
  kind: 'finding',
  finding: 'unmatched',
  severity: 'high',
  key: `unmatched ${silent} ${Math.floor(atMs / hourMs)}`, // A sidecar that leaves records out leaves out many.
  subject: silent,
  what: `${by} recorded call ${request_id} and ${silent}, its ${missing}, did not; further ones of the hour are entries alone`,
  first_at: at,
  last_at: iso(atMs),
  count: 1,
  facts: { missing, by, request_id },
  evidence: [decisionId(id), of],
})

const severities: Readonly<Record<AnomalyBody['anomaly'], FindingSeverity>> = {
  equivocation: 'high',
  bad_head: 'high',
  broken_chain: 'high',
  foreign_key: 'high',
  malformed: 'low',
}

export function anomalyFinding(body: AnomalyBody, id: Parameters<typeof decisionId>[0], atMs: number): FindingBody {
  const { anomaly, of, detail, partition, offset } = body
  return {
    kind: 'finding',
    finding: 'anomaly',
    severity: severities[anomaly] ?? 'high',
    key: `anomaly ${decisionId(id)}`,
    subject: of?.producer ?? `partition ${partition}`,
    what: `${anomaly}: ${detail}`,
    first_at: iso(atMs),
    last_at: iso(atMs),
    count: 1,
    facts: { anomaly, partition, offset, ...(of && { of: `${of.epoch}-${of.seq}` }) },
    evidence: [decisionId(id)],
  }
}

export const skewFinding = ({ producer, direction, byMs }: Skew, nowMs: number): FindingBody => ({
  kind: 'finding',
  finding: 'clock_skew',
  severity: 'medium',
  key: `clock_skew ${producer} ${direction} ${Math.floor(nowMs / (24 * hourMs))}`,
  subject: producer,
  what: `the clock of ${producer} is ${Math.round(byMs / 1000)} s ${direction === 'ahead' ? 'ahead of' : 'behind'} the auditor's`,
  first_at: iso(nowMs),
  last_at: iso(nowMs),
  count: 1,
  facts: { direction, by_ms: Math.round(byMs) },
  evidence: [],
})

export const suppressedFinding = (hour: number, count: number): FindingBody => ({
  kind: 'finding',
  finding: 'suppressed',
  severity: 'medium',
  key: `suppressed ${hour}`,
  subject: 'the auditor',
  what: `${count} findings of one hour are not in the log, since there were more than it takes`,
  first_at: iso(hour * hourMs),
  last_at: iso((hour + 1) * hourMs),
  count,
  facts: {},
  evidence: [],
})

/** A verdict that is not what it was. Good news is told too: it ends what was told before, or merely informs. */
export function turnedFinding(
  { id, title, verdict, accepted, finding, sample }: CheckResult,
  was: MeasuredVerdict,
  { from, to, checkpoints }: Pick<ComplianceReport, 'from' | 'to' | 'checkpoints'>,
): FindingBody {
  const better = was === 'insufficient-data' && (verdict === 'pass' || verdict === 'not-applicable')
  const broke = sample.filter((one) => one.breaks && one.id !== '')
  return {
    ...{ kind: 'finding', finding: 'check_turned', key: `check_turned ${id} ${to}`, subject: id },
    severity: verdict === 'fail' ? (accepted ? 'medium' : 'high') : better ? 'info' : 'low',
    what: `${id} (${title}) says ${verdict}${accepted ? ', accepted,' : ''} where it said ${was}: ${finding}`,
    ...{ first_at: from, last_at: to, count: Math.max(1, broke.length) },
    facts: {
      ...{ title, was, is: verdict, accepted, finding },
      checkpoints: checkpoints.map(({ origin, size, root }) => ({ origin, size, root })),
    },
    evidence: broke.slice(0, 5).map((one) => one.id),
  }
}
