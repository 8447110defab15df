/** Which callers are in quarantine: whatever such a caller asks is denied, before its token and its body are looked at. */

import { type Decision, refuse } from '../../core/decision.ts'
import type { Identified } from '../../core/identity.ts'
import type { Quarantined } from '../../core/snapshot.ts'
import type { SpiffeId } from '../../core/spiffe.ts'

/** What is known of a caller that is cut off at this moment; undefined for everybody else. */
export type FindQuarantine = (id: SpiffeId, nowMs: number) => Quarantined | undefined

/** It ends by the clock of whoever asks: also where control is away. */
export function quarantineOf(list: readonly Quarantined[]): FindQuarantine | undefined {
  if (list.length === 0) return undefined
  const byId = new Map(list.map((one) => [one.id, one]))
  return (id, nowMs) => {
    const found = byId.get(id)
    return found && (found.untilMs === undefined || nowMs < found.untilMs) ? found : undefined
  }
}

/** The refusal of a caller in quarantine, or undefined where it is not in any. */
export function cutOff(identified: Identified, find: FindQuarantine | undefined, nowMs: number): Decision | undefined {
  if (!find || !identified.ok) return undefined
  const found = find(identified.identity.id, nowMs)
  return found && refuse('quarantined', quarantineText(found))
}

function quarantineText({ untilMs, reason }: Quarantined): string {
  return untilMs === undefined ? reason : `until ${new Date(untilMs).toISOString()}: ${reason}`
}
