/** Runs whose spool did not come back: they never ended, and a later start of their producer knows of none before it. */

import { parseTime } from '../../core/time.ts'
import type { EpochReader } from './epoch.ts'
import { type Findings, recordId } from './finding.ts'

/** An idle producer signs once a minute: one that said nothing for twice that is not running. */
const silentAfterMs = 120_000

/** `newestMs`: time of the log's newest record. */
export function findLostSpools(epochs: readonly EpochReader[], newestMs: number, findings: Findings): void {
  const quoted = new Set(epochs.map(({ previous }) => previous?.epoch as string | undefined))
  /** The last start of each producer that quotes nothing. */
  const fresh = new Map<string, EpochReader>()
  for (const epoch of epochs) {
    if (epoch.previous || epoch.startIndex < 0) continue
    const known = fresh.get(epoch.producer)
    if (!known || epoch.firstAt > known.firstAt) fresh.set(epoch.producer, epoch)
  }
  for (const epoch of epochs) {
    const next = fresh.get(epoch.producer)
    const last = epoch.last
    if (!next || !last || epoch.ended || quoted.has(epoch.epoch) || next.firstAt <= epoch.lastAt) continue
    if (newestMs - Number((parseTime(epoch.lastAt) ?? 0n) / 1_000_000n) <= silentAfterMs) continue
    const signed = last.proven < 0 ? 'no signed head' : `the last signed head at ${last.proven}`
    const what = `epoch ${epoch.epoch} of ${epoch.producer} did not end: silent since ${epoch.lastAt}, with ${last.last} in the log and ${signed}. Epoch ${next.epoch} began at ${next.firstAt} and quotes none before: what the spool held beyond that is lost, unless it returns`
    const id = recordId(epoch.epoch, last.last)
    findings.add({ level: 'warning', code: 'spool_lost', shard: epoch.shard, index: next.startIndex, id, what })
  }
}
