/**
 * Where a stream has several partitions, the run that quotes a silent one may lie in a partition that is not read so far:
 * what looks lost is told once all that the stream held when it was first seen has been read.
 */

import type { SpoolLostBody } from '../../core/record.ts'
import { readUpTo } from '../store/lost-spools.ts'
import type { Db } from '../store/schema.ts'

/** Offset of the next record of each partition that holds any, as the stream has it now. */
export type StreamEnds = () => Promise<ReadonlyMap<number, bigint>>

/** Time after which it is told all the same, in milliseconds: who reads a partition may have another store. */
const longestMs = 3_600_000

interface Doubt {
  readonly sinceMs: number
  ends?: ReadonlyMap<number, bigint>
  asking: boolean
}

export interface LostDoubts {
  /** Those of `found` that are certain; the others are to be found again. Nothing waits for the stream's answer. */
  certain(found: readonly SpoolLostBody[], nowMs: number): Promise<readonly SpoolLostBody[]>
}

export function openLostDoubts(db: Db, streamEnds: StreamEnds): LostDoubts {
  let doubts = new Map<string, Doubt>()

  const ask = (open: readonly Doubt[]): void => {
    if (open.length === 0) return
    for (const doubt of open) doubt.asking = true
    streamEnds()
      .then((ends) => {
        for (const doubt of open) doubt.ends = ends
      })
      .catch(() => undefined) // The stream is away: asked again with the next look.
      .finally(() => {
        for (const doubt of open) doubt.asking = false
      })
  }

  return {
    async certain(found, nowMs) {
      const before = doubts
      doubts = new Map() // What is not found any more is no doubt.
      const certain: SpoolLostBody[] = []
      for (const body of found) {
        const doubt = before.get(body.of.epoch) ?? { sinceMs: nowMs, asking: false }
        const isOver = nowMs - doubt.sinceMs >= longestMs || (doubt.ends && (await readUpTo(db, doubt.ends)))
        if (body.action === 'closed' || isOver) certain.push(body)
        else doubts.set(body.of.epoch, doubt)
      }
      ask([...doubts.values()].filter(({ ends, asking }) => !ends && !asking))
      return certain
    },
  }
}
