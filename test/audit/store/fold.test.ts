import { afterAll, beforeEach, expect, test } from 'vitest'
import { tendStore } from '../../../audit/node/tend.ts'
import { sql } from '../../../audit/store/drizzle.ts'
import { foldTraffic } from '../../../audit/store/fold.ts'
import { rowsOf } from '../../../audit/store/sql.ts'
import { upgrade } from '../../../audit/store/upgrade.ts'
import { volume } from '../../../audit/store/volume.ts'
import { openTestStore } from '../node/auditor-fixture.ts'
import { empty, fill } from '../query/store.ts'
import { Mesh, Signer } from '../verify/log.ts'
import { id } from '../verify/producer.ts'

const store = await openTestStore()
beforeEach(() => empty(store.db))
afterAll(() => store.close())

const traffic = (columns: string) =>
  rowsOf<{ [column: string]: unknown }>(
    store.db.execute(sql`select caller, verdict, ${sql.raw(columns)} from traffic group by 1, 2 order by 1, 2`),
  )
const counted = 'sum(decisions)::integer as n, min(first_index)::integer as first, max(last_index)::integer as last'

test('sums are the same before and after they are added up, and the ends stand by their decisions then', async () => {
  const mesh = new Mesh().calls(30)
  const end = { code: 'completed', request_bytes: 0, response_bytes: 9, upstream: 'a:1' } as const
  mesh.leaves.push(
    mesh.orders.write({
      kind: 'outcomes',
      outcomes: [1, 2, 4].map((seq) => ({ seq, ...end, status: seq === 4 ? 503 : 200, duration_us: seq * 10 })),
    }),
  )
  await fill(store.db, mesh.leaves, new Signer())
  const before = await traffic(counted)
  expect(before).toEqual([
    { caller: id('web'), verdict: 'allow', n: 20, first: 5, last: 38 },
    { caller: id('web'), verdict: 'deny', n: 10, first: 7, last: 39 },
  ])
  await tendStore(store, [0])
  expect(await traffic(counted)).toEqual(before)
  const ends = 'sum(outcomes)::integer as n, sum(errors)::integer as errors, sum(duration_us_sum)::integer as us'
  expect(await traffic(ends)).toEqual([
    { caller: id('web'), verdict: 'allow', n: 3, errors: 1, us: 70 },
    { caller: id('web'), verdict: 'deny', n: 0, errors: 0, us: 0 },
  ])
  await tendStore(store, [0]) // Again adds nothing.
  expect(await traffic(counted)).toEqual(before)
  const [row] = await rowsOf(store.db.execute(sql`select count(*)::integer as n from rollups`))
  expect(row).toEqual({ n: 2 })
})

test('an end far behind its decision is found one by one, and small steps add up to the same', async () => {
  const mesh = new Mesh().calls(30)
  const end = { code: 'completed', request_bytes: 0, response_bytes: 9, upstream: 'a:1' } as const
  const outcomes = [1, 2, 4, 29].map((seq) => ({ seq, ...end, status: 200, duration_us: seq * 10 }))
  mesh.leaves.push(mesh.orders.write({ kind: 'outcomes', outcomes }))
  await fill(store.db, mesh.leaves, new Signer())
  const columns = `${counted}, sum(outcomes)::integer as ends, sum(duration_us_sum)::integer as us`
  const folded = async (stride?: { readonly step: number; readonly before: number }) => {
    await store.db.execute(sql`delete from rollups`)
    await store.db.execute(sql`update rolled set below = 0`)
    while (await store.transaction((tx) => foldTraffic(tx, 0, stride)));
    return traffic(columns)
  }
  const whole = await folded()
  expect(whole.reduce((sum, { us }) => sum + Number(us), 0)).toBe(360)
  expect(await folded({ step: 7, before: 0 })).toEqual(whole)
  const [settings] = await rowsOf<{ on: string }>(
    store.db.execute(sql`select current_setting('enable_nestloop') as on`),
  )
  expect(settings?.on).toBe('on')
})

test('rows of an older store are looked through once: what is seldom has its place, and certificates their sums', async () => {
  await fill(store.db, new Mesh().calls(20).leaves, new Signer())
  await tendStore(store, [0])
  const filed = async () => [
    await rowsOf(store.db.execute(sql`select shard, kind, index, at::text from others order by 1, 3`)),
    await rowsOf(store.db.execute(sql`select caller, peer, decisions, last_index from rollup_peers order by 1, 2`)),
  ]
  const now = await filed()
  expect(now.map((rows) => rows.length > 0)).toEqual([true, true])
  await store.db.execute(sql`truncate others, rollup_peers`)
  await store.db.execute(sql.raw(volume.find((statement) => statement.startsWith('create table unfiled'))!))
  await upgrade(store)
  expect(await filed()).toEqual(now)
  const [gone] = await rowsOf(store.db.execute(sql`select to_regclass('unfiled')::text as unfiled`))
  expect(gone).toEqual({ unfiled: null })
})
