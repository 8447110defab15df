/** Checks on the log itself: M08 (it is whole) and M09 (it was not changed). Both are over the whole log. */

import type { FindingCode } from '../../verify/finding.ts'
import type { Verification } from '../../verify/verify.ts'
import { amount, type Check, type CheckVerdict, check, grouped } from '../check.ts'
import type { Evidence } from '../evidence.ts'
import type { Reproved } from '../reprove.ts'

/** An idle producer signs once a minute: what waits longer for its head than twice that will not get one. */
const overdueMs = 120_000

const ofCompleteness: readonly FindingCode[] = [
  'hole',
  'gap_open',
  'gap_wrong',
  'unattested',
  'spool_lost',
  'start_misquoted',
  'anomaly',
  'suppressed',
  'one_sided_call',
]

export function completeness(evidence: Evidence, verification: Verification): Check {
  const { epochs, findings } = verification
  const sum = (of: (epoch: Verification['epochs'][number]) => number): number =>
    epochs.reduce((total, epoch) => total + of(epoch), 0)
  const missing = sum(({ missing }) => missing)
  const unattested = sum(({ unattested }) => unattested)
  const records = sum(({ records }) => records)
  const contested = findings.filter(({ code, level }) => code === 'anomaly' && level === 'broken')
  const misquoted = findings.filter(({ code, level }) => code === 'start_misquoted' && level === 'broken')
  const newest =
    epochs
      .map(({ lastAt }) => lastAt)
      .sort()
      .at(-1) ?? ''
  const overdue = epochs
    .filter(({ unattestedFrom }) => unattestedFrom !== '' && ageMs(unattestedFrom, newest) > overdueMs)
    .reduce((total, epoch) => total + epoch.unattested, 0)
  const suppressed = sum(({ decisions }) => decisions.suppressed ?? 0)
  const dropped = sum(({ decisions }) => decisions.dropped ?? 0)
  const oneSided = verification.kinds.unmatched ?? 0
  const lost = missing + contested.length + misquoted.length + suppressed + oneSided
  const signed = records > unattested
  const verdict: CheckVerdict = lost > 0 || overdue > 0 ? 'fail' : signed ? 'pass' : 'insufficient-data'
  const named = findings.filter(({ code, index }) => ofCompleteness.includes(code) && index !== undefined).slice(0, 10)
  return check({
    id: 'M08',
    title: 'The log is complete',
    measures:
      'Records that producers numbered and the log does not hold, records whose number was taken twice or whose chain ' +
      'broke, producers whose end is not where they say it is, decisions that were counted and not recorded, and calls ' +
      'that only one of two proxies recorded.',
    numerator: { value: lost, of: 'records missing or contested' },
    denominator: { value: records + missing + suppressed + oneSided, of: 'records numbered by their producers' },
    threshold: '0, and no record without a signed head for longer than two minutes',
    verdict,
    finding: findingOf(verdict, {
      ...{ missing, contested: contested.length + misquoted.length, overdue, suppressed, oneSided },
    }),
    exclusions: [
      `${amount(unattested - overdue, 'record')} so new that its producer’s next signed head was still to come`,
      `${amount(evidence.refusals.others, 'refusal')} counted without its source, beyond the quota for strangers`,
      `${amount(findings.filter(({ code, level }) => code === 'anomaly' && level !== 'broken').length, 'message')} on the stream that was no record, kept as evidence`,
      ...(dropped > 0
        ? [`${amount(dropped, 'decision')} that a drop rule of a policy left out, counted in signed heads`]
        : []),
      'Over the whole log up to the checkpoint, not only the time of this report',
    ],
    sample: named.map(({ shard, index }) => ({ shard, index: index! })),
    notCovered: [
      'A producer that never recorded anything.',
      'The producers’ own counters, which are kept apart from the log.',
      ...(evidence.told > 0 ? ['Whether OPA servers sent all of their decisions: they do not number them.'] : []),
    ],
  })
}

const ageMs = (at: string, newest: string): number => Date.parse(newest) - Date.parse(at)

function findingOf(
  verdict: CheckVerdict,
  counts: Readonly<Record<'missing' | 'contested' | 'overdue' | 'suppressed' | 'oneSided', number>>,
): string {
  if (verdict === 'insufficient-data') return 'No record in the log is covered by a signed head yet.'
  if (verdict === 'pass') return 'Every number is there once, and every chain holds.'
  const { missing, contested, overdue, suppressed, oneSided } = counts
  return [
    `${amount(missing, 'record')} missing`,
    ...(suppressed > 0 ? [`${amount(suppressed, 'decision')} made without a record`] : []),
    ...(oneSided > 0 ? [`${amount(oneSided, 'call')} that one side alone recorded`] : []),
    `${grouped(contested)} contested`,
    `${grouped(overdue)} not covered by a signed head.`,
  ].join(', ')
}

export function integrity(verification: Verification, reproved: Reproved): Check {
  const broken = verification.findings.filter(({ level }) => level === 'broken')
  const size = verification.shards.reduce((sum, shard) => sum + shard.size, 0)
  const kept = verification.shards.reduce((sum, shard) => sum + shard.kept, 0)
  const proven = reproved.drawn.filter((leaf) => leaf.proven)
  const failed = reproved.drawn.length - proven.length
  const whole = verification.ok && failed === 0
  const sample = broken.flatMap(({ shard, index }) => (index === undefined ? [] : [{ shard, index }])).slice(0, 10)
  return check({
    id: 'M09',
    title: 'The log was not changed',
    measures:
      'Every leaf hashed again up to the signed root, every chain and signed head verified; leaves drawn at random ' +
      'proved one by one.',
    numerator: { value: proven.length, of: 'drawn leaves that led to the signed root' },
    denominator: { value: reproved.drawn.length, of: `leaves drawn (seed ${reproved.seed})` },
    threshold: '100 %, and nothing broken in the verification',
    verdict: !whole ? 'fail' : size === 0 ? 'insufficient-data' : 'pass',
    finding: !whole
      ? `${amount(verification.broken, 'thing')} broken, the first: ${broken[0]?.what ?? `${failed} leaves did not lead to the root`}.`
      : size === 0
        ? 'The log is empty.'
        : `All ${grouped(size)} leaves hash to the signed root.`,
    exclusions: [
      `${amount(kept, 'earlier checkpoint')} that this log was found to extend`,
      `Roots of trust ${verification.trust.from === 'pinned' ? 'given by whoever made this report' : 'taken from the log itself'}`,
    ],
    sample: sample.length > 0 ? sample : proven.map(({ shard, index }) => ({ shard, index })),
    notCovered: [
      'A second log shown to somebody else: only a witness outside, or a checkpoint that you kept, shows that.',
      'The time of signing: there is no time stamp by a third party.',
    ],
  })
}
