/** What came over a partition, line by line, before anything is made of it. */

import type { Sha256, StreamMessage } from '../../core/ports.ts'
import { type AuditEvent, parseEvent } from '../../core/record.ts'
import { trustDomainOf } from '../../core/spiffe.ts'
import { formatTime, parseTime } from '../../core/time.ts'
import { hashBytes, plainSha256, type QuickSha256 } from '../log/merkle.ts'
import { type DecisionHead, glance } from './glance.ts'
import { type RecordRow, recordRowOf } from './row.ts'

export interface Arrival {
  readonly offset: string
  /** It lies below where the stream was to be read on: it was offered before. */
  readonly again: boolean
  readonly key: string
  readonly records: readonly ArrivedRecord[]
  /** Lines that are not records, joined again by line feeds, and what was wrong with the first. */
  readonly malformed: { readonly count: number; readonly bytes: Uint8Array; readonly wrong: string } | undefined
}

/** An event that was read whole, or a decision of which only its row was read. */
type ReadRecord =
  | { readonly event: AuditEvent; readonly row?: undefined }
  | { readonly event: DecisionHead; readonly row: RecordRow }

export type ArrivedRecord = ReadRecord & {
  readonly bytes: Uint8Array
  readonly hash: Uint8Array
  /** `hash` in hex, as the next record's `prev` has it. */
  readonly hashHex: string
  /** What came beside it and is no part of the leaf. */
  readonly beside?: Uint8Array
}

export const rowOf = (record: ReadRecord): RecordRow => record.row ?? recordRowOf(record.event)

/**
 * `nextOffset` is where the stream was to be read on, undefined at its very beginning. `quick` is the same as `sha256`,
 * where the machine has a quicker way to it.
 */
export function readMessage(
  message: StreamMessage,
  nextOffset: string | undefined,
  sha256: Sha256,
  quick: QuickSha256 = plainSha256(sha256),
): Arrival {
  // A leaf is hashed with 0x00 in front, so each line has a byte before it: a line feed, which is made a zero.
  const lines = new Uint8Array(1 + message.value.length)
  lines.set(message.value, 1)
  const records: ArrivedRecord[] = []
  const bad: Uint8Array[] = []
  let wrong = ''
  let before = ''
  for (let from = 1; from <= lines.length; ) {
    const seen = glance(lines, from, before)
    const after = seen ? (lines[seen.end] ?? 10) : 0
    const isWhole = after === 10 || after === 9
    const to = seen && isWhole ? seen.end : recordEnd(lines, from)
    const end = lines[to] === 9 ? lineEnd(lines, to) : to
    const bytes = lines.subarray(from, to)
    const read = seen && isWhole ? seen : readRecord(bytes)
    if ('wrong' in read) {
      if (bad.push(bytes) === 1) wrong = read.wrong
    } else {
      lines[from - 1] = 0
      before = quick.hex(lines.subarray(from - 1, to))
      const { event, row } = read as ReadRecord
      const record = { event, row, bytes, hash: bytesOf(before), hashHex: before } as ArrivedRecord
      records.push(to === end ? record : { ...record, beside: lines.subarray(to + 1, end) })
    }
    from = end + 1
  }
  const again = nextOffset !== undefined && BigInt(message.offset) < BigInt(nextOffset)
  const malformed = bad.length > 0 ? { count: bad.length, bytes: joined(bad), wrong } : undefined
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
function lineEnd(lines: Uint8Array, from: number): number {
  const feed = lines.indexOf(10, from)
  return feed < 0 ? lines.length : feed
}

/** After a tab follows what travels beside a record: what is kept as evidence must hold nobody's data. */
function recordEnd(lines: Uint8Array, from: number): number {
  const end = lineEnd(lines, from)
  const tab = lines.subarray(from, end).indexOf(9)
  return tab < 0 ? end : from + tab
}

function joined(lines: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(lines.reduce((sum, { length }) => sum + length + 1, -1))
  let at = 0
  for (const line of lines) {
    whole.set(line, at)
    at += line.length
    if (at < whole.length) whole[at++] = 10
  }
  return whole
}

/** By the code of a hex digit. */
const digits = Uint8Array.from({ length: 103 }, (_, code) => Number.parseInt(String.fromCharCode(code), 16) || 0)

function bytesOf(hex: string): Uint8Array {
  const bytes = new Uint8Array(hashBytes)
  for (let i = 0; i < hashBytes; i++) {
    bytes[i] = (digits[hex.charCodeAt(2 * i)]! << 4) | digits[hex.charCodeAt(2 * i + 1)]!
  }
  return bytes
}
