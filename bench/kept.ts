/** Counts what a worker's spool holds once it has ended, from the bytes on the disk. */

import { closeSync, openSync, readdirSync, readSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { headerBytes } from '../audit/node/spool-frame.ts'
import { eachFrame } from '../audit/node/spool-scan.ts'
import { type AuditEvent, parseEvent } from '../core/record.ts'

export interface Kept {
  readonly records: number
  readonly allowed: number
  readonly denied: number
  readonly faults: number
  readonly outcomes: number
  readonly heads: number
  readonly bytes: number
}

export function keptIn(spool: string): Kept {
  const counts = { records: 0, allowed: 0, denied: 0, faults: 0, outcomes: 0, heads: 0, bytes: 0 }
  for (const name of readdirSync(spool).filter((name) => name.endsWith('.seg'))) {
    const path = join(spool, name)
    const fd = openSync(path, 'r')
    const read = (position: number, into: Uint8Array): number => readSync(fd, into, 0, into.length, position)
    const scanned = eachFrame(read, headerBytes, statSync(path).size, (frame) => {
      if (frame.kind !== 'record') return true
      const bytes = frame.leaf.subarray(1)
      const parsed = parseEvent(bytes)
      if ('wrong' in parsed) throw new Error(`${path} at ${frame.at}: ${parsed.wrong}`)
      counts.bytes += bytes.length
      count(parsed.event, counts)
      return true
    })
    closeSync(fd)
    if (scanned.wrong !== undefined) throw new Error(`${path} at ${scanned.end}: ${scanned.wrong}`)
  }
  return counts
}

function count(event: AuditEvent, counts: { -readonly [name in keyof Kept]: number }): void {
  counts.records++
  if (event.kind === 'outcomes') counts.outcomes += event.outcomes.length
  if (event.kind === 'head') counts.heads++
  if (event.kind !== 'decision') return
  if (event.verdict === 'allow') counts.allowed++
  else if (event.verdict === 'deny') counts.denied++
  else counts.faults++
}
