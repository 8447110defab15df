/**
 * `npm run bench:clickhouse`: the topic that the auditor reads into PostgreSQL, read by a second consumer group into
 * ClickHouse as `deploy/clickhouse/writ.sql` sets it up, and the same questions asked of both. Broker and PostgreSQL are
 * real. Of ClickHouse there is the engine in one process (chdb), which makes no Kafka tables: in the place of `writ_stream` a
 * client of Kafka inserts what its group is given, and everything behind it is as the file says.
 * Usage: node bench/clickhouse.ts [--decisions 110000] [--partitions 2]
 */

import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import pg from 'pg'
import type { HashAt } from '../audit/log/merkle.ts'
import { newestCheckpoint } from '../audit/log/prove.ts'
import { hashesFromTiles } from '../audit/log/tiles.ts'
import { tileReader } from '../audit/node/folder.ts'
import { prepareKafka } from '../audit/node/kafka.ts'
import { newKafka } from '../audit/node/kafka-client.ts'
import { batchCompression } from '../audit/node/kafka-codec.ts'
import { sha256 } from '../cli/wire/machine.ts'
import { toHex } from '../core/bytes.ts'
import { startKafka } from '../test/parts/kafka.ts'
import { startPostgres } from '../test/parts/postgres.ts'
import { alike, questionsOfBoth } from './audit/alike.ts'
import { type ClickHouse, startClickHouse } from './audit/chdb.ts'
import { startPart } from './audit/part.ts'
import { openStream } from './audit/stream.ts'
import { authorityIn } from './certificates.ts'
import { costOf } from './measure.ts'

const { values } = parseArgs({
  options: { decisions: { type: 'string', default: '110000' }, partitions: { type: 'string', default: '2' } },
})
const [decisions, partitions] = [Number(values.decisions), Number(values.partitions)]
const topic = 'writ.records.v1'
/** Decisions in a second of the traffic's own time: an hour has more of them than a certificate lives for. */
const rate = 40
/** Of one step of the stream, which is a fifth of a second. */
const perStep = rate / 5
const say = (text: string): void => console.log(`${new Date().toISOString().slice(11, 19)} ${text}`)

const folder = await mkdtemp(join(tmpdir(), 'writ-clickhouse-'))
const closing: (() => Promise<unknown>)[] = [() => rm(folder, { recursive: true, force: true, maxRetries: 5 })]
try {
  process.exitCode = (await compare()) ? 0 : 1
} finally {
  for (const step of closing.reverse()) await step().catch((thrown: unknown) => say(String(thrown)))
}
process.exit()

async function compare(): Promise<boolean> {
  authorityIn(join(folder, 'ca'))
  const postgres = await startPostgres({ settings: { shared_buffers: '256MB', max_connections: '50' } })
  closing.push(() => postgres.remove())
  const kafka = await startKafka()
  closing.push(() => kafka.remove())
  await prepareKafka({ brokers: [kafka.broker], topic, partitions, replication: 1, proxies: [], auditors: [] })
  const sent = await fill(kafka.broker)
  say(`${decisions} decisions are in the topic, in ${sent} records of ${partitions} partitions`)

  const auditor = startPart('bench/audit/auditor.ts', folder, kafka.broker, topic, postgres.url)
  closing.push(() => auditor.end())
  await auditor.ready()
  while ((auditor.last['ingested'] ?? 0) < sent) await pause(250)
  say('the auditor has all of it in PostgreSQL')

  const clickhouse = await startClickHouse(join(folder, 'clickhouse'))
  closing.push(() => clickhouse.close())
  await setUp(clickhouse)
  const before = costOf(clickhouse.pid()).cpuMs
  await intoClickHouse(clickhouse, kafka.broker, 'writ.clickhouse', sent)
  const { cpuMs, rssBytes } = costOf(clickhouse.pid())
  const each = (((cpuMs - before) / sent) * 1000).toFixed(1)
  say(`ClickHouse has all of it: ${each} us of CPU a record, ${Math.round(rssBytes / 1024 ** 2)} MiB resident`)
  const database = new pg.Client({ connectionString: postgres.url })
  await database.connect()
  closing.push(() => database.end())
  await pause(10_000) // What the auditor adds up by itself.
  const first = await ask(clickhouse, database)
  say('the same topic once more, by a group that begins at its beginning: each record comes a second time')
  await intoClickHouse(clickhouse, kafka.broker, 'writ.again', sent)
  const second = await ask(clickhouse, database)
  const [[bytes] = []] = await clickhouse.ask(
    `select sum(data_compressed_bytes) / sum(rows) from system.parts where table = 'writ_records' and active`,
  )
  say(`${Number(bytes).toFixed(1)} bytes a row in ClickHouse; load ${loadavg()[0]!.toFixed(1)}`)
  return first && second && (await fitsLog(clickhouse, database))
}

/** Rows of ClickHouse, each held against the hash that the log's tile has at the record's place. */
async function fitsLog(clickhouse: ClickHouse, database: pg.Client): Promise<boolean> {
  const { rows } = await database.query<{ epoch: string; seq: string; shard: number; index: string }>(
    `select epoch, seq, shard, index from records where producer not like '%/writ/auditor' order by at desc limit 4096`,
  )
  const theirs = await clickhouse.ask(`select epoch, toString(seq), lower(hex(leaf_hash)) from writ.writ_records final`)
  const hashes = new Map(theirs.map(([epoch, seq, hash]) => [`${epoch}-${seq}`, hash]))
  const logs = new Map<number, HashAt>()
  let wrong = 0
  for (const { epoch, seq, shard, index } of rows) {
    const read = tileReader(join(folder, 'log', String(shard)))
    const hashAt = logs.get(shard) ?? hashesFromTiles(sha256, read, (await newestCheckpoint(read))!.checkpoint.size)
    logs.set(shard, hashAt)
    if (toHex(await hashAt(0, Number(index))) !== hashes.get(`${epoch}-${seq}`)) wrong++
  }
  say(`${rows.length - wrong} of ${rows.length} rows of ClickHouse have the hash that the log has of their record`)
  return wrong === 0
}

/** Straight into the topic, in messages of one producer, as a proxy's client sends them. */
async function fill(broker: string): Promise<number> {
  const producer = (await newKafka({ brokers: [broker], topic, clientId: 'bench' })).producer()
  await producer.connect()
  const stream = await openStream({ dir: join(folder, 'ca'), producers: 4, partitions, rate })
  let records = 0
  for (let step = 0; step < decisions / perStep; ) {
    const messages: { key: string; value: Buffer; partition: number }[] = []
    for (; messages.length < 500 && step < decisions / perStep; step++) {
      for (const [partition, list] of stream.next()) {
        for (const { key, value } of list) {
          messages.push({ key, value: Buffer.from(value), partition })
          records += Buffer.from(value).toString('latin1').split('\n').length
        }
      }
    }
    await producer.send({ topic, acks: -1, compression: batchCompression, messages })
  }
  await producer.disconnect()
  return records
}

/** All of deploy/clickhouse/writ.sql, but that the stream is a table that hands on what is inserted into it. */
async function setUp(clickhouse: ClickHouse): Promise<void> {
  const text = await readFile(new URL('../deploy/clickhouse/writ.sql', import.meta.url), 'utf8')
  const stream = /create table writ\.writ_stream \(line String\)\s+engine = Kafka[^;]*;/
  if (!stream.test(text)) throw new Error('writ.sql makes no stream of Kafka any more')
  const inserted = 'create table writ.writ_stream (line String, _partition UInt64, _offset UInt64) engine = Null;'
  for (const statement of text
    .replace(stream, inserted)
    .replaceAll(/^ *--.*$/gm, '')
    .split(/;\s*\n/)) {
    if (statement.trim() !== '') await clickhouse.ask(statement)
  }
}

/** A consumer group of its own, whose offsets move on once ClickHouse has the lines. */
async function intoClickHouse(clickhouse: ClickHouse, broker: string, groupId: string, lines: number): Promise<void> {
  const consumer = (await newKafka({ brokers: [broker], topic, clientId: 'bench-clickhouse' })).consumer({ groupId })
  await consumer.connect()
  await consumer.subscribe({ topics: [topic], fromBeginning: true })
  const file = join(folder, 'batch')
  let read = 0
  await consumer.run({
    eachBatch: async ({ batch: { partition, messages } }) => {
      const rows = messages.flatMap(({ value, offset }) =>
        (value?.toString() ?? '').split('\n').map((line) => JSON.stringify([line, partition, Number(offset)])),
      )
      await writeFile(file, rows.join('\n'))
      await clickhouse.ask(`insert into writ.writ_stream select * from
        file('${file}', 'JSONCompactEachRow', 'line String, p UInt64, o UInt64')`)
      read += rows.length
    },
  })
  for (let waited = 0; read < lines; waited++) {
    await pause(250)
    if (waited % 40 === 39) say(`ClickHouse has ${read} of ${lines} lines`)
  }
  await consumer.disconnect()
}

async function ask(clickhouse: ClickHouse, database: pg.Client): Promise<boolean> {
  let same = true
  console.log('| question | rows | the same | CPU ms: ClickHouse |')
  console.log('|---|---|---|---|')
  for (const question of questionsOfBoth) {
    const before = costOf(clickhouse.pid()).cpuMs
    const theirs = await clickhouse.ask(question.clickhouse)
    const spent = costOf(clickhouse.pid()).cpuMs - before
    const { rows: ours } = await database.query({ text: question.postgres, rowMode: 'array' })
    const differs = alike(ours as unknown[][], theirs)
    same &&= differs === undefined && (ours.length > 0 || question.mayBeNone === true)
    console.log(`| ${question.name} | ${ours.length} | ${differs ?? 'yes'} | ${Math.round(spent)} |`)
  }
  return same
}
