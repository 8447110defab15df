/** Ejection of endpoints that fail: nobody asks them for a while, which grows each time they come back and fail again. */

import type { OutlierOptions } from '../../core/traffic.ts'

export interface Health {
  /** In a row. */
  readonly failures: number
  /** How often it was ejected; less again for each span that it served well. */
  readonly ejections: number
  /** When it comes back, in milliseconds; 0 where it never was ejected. */
  readonly ejectedUntilMs: number
}

export const healthy: Health = { failures: 0, ejections: 0, ejectedUntilMs: 0 }

export const isEjected = ({ ejectedUntilMs }: Health, nowMs: number): boolean => nowMs < ejectedUntilMs

export function afterSuccess(health: Health, nowMs: number, { baseMs }: OutlierOptions): Health {
  if (health.failures === 0 && health.ejections === 0) return health
  const spans = health.ejections === 0 ? 0 : Math.max(0, Math.floor((nowMs - health.ejectedUntilMs) / baseMs))
  if (spans === 0) return health.failures === 0 ? health : { ...health, failures: 0 }
  const ejections = Math.max(0, health.ejections - spans)
  return { failures: 0, ejections, ejectedUntilMs: health.ejectedUntilMs + spans * baseMs }
}

/** `mayEject`: whether one more endpoint may be without requests. Where none may, failures go on being counted. */
export function afterFailure(health: Health, nowMs: number, options: OutlierOptions, mayEject: boolean): Health {
  const failures = health.failures + 1
  // What was sent before the ejection and fails within it says nothing new.
  if (isEjected(health, nowMs) || failures < options.consecutive || !mayEject) return { ...health, failures }
  const ejections = health.ejections + 1
  return { failures: 0, ejections, ejectedUntilMs: nowMs + Math.min(options.baseMs * ejections, options.maxMs) }
}
