/**
 * What a batch of one partition becomes: entries of the log in their order, and where every producer stands after it.
 * All rules of the ledger about numbers, chains, gaps and forgeries are here; nothing is read or written.
 */

import { fromHex, toBase64, toHex } from '../../core/bytes.ts'
import { partitionOf } from '../../core/log.ts'
import { type AnomalyBody, decisionId, type Epoch, type EventBody, type GapBody } from '../../core/record.ts'
import type { SpiffeId } from '../../core/spiffe.ts'
import type { Arrival, ArrivedRecord } from './arrival.ts'
import { type Announced, announcedBy, type HeadTools, headFault, quotedBy, withAnnounced } from './head.ts'
import { filledRanges, type Hole, holeAt, rowsOf } from './holes.ts'
import { newChain, type OwnChain, type OwnTools, ownRecord, startBody } from './own.ts'
import { atOf } from './row.ts'
import type { EpochRow, GapRow } from './schema.ts'

/** Where a producer stands, and with what it signs. */
export interface Cursor {
  readonly row: EpochRow
  readonly announced: readonly Announced[]
  /** `row.lastHash` in hex, where it is at hand. */
  readonly lastHex?: string
}

/** A record that is in the log. `prev` only where somebody may need it. */
export interface StoredRecord {
  readonly hash: string
  readonly prev: string | undefined
}

/** What the store says about the batch's epochs. */
export interface Known {
  readonly shard: number
  /** Entries in the log: the index of the next. */
  readonly size: number
  /** The auditor's own chain, or where its last one ended if it has none in this shard yet. */
  readonly own: OwnChain | { readonly previous: Parameters<typeof startBody>[1] }
  readonly cursors: ReadonlyMap<string, Cursor>
  /** Open gaps that records of the batch fall into, in order, by epoch. */
  readonly holes: ReadonlyMap<string, readonly Hole[]>
  /** Records that the batch brings again, and the neighbours of those that come late, by decision id. */
  readonly stored: ReadonlyMap<string, StoredRecord>
}

export interface Tally {
  records: number
  duplicates: number
  late: number
  gaps: number
  anomalies: number
}

export interface Admitted {
  readonly entries: readonly ArrivedRecord[]
  readonly own: OwnChain
  readonly cursors: ReadonlyMap<string, Cursor>
  /** Gap rows to delete and then to insert. */
  readonly gaps: {
    readonly gone: readonly { readonly epoch: string; readonly first: number }[]
    readonly rows: readonly GapRow[]
  }
  readonly anomalies: readonly AnomalyBody[]
  /** Records that the log has already and that came with something beside them: a store made again may lack that. */
  readonly repeated: readonly ArrivedRecord[]
  readonly tally: Tally
}

export type AdmitTools = OwnTools & HeadTools

/** Bytes of an anomaly that its entry carries. */
const maxEvidence = 16 * 1024

export function admit(arrivals: readonly Arrival[], known: Known, tools: AdmitTools): Admitted {
  const draft = openDraft(known, tools)
  for (const arrival of arrivals) {
    if (arrival.malformed) reportMalformed(draft, arrival, arrival.malformed)
    for (const record of arrival.records) place(draft, arrival, record)
  }
  const gaps = closeHoles(draft)
  const { entries, own, cursors, anomalies, repeated, tally } = draft
  return { entries, own, cursors, gaps, anomalies, repeated, tally }
}

/** Records of the auditor's own, of which no stream knows. */
export function admitOwn(
  bodies: readonly EventBody[],
  known: Pick<Known, 'shard' | 'size' | 'own'>,
  tools: AdmitTools,
): Admitted {
  const draft = openDraft({ ...known, cursors: new Map(), holes: new Map(), stored: new Map() }, tools)
  for (const body of bodies) write(draft, body)
  const { entries, own, cursors, anomalies, tally } = draft
  return { entries, own, cursors, gaps: { gone: [], rows: [] }, anomalies, repeated: [], tally }
}

interface Draft {
  readonly known: Known
  readonly tools: AdmitTools
  readonly entries: ArrivedRecord[]
  own: OwnChain
  /** Only those that changed. */
  readonly cursors: Map<string, Cursor>
  readonly holes: Map<string, Hole[]>
  /** What this batch put in the log: of its entries the first so many, since hardly any batch is asked for one. */
  readonly placed: Map<string, StoredRecord>
  indexed: number
  readonly anomalies: AnomalyBody[]
  readonly repeated: ArrivedRecord[]
  readonly tally: Tally
}

function openDraft(known: Known, tools: AdmitTools): Draft {
  const draft: Draft = {
    known,
    tools,
    entries: [],
    own: 'epoch' in known.own ? known.own : newChain(tools),
    cursors: new Map(),
    holes: new Map([...known.holes].map(([epoch, holes]) => [epoch, [...holes]])),
    placed: new Map(),
    indexed: 0,
    anomalies: [],
    repeated: [],
    tally: { records: 0, duplicates: 0, late: 0, gaps: 0, anomalies: 0 },
  }
  if ('previous' in known.own) write(draft, startBody(tools, known.own.previous))
  return draft
}

/** Adds a record of the auditor's own, and gives its index. */
function write(draft: Draft, body: EventBody): number {
  const { record, chain } = ownRecord(draft.own, body, draft.tools)
  draft.own = chain
  return draft.known.size + draft.entries.push(record) - 1
}

function place(draft: Draft, arrival: Arrival, record: ArrivedRecord): void {
  const { event } = record
  const cursor = draft.cursors.get(event.epoch) ?? draft.known.cursors.get(event.epoch)
  const foreign = foreignness(draft, arrival, record, cursor)
  const next = cursor?.row.nextSeq ?? 0
  if (foreign) report(draft, arrival, 'foreign_key', foreign, record)
  else if (cursor && event.seq < next) placeBehind(draft, arrival, record, cursor)
  else placeAhead(draft, arrival, record, cursor, next)
}

/** The next number, or one after a hole. */
function placeAhead(
  draft: Draft,
  arrival: Arrival,
  record: ArrivedRecord,
  cursor: Cursor | undefined,
  next: number,
): void {
  const { event } = record
  if (event.seq > next) openHole(draft, record, next)
  const expected = event.seq === next && cursor ? (cursor.lastHex ?? toHex(cursor.row.lastHash)) : undefined
  keep(draft, record)
  advance(draft, record, cursor)
  if (expected !== undefined && event.prev !== expected) {
    report(draft, arrival, 'broken_chain', 'its prev is not the hash of the record before', record)
  }
  inspect(draft, arrival, record)
}

function foreignness(
  { known, tools }: Draft,
  arrival: Arrival,
  { event }: ArrivedRecord,
  cursor: Cursor | undefined,
): string | undefined {
  if (event.producer === tools.name.producer) return 'it claims to be of the auditor'
  if (event.producer !== arrival.key) return `it came under the key ${arrival.key.slice(0, 256).toWellFormed()}`
  if (cursor && cursor.row.producer !== event.producer) return `its epoch is that of ${cursor.row.producer}`
  if (cursor && partitionOf(cursor.row.shard) !== partitionOf(known.shard)) {
    return `its epoch is pinned to partition ${partitionOf(cursor.row.shard)}`
  }
  return undefined
}

/** A number below the cursor: it was missed and comes late, it comes again, or there are two of it. */
function placeBehind(draft: Draft, arrival: Arrival, record: ArrivedRecord, cursor: Cursor): void {
  const { event } = record
  const hole = holeAt(draft.holes.get(event.epoch) ?? [], event.seq)
  if (hole) {
    const before = recordAt(draft, record, -1, cursor)
    const after = recordAt(draft, record, 1, cursor)
    hole.filled.add(event.seq)
    keep(draft, record)
    draft.tally.late++
    const broken = (before && event.prev !== before.hash) || (after?.prev && after.prev !== record.hashHex)
    if (broken) report(draft, arrival, 'broken_chain', 'it came late and does not fit its neighbours', record)
    inspect(draft, arrival, record)
  } else if (recordAt(draft, record, 0, cursor)?.hash === record.hashHex) {
    draft.tally.duplicates++
    if (record.beside) draft.repeated.push(record)
  } else {
    report(draft, arrival, 'equivocation', 'its number was taken by a record with other bytes', record)
  }
}

function recordAt(draft: Draft, { event }: ArrivedRecord, step: -1 | 0 | 1, cursor: Cursor): StoredRecord | undefined {
  const id = decisionId({ epoch: event.epoch, seq: event.seq + step })
  const found = placedIn(draft).get(id) ?? draft.known.stored.get(id)
  if (found) return found
  const { row } = draft.known.cursors.get(event.epoch) ?? cursor
  return event.seq + step === row.nextSeq - 1 ? { hash: toHex(row.lastHash), prev: undefined } : undefined
}

function placedIn(draft: Draft): ReadonlyMap<string, StoredRecord> {
  for (; draft.indexed < draft.entries.length; draft.indexed++) {
    const { event, hashHex } = draft.entries[draft.indexed]!
    if (event.producer === draft.tools.name.producer) continue // The auditor's own, which nobody sends.
    draft.placed.set(decisionId(event), { hash: hashHex, prev: event.prev })
  }
  return draft.placed
}

function keep(draft: Draft, record: ArrivedRecord): void {
  draft.entries.push(record)
  draft.tally.records++
}

function advance(draft: Draft, { event, hash, hashHex }: ArrivedRecord, cursor: Cursor | undefined): void {
  const at = atOf(event)
  const { shard } = draft.known // An epoch goes on in the log that follows its own.
  const row: EpochRow = {
    epoch: event.epoch,
    producer: event.producer,
    shard,
    nextSeq: event.seq + 1,
    lastHash: hash,
    attestedSeq: cursor?.row.attestedSeq ?? -1,
    final: cursor?.row.final ?? false,
    startedAt: cursor?.row.startedAt ?? at,
    lastAt: at,
    previous: cursor?.row.previous ?? null,
  }
  draft.cursors.set(event.epoch, { row, announced: cursor?.announced ?? [], lastHex: hashHex })
}

/** What the ledger itself reads in a body: the certificates of an epoch, and the heads signed with them. */
function inspect(draft: Draft, arrival: Arrival, record: ArrivedRecord): void {
  const { event } = record
  if (event.kind !== 'start' && event.kind !== 'svid' && event.kind !== 'head') return
  const cursor = draft.cursors.get(event.epoch) ?? draft.known.cursors.get(event.epoch)!
  if (event.kind !== 'head') {
    const announced = announcedBy(event, draft.tools.sha256)
    const previous = quotedBy(event) ?? cursor.row.previous
    draft.cursors.set(event.epoch, {
      row: { ...cursor.row, previous },
      announced: announced ? withAnnounced(cursor.announced, announced) : cursor.announced,
    })
    return
  }
  const wrong = headFault(event, cursor.announced, draft.tools)
  if (wrong) {
    report(draft, arrival, 'bad_head', wrong, record)
    return
  }
  const attestedSeq = Math.max(cursor.row.attestedSeq, event.seq)
  const row = { ...cursor.row, attestedSeq, final: cursor.row.final || event.final === true }
  draft.cursors.set(event.epoch, { ...cursor, row })
}

function openHole(draft: Draft, { event }: ArrivedRecord, first: number): void {
  const { producer, epoch } = event
  const last = event.seq - 1
  const openedIndex = write(draft, { kind: 'gap', action: 'opened', of: { producer, epoch }, first, last })
  const holes = draft.holes.get(epoch) ?? []
  holes.push({ first, last, openedIndex, stored: false, filled: new Set() })
  draft.holes.set(epoch, holes)
  draft.tally.gaps++
}

/** One entry for each run of numbers that came late, after all of them. */
function closeHoles(draft: Draft): Admitted['gaps'] {
  const gone: { epoch: string; first: number }[] = []
  const rows: GapRow[] = []
  for (const [epoch, holes] of draft.holes) {
    const cursor = draft.cursors.get(epoch) ?? draft.known.cursors.get(epoch)
    for (const hole of holes) {
      if (hole.stored && hole.filled.size === 0) continue
      const of: GapBody['of'] = { producer: cursor!.row.producer as SpiffeId, epoch: epoch as Epoch }
      const closed = filledRanges(hole).map(({ first, last }) => ({
        first,
        last,
        index: write(draft, { kind: 'gap', action: 'closed', of, first, last }),
      }))
      if (hole.stored) gone.push({ epoch, first: hole.first })
      rows.push(...rowsOf(epoch, hole, closed))
    }
  }
  return { gone, rows }
}

function reportMalformed(draft: Draft, arrival: Arrival, malformed: NonNullable<Arrival['malformed']>): void {
  const { count, wrong, bytes } = malformed
  anomaly(draft, arrival, 'malformed', count === 1 ? wrong : `${count} lines, the first ${wrong}`, bytes, undefined)
}

function report(
  draft: Draft,
  arrival: Arrival,
  kind: AnomalyBody['anomaly'],
  detail: string,
  { bytes, event }: ArrivedRecord,
): void {
  anomaly(draft, arrival, kind, detail, bytes, { producer: event.producer, epoch: event.epoch, seq: event.seq })
}

function anomaly(
  draft: Draft,
  arrival: Arrival,
  kind: AnomalyBody['anomaly'],
  detail: string,
  bytes: Uint8Array,
  of: AnomalyBody['of'],
): void {
  // What is offered again was complained about the first time. A record that is still new was kept all the same.
  if (arrival.again) return
  const body: AnomalyBody = {
    kind: 'anomaly',
    anomaly: kind,
    ...(of ? { of } : {}),
    partition: partitionOf(draft.known.shard),
    offset: arrival.offset,
    sha256: toHex(draft.tools.sha256(bytes)),
    bytes: toBase64(bytes.subarray(0, maxEvidence)),
    detail,
  }
  write(draft, body)
  draft.anomalies.push(body)
  draft.tally.anomalies++
}

/** Row of the auditor's own epoch, which no head ever covers. */
export function ownEpochRow(own: OwnChain, shard: number, producer: string, at: string): EpochRow {
  return {
    epoch: own.epoch,
    producer,
    shard,
    nextSeq: own.nextSeq,
    lastHash: fromHex(own.prev)!,
    attestedSeq: -1,
    final: false,
    startedAt: at,
    lastAt: at,
    previous: null,
  }
}
