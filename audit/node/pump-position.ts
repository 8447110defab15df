/**
 * How far the stream has the spool, and which partition each epoch is pinned to. The position is a hint: where the
 * file is missing or unreadable everything is sent again. A pin is
 * written before its epoch's first batch leaves.
 */

import { closeSync, fdatasyncSync, openSync, readFileSync, renameSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { utf8 } from '../../core/bytes.ts'
import { WritError } from '../../core/fault.ts'
import { isObject, parseJson } from '../../core/json.ts'
import { type Epoch, parseEpoch } from '../../core/record.ts'
import { headerBytes } from './spool-frame.ts'

const version = 1
/** Shortest time between two writes of the position, in milliseconds. */
const saveEveryMs = 1000

export interface PumpPosition {
  readonly segment: number
  readonly at: number
  moveTo(segment: number, at: number): void
  /** The partition an epoch is pinned to; pins it on first use. */
  partitionOf(epoch: Epoch, partitions: () => Promise<number>): Promise<number>
  /** Forgets the pins of all other epochs. Whoever goes on is among these: pinned anew, it could come to another place. */
  keep(epochs: ReadonlySet<Epoch>): void
  save(): void
}

export function openPosition(dir: string, nowMs: () => number): PumpPosition {
  const path = join(dir, 'position.json')
  const found = read(path)
  const pins = found.pins
  let { segment, at } = found
  let savedMs = nowMs()

  const write = (sync: boolean): void => {
    const bytes = utf8(JSON.stringify({ v: version, segment, at, partitions: Object.fromEntries(pins) }))
    const fd = openSync(`${path}.new`, 'w', 0o600)
    try {
      writeSync(fd, bytes)
      if (sync) fdatasyncSync(fd)
    } finally {
      closeSync(fd)
    }
    renameSync(`${path}.new`, path)
    savedMs = nowMs()
  }
  const writeHint = (): void => {
    try {
      write(false)
    } catch {
      savedMs = nowMs() // Without the hint more is sent again after a restart, and nothing is lost.
    }
  }
  return {
    get segment() {
      return segment
    },
    get at() {
      return at
    },
    moveTo(toSegment, toAt) {
      segment = toSegment
      at = toAt
      if (nowMs() - savedMs >= saveEveryMs) writeHint()
    },
    async partitionOf(epoch, partitions) {
      const pinned = pins.get(epoch)
      if (pinned !== undefined) return pinned
      const count = await partitions()
      if (!Number.isSafeInteger(count) || count < 1) {
        throw new WritError('stream_unavailable', `the stream has ${count} partitions`)
      }
      const partition = Number.parseInt(epoch.slice(0, 8), 16) % count
      pins.set(epoch, partition)
      try {
        write(true)
      } catch {
        // A full disk must not keep the spool from draining: the same epoch comes to the same partition without the
        // file too, as long as the stream keeps its number of partitions.
      }
      return partition
    },
    keep(epochs) {
      for (const epoch of pins.keys()) if (!epochs.has(epoch)) pins.delete(epoch)
    },
    save: writeHint,
  }
}

function read(path: string): { readonly segment: number; readonly at: number; readonly pins: Map<Epoch, number> } {
  const pins = new Map<Epoch, number>()
  let value: unknown
  try {
    value = parseJson(readFileSync(path, 'utf8'))
  } catch {
    // None yet: everything is sent.
  }
  if (!isObject(value) || value['v'] !== version) return { segment: 0, at: headerBytes, pins }
  const { segment, at, partitions } = value
  if (isObject(partitions)) {
    for (const [name, partition] of Object.entries(partitions)) {
      const epoch = parseEpoch(name)
      if (epoch && isCount(partition)) pins.set(epoch, partition)
    }
  }
  return isCount(segment) && isCount(at) && at >= headerBytes
    ? { segment, at, pins }
    : { segment: 0, at: headerBytes, pins }
}

const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0
