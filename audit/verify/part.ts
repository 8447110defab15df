/**
 * A part of a log, read by itself: what its records say of each other is put together as far as that can be told without
 * the records before. What is left for whoever joins the parts is a step for each run of plain records, and each other
 * record as it is. `RecordsReader` takes the steps as if it had read the leaves.
 */

import { isObject } from '../../core/json.ts'
import type { Checkpoint } from '../../core/log.ts'
import { type AuditEvent, type HeadBody, parseEvent } from '../../core/record.ts'
import { memberNumbers as at, countAt, isText, memberFrom, ScannedEpochs, scan, textAt } from '../log/scan.ts'
import type { Findings } from './finding.ts'
import { Latest, PlainRecords, type Run } from './plain.ts'
import { SerialReader } from './serials.ts'
import { noTotals } from './stretch.ts'
import { bytesOf, type LeafRange, type OpenTree, type PlacedLeaf, type TreeSource } from './tree.ts'

/** A record that whoever joins the parts has to look at. */
export interface OddLeaf {
  readonly index: number
  /** What the signed tree says of it, in lower-case hex. */
  readonly hash: string
  /** Where its bytes are among those of the part. */
  readonly from: number
  readonly to: number
  /** Undefined where it is no record. */
  readonly record?: {
    readonly epoch: string
    readonly producer: string
    readonly seq: number
    readonly timestamp: string
    /** A head that ends its epoch. */
    readonly final: boolean
    /** The epoch that a gap entry is about. */
    readonly about?: string
  }
}

export type PartStep = { readonly run: Run } | { readonly odd: OddLeaf }

/** What reading a part came to, where its leaves are as the tree has them. */
export interface ReadPart {
  readonly range: LeafRange
  /** Those of one epoch in order, and odd records in the order of the log. */
  readonly steps: readonly PartStep[]
  /** Of the odd records. */
  readonly bytes: Uint8Array
  /** What was gathered of it besides, by whoever asked for that. */
  readonly gathered?: unknown
}

/** Reads parts of a log elsewhere, in other threads. */
export interface PartReaders {
  /** Leaves of a part; where leaves are gathered, as many as a part of that has. */
  readonly leaves: number
  /** Parts that are asked for at once, and held until they are joined. */
  readonly atOnce: number
  /**
   * Undefined where a part is out of the ordinary, and has to be read here. `gather`: what else is done with its leaves.
   * Throws where the thread ended.
   */
  readonly read: (shard: number, tree: Checkpoint, range: LeafRange, gather: boolean) => Promise<ReadPart | undefined>
}

/**
 * Reads a part of a tree of which `told` is told what is wrong. `look` is shown each leaf, as `PartRecords` has taken it.
 * Undefined where something about it is out of the ordinary.
 */
export async function readPart(
  { source, tree, told }: { readonly source: TreeSource; readonly tree: OpenTree; readonly told: Findings },
  range: LeafRange,
  look?: (leaf: PlacedLeaf, event: AuditEvent | undefined, scanned: boolean) => void,
): Promise<ReadPart | undefined> {
  const before = told.list.length + told.omitted
  const records = new PartRecords()
  for await (const leaves of tree.leaves(range)) {
    for (const leaf of leaves) {
      const event = records.take(leaf, source.shard)
      look?.(leaf, event, records.seen)
    }
    if (leaves[0]) source.release?.(leaves[0].file)
    if (told.list.length + told.omitted > before) return undefined
  }
  return tree.isOver() || told.list.length + told.omitted > before ? undefined : records.finish(range)
}

/** Odd records that a part may have, in bytes: one that has more is read by whoever joins the parts. */
const maxOddBytes = 16 * 1024 ** 2

/** An epoch as far as this part has it. */
interface Known {
  readonly epoch: string
  readonly producer: AuditEvent['producer']
  /** Its largest number here, and the hash of that record. */
  last: number
  hash: string
  run: OpenRun | undefined
}

type OpenRun = { -readonly [name in keyof Run]: Run[name] } & {
  minMs: number
  readonly latest: Latest
  /** Decisions by verdict, as `oneOf` has them. */
  readonly verdicts: [number, number, number]
}

export class PartRecords {
  /** The record that `take` was shown last was not parsed: `scan` read it. */
  seen: boolean = false
  readonly #steps: PartStep[] = []
  readonly #bytes: Uint8Array[] = []
  #length = 0
  #leaves = 0
  readonly #known = new Map<string, Known>()
  readonly #scanned = new ScannedEpochs<Known>()
  readonly #serials = new SerialReader()
  readonly #plain = new PlainRecords()

  /** Its event, where it had to be parsed and is one. */
  take(leaf: PlacedLeaf, shard: number): AuditEvent | undefined {
    this.#leaves++
    this.seen = this.#seen(leaf)
    return this.seen ? undefined : this.#odd(leaf, shard)
  }

  /** Undefined where it is not to be told in short, or has not so many leaves. */
  finish(range: LeafRange): ReadPart | undefined {
    if (this.#length > maxOddBytes || this.#leaves !== range.to - range.from) return undefined
    for (const one of this.#known.values()) this.#close(one)
    const bytes = new Uint8Array(this.#length)
    let end = 0
    for (const one of this.#bytes) {
      bytes.set(one, end)
      end += one.length
    }
    return { range, steps: this.#steps, bytes }
  }

  #seen({ file: bytes, from, to, hash, index }: PlacedLeaf): boolean {
    if (!scan(bytes, from, to)) return false
    const isDecision = isText(bytes, at.kind, 'decision')
    if (!isDecision && !isText(bytes, at.kind, 'outcomes')) return false
    const known = this.#scanned.find(bytes, this.#known)
    if (!known || !isText(bytes, at.producer, known.producer)) return false
    if (isDecision && isText(bytes, at.proof, 'x509') && !this.#serials.knowsScanned(bytes)) return false
    if (countAt(bytes, at.seq) !== known.last + 1 || !isText(bytes, at.prev, known.hash)) return false
    const atMs = this.#plain.msAt(bytes, known.producer, isDecision)
    if (atMs < 0) return false
    const run = (known.run ??= openRun(known, index, atMs, textAt(bytes, at.timestamp)!))
    known.last = run.last = run.last + 1
    known.hash = hash
    if (isDecision) {
      run.decisions++
      run.verdicts[this.#plain.verdict]!++
    } else run.outcomes++
    if (atMs > run.maxMs) run.maxMs = atMs
    if (atMs <= run.minMs) {
      const text = textAt(bytes, at.timestamp)!
      if (text < run.minAt) run.minAt = text
      run.minMs = atMs
    }
    run.latest.take(bytes, memberFrom[at.timestamp]! + 1)
    return true
  }

  #odd(leaf: PlacedLeaf, shard: number): AuditEvent | undefined {
    const bytes = bytesOf(leaf)
    const from = this.#length
    this.#length += bytes.length
    if (this.#length <= maxOddBytes) this.#bytes.push(Uint8Array.from(bytes)) // A slice of a Buffer would be no copy.
    const { index, hash } = leaf
    const odd = { index, hash, from, to: this.#length }
    const read = parseEvent(bytes)
    if ('wrong' in read) {
      this.#steps.push({ odd })
      return undefined
    }
    const { event } = read
    this.#serials.take(event, shard, index)
    this.#place(event, hash)
    const { epoch, producer, seq, timestamp } = event
    const final = event.kind === 'head' && (event as AuditEvent<HeadBody>).final === true
    const about = event.kind === 'gap' ? aboutOf(event) : undefined
    const record = { epoch, producer, seq, timestamp, final, ...(about !== undefined && { about }) }
    this.#steps.push({ odd: { ...odd, record } })
    return event
  }

  #place({ epoch, producer, seq }: AuditEvent, hash: string): void {
    const known = this.#known.get(epoch)
    if (!known) {
      this.#known.set(epoch, { epoch, producer, last: seq, hash, run: undefined })
      return
    }
    this.#close(known)
    if (known.producer !== producer || seq <= known.last) return
    known.last = seq
    known.hash = hash
  }

  #close(known: Known): void {
    if (!known.run) return
    const { minMs: _, latest, verdicts, ...run } = known.run
    const [allow, deny, fault] = verdicts
    this.#steps.push({ run: { ...run, lastHash: known.hash, lastAt: latest.text, totals: { allow, deny, fault } } })
    known.run = undefined
  }
}

function openRun({ epoch, producer, last, hash }: Known, firstIndex: number, atMs: number, time: string): OpenRun {
  return {
    ...{
      epoch,
      producer,
      first: last + 1,
      last,
      prev: hash,
      lastHash: '',
      decisions: 0,
      outcomes: 0,
      totals: noTotals,
    },
    ...{
      verdicts: [0, 0, 0] as [number, number, number],
      firstIndex,
      firstAt: time,
      minAt: time,
      lastAt: '',
      maxMs: atMs,
      minMs: atMs,
      latest: new Latest(),
    },
  }
}

function aboutOf(event: AuditEvent): string {
  const { of } = event as unknown as { readonly of?: unknown }
  return isObject(of) && typeof of['epoch'] === 'string' ? of['epoch'] : ''
}
