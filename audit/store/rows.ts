/** What one batch of leaves becomes in the store, as lines for COPY: rows, ends, and where they are. */

import { type ArrivedRecord, rowOf } from './arrival.ts'
import { idField, nothing, textField, textsField } from './copy.ts'
import type { Dictionaries, Entry } from './dictionary.ts'
import { type OutcomeRow, outcomeRowsOf, type RecordRow } from './row.ts'
import { usualKinds } from './volume.ts'

/** Decisions whose numbers share all but their last eight bits have their ends together. */
export const bucketSize = 256

/** A leaf with its row, and the keys of what the dictionaries hold of it. */
export interface Extract {
  readonly index: number
  readonly row: RecordRow
  readonly shape: string
  readonly peer: string | undefined
  readonly ends: readonly OutcomeRow[]
}

/** Reads every leaf once, and tells the dictionaries what will be asked of them. */
export function extract(entries: readonly ArrivedRecord[], size: number, words: Dictionaries): readonly Extract[] {
  words.begin()
  const keyOf = shapeKeys()
  let run = ''
  return entries.map((entry, i) => {
    const row = rowOf(entry)
    const key = keyOf(row)
    const peer = row.serial === null && row.sourceAddress === null ? undefined : peerKey(row)
    const ends = entry.row ? [] : outcomeRowsOf(entry.event)
    if (row.epoch !== run) words.runs.want(row.epoch, () => [row.epoch, row.producer])
    run = row.epoch
    words.shapes.want(key, () => shapeOf(row))
    if (row.caller !== null) words.names.want(row.caller, () => [row.caller])
    if (peer !== undefined) words.peers.want(peer, () => [row.serial, row.sourceAddress])
    for (const { code, upstream } of ends) {
      words.names.want(code, () => [code])
      words.names.want(upstream, () => [upstream])
    }
    return { index: size + i, row, shape: key, peer, ends }
  })
}

function shapeOf(row: RecordRow): Entry {
  const { kind, direction, workload, listener, target, service, method, verdict, code, by, enforced } = row
  return [
    ...[kind, direction, workload, listener, target, service, method, verdict, code, by],
    ...[enforced, row.bundle, row.revision, row.policySha256, row.reasons !== null],
  ]
}

/** Shapes that are compared before a key is made. */
const recentShapes = 8

/** The key of a row's shape. Rows that come together have few, so what it was of the last ones is looked at first. */
function shapeKeys(): (row: RecordRow) => string {
  const recent: { readonly row: RecordRow; readonly key: string }[] = []
  let oldest = 0
  return (row) => {
    for (const known of recent) if (isSameShape(known.row, row)) return known.key
    const key = shapeOf(row).map(mark).join('\0')
    recent[oldest] = { row, key }
    oldest = (oldest + 1) % recentShapes
    return key
  }
}

const isSameShape = (a: RecordRow, b: RecordRow): boolean =>
  a.method === b.method &&
  a.verdict === b.verdict &&
  a.workload === b.workload &&
  a.kind === b.kind &&
  a.direction === b.direction &&
  a.listener === b.listener &&
  a.target === b.target &&
  a.service === b.service &&
  a.code === b.code &&
  a.by === b.by &&
  a.enforced === b.enforced &&
  a.bundle === b.bundle &&
  a.revision === b.revision &&
  a.policySha256 === b.policySha256 &&
  (a.reasons !== null) === (b.reasons !== null)

/** No text of a row holds U+0000, so that keys of different entries differ. */
const mark = (value: string | boolean | null): string =>
  value === null ? '-' : typeof value === 'string' ? `+${value}` : String(value)

const peerKey = ({ serial, sourceAddress }: RecordRow): string => `${mark(serial)}\0${mark(sourceAddress)}`

export const rowColumns: readonly string[] = [
  ...['at', 'index', 'seq', 'shard', 'run', 'shape', 'caller', 'peer', 'request', 'trace', 'path', 'reasons'],
]

export function rowLines(shard: number, extracts: readonly Extract[], words: Dictionaries): string {
  let lines = ''
  for (const { index, row, shape, peer } of extracts) {
    const caller = row.caller === null ? nothing : words.names.id(row.caller)
    const reasons = row.reasons === null || row.reasons.length === 0 ? nothing : textsField(row.reasons)
    lines +=
      `${row.at}\t${index}\t${row.seq}\t${shard}\t${words.runs.id(row.epoch)}\t${words.shapes.id(shape)}\t${caller}\t` +
      `${peer === undefined ? nothing : words.peers.id(peer)}\t${idField(row.requestId)}\t${idField(row.traceId)}\t` +
      `${textField(row.path)}\t${reasons}\n`
  }
  return lines
}

export const endColumns: readonly string[] = [
  ...['at', 'index', 'bucket', 'shard', 'run', 'seqs', 'codes', 'statuses', 'requests', 'responses', 'durations'],
  ...['upstreams', 'tried'],
]

/** `fresh` says of each outcome whether it is the first of its decision. */
export function endLines(
  shard: number,
  extracts: readonly Extract[],
  words: Dictionaries,
  fresh: (outcome: OutcomeRow) => boolean,
): string {
  let lines = ''
  for (const { index, row, ends } of extracts) {
    const buckets = new Map<number, OutcomeRow[]>()
    for (const end of ends) {
      if (!fresh(end)) continue
      const bucket = Math.floor(end.seq / bucketSize)
      const list = buckets.get(bucket)
      if (list) list.push(end)
      else buckets.set(bucket, [end])
    }
    for (const [bucket, list] of buckets) {
      const of = (value: (end: OutcomeRow) => number): string => arrayOf(list.map(value))
      lines +=
        `${row.at}\t${index}\t${bucket}\t${shard}\t${words.runs.id(row.epoch)}\t{${list.map(({ seq }) => seq % bucketSize).join(',')}}\t` +
        `${of(({ code }) => words.names.id(code))}\t${of(({ status }) => status)}\t${of((end) => end.requestBytes)}\t` +
        `${of((end) => end.responseBytes)}\t${of((end) => end.durationUs)}\t` +
        `${of(({ upstream }) => words.names.id(upstream))}\t${triedOf(list)}\n`
    }
  }
  return lines
}

/** Where all are the same, one stands for them: the view `outcomes` reads it so. */
const arrayOf = (values: readonly number[]): string =>
  values.every((value) => value === values[0]) ? `{${values[0]}}` : `{${values.join(',')}}`

/** Of each a text: why it was not tried again, and then its attempts, a line each. Nothing where all went at once. */
const triedOf = (list: readonly OutcomeRow[]): string => {
  const texts = list.map(({ attempts, stopped }) => [stopped ?? '', ...attempts].join('\n'))
  return texts.some((text) => text !== '') ? textsField(texts) : '{}'
}

interface Span {
  readonly firstSeq: number
  lastSeq: number
  readonly first: number
  last: number
  firstAt: string
  lastAt: string
}

export const spanColumns: readonly string[] = [
  ...['run', 'first_seq', 'last_seq', 'shard', 'first', 'last', 'first_at', 'last_at'],
]

/** Numbers of a run that follow each other without a hole. */
export function spanLines(shard: number, extracts: readonly Extract[], words: Dictionaries): string {
  const open = new Map<string, Span[]>()
  for (const { index, row } of extracts) {
    const spans = open.get(row.epoch) ?? []
    const last = spans.at(-1)
    if (last?.lastSeq === row.seq - 1) {
      last.lastSeq = row.seq
      last.last = index
      if (row.at < last.firstAt) last.firstAt = row.at
      if (row.at > last.lastAt) last.lastAt = row.at
    } else {
      const { seq, at } = row
      spans.push({ firstSeq: seq, lastSeq: seq, first: index, last: index, firstAt: at, lastAt: at })
    }
    open.set(row.epoch, spans)
  }
  let lines = ''
  for (const [epoch, spans] of open) {
    const run = words.runs.id(epoch)
    for (const { firstSeq, lastSeq, first, last, firstAt, lastAt } of spans) {
      lines += `${run}\t${firstSeq}\t${lastSeq}\t${shard}\t${first}\t${last}\t${firstAt}\t${lastAt}\n`
    }
  }
  return lines
}

export const otherColumns: readonly string[] = ['shard', 'kind', 'index', 'at']

/** Records of kinds that are seldom, where they are looked for by their kind. */
export const otherLines = (shard: number, extracts: readonly Extract[]): string =>
  extracts
    .filter(({ row }) => !usualKinds.includes(row.kind))
    .map(({ index, row }) => `${shard}\t${row.kind}\t${index}\t${row.at}\n`)
    .join('')

/** The earliest and the latest time among the rows; there is at least one. */
export function timesOf(extracts: readonly Extract[]): { readonly firstAt: string; readonly lastAt: string } {
  let firstAt = extracts[0]!.row.at
  let lastAt = firstAt
  for (const { row } of extracts) {
    if (row.at < firstAt) firstAt = row.at
    if (row.at > lastAt) lastAt = row.at
  }
  return { firstAt, lastAt }
}
