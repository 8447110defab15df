/** Reads segments that an earlier run left: which records they hold, and where each producer's last epoch ended. */

import { join } from 'node:path'
import { fromUtf8, toHex } from '../../core/bytes.ts'
import { WritError } from '../../core/fault.ts'
import { isObject, parseJson } from '../../core/json.ts'
import type { Sha256 } from '../../core/ports.ts'
import type { Epoch } from '../../core/record.ts'
import type { SpiffeId } from '../../core/spiffe.ts'
import type { OnNotice } from '../stream/notice.ts'
import type { SpoolFiles } from './spool-files.ts'
import {
  type Declared,
  decodeHeader,
  type Frame,
  frameBytes,
  headerBytes,
  maxFrameBytes,
  type Previous,
  readFrame,
  type SegmentHeader,
} from './spool-frame.ts'

/** One segment file, as far as its records are good. */
export interface Segment {
  readonly number: number
  readonly path: string
  readonly createdMs: number
  readonly inode: number
  fd: number | undefined
  /** Where the good records end. What lies beyond was refused, torn or rotten. */
  end: number
  /** How far the stream may have it: what is synced, or can never be synced any more. */
  readable: number
  /** Nothing is appended any more. */
  closed: boolean
  /** Deleted or replaced by somebody else; only the open file still reads it. */
  gone: boolean
  /** The last record of each epoch in it. Empty where it holds none. */
  readonly last: Map<Epoch, LastRecord>
}

export interface LastRecord {
  readonly producer: SpiffeId
  readonly seq: number
  /** Offset of its frame, and length of its leaf. */
  readonly at: number
  readonly length: number
}

export interface Found {
  readonly segments: Segment[]
  readonly previous: Map<SpiffeId, Previous>
  /** Highest number that any file of the folder bears. */
  readonly number: number
}

const chunkBytes = 1024 ** 2

export function scanFolder(dir: string, files: SpoolFiles, sha256: Sha256, onNotice: OnNotice): Found {
  const names = files
    .list(dir)
    .filter((name) => /^\d{8}\.seg$/.test(name))
    .sort()
  const previous = new Map<SpiffeId, Previous>()
  const opened = names.flatMap((name) => openSegment(join(dir, name), Number(name.slice(0, 8)), files, onNotice) ?? [])
  const ends = new Map(opened.map(({ header }) => [header.before, header.beforeEnd]))
  for (const { segment } of opened) scanSegment(segment, ends.get(segment.number), previous, files, sha256, onNotice)
  const segments = opened.map(({ segment }) => segment)
  return { segments, previous, number: names.length === 0 ? 0 : Number(names.at(-1)!.slice(0, 8)) }
}

function openSegment(
  path: string,
  number: number,
  files: SpoolFiles,
  onNotice: OnNotice,
): { readonly segment: Segment; readonly header: SegmentHeader } | undefined {
  const fd = files.open(path, false)
  const head = new Uint8Array(headerBytes)
  const header = decodeHeader(head.subarray(0, files.readNow(fd, head, 0)))
  const { inode, size } = files.factsOf(fd)
  if (header && 'version' in header) {
    files.close(fd)
    throw new WritError('version', `the spool segment ${path} has version ${header.version}`, {
      cure: 'Let the program that wrote it drain the folder before it is replaced by another version.',
    })
  }
  if (!header || header.number !== number) {
    files.close(fd)
    // A crash while the file was made leaves it without records: they are written only after its header.
    const empty = size <= headerBytes || head.every((byte) => byte === 0)
    if (empty) files.unlink(path)
    const name = empty ? 'spool_cut' : 'spool_damaged'
    onNotice({
      name,
      level: empty ? 'info' : 'error',
      detail: `${path} has no header${empty ? '' : '; it is left there'}`,
    })
    return undefined
  }
  const { createdMs } = header
  const state = { end: size, readable: size, closed: true, gone: false, last: new Map() }
  return { segment: { number, path, createdMs, inode, fd, ...state }, header }
}

/** Records up to `knownEnd`, or to the file's end where no later segment tells; closes the file. */
function scanSegment(
  segment: Segment,
  knownEnd: number | undefined,
  previous: Map<SpiffeId, Previous>,
  files: SpoolFiles,
  sha256: Sha256,
  onNotice: OnNotice,
): void {
  const fd = segment.fd!
  files.syncNow(fd) // What a killed process wrote and did not sync is sent from here: the disk must not forget it later.
  const size = segment.end
  const channels = new Map<number, Declared & { next: number }>()
  const read = (position: number, into: Uint8Array) => files.readNow(fd, into, position)
  const scanned = eachFrame(read, headerBytes, Math.min(size, knownEnd ?? size), (frame) => {
    if (frame.kind === 'ended') previous.set(frame.producer, frame.previous)
    if (frame.kind === 'channel') {
      const { producer, epoch, next, prev } = frame.declared
      channels.set(frame.channel, { ...frame.declared })
      if (next > 0) previous.set(producer, { epoch, seq: next - 1, hash: prev, ended: 'crash' })
    }
    if (frame.kind !== 'record') return true
    const channel = channels.get(frame.channel)
    if (!channel) return false
    const seq = channel.next++
    segment.last.set(channel.epoch, { producer: channel.producer, seq, at: frame.at, length: frame.leaf.length })
    return true
  })
  segment.end = segment.readable = scanned.end
  for (const [epoch, { producer, seq, at, length }] of segment.last) {
    const leaf = new Uint8Array(length)
    files.readNow(fd, leaf, at + frameBytes - 1)
    previous.set(producer, { epoch, seq, hash: toHex(sha256(leaf)), ended: isFinal(leaf) ? 'clean' : 'crash' })
  }
  files.close(fd)
  segment.fd = undefined
  const lost = (knownEnd ?? size) - scanned.end
  if (lost === 0) return
  const detail = `${segment.path}: ${lost} bytes from ${scanned.end} on: ${scanned.wrong ?? 'the end is missing'}`
  const torn = knownEnd === undefined && scanned.torn
  onNotice({ name: torn ? 'spool_cut' : 'spool_damaged', level: torn ? 'warn' : 'error', detail })
}

/** Reads frames until `to`, the first that is no good, or one that `visit` does not want. */
export function eachFrame(
  read: (position: number, into: Uint8Array) => number,
  from: number,
  to: number,
  visit: (frame: Frame) => boolean,
): { readonly end: number; readonly wrong?: string; readonly torn: boolean } {
  const buffer = new Uint8Array(Math.min(chunkBytes, Math.max(to - from, 0)))
  let base = from
  while (base < to) {
    const got = read(base, buffer.subarray(0, Math.min(buffer.length, to - base)))
    let at = 0
    for (;;) {
      const result = readFrame(buffer, at, got, base)
      if ('short' in result) break
      if ('wrong' in result) return { end: base + at, wrong: result.wrong, torn: isZero(buffer.subarray(at, got)) }
      if (!visit(result.frame)) return { end: base + at, wrong: 'a record of no declared epoch', torn: false }
      at = result.next
    }
    // Not even one whole frame in a chunk that could hold the longest, or at the end: the frame was never finished.
    if (at === 0) return { end: base, wrong: 'an unfinished frame', torn: got < maxFrameBytes }
    base += at
  }
  return { end: base, torn: false }
}

/** Bytes that were allotted but never written read as zeros after a power loss. */
const isZero = (bytes: Uint8Array): boolean => bytes.every((byte) => byte === 0)

function isFinal(leaf: Uint8Array): boolean {
  const event = parseJson(fromUtf8(leaf.subarray(1)))
  return isObject(event) && event['kind'] === 'head' && event['final'] === true
}
