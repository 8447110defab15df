/** Random changes of what a log is kept in, each of which verification has to find and name. */

import type { Verification } from '../../../audit/verify/verify.ts'

/** Changes that a test makes, and the seed that they come from: `npm run audit:changes` makes a thousand. */
export const changeCount = (inTests: number): number => Number(process.env['CHANGES'] ?? inTests)
const seed = Number(process.env['SEED'] ?? 20_261_123)

export interface Change {
  /** For whoever reads of one that was missed. */
  readonly what: string
  readonly isNamed: (result: Verification) => boolean
  readonly undo: () => Promise<void>
}

/** What is changed: the files of a log, the rows of its store, an archive. */
export interface Target {
  /** Makes one change; undefined where it turned out to change nothing. */
  readonly change: (roll: Roll) => Promise<Change | undefined>
  readonly verify: () => Promise<Verification>
}

/** Makes so many changes, one at a time; returns those that were not found, or found and not named. */
export async function missedOf(target: Target, count: number): Promise<readonly string[]> {
  const roll = dice(seed)
  const missed: string[] = []
  for (let made = 0; made < count; ) {
    const change = await target.change(roll)
    if (!change) continue
    made++
    try {
      const result = await target.verify()
      if (result.ok || !change.isNamed(result)) missed.push(`${change.what}, change ${made}`)
    } finally {
      await change.undo()
    }
  }
  return missed
}

/** The same numbers for the same seed (mulberry32). */
function dice(start: number): (below: number) => number {
  let state = start
  return (below) => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 4_294_967_296) * below)
  }
}

/** A number from 0 to below. */
export type Roll = ReturnType<typeof dice>

/** Ways to change bytes. */
export const changes: { readonly [name: string]: (bytes: Buffer, roll: Roll) => Buffer } = {
  flip: (bytes, roll) => {
    const at = roll(bytes.length)
    bytes[at]! ^= 1 << roll(8)
    return bytes
  },
  delete: (bytes, roll) => {
    const at = roll(bytes.length)
    return Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + 1 + roll(64))])
  },
  insert: (bytes, roll) => {
    const at = roll(bytes.length + 1)
    return Buffer.concat([bytes.subarray(0, at), Buffer.alloc(1 + roll(64), roll(256)), bytes.subarray(at)])
  },
  reorder: (bytes, roll) => {
    const [a, b] = [roll(bytes.length), roll(bytes.length)].sort((x, y) => x - y) as [number, number]
    return Buffer.concat([bytes.subarray(0, a), bytes.subarray(b), bytes.subarray(a, b)])
  },
  truncate: (bytes, roll) => bytes.subarray(0, roll(bytes.length)),
}
