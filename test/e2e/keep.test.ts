import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import pg from 'pg'
import { afterAll, beforeAll, expect } from 'vitest'
import { parseVerifierKey } from '../../audit/log/note.ts'
import { type Auditor, openAuditor } from '../../audit/node/auditor.ts'
import { makeBackup } from '../../audit/node/backup.ts'
import { verifyPlace } from '../../audit/node/examine.ts'
import { kafkaStream, prepareKafka, runKafkaIngest } from '../../audit/node/kafka.ts'
import { openRecorder } from '../../audit/node/recorder.ts'
import { restoreBackup } from '../../audit/node/restore.ts'
import { openFileSigner } from '../../audit/node/signer.ts'
import { openStore, type Store } from '../../audit/node/store.ts'
import { records } from '../../audit/store/schema.ts'
import type { RecordSink } from '../../core/ports.ts'
import { decision, id, identity, random, recorderOptions, sha256, td } from '../audit/node/spool-kit.ts'
import { type RunningKafka, startKafka } from '../parts/kafka.ts'
import { needs } from '../parts/needs.ts'
import { type RunningPostgres, startPostgres } from '../parts/postgres.ts'
import { eventually } from './kafka/kit.ts'

const test = needs('kafka', 'postgres')

let broker: RunningKafka
let server: RunningPostgres
let dir: string
beforeAll(async () => {
  ;[broker, server] = await Promise.all([startKafka(), startPostgres()])
  dir = await mkdtemp(join(tmpdir(), 'writ-keep-'))
}, 120_000)
afterAll(async () => {
  await Promise.all([broker?.remove(), server?.remove()])
  if (dir) await rm(dir, { recursive: true, force: true })
})

async function newDatabase(name: string): Promise<Store> {
  const client = new pg.Client(server.url)
  await client.connect()
  await client.query(`create database ${name}`)
  await client.end()
  return openStore({ kind: 'postgres', url: server.url.replace(/\/postgres$/, `/${name}`) })
}

test('PostgreSQL and log folder lost under load: from a backup made under load and Kafka the same tree comes out', async () => {
  const topic = 'records'
  await prepareKafka({ brokers: [broker.broker], topic, partitions: 1, replication: 1 })
  const signer = await openFileSigner({ dir: join(dir, 'signer'), name: `${td}/audit`, sha256 })
  const now = () => BigInt(Date.now()) * 1_000_000n
  const verifyHead = () => ({ ok: true }) as const
  const run = async (
    store: Store,
    logDir: string,
    catchUp: boolean,
  ): Promise<{ auditor: Auditor; stop: () => Promise<void> }> => {
    const auditor = await openAuditor({
      ...{ store, signer, now, random, sha256, logDir, catchUp, verifyHead },
      trustDomain: td,
      cluster: 'lab',
      software: 'writ test',
      rootsOf: () => [],
      onEvent: () => undefined,
    })
    auditor.start()
    const ingest = await runKafkaIngest({
      ...{ topic, ingest: auditor.ingest, onEvent: () => undefined },
      brokers: [broker.broker],
      groupId: `${topic}.auditor`,
      offsetOf: (partition) => auditor.nextOffset(partition),
    })
    return {
      auditor,
      stop: async () => {
        await ingest.close()
        await auditor.close()
      },
    }
  }

  const lost = await newDatabase('lost')
  const first = await run(lost, join(dir, 'log'), false)
  const recorder = await openRecorder(
    recorderOptions({ stream: await kafkaStream({ brokers: [broker.broker], topic, clientId: 'proxy' }) }),
  )
  let kept = 0
  let over = false
  const names = ['orders', 'web', 'carts']
  const work = async (sink: RecordSink, name: string): Promise<void> => {
    while (!over) {
      await sink.keep(decision('allow', { workload: id(name) }))
      kept++
      await pause(2)
    }
  }
  const working = names.map(async (name) => work(await recorder.producer({ id: id(name), ...identity(name) }), name))
  const more = async (count: number): Promise<void> => {
    const from = kept
    await eventually(
      () => kept > from + count,
      () => kept,
    )
  }
  await more(1000)
  const published = join(dir, 'log/0/checkpoint')
  await eventually(
    () => existsSync(published),
    () => `nothing at ${published}`,
  )
  const manifest = await makeBackup(join(dir, 'backup'), {
    ...{ store: lost, sha256, at: '' },
    logDir: join(dir, 'log'),
    verifierKey: signer.verifierKey,
  })
  await more(2000)
  await first.stop()
  const signed = (await signer.last(`${td}/audit/0`))!
  await lost.close()
  await rm(join(dir, 'log'), { recursive: true })
  await more(300) // The proxies go on meanwhile.

  const store = await newDatabase('restored')
  const restored = await restoreBackup(join(dir, 'backup'), {
    ...{ store, verifyHead, sha256, now },
    logDir: join(dir, 'restored'),
  })
  expect(restored.shards).toEqual([{ shard: 0, from: 0, size: manifest.shards[0]!.size }])
  expect(manifest.shards[0]!.size).toBeLessThan(signed.size)
  const second = await run(store, join(dir, 'restored'), true)
  over = true
  await Promise.all(working)
  await recorder.close({ timeoutMs: 60_000 })
  let found = 0
  const looking = (async () => {
    while (found < kept) {
      await pause(200)
      found = (await store.db.select({ kind: records.kind }).from(records)).filter(
        ({ kind }) => kind === 'decision',
      ).length
    }
  })()
  await eventually(
    () => found >= kept,
    () => [found, kept],
  )
  await looking
  await second.auditor.checkpoint()
  expect(found).toBe(kept)
  const { verification } = await verifyPlace({
    dir: join(dir, 'restored'),
    key: parseVerifierKey(sha256, signer.verifierKey)!,
    ...{ verifyHead, sha256, db: store.db },

    pinned: [{ trustDomain: td, sequence: 0, fromMs: 0, roots: [Uint8Array.of(1)], id: '' }],
  })
  expect(verification.findings.filter(({ level }) => level === 'broken').slice(0, 3)).toEqual([])
  expect(verification.epochs.every(({ missing }) => missing === 0)).toBe(true)
  expect(verification.shards[0]!.size).toBeGreaterThan(signed.size)
  await second.stop()
  await signer.close()
  await store.close()
}, 240_000)
