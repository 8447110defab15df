/** What came over a partition, line by line, before anything is made of it. */

import { toHex } from '../../core/bytes.ts'
import type { Sha256, StreamMessage } from '../../core/ports.ts'
import { type AuditEvent, parseEvent } from '../../core/record.ts'
import { trustDomainOf } from '../../core/spiffe.ts'
import { formatTime, parseTime } from '../../core/time.ts'
import { leafHash } from '../log/merkle.ts'

export interface Arrival {
  readonly offset: string
  /** It lies below where the stream was to be read on: it was offered before. */
  readonly again: boolean
  readonly key: string
  readonly records: readonly ArrivedRecord[]
  /** Lines that are not records, joined again by line feeds, and what was wrong with the first. */
  readonly malformed: { readonly count: number; readonly bytes: Uint8Array; readonly wrong: string } | undefined
}

export interface ArrivedRecord {
  readonly event: AuditEvent
  readonly bytes: Uint8Array
  readonly hash: Uint8Array
  /** `hash` in hex, as the next record's `prev` has it. */
  readonly hashHex: string
  /** What came beside it and is no part of the leaf. */
  readonly beside?: Uint8Array
}

/** `nextOffset` is where the stream was to be read on, undefined at its very beginning. */
export function readMessage(message: StreamMessage, nextOffset: string | undefined, sha256: Sha256): Arrival {
  const records: ArrivedRecord[] = []
  // One buffer for all of them: a megabyte of line feeds is a million lines.
  const rest = new Uint8Array(message.value.length + 1)
  let restLength = 0
  let count = 0
  let wrong = ''
  for (const line of linesOf(message.value)) {
    const tab = line.indexOf(9)
    const bytes = tab < 0 ? line : line.subarray(0, tab) // What is kept as evidence must hold nobody's data.
    const parsed = readRecord(bytes)
    if ('wrong' in parsed) {
      if (count++ === 0) wrong = parsed.wrong
      rest.set(bytes, restLength)
      restLength += bytes.length
      rest[restLength++] = 10
    } else {
      const hash = leafHash(sha256, bytes)
      records.push({
        event: parsed.event,
        bytes,
        hash,
        hashHex: toHex(hash),
        ...(tab >= 0 && { beside: line.subarray(tab + 1) }),
      })
    }
  }
  const again = nextOffset !== undefined && BigInt(message.offset) < BigInt(nextOffset)
  const malformed = count > 0 ? { count, bytes: rest.subarray(0, restLength - 1), wrong } : undefined
  return { offset: message.offset, again, key: message.key, records, malformed }
}

/** The parser's answer, with two rules more: what passes fits the tables, whatever a producer wrote. */
function readRecord(bytes: Uint8Array): { readonly event: AuditEvent } | { readonly wrong: string } {
  const parsed = parseEvent(bytes)
  if ('wrong' in parsed) return parsed
  const { timestamp, td, producer } = parsed.event
  const ns = parseTime(timestamp)
  // February 30 has the right shape, and the year 0 is none to PostgreSQL.
  if (ns === undefined || formatTime(ns) !== timestamp || timestamp.startsWith('0000')) return { wrong: 'no such time' }
  return td === trustDomainOf(producer) ? parsed : { wrong: "a trust domain that is not the producer's" }
}

/** Records are canonical JSON, which has no line feed; an empty line is no record either. */
function* linesOf(value: Uint8Array): Iterable<Uint8Array> {
  for (let from = 0; from <= value.length; ) {
    const feed = value.indexOf(10, from)
    const end = feed < 0 ? value.length : feed
    yield value.subarray(from, end)
    from = end + 1
  }
}
