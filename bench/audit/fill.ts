/** Many decisions quickly, by the auditor's own insert code: days of traffic in one shard of its own. */

import { randomBytes } from 'node:crypto'
import { sql } from 'drizzle-orm'
import { openStore } from '../../audit/node/store.ts'
import { tendStore } from '../../audit/node/tend.ts'
import type { ArrivedRecord } from '../../audit/store/arrival.ts'
import { insertEntries, newMemory, prepareEntries, upsertEpochs } from '../../audit/store/ledger.ts'
import { type AuditEvent, newEpoch, noHash } from '../../core/record.ts'
import { spiffeId } from '../../core/spiffe.ts'
import { formatTime } from '../../core/time.ts'
import { trustDomain } from '../certificates.ts'
import { decisionOf, workloads } from './traffic.ts'

const shard = 1000
const perBatch = 10_000
/** Over how long a time the decisions are spread. */
const days = 3

export async function fillRows(
  url: string,
  rows: number,
  withinMs: number,
  say: (text: string) => void,
): Promise<number> {
  const store = await openStore({ kind: 'postgres', url })
  await store.db.execute(sql`select writ_partitions(3)`)
  // Leaves are not asked for: their bytes stay away, and only rows and what leads to them are filled.
  const db = Object.assign(store.db, { means: { ...store.db.means!, compress: async () => new Uint8Array(0) } })
  const end = BigInt(Date.now()) * 1_000_000n
  const stepNs = (BigInt(days) * 86_400_000_000_000n) / BigInt(rows)
  const memory = newMemory()
  const runs = workloads.map((name) => ({
    ...{ producer: spiffeId(trustDomain, name)!, epoch: newEpoch((length) => randomBytes(length)), seq: 0 },
  }))
  for (const { epoch } of runs) memory.told.begin(epoch, 0)
  const due = performance.now() + withinMs
  let done = 0
  for (let size = 0; done < rows && performance.now() < due; ) {
    const entries: ArrivedRecord[] = []
    const ends = new Map<string, number[]>()
    for (let i = 0; i < perBatch; i++, done++) {
      const run = runs[done % runs.length]!
      const atNs = end - stepNs * BigInt(rows - done)
      const body = decisionOf(run.producer, done, atNs, randomBytes(16))
      ends.set(run.epoch, [...(ends.get(run.epoch) ?? []), run.seq])
      entries.push(entryOf(run, atNs, body as unknown as AuditEvent))
    }
    for (const run of runs) {
      const seqs = ends.get(run.epoch)!
      for (let from = 0; from < seqs.length; from += 200) {
        const outcomes = seqs.slice(from, from + 200).map((seq) => ({
          ...{ seq, code: 'completed', status: seq % 50 === 0 ? 502 : 200, request_bytes: 0, response_bytes: 1432 },
          ...{ duration_us: 300 + (seq % 9000), upstream: '10.0.3.17:8080' },
        }))
        entries.push(entryOf(run, end - stepNs * BigInt(rows - done), { kind: 'outcomes', outcomes } as never))
      }
    }
    const prepared = await prepareEntries(db, shard, size, entries, memory)
    await store.transaction(async (tx) => {
      await insertEntries(tx, prepared)
      if (size > 0) return
      const at = formatTime(end - stepNs * BigInt(rows)).replace(/\d{3}Z$/, 'Z')
      await upsertEpochs(
        tx,
        runs.map(({ epoch, producer, seq }) => ({
          ...{ epoch, producer, shard, nextSeq: seq, lastHash: new Uint8Array(32), attestedSeq: seq, final: false },
          ...{ startedAt: at, lastAt: at, previous: null },
        })),
      )
    })
    size += entries.length
    if (done % 500_000 === 0) {
      await tendStore(store, [shard])
      say(`${done} decisions`)
    }
  }
  await tendStore(store, [shard])
  for (const table of ['rows', 'ends', 'rollups', 'spans', 'batches', 'shapes', 'names']) {
    await store.db.execute(sql.raw(`vacuum analyze ${table}`))
  }
  await store.close()
  return done
}

function entryOf(
  run: { readonly producer: string; readonly epoch: string; seq: number },
  atNs: bigint,
  body: AuditEvent,
): ArrivedRecord {
  const envelope = { v: 1, td: trustDomain, cluster: 'bench', prev: noHash, timestamp: formatTime(atNs) }
  const event = { ...body, ...envelope, producer: run.producer, epoch: run.epoch, seq: run.seq++ } as AuditEvent
  return { event, bytes: new Uint8Array(0), hash: new Uint8Array(32), hashHex: '' }
}
