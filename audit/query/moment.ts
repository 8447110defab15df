/** Times and spans as people type them: `15m`, `7d`, or RFC 3339. */

import { WritError } from '../../core/fault.ts'

const units: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 }

/** `90s`, `15m`, `24h`, `7d`, `2w` in milliseconds, or undefined. */
export function parseSpan(text: string): number | undefined {
  const match = /^([1-9]\d{0,8})([smhdw])$/.exec(text)
  return match ? Number(match[1]) * units[match[2]!]! : undefined
}

/** RFC 3339 section 5.6, or a bare date, which begins at midnight UTC. */
const shape = /^\d{4}-\d\d-\d\d(?:[Tt]\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:[Zz]|[+-]\d\d:\d\d))?$/

/** Milliseconds since 1970: a moment, or so long before `nowMs`. Throws `usage` on anything else. */
export function parseMoment(text: string, nowMs: number, name: string): number {
  const span = parseSpan(text)
  if (span !== undefined) return nowMs - span
  const ms = shape.test(text) ? Date.parse(text) : Number.NaN
  if (!Number.isNaN(ms)) return ms
  throw new WritError('usage', `${name}: ${JSON.stringify(text)} is no time`, {
    cure: 'give a span back from now such as 15m, 24h or 7d, or a time such as 2026-11-23T17:00:00Z',
  })
}
