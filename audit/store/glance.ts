/**
 * A decision's row, read off the bytes of its record without making an object of them: nearly all that comes is decisions
 * in plain letters, and those of one shape have their columns in the same slots. Whatever is not as plain as that is left
 * to `parseEvent` and `recordRowOf`; held equal to them by test/audit/store/glance.test.ts.
 */

import { fromUtf8 } from '../../core/bytes.ts'
import { isObject, type Json, parseJson } from '../../core/json.ts'
import { type AuditEvent, type Envelope, maxRecordBytes, parseEpoch, recordVersion } from '../../core/record.ts'
import { parseSpiffeId, parseTrustDomain, trustDomainOf } from '../../core/spiffe.ts'
import { formatTime, parseTime } from '../../core/time.ts'
import { asciiText, scanFrom, scannedShape } from '../log/scan.ts'
import { type Shape, slotFrom, slotTo } from '../log/shape.ts'
import { maxTextBytes, type RecordRow, recordRowOf } from './row.ts'

/** What is known of a decision besides its row. */
export type DecisionHead = Pick<Envelope, 'producer' | 'epoch' | 'seq' | 'prev' | 'timestamp'> & {
  readonly kind: 'decision'
}

export interface Glance {
  /** Where the record ends. */
  readonly end: number
  readonly event: DecisionHead
  readonly row: RecordRow
}

const envelope = ['cluster', 'decision_id', 'epoch', 'prev', 'producer', 'seq', 'td', 'timestamp'] as const
const columns = [
  ...(['workload', 'listener', 'caller', 'target', 'service', 'method', 'verdict', 'code', 'by', 'bundle'] as const),
  ...(['revision', 'policySha256', 'serial', 'sourceAddress', 'requestId', 'traceId', 'path'] as const),
]

/** In which slot each member stands; -1: the row has what `fixed` has. */
interface Plan {
  readonly of: { readonly [name in (typeof envelope)[number] | (typeof columns)[number]]: number }
  readonly fixed: RecordRow
  readonly reasons: readonly number[] | undefined
}

const plans = new WeakMap<Shape, Plan | 'none'>()

/**
 * The decision that begins at `start`. `before` is the hash that the record before it has, in hex, which `prev` nearly
 * always is.
 */
export function glance(bytes: Uint8Array, start: number, before: string): Glance | undefined {
  const end = scanFrom(bytes, start)
  const shape = scannedShape
  if (end < 0 || shape === undefined || end - start > maxRecordBytes) return undefined
  let plan = plans.get(shape)
  if (plan === undefined) {
    plan = planOf(shape) ?? 'none'
    plans.set(shape, plan)
  }
  if (plan === 'none') return undefined
  const { of } = plan
  const [epoch, producer] = [word(bytes, of.epoch), word(bytes, of.producer)]
  if (!isProducer(word(bytes, of.td), word(bytes, of.cluster), producer, epoch)) return undefined
  const seq = countIn(bytes, of.seq)
  if (seq <= 0 || !isNumbered(bytes, of)) return undefined
  const prev = prevIn(bytes, of.prev, before)
  if (prev === undefined || !isTime(bytes, of.timestamp)) return undefined
  const timestamp = textIn(bytes, of.timestamp)
  const event = { kind: 'decision', producer, epoch, seq, prev, timestamp } as DecisionHead
  return { end, event, row: rowIn(bytes, event, plan) }
}

function rowIn(bytes: Uint8Array, { producer, epoch, seq, timestamp }: DecisionHead, plan: Plan): RecordRow {
  const { of, fixed, reasons } = plan
  return {
    kind: 'decision',
    producer,
    epoch,
    seq,
    at: `${timestamp.slice(0, -4)}Z`,
    direction: fixed.direction,
    workload: of.workload < 0 ? fixed.workload : cut(word(bytes, of.workload)),
    listener: of.listener < 0 ? fixed.listener : cut(word(bytes, of.listener)),
    caller: of.caller < 0 ? fixed.caller : cut(word(bytes, of.caller)),
    target: of.target < 0 ? fixed.target : cut(word(bytes, of.target)),
    service: of.service < 0 ? fixed.service : cut(word(bytes, of.service)),
    method: of.method < 0 ? fixed.method : cut(word(bytes, of.method)),
    path: of.path < 0 ? fixed.path : pathIn(bytes, of.path),
    verdict: of.verdict < 0 ? fixed.verdict : cut(word(bytes, of.verdict)),
    code: of.code < 0 ? fixed.code : cut(word(bytes, of.code)),
    by: of.by < 0 ? fixed.by : cut(word(bytes, of.by)),
    enforced: fixed.enforced,
    bundle: fixed.bundle,
    revision: of.revision < 0 ? fixed.revision : cut(word(bytes, of.revision)),
    policySha256: of.policySha256 < 0 ? fixed.policySha256 : cut(word(bytes, of.policySha256)),
    reasons: reasons ? reasons.map((slot) => cut(word(bytes, slot))) : fixed.reasons,
    serial: of.serial < 0 ? fixed.serial : cut(word(bytes, of.serial)),
    requestId: of.requestId < 0 ? fixed.requestId : cut(textIn(bytes, of.requestId)),
    traceId: of.traceId < 0 ? fixed.traceId : cut(textIn(bytes, of.traceId)),
    sourceAddress: of.sourceAddress < 0 ? fixed.sourceAddress : cut(word(bytes, of.sourceAddress)),
  }
}

/** As `recordRowOf` does, of text that has one byte a character. */
const cut = (text: string): string => (text.length > maxTextBytes ? text.slice(0, maxTextBytes) : text)

/** Without query, as `recordRowOf` has it. */
function pathIn(bytes: Uint8Array, slot: number): string {
  const path = textIn(bytes, slot)
  const query = path.indexOf('?')
  return cut(query < 0 ? path : path.slice(0, query))
}

/** What marks a slot's number in a text: no plain text holds it. */
const mark = '\u0001'

/**
 * Fills the slots with their own numbers and looks where they come out: so what a row is made of is said in one place.
 * Undefined where a row would not be made of slots alone.
 */
function planOf(shape: Shape): Plan | undefined {
  const value = parseJson(marked(shape))
  if (!isObject(value) || value['v'] !== recordVersion || value['kind'] !== 'decision') return undefined
  if (typeof value['timestamp'] !== 'string') return undefined
  if (value['sealed'] !== undefined) return undefined // Its digests are wanted too (disclosures.ts).
  const fixed = recordRowOf(value as unknown as AuditEvent)
  const of: { [name: string]: number } = {}
  for (const name of envelope) {
    const slot = slotOf(value[name])
    if (slot === undefined) return undefined
    of[name] = slot
  }
  // Each is a text but for the number.
  if (envelope.some((name) => shape.texts[of[name]!] !== (name === 'seq' ? 0 : 1))) return undefined
  for (const name of columns) of[name] = slotOf(fixed[name]) ?? -1
  const reasons = fixed.reasons?.map(slotOf)
  if (reasons?.some((slot) => slot === undefined)) return undefined // What is no text.
  if (slotOf(fixed.direction) !== undefined || slotOf(fixed.bundle) !== undefined) return undefined
  return { of: of as Plan['of'], fixed, reasons: reasons as readonly number[] | undefined }
}

function marked({ bytes, from, to, texts }: Shape): string {
  let text = ''
  let at = 0
  for (let slot = 0; slot < texts.length; slot++) {
    text += fromUtf8(bytes.subarray(at, from[slot]))
    text += texts[slot] === 1 ? JSON.stringify(`${mark}${slot}`).slice(1, -1) : slot
    at = to[slot]!
  }
  return text + fromUtf8(bytes.subarray(at))
}

function slotOf(value: Json | undefined): number | undefined {
  if (typeof value === 'number') return value
  return typeof value === 'string' && value.startsWith(mark) ? Number(value.slice(1)) : undefined
}

let known:
  | { readonly td: string; readonly cluster: string; readonly producer: string; readonly epoch: string }
  | undefined

/** Whether the envelope names one that may write. Of the one that wrote before it is known. */
function isProducer(td: string, cluster: string, producer: string, epoch: string): boolean {
  if (known?.epoch === epoch && known.producer === producer && known.td === td && known.cluster === cluster) return true
  const id = parseSpiffeId(producer)
  if (!id || !parseTrustDomain(td) || td !== trustDomainOf(id) || cluster === '' || !parseEpoch(epoch)) return false
  known = { td, cluster, producer, epoch }
  return true
}

/** `decision_id` is epoch and number. */
function isNumbered(bytes: Uint8Array, { decision_id, epoch, seq }: Plan['of']): boolean {
  let at = slotFrom[decision_id]!
  for (let i = slotFrom[epoch]!; i < slotTo[epoch]!; i++) if (bytes[at++] !== bytes[i]) return false
  if (bytes[at++] !== 0x2d) return false
  for (let i = slotFrom[seq]!; i < slotTo[seq]!; i++) if (bytes[at++] !== bytes[i]) return false
  return at === slotTo[decision_id]!
}

/** -1 where it has a sign. */
function countIn(bytes: Uint8Array, slot: number): number {
  let count = 0
  for (let i = slotFrom[slot]!; i < slotTo[slot]!; i++) {
    if (bytes[i] === 0x2d) return -1
    count = count * 10 + bytes[i]! - 0x30
  }
  return count
}

function prevIn(bytes: Uint8Array, slot: number, before: string): string | undefined {
  const from = slotFrom[slot]!
  if (slotTo[slot]! - from !== 64) return undefined
  let i = 0
  while (i < 64 && bytes[from + i] === before.charCodeAt(i)) i++
  if (i === 64) return before
  const prev = textIn(bytes, slot)
  return /^[0-9a-f]{64}$/.test(prev) ? prev : undefined
}

/** The second that was found to be one last: times of records differ in their last digits only. */
let second = ''

function isTime(bytes: Uint8Array, slot: number): boolean {
  const from = slotFrom[slot]!
  if (slotTo[slot]! - from !== 30 || bytes[from + 29] !== 0x5a) return false
  for (let i = 20; i < 29; i++) if (bytes[from + i]! < 0x30 || bytes[from + i]! > 0x39) return false
  let i = 0
  while (i < 20 && bytes[from + i] === second.charCodeAt(i)) i++
  if (i === 20) return true
  const time = textIn(bytes, slot)
  const ns = parseTime(time)
  if (ns === undefined || formatTime(ns) !== time || time.startsWith('0000')) return false
  second = time.slice(0, 20)
  return true
}

function textIn(bytes: Uint8Array, slot: number): string {
  const [from, to] = [slotFrom[slot]!, slotTo[slot]!]
  return to - from <= 64 ? asciiText(bytes, from, to) : fromUtf8(bytes.subarray(from, to))
}

/** Words that were read before, by a number made of a few of their bytes: one text each, however often it comes. */
const words: (string | undefined)[] = Array.from({ length: 1024 }, () => undefined)
const maxWord = 256

function word(bytes: Uint8Array, slot: number): string {
  const from = slotFrom[slot]!
  const length = slotTo[slot]! - from
  if (length === 0) return ''
  if (length > maxWord) return textIn(bytes, slot)
  const some =
    bytes[from]! + bytes[from + (length >> 1)]! * 7 + bytes[from + length - 1]! * 31 + bytes[from + length - 2]! * 131
  const place = (some + length * 17) & 1023
  const held = words[place]
  if (held !== undefined && isWord(bytes, from, length, held)) return held
  const made = textIn(bytes, slot)
  words[place] = made
  return made
}

function isWord(bytes: Uint8Array, from: number, length: number, held: string): boolean {
  if (held.length !== length) return false
  for (let i = 0; i < length; i++) if (bytes[from + i] !== held.charCodeAt(i)) return false
  return true
}
