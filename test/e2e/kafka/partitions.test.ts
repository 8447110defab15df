import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { afterAll, beforeAll, expect } from 'vitest'
import { parseVerifierKey } from '../../../audit/log/note.ts'
import { openAuditor } from '../../../audit/node/auditor.ts'
import { verifyPlace } from '../../../audit/node/examine.ts'
import { kafkaStream, prepareKafka, runKafkaIngest } from '../../../audit/node/kafka.ts'
import { openRecorder } from '../../../audit/node/recorder.ts'
import { openFileSigner } from '../../../audit/node/signer.ts'
import { openStore } from '../../../audit/node/store.ts'
import { records } from '../../../audit/store/schema.ts'
import type { RecordSink } from '../../../core/ports.ts'
import { decision, id, identity, random, recorderOptions, settings, sha256, td } from '../../audit/node/spool-kit.ts'
import { type RunningKafka, startKafka } from '../../parts/kafka.ts'
import { needs } from '../../parts/needs.ts'
import { eventually } from './kit.ts'

const test = needs('kafka')

let broker: RunningKafka
let dir: string
beforeAll(async () => {
  broker = await startKafka()
  dir = await mkdtemp(join(tmpdir(), 'writ-partitions-'))
})
afterAll(async () => {
  await broker?.remove()
  if (dir) await rm(dir, { recursive: true, force: true })
})

test('partitions are raised under load: running epochs stay, new ones spread, nothing is foreign, and each log verifies', async () => {
  const topic = 'records'
  const prepare = (partitions: number) =>
    prepareKafka({ brokers: [broker.broker], topic, partitions, replication: 1, proxies: [], auditors: [] })
  await prepare(1)
  const store = await openStore({ kind: 'pglite' })
  const signer = await openFileSigner({ dir: join(dir, 'signer'), name: `${td}/audit`, sha256 })
  const now = () => BigInt(Date.now()) * 1_000_000n
  const anomalies: string[] = []
  const auditor = await openAuditor({
    ...{ store, signer, now, random, sha256 },
    logDir: join(dir, 'log'),
    trustDomain: td,
    cluster: 'lab',
    software: 'writ test',
    verifyHead: () => ({ ok: true }),
    rootsOf: () => [],
    onEvent: (event) => event.kind === 'anomaly' && anomalies.push(event.anomaly.detail),
  })
  auditor.start()
  const ingest = await runKafkaIngest({
    ...{ topic, ingest: auditor.ingest, onEvent: () => undefined },
    brokers: [broker.broker],
    groupId: `${topic}.auditor`,
    offsetOf: (partition) => auditor.nextOffset(partition),
  })
  const recorder = await openRecorder(
    recorderOptions({
      stream: await kafkaStream({ brokers: [broker.broker], topic, clientId: 'proxy' }),
      findReceipt: auditor.findReceipt,
      verifyReceipt: () => true,
      rollAfterMs: 200,
      releaseEveryMs: 50,
      settings: settings({ segmentBytes: 128 * 1024 }),
    }),
  )

  let kept = 0
  let over = false
  const work = async (sink: RecordSink, name: string): Promise<void> => {
    while (!over) {
      await sink.keep(decision('allow', { workload: id(name) }))
      kept++
      await pause(2)
    }
  }
  const open = async (name: string): Promise<RecordSink> => recorder.producer({ id: id(name), ...identity(name) })
  const early = await Promise.all(Array.from({ length: 4 }, (_, i) => open(`early-${i}`)))
  const idle = await open('idle') // All it has in the spool is released before it goes on.
  const working = early.map((sink, i) => work(sink, `early-${i}`))
  await eventually(
    () => kept > 300,
    () => kept,
  )

  expect((await prepare(4)).changes).toContain(
    'partitions raised from 1 to 4: running epochs stay where they began, new ones spread over all',
  )
  const late = await Promise.all(Array.from({ length: 12 }, (_, i) => open(`late-${i}`)))
  working.push(...late.map((sink, i) => work(sink, `late-${i}`)))
  const raisedAt = kept
  await eventually(
    () => kept > raisedAt + 2000,
    () => kept,
  )
  over = true
  await Promise.all(working)
  await idle.keep(decision('allow', { workload: id('idle') }))
  kept++
  await recorder.close({ timeoutMs: 60_000 })
  const decisionsIn = async () =>
    (
      await store.db.select({ kind: records.kind, shard: records.shard, producer: records.producer }).from(records)
    ).filter(({ kind }) => kind === 'decision')
  let found: Awaited<ReturnType<typeof decisionsIn>> = []
  const looking = (async () => {
    while (found.length < kept) {
      found = await decisionsIn()
      await pause(200)
    }
  })()
  await eventually(
    () => found.length >= kept,
    () => [found.length, kept, anomalies],
  )
  await looking
  await auditor.checkpoint()

  expect(anomalies).toEqual([])
  expect(found).toHaveLength(kept)
  const shardsOf = (prefix: string) =>
    [...new Set(found.filter(({ producer }) => producer.includes(prefix)).map(({ shard }) => shard))].sort()
  expect(shardsOf('/early-')).toEqual([0])
  expect(shardsOf('/idle')).toEqual([0])
  expect(shardsOf('/late-').length).toBeGreaterThan(1) // Of 12 epochs drawn by chance: all on one is 1 in 4 million.
  expect((await readdir(join(dir, 'log'))).sort()).toEqual([...new Set(found.map(({ shard }) => String(shard)))].sort())
  const { verification } = await verifyPlace({
    dir: join(dir, 'log'),
    key: parseVerifierKey(sha256, signer.verifierKey)!,
    verifyHead: () => ({ ok: true }),
    sha256,
    db: store.db,
    pinned: [{ trustDomain: td, sequence: 0, fromMs: 0, roots: [Uint8Array.of(1)], id: '' }],
  })
  expect(verification.findings.filter(({ level }) => level === 'broken').slice(0, 3)).toEqual([])
  expect(verification.epochs.every(({ missing }) => missing === 0)).toBe(true)
  await ingest.close()
  await auditor.close()
  await signer.close()
  await store.close()
}, 180_000)
