/** `log`: what the verification of the whole log found: is it whole, and is it unchanged? */

import type { LeafPlace, Tally } from '../../../../core/compliance.ts'
import type { FindingCode } from '../../../verify/finding.ts'
import type { Verification } from '../../../verify/verify.ts'
import type { Ending, Fact } from './fact.ts'

/** An idle producer signs once a minute: what waits longer for its head than twice that will not get one. */
const overdueMs = 120_000

const ofCompleteness: readonly FindingCode[] = [
  ...(['hole', 'gap_open', 'gap_wrong', 'unattested', 'spool_lost', 'start_misquoted'] as const),
  ...(['anomaly', 'suppressed', 'one_sided_call'] as const),
]

export const logFact = (): Fact => ({
  reads: [],
  take: () => undefined,
  finish: ({ verification, reproved }: Ending) => {
    const { findings, shards } = verification
    const broken = findings.filter(({ level }) => level === 'broken')
    const proven = reproved.drawn.filter((leaf) => leaf.proven)
    const failed = reproved.drawn.filter((leaf) => !leaf.proven)
    const looked = shards.reduce((sum, { witnessed }) => sum + (witnessed?.looked ?? 0), 0)
    return {
      values: {
        ...completeness(verification),
        broken: verification.broken,
        firstBroken: broken[0]?.what ?? '',
        drawn: reproved.drawn.length,
        proven: proven.length,
        leaves: shards.reduce((sum, { size }) => sum + size, 0),
        kept: shards.reduce((sum, { kept }) => sum + kept, 0),
        pinned: verification.trust.from === 'pinned',
        witnessesAsked: shards.some(({ witnessed }) => witnessed !== undefined),
        checkpoints: looked,
        witnessed: shards.reduce((sum, { witnessed }) => sum + (witnessed?.count ?? 0), 0),
      },
      tallies: {
        incomplete: placed(findings.filter(({ code, level }) => ofCompleteness.includes(code) && level !== 'note')),
        changed: merged(placed(broken), failed),
        proven: merged(undefined, proven),
      },
    }
  },
})

function completeness({ epochs, findings, kinds }: Verification) {
  const sum = (of: (epoch: Verification['epochs'][number]) => number): number =>
    epochs.reduce((total, epoch) => total + of(epoch), 0)
  const brokenOf = (wanted: FindingCode): number =>
    findings.filter(({ code, level }) => code === wanted && level === 'broken').length
  const newest =
    epochs
      .map(({ lastAt }) => lastAt)
      .sort()
      .at(-1) ?? ''
  const isOverdue = ({ unattestedFrom }: Verification['epochs'][number]): boolean =>
    unattestedFrom !== '' && Date.parse(newest) - Date.parse(unattestedFrom) > overdueMs
  const unattested = sum(({ unattested }) => unattested)
  const overdue = epochs.filter(isOverdue).reduce((total, epoch) => total + epoch.unattested, 0)
  return {
    records: sum(({ records }) => records),
    missing: sum(({ missing }) => missing),
    contested: brokenOf('anomaly') + brokenOf('start_misquoted'),
    suppressed: sum(({ decisions }) => decisions.suppressed ?? 0),
    dropped: sum(({ decisions }) => decisions.dropped ?? 0),
    oneSided: kinds.unmatched ?? 0,
    unattested,
    overdue,
    strays: findings.filter(({ code, level }) => code === 'anomaly' && level !== 'broken').length,
  }
}

const maxPlaces = 10

function placed(findings: Verification['findings']): Tally {
  const at = findings.flatMap(({ shard, index }) => (index === undefined ? [] : [{ shard, index }]))
  const names = new Map<string, number>()
  for (const { code } of findings) names.set(code, (names.get(code) ?? 0) + 1)
  const subjects = [...names].map(([name, count]) => ({ name, count }))
  return { count: findings.length, sample: at.slice(0, maxPlaces), subjects, otherSubjects: 0 }
}

function merged(tally: Tally | undefined, leaves: readonly LeafPlace[]): Tally {
  const sample = [...(tally?.sample ?? []), ...leaves.map(({ shard, index }) => ({ shard, index }))]
  return {
    count: (tally?.count ?? 0) + leaves.length,
    sample: sample.slice(0, 32),
    subjects: tally?.subjects ?? [],
    otherSubjects: 0,
  }
}
