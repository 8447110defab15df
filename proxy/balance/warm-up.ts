/** Endpoints that are new, or come back from an ejection, are asked less often at first: their share grows with time. */

import type { WarmUpOptions } from '../../core/traffic.ts'
import type { Member } from './member.ts'

/** Of what a warm endpoint is asked, from 0 to 1. */
export function shareOf(
  { sinceMs, health }: Pick<Member, 'sinceMs' | 'health'>,
  nowMs: number,
  { ms, from }: WarmUpOptions,
): number {
  const since = Math.max(sinceMs, health.ejectedUntilMs)
  if (since === 0 || nowMs >= since + ms) return 1
  return Math.max(from, (nowMs - since) / ms)
}

/** Whether a choice stands: one that is warming gives way to the others as often as its share is short of the whole. */
export const givesWay = (member: Member, nowMs: number, options: WarmUpOptions, fraction: () => number): boolean => {
  const share = shareOf(member, nowMs, options)
  return share < 1 && fraction() >= share
}
