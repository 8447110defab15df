/**
 * Whether the steps of a part come to what reading its leaves one after the other would: a run of plain records must go on
 * where its epoch stands by then. Told before any step is taken, by numbers and hashes alone; where it is not sure, no.
 */

import { partitionOf } from '../../core/log.ts'
import { type EpochReader, maxStretches } from './epoch.ts'
import type { OddLeaf, PartStep } from './part.ts'
import type { Run } from './plain.ts'

export interface EpochsSoFar {
  readonly epochOf: (epoch: string) => EpochReader | undefined
  /** How many more epochs are held. */
  readonly room: number
}

/** Where an epoch will stand. */
interface Standing {
  readonly producer: string
  shard: number
  /** Largest number, -1 where there is none, and the hash of that record. */
  last: number
  hash: string
  /** Its earliest time, or a later one; empty where it has no record. */
  firstAt: string
  stretches: number
  /** Perhaps: a head that ends it has still to be proven. */
  ended: boolean
}

export function stepsFit(steps: readonly PartStep[], shard: number, so: EpochsSoFar): boolean {
  const all = new Map<string, Standing>()
  let made = 0
  const standing = (epoch: string): Standing | undefined => {
    const known = all.get(epoch)
    if (known) return known
    const reader = so.epochOf(epoch)
    if (!reader) return undefined
    const { producer, firstAt, last, ended, stretches } = reader
    const one = {
      ...{ producer, shard: reader.shard, last: last?.last ?? -1, hash: last?.lastHash ?? '', firstAt, ended },
      stretches: stretches.length,
    }
    all.set(epoch, one)
    return one
  }
  for (const step of steps) {
    if ('run' in step) {
      if (!runFits(step.run, shard, standing(step.run.epoch))) return false
      continue
    }
    const { record, hash } = step.odd
    if (!record) continue
    // It makes one that is not there yet.
    if (record.about !== undefined && !standing(record.about)) return false
    const one = standing(record.epoch)
    if (one) take(one, record, hash, shard)
    else {
      const { epoch, producer, seq, timestamp, final } = record
      all.set(epoch, { producer, shard, last: seq, hash, firstAt: timestamp, stretches: 1, ended: final })
      if (++made > so.room) return false
    }
  }
  return true
}

function runFits({ first, last, prev, lastHash, minAt, producer }: Run, shard: number, one?: Standing): boolean {
  if (!one || one.producer !== producer || one.shard !== shard || one.ended) return false
  if (one.last < 0 || first !== one.last + 1 || prev !== one.hash) return false
  if (minAt < one.firstAt || one.stretches > maxStretches) return false
  one.last = last
  one.hash = lastHash
  return true
}

function take(one: Standing, record: NonNullable<OddLeaf['record']>, hash: string, shard: number): void {
  const { producer, seq, timestamp, final } = record
  if (one.producer !== producer || partitionOf(one.shard) !== partitionOf(shard)) return
  one.shard = shard
  if (seq !== one.last + 1) one.stretches++
  one.ended ||= final
  if (seq <= one.last) return // Late, or a number that was taken.
  one.last = seq
  one.hash = hash
  if (one.firstAt === '' || timestamp < one.firstAt) one.firstAt = timestamp
}
