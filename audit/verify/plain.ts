/**
 * Records as plain as nearly all of a log are, which `scan` has just read: told by their bytes alone, and put together in
 * runs of one epoch that follow each other. Whatever a record says that depends on others is for `EpochReader`.
 */

import type { AuditEvent } from '../../core/record.ts'
import { trustDomainOf } from '../../core/spiffe.ts'
import { parseTime } from '../../core/time.ts'
import { asciiText, memberNumbers as at, isBare, isText, memberFrom, memberTo } from '../log/scan.ts'
import { noTotals, type Totals } from './stretch.ts'

/** Plain records of one epoch with numbers that follow each other, each with the hash of the one before. */
export interface Run {
  readonly epoch: string
  readonly producer: string
  /** Numbers of its first record and its last. */
  readonly first: number
  readonly last: number
  /** What its first has as `prev`, and the hash of its last. */
  readonly prev: string
  readonly lastHash: string
  readonly decisions: number
  readonly outcomes: number
  readonly totals: Totals
  /** Leaf index and time of its first. */
  readonly firstIndex: number
  readonly firstAt: string
  /** The earliest and the latest time, and that in milliseconds. */
  readonly minAt: string
  readonly lastAt: string
  readonly maxMs: number
}

export class PlainRecords {
  /** Of the decision that was looked at last, as `oneOf` has them. */
  verdict: number = 0
  readonly #clock = new Clock()

  /** The time of the record that was scanned, in milliseconds; -1 where it is not plain, or not in the name of `producer`. */
  msAt(bytes: Uint8Array, producer: AuditEvent['producer'], isDecision: boolean): number {
    if (!isBare(bytes, at.v, '1') || !isText(bytes, at.td, trustDomainOf(producer))) return -1
    if (memberFrom[at.cluster]! < 0 || memberTo[at.cluster]! - memberFrom[at.cluster]! < 3) return -1
    if (bytes[memberFrom[at.cluster]!] !== 0x22) return -1
    const ms = this.#clock.msAt(bytes)
    if (ms < 0 || !isDecision) return ms
    this.verdict = verdictAt(bytes)
    if (this.verdict < 0) return -1
    // Made in its own producer's name, enforced, and called by its number.
    const isOwn = isText(bytes, at.workload, producer) && isBare(bytes, at.enforced, 'true') && isOwnId(bytes)
    return isOwn ? ms : -1
  }
}

/** As `scan` numbers them. */
const verdicts = ['allow', 'deny', 'fault'] as const
/** What a decision adds to what was counted, by its verdict. */
export const oneOf: readonly Totals[] = verdicts.map((verdict) => ({ ...noTotals, [verdict]: 1 }))
function verdictAt(bytes: Uint8Array): number {
  for (let i = 0; i < verdicts.length; i++) if (isText(bytes, at.verdict, verdicts[i]!)) return i
  return -1
}

/** Whether a record is called by its own epoch and number: `decisionId` of them. */
export function isOwnId(bytes: Uint8Array): boolean {
  const from = memberFrom[at.decision_id]!
  const epoch = memberFrom[at.epoch]!
  const seq = memberFrom[at.seq]!
  const dash = memberTo[at.epoch]! - 1 - epoch // So far behind the quote in both.
  const digits = memberTo[at.seq]! - seq
  if (from < 0 || memberTo[at.decision_id]! - from !== dash + digits + 2) return false
  for (let i = 0; i < dash; i++) if (bytes[from + i] !== bytes[epoch + i]) return false
  if (bytes[from + dash] !== 0x2d || bytes[from + dash + digits + 1] !== 0x22) return false
  for (let i = 0; i < digits; i++) if (bytes[from + dash + 1 + i] !== bytes[seq + i]) return false
  return true
}

/** The latest of times in the one form that they have, kept as bytes: of a million records no text is made of it. */
export class Latest {
  readonly #bytes = new Uint8Array(timeLength)
  /** Undefined where it is not that of the bytes. */
  #text: string | undefined = ''

  get text(): string {
    return (this.#text ??= asciiText(this.#bytes, 0, timeLength))
  }

  /** Whether the time at `from` is before it. */
  isBehind(bytes: Uint8Array, from: number): boolean {
    return this.#difference(bytes, from) < 0
  }

  take(bytes: Uint8Array, from: number): void {
    if (this.#difference(bytes, from) <= 0) return
    for (let i = 0; i < timeLength; i++) this.#bytes[i] = bytes[from + i]!
    this.#text = undefined
  }

  takeText(text: string): void {
    if (text <= this.text) return
    for (let i = 0; i < timeLength; i++) this.#bytes[i] = text.charCodeAt(i)
    this.#text = text
  }

  #difference(bytes: Uint8Array, from: number): number {
    for (let i = 0; i < timeLength; i++) {
      const difference = bytes[from + i]! - this.#bytes[i]!
      if (difference !== 0) return difference
    }
    return 0
  }
}

/** Of `formatTime`. */
const timeLength = 30

/** Times of records: those of one second differ in their last digits only. */
export class Clock {
  #second = ''
  #secondMs = 0

  /** The time of the record that was scanned, in milliseconds; -1 where that takes a closer look. */
  msAt(bytes: Uint8Array): number {
    const from = memberFrom[at.timestamp]! + 1
    if (from <= 0 || memberTo[at.timestamp]! - from !== 31 || bytes[from - 1] !== 0x22) return -1
    for (let i = 20; i < 29; i++) if (bytes[from + i]! < 0x30 || bytes[from + i]! > 0x39) return -1
    if (bytes[from + 29] !== 0x5a || !this.#isSecond(bytes, from)) return -1
    return (
      this.#secondMs + (bytes[from + 20]! - 0x30) * 100 + (bytes[from + 21]! - 0x30) * 10 + bytes[from + 22]! - 0x30
    )
  }

  #isSecond(bytes: Uint8Array, from: number): boolean {
    let same = this.#second !== ''
    for (let i = 0; same && i < 20; i++) same = bytes[from + i] === this.#second.charCodeAt(i)
    if (same) return true
    const second = asciiText(bytes, from, from + 20)
    const time = parseTime(`${second}000000000Z`)
    if (time === undefined) return false
    this.#second = second
    this.#secondMs = Number(time / 1_000_000n)
    return true
  }
}
