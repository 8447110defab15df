import { afterAll, beforeAll, expect } from 'vitest'
import { openStore, type Store } from '../../../audit/node/store.ts'
import { makePartitions, tendStore } from '../../../audit/node/tend.ts'
import { findDecisions } from '../../../audit/query/node/find.ts'
import { sql } from '../../../audit/store/drizzle.ts'
import { defaultRoles, grantsOf } from '../../../audit/store/roles.ts'
import { rowsOf } from '../../../audit/store/sql.ts'
import { needs } from '../../parts/needs.ts'
import { type RunningPostgres, startPostgres } from '../../parts/postgres.ts'
import { makeProducer, makeWorld, message, type World } from '../node/auditor-fixture.ts'

const test = needs('postgres')
let postgres: RunningPostgres | undefined
let owner: Store
let writer: Store
let reader: Store
let maintenance: Store
let world: World

beforeAll(async () => {
  if (test.name === 'skip') return
  postgres = await startPostgres()
  owner = await openStore({ kind: 'postgres', url: postgres.url })
  for (const statement of grantsOf(defaultRoles)) await owner.db.execute(sql.raw(statement))
  const as = async (role: string): Promise<Store> => {
    await owner.db.execute(sql.raw(`alter role ${role} password 'of-a-test'`))
    const url = new URL(postgres!.url)
    url.username = role
    url.password = 'of-a-test'
    return openStore({ kind: 'postgres', url: url.href })
  }
  writer = await as('writ_writer')
  reader = await as('writ_reader')
  maintenance = await as('writ_maintenance')
  world = await makeWorld(owner)
}, 120_000)

afterAll(async () => {
  await world?.end()
  for (const store of [writer, reader, maintenance, owner]) await store?.close()
  await postgres?.remove()
})

const refusal = async (store: Store, statement: string): Promise<string> =>
  store.db.execute(sql.raw(statement)).then(
    () => 'allowed',
    (thrown: { readonly cause?: { readonly code?: string } }) => thrown.cause?.code ?? String(thrown),
  )

test('the auditor runs whole as the writer: records, late ones, partitions, sums and a checkpoint', async () => {
  const auditor = await world.open(writer)
  const orders = makeProducer()
  const [start, one, two, three] = [orders.start(), ...orders.decisions(3)]
  await auditor.ingest(0, [message(0, orders.producer, [start!, three!])])
  await auditor.ingest(0, [message(1, orders.producer, [two!, orders.outcomes(1, 2), orders.head()])])
  await auditor.ingest(0, [message(2, orders.producer, [one!, two!])])
  await makePartitions(writer)
  await tendStore(writer, [0])
  await auditor.checkpoint()
  expect((await findDecisions(reader.db, {})).rows).toHaveLength(3)
  const [days] = await rowsOf(
    owner.db.execute(sql`select count(*)::integer as n from pg_inherits where inhparent = 'rows'::regclass`),
  )
  expect(days).toEqual({ n: 6 }) // Yesterday, today, three days ahead, and for other times.
  expect(world.events.filter(({ kind }) => kind === 'behind')).toEqual([])
})

test('the writer changes nothing and takes nothing away, neither in the tables nor in their partitions', async () => {
  for (const table of ['chunks', 'batches', 'spans', 'announced', 'rows', 'rows_other', 'ends', 'ends_other']) {
    expect([table, await refusal(writer, `delete from ${table}`)]).toEqual([table, '42501'])
    expect([table, await refusal(writer, `truncate ${table}`)]).toEqual([table, '42501'])
    expect([table, await refusal(writer, `drop table ${table} cascade`)]).toEqual([table, '42501'])
  }
  for (const change of [
    'rows set path = null',
    'ends set seqs = null',
    'chunks set last = 1',
    'names set name = null',
  ]) {
    expect([change, await refusal(writer, `update ${change}`)]).toEqual([change, '42501'])
  }
  for (const table of ['shapes', 'peers', 'runs']) {
    expect([table, await refusal(writer, `update ${table} set key = null`)]).toEqual([table, '42501'])
  }
  expect(await refusal(writer, 'create table mine (a integer)')).toBe('42501')
})

test('the reader adds nothing, and maintenance removes chunks alone', async () => {
  expect(await refusal(reader, 'select * from records, traffic limit 1')).toBe('allowed')
  expect(await refusal(reader, `insert into names (key, name) values ('a', 'b')`)).toBe('42501')
  expect(await refusal(reader, 'select writ_partitions(1)')).toBe('42501')
  expect(await refusal(maintenance, 'delete from chunks where first < 0')).toBe('allowed')
  expect(await refusal(maintenance, 'delete from rows')).toBe('42501')
})
