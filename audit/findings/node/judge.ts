/** Sums of a look go into the tables; what they show is judged against what the tables knew. */

import type { FindingBody } from '../../../core/record.ts'
import { acknowledge } from '../../store/finding-rows.ts'
import type { Db } from '../../store/schema.ts'
import {
  anomalyFinding,
  firstSeenOf,
  gapFinding,
  nobodyFinding,
  spikeFinding,
  spoolLostFinding,
  unmatchedFinding,
} from '../bodies.ts'
import type { FindingSettings } from '../settings.ts'
import { hourOf, spikeAt } from '../spike.ts'
import type { Tally } from '../tally.ts'
import { deniedHours, keepEdges, keepHours, keepMix } from './keep.ts'

/** Keys that need no second look, with the time they were told; bounded, and only ever a shortcut. */
export type Told = Map<string, number>

/** Callers whose denials are held against their past in one look. */
const maxJudged = 50

export async function judgeSums(
  tx: Db,
  { edges, hours, mix, nobody, events }: Tally,
  { settings, beganMs, told }: { readonly settings: FindingSettings; readonly beganMs: number; readonly told: Told },
): Promise<readonly FindingBody[]> {
  const found: FindingBody[] = []
  for (const { edges: some, knownTarget } of await keepEdges(tx, [...edges.values()])) {
    found.push(firstSeenOf(some, knownTarget))
  }
  await keepMix(tx, [...mix.values()])
  const denied = await keepHours(tx, [...hours.values()])
  let judged = 0
  for (const sum of hours.values()) {
    const count = denied.get(`${sum.caller}\n${sum.hour}`) ?? 0
    if (sum.denied === 0 || count < settings.minDenials || judged >= maxJudged) continue
    if (told.has(`denial_spike ${sum.caller} ${sum.hour}`)) continue
    judged++
    const spike = spikeAt(sum.hour, count, await deniedHours(tx, sum.caller, sum.hour), hourOf(beganMs), settings)
    if (spike) found.push(spikeFinding(sum, count, spike))
  }
  for (const sum of nobody.values()) found.push(nobodyFinding(sum))
  for (const { event, atMs } of events) {
    if (event.kind === 'gap' && event.action === 'opened') found.push(gapFinding(event, atMs))
    if (event.kind === 'spool_lost' && event.action === 'opened') found.push(spoolLostFinding(event, event, atMs))
    if (event.kind === 'unmatched') found.push(unmatchedFinding(event, event, atMs))
    if (event.kind === 'anomaly') found.push(anomalyFinding(event, event, atMs))
    if (event.kind === 'acknowledgement') await acknowledge(tx, event)
  }
  return found
}
