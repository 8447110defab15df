/**
 * Decisions into a ledger by the auditor's own functions: records are numbered and chained, rows go in by
 * `prepareEntries` and `insertEntries`, leaves into a log folder. Left out are the stream, signed heads, signed
 * checkpoints, and the buffer of leaves.
 */

import { randomBytes } from 'node:crypto'
import { tileWidth } from '../../audit/log/tiles.ts'
import type { LogFolder } from '../../audit/node/folder.ts'
import type { Store } from '../../audit/node/store.ts'
import type { ArrivedRecord } from '../../audit/store/arrival.ts'
import { insertEntries, newMemory, prepareEntries, upsertEpochs } from '../../audit/store/ledger.ts'
import { newProducer, type Producer, seal } from '../../audit/stream/producer.ts'
import { sha256 } from '../../cli/wire/machine.ts'
import { fromHex } from '../../core/bytes.ts'
import { type AuditEvent, type EventBody, newEpoch, type OutcomeItem } from '../../core/record.ts'
import { spiffeId } from '../../core/spiffe.ts'
import { formatTime } from '../../core/time.ts'
import { trustDomain } from '../certificates.ts'
import { certificateMs, type Made, names, replicas, serialOf } from './mesh.ts'

export const shard = 0
/** Decisions in one transaction, about what a second brings under load. */
const perBatch = 2500
const outcomesTogether = 100
const hourMs = 3_600_000

interface Run {
  producer: Producer
  readonly startMs: number
  ended: OutcomeItem[]
}

export interface Piece {
  readonly store: Store
  /** Where leaves go; it holds as many as the piece before wrote into it. */
  readonly folder: LogFolder
  /** Index of its first leaf. */
  readonly first: number
  readonly rows: number
  readonly fromMs: number
  readonly toMs: number
  readonly decide: (number: number, atMs: number) => Made
}

/** Writes a piece, and gives how many leaves it has: a multiple of 256. */
export async function writePiece({ store, folder, first, rows, fromMs, toMs, decide }: Piece): Promise<number> {
  const memory = newMemory()
  const runs = new Map<string, Run>()
  let entries: ArrivedRecord[] = []
  let [size, hour, window] = [first, 0, 0]

  const keep = (run: Run, body: EventBody, atMs: number): number => {
    const { producer, records } = seal(run.producer, body, nsOf(atMs), sha256)
    const { td, cluster, id, epoch, prev } = run.producer
    const { seq, leaf, hash } = records[0]!
    const envelope = { v: 1 as const, td, cluster, producer: id, epoch, seq, prev, timestamp: formatTime(nsOf(atMs)) }
    run.producer = producer
    entries.push({
      event: { ...envelope, ...body } as AuditEvent,
      bytes: leaf.subarray(1),
      hash: fromHex(hash)!,
      hashHex: hash,
    })
    return seq
  }
  const runOf = (name: string, id: Producer['id'], atMs: number): Run => {
    const known = runs.get(name)
    if (known) return known
    const epoch = newEpoch((length) => randomBytes(length))
    const run: Run = {
      producer: newProducer({ td: trustDomain, cluster: 'bench', id, epoch }, nsOf(atMs)),
      startMs: atMs,
      ended: [],
    }
    memory.told.begin(epoch, 0)
    runs.set(name, run)
    keep(run, { kind: 'start', software: 'writ bench', svid: [] }, atMs)
    return run
  }
  const flush = (run: Run, atMs: number): void => {
    if (run.ended.length > 0) keep(run, { kind: 'outcomes', outcomes: run.ended }, atMs)
    run.ended = []
  }
  /** What comes beside decisions: issuance twice a day, refused strangers each hour. */
  const aside = (atMs: number): void => {
    if (Math.floor(atMs / certificateMs) !== window) {
      window = Math.floor(atMs / certificateMs)
      const control = runOf('control', spiffeId(trustDomain, 'writ/control')!, atMs)
      for (const [caller, subject] of names.entries()) {
        for (let replica = 0; replica < replicas; replica++) {
          const [from, to] = [nsOf(window * certificateMs), nsOf((window + 2) * certificateMs)]
          keep(
            control,
            {
              ...{ kind: 'issuance', action: 'renewed', subject, serial: serialOf(caller, replica, window) },
              ...{ not_before: formatTime(from), not_after: formatTime(to), evidence: 'svid:5a' },
            },
            atMs,
          )
        }
      }
    }
    if (Math.floor(atMs / hourMs) === hour) return
    hour = Math.floor(atMs / hourMs)
    const edge = runOf('edge', names[0]!, atMs)
    const refusals = [{ source: '192.0.2.7', code: 'identity_missing', count: 12, detail: 'no certificate' }]
    keep(edge, { kind: 'refusals', listener: 'edge/https', refusals, others: 3 }, atMs)
  }
  const write = async (): Promise<void> => {
    const batch = entries
    entries = []
    const prepared = await prepareEntries(store.db, shard, size, batch, memory)
    await store.transaction((tx) => insertEntries(tx, prepared && { ...prepared, chunks: [] }))
    await folder.append(batch)
    size += batch.length
  }

  for (let done = 0; done < rows; await write()) {
    for (let i = 0; i < perBatch && done < rows; i++, done++) {
      const atMs = fromMs + ((toMs - fromMs) * done) / rows
      aside(atMs)
      const { workload, replica, body } = decide(done, atMs)
      const run = runOf(`${workload}/${replica}`, names[workload]!, atMs)
      run.ended.push(endOf(keep(run, body, atMs), body.verdict, done))
      if (run.ended.length === outcomesTogether) flush(run, atMs)
    }
    if (done < rows) continue
    for (const run of runs.values()) flush(run, toMs - 1)
    const { id } = runs.values().next().value!.producer
    const last = runOf('filler', id, toMs - 1)
    while ((size + entries.length) % tileWidth !== 0)
      keep(last, { kind: 'refusals', listener: '', refusals: [], others: 0 }, toMs - 1)
  }
  await store.transaction((tx) =>
    upsertEpochs(
      tx,
      [...runs.values()].map((run) => epochRowOf(run, toMs)),
    ),
  )
  return size - first
}

const epochRowOf = ({ producer: { epoch, id, next }, startMs }: Run, toMs: number) => ({
  ...{
    epoch,
    producer: id,
    shard,
    nextSeq: next,
    lastHash: new Uint8Array(32),
    attestedSeq: next - 1,
    final: true,
    previous: '',
  },
  ...{ startedAt: new Date(startMs).toISOString(), lastAt: new Date(toMs - 1).toISOString() },
})

const nsOf = (ms: number): bigint => BigInt(Math.floor(ms * 1000)) * 1000n

const endOf = (seq: number, verdict: string, number: number): OutcomeItem => ({
  ...(verdict === 'allow'
    ? { code: 'completed', status: number % 50 === 0 ? 502 : 200, upstream: `10.2.${seq % 3}.9:8080` }
    : { code: 'refused', status: 403, upstream: '' }),
  ...{ seq, request_bytes: number % 4 === 0 ? 200 + (number % 900) : 0, response_bytes: 512 + (number % 4000) },
  duration_us: 300 + ((number * 7919) % 20_000),
})
