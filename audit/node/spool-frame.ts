/**
 * The bytes of a spool segment. A header, then frames:
 *
 *     header  magic "WRITSPOL", version u32, number u32, number before u32, its length u64, created ms u64, CRC u32
 *     frame   length of what follows the CRC u32, CRC-32C of that u32, channel u32, kind u8, payload
 *
 * All numbers are little-endian. A record's payload is the record verbatim, and its kind is 0, so kind and payload are
 * what RFC 6962 hashes for a leaf. After a tab, which no record holds, may
 * follow what travels beside it. A channel stands for one epoch of one producer; each segment declares a channel
 * before its first record, so that a segment can be read alone.
 */

import { concat, fromUtf8, utf8 } from '../../core/bytes.ts'
import { isObject, parseJson } from '../../core/json.ts'
import { type Epoch, maxRecordBytes, parseEpoch, type StartBody } from '../../core/record.ts'
import { parseSpiffeId, type SpiffeId } from '../../core/spiffe.ts'
import { crc32c } from './crc32c.ts'

/** A process reads the version it writes and, once there is one, the version before. */
export const spoolVersion = 1
export const headerBytes = 40
/** Length, CRC, channel and kind. */
export const frameBytes = 13
/** Most bytes that travel beside a record. */
export const maxBesideBytes = 32_768
export const maxFrameBytes: number = frameBytes + maxRecordBytes + 1 + maxBesideBytes

const magic = utf8('WRITSPOL')
const tab = utf8('\t')

export interface SegmentHeader {
  readonly number: number
  /** The segment before, 0 where there is none, and where its records end: what lies beyond was refused. */
  readonly before: number
  readonly beforeEnd: number
  readonly createdMs: number
}

/** Where the last epoch of a producer ended, as the start of the next one quotes it. */
export type Previous = NonNullable<StartBody['previous']>

export type Frame =
  | {
      readonly kind: 'record'
      readonly channel: number
      readonly leaf: Uint8Array
      readonly payload: Uint8Array
      readonly at: number
    }
  | { readonly kind: 'channel'; readonly channel: number; readonly declared: Declared }
  | { readonly kind: 'ended'; readonly producer: SpiffeId; readonly previous: Previous }

/** An epoch, and where it stands when the channel is declared. */
export interface Declared {
  readonly producer: SpiffeId
  readonly epoch: Epoch
  /** Number of the next record. */
  readonly next: number
  /** Leaf hash of the record before. */
  readonly prev: string
}

const kinds = { record: 0, channel: 1, ended: 2 } as const

export function encodeHeader(header: SegmentHeader): Uint8Array {
  const bytes = new Uint8Array(headerBytes)
  const view = new DataView(bytes.buffer)
  bytes.set(magic)
  view.setUint32(8, spoolVersion, true)
  view.setUint32(12, header.number, true)
  view.setUint32(16, header.before, true)
  view.setBigUint64(20, BigInt(header.beforeEnd), true)
  view.setBigUint64(28, BigInt(header.createdMs), true)
  view.setUint32(36, crc32c(bytes, 0, 36), true)
  return bytes
}

/** Undefined where the bytes are no whole header; a header of another version is told apart, never misread. */
export function decodeHeader(bytes: Uint8Array): SegmentHeader | { readonly version: number } | undefined {
  if (bytes.length < headerBytes || magic.some((byte, i) => bytes[i] !== byte)) return undefined
  const view = new DataView(bytes.buffer, bytes.byteOffset, headerBytes)
  if (view.getUint32(36, true) !== crc32c(bytes, 0, 36)) return undefined
  const version = view.getUint32(8, true)
  if (version !== spoolVersion) return { version }
  return {
    number: view.getUint32(12, true),
    before: view.getUint32(16, true),
    beforeEnd: Number(view.getBigUint64(20, true)),
    createdMs: Number(view.getBigUint64(28, true)),
  }
}

/** Bytes that a record takes in the spool. */
export const sizeOfRecord = ({ leaf, beside }: { readonly leaf: Uint8Array; readonly beside?: Uint8Array }): number =>
  frameBytes - 1 + leaf.length + (beside ? 1 + beside.length : 0)

/** Writes a record's frame at `at` and returns where the next one begins. `leaf` is 0x00 and the record. */
export function writeRecord(
  into: Uint8Array,
  at: number,
  channel: number,
  leaf: Uint8Array,
  beside?: Uint8Array,
): number {
  into.set(leaf, at + 12)
  if (!beside) return finishFrame(into, at, channel, leaf.length)
  into[at + 12 + leaf.length] = 9
  into.set(beside, at + 13 + leaf.length)
  return finishFrame(into, at, channel, leaf.length + 1 + beside.length)
}

/** What the stream gets of a record: it and, after a tab, what travels beside it. */
export function sentOf({ leaf, beside }: { readonly leaf: Uint8Array; readonly beside?: Uint8Array }): Uint8Array {
  return beside ? concat(leaf.subarray(1), tab, beside) : leaf.subarray(1)
}

export const encodeDeclared = (channel: number, declared: Declared): Uint8Array =>
  encodeJson(channel, kinds.channel, { ...declared })

export const encodeEnded = (producer: SpiffeId, previous: Previous): Uint8Array =>
  encodeJson(0, kinds.ended, { producer, ...previous })

function encodeJson(channel: number, kind: number, value: object): Uint8Array {
  const payload = utf8(JSON.stringify(value))
  const bytes = new Uint8Array(frameBytes + payload.length)
  bytes[12] = kind
  bytes.set(payload, frameBytes)
  finishFrame(bytes, 0, channel, 1 + payload.length)
  return bytes
}

function finishFrame(bytes: Uint8Array, at: number, channel: number, length: number): number {
  const end = at + 12 + length
  writeU32(bytes, at, 4 + length)
  writeU32(bytes, at + 8, channel)
  writeU32(bytes, at + 4, crc32c(bytes, at + 8, end))
  return end
}

/** What stands at `at`: a frame and where the next begins, too few bytes to tell, or no frame at all. */
export type ReadFrame =
  | { readonly frame: Frame; readonly next: number }
  | { readonly short: true }
  | { readonly wrong: string; readonly whole: boolean }

/** `base` is the segment's offset of `bytes[0]`; a record's leaf is a view of `bytes`. */
export function readFrame(bytes: Uint8Array, at: number, to: number, base: number): ReadFrame {
  if (to - at < frameBytes) return { short: true }
  const length = readU32(bytes, at)
  if (length < 5 || length > maxFrameBytes - 8) return { wrong: 'a length that no frame has', whole: false }
  const end = at + 8 + length
  if (end > to) return { short: true }
  if (readU32(bytes, at + 4) !== crc32c(bytes, at + 8, end))
    return { wrong: 'a checksum that does not hold', whole: true }
  const channel = readU32(bytes, at + 8)
  if (bytes[at + 12] === kinds.record) {
    const payload = bytes.subarray(at + 12, end)
    const tabAt = payload.indexOf(9)
    const leaf = tabAt < 0 ? payload : payload.subarray(0, tabAt)
    return { frame: { kind: 'record', channel, leaf, payload, at: base + at }, next: end }
  }
  const frame = readJson(channel, bytes[at + 12]!, bytes.subarray(at + frameBytes, end))
  return frame ? { frame, next: end } : { wrong: 'a frame of no known kind', whole: true }
}

function readJson(channel: number, kind: number, payload: Uint8Array): Frame | undefined {
  let text: string
  try {
    text = fromUtf8(payload)
  } catch {
    return undefined
  }
  const value = parseJson(text)
  if (!isObject(value)) return undefined
  const producer = parseSpiffeId(String(value['producer']))
  const epoch = parseEpoch(String(value['epoch']))
  if (!producer || !epoch) return undefined
  const { next, prev, seq, hash, ended } = value
  if (kind === kinds.channel && isCount(next) && isHash(prev)) {
    return { kind: 'channel', channel, declared: { producer, epoch, next, prev } }
  }
  if (kind === kinds.ended && isCount(seq) && isHash(hash) && (ended === 'clean' || ended === 'crash')) {
    return { kind: 'ended', producer, previous: { epoch, seq, hash, ended } }
  }
  return undefined
}

const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0
const isHash = (value: unknown): value is string => typeof value === 'string' && /^[0-9a-f]{64}$/.test(value)

function writeU32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value
  bytes[at + 1] = value >>> 8
  bytes[at + 2] = value >>> 16
  bytes[at + 3] = value >>> 24
}

const readU32 = (bytes: Uint8Array, at: number): number =>
  (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)) >>> 0
