import { access, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { parseVerifierKey } from '../../../audit/log/note.ts'
import type { Auditor } from '../../../audit/node/auditor.ts'
import { makeBackup } from '../../../audit/node/backup.ts'
import { verifyPlace } from '../../../audit/node/examine.ts'
import { tileReader } from '../../../audit/node/folder.ts'
import { activeHolds, liftHold, listHolds, setHold } from '../../../audit/node/orders.ts'
import { rebuildStore, restoreBackup } from '../../../audit/node/restore.ts'
import { planRetention, type RetainPlan, runRetention } from '../../../audit/node/retain.ts'
import type { Store } from '../../../audit/node/store.ts'
import { asc, sql } from '../../../audit/store/drizzle.ts'
import { epochs, gaps, records } from '../../../audit/store/schema.ts'
import { rowsOf } from '../../../audit/store/sql.ts'
import type { LogHoldBody } from '../../../core/record.ts'
import { formatTime } from '../../../core/time.ts'
import {
  makeProducer,
  makeWorld,
  message,
  now,
  openTestStore,
  type Producer,
  sha256,
  trustDomain,
  verifyHead,
  type World,
} from './auditor-fixture.ts'

let store: Store
let world: World
let auditor: Auditor
let offset = 0
beforeAll(async () => {
  store = await openTestStore()
})
beforeEach(async () => {
  offset = 0
  world = await makeWorld(store)
  Object.assign(store.db.means!, { files: (shard: number) => tileReader(join(world.dir, 'log', String(shard))) })
  auditor = await world.open()
})
afterEach(() => world.end())
afterAll(() => store.close())

const send = (producer: Producer, lines: readonly Uint8Array[]) =>
  auditor.ingest(0, [message(offset++, producer.producer, lines)])
const allow = (count: number) => ({ counts: { allow: count, deny: 0, fault: 0 } })

/** 600 decisions before the returned time, 300 after; `held` are three of the first. */
async function filled(): Promise<{ readonly olderThan: string; readonly orders: Producer }> {
  const orders = makeProducer()
  await send(orders, [orders.start(), ...orders.decisions(100)])
  await send(
    orders,
    [0, 1, 2].map(() => orders.decision({ request_id: 'case-7' } as never)),
  )
  await send(orders, [orders.outcomes(101, 102), ...orders.decisions(497), orders.head(allow(600))])
  const olderThan = formatTime(now())
  await send(orders, [...orders.decisions(300), orders.head(allow(900))])
  await auditor.checkpoint()
  return { olderThan, orders }
}
const partsOf = (olderThan: string) => ({ store, logDir: join(world.dir, 'log'), shard: 0, olderThan })
async function retained(olderThan: string): Promise<RetainPlan> {
  const running = runRetention(partsOf(olderThan))
  const ticking = setInterval(() => void auditor.checkpoint().catch(() => undefined), 20)
  return running.finally(() => clearInterval(ticking))
}
const verified = async (db = true) => {
  const { verification } = await verifyPlace({
    dir: join(world.dir, 'log'),
    key: parseVerifierKey(sha256, world.signer.verifierKey)!,
    ...{ verifyHead, sha256 },
    ...(db && { db: store.db }),
    pinned: [{ trustDomain, sequence: 0, fromMs: 0, roots: [Uint8Array.of(1)], id: '' }],
  })
  return verification.findings.map(({ level, code }) => `${level} ${code}`)
}
const hold = (more: Partial<LogHoldBody> = {}): LogHoldBody => ({
  kind: 'log',
  action: 'held',
  case: 'case-7',
  filter: { requestId: 'case-7' },
  by: 'Ann',
  reason: 'lawsuit',
  ...more,
})

test('a plan names what would go and what stays, and changes nothing', async () => {
  const { olderThan } = await filled()
  await setHold(store, hold())
  const plan = await planRetention(partsOf(olderThan))
  expect(plan).toMatchObject({ shard: 0, from: 0, before: 512, holds: { 'case-7': 4 } }) // With how they ended.
  expect(plan.stay).toBe(6) // And two starts.
  expect((await verified()).filter((one) => !one.startsWith('note'))).toEqual([])
})

test('old entries go, their hashes stay, the log says so first, and it verifies with its tables', async () => {
  const { olderThan, orders } = await filled()
  await setHold(store, hold())
  const done = await retained(olderThan)
  expect(done.before).toBe(512)
  await expect(access(join(world.dir, 'log/0/tile/entries/000.gz'))).rejects.toThrow()
  await expect(access(join(world.dir, 'log/0/tile/entries/001'))).rejects.toThrow()
  expect(await verified()).toEqual(['note pruned'])
  expect((await store.db.select({ index: records.index }).from(records)).every(({ index }) => index >= 512)).toBe(true)
  // The log goes on over it: with the epoch from before, a new auditor, and a folder that is read anew.
  await send(orders, [...orders.decisions(300), orders.head(allow(1200))])
  await auditor.checkpoint()
  await auditor.close()
  auditor = await world.open()
  await send(orders, [...orders.decisions(5), orders.head(allow(1205))])
  await auditor.checkpoint()
  expect(world.events.filter(({ kind }) => kind === 'anomaly' || kind === 'behind')).toEqual([])
  expect((await verified()).filter((one) => one.startsWith('broken'))).toEqual([])
  const log = await readFile(join(world.dir, 'log/0/minimum'), 'utf8')
  expect(log).toBe('512\n')
})

test('what a hold keeps is still there and provable; once lifted it may go', async () => {
  const { olderThan } = await filled()
  await setHold(store, hold())
  await expect(setHold(store, hold())).rejects.toMatchObject({ code: 'usage' })
  const first = await retained(olderThan)
  expect(first.holds).toEqual({ 'case-7': 4 })
  expect(await readFile(join(world.dir, 'log/0/carried/000'), 'latin1')).toContain('"request_id":"case-7"')
  await liftHold(store, 'case-7', 'Ann', 'settled')
  await expect(liftHold(store, 'case-7', 'Ann', 'settled')).rejects.toMatchObject({ code: 'not_found' })
  expect(await listHolds(store.db)).toMatchObject([{ lifted: true, body: { case: 'case-7' } }])
  await auditor.checkpoint()
  const said = (await store.db.select({ kind: records.kind }).from(records)).filter(({ kind }) => kind === 'log')
  expect(said).toHaveLength(3) // Held, pruned, lifted.
})

test('each day has a partition of its own, and those that retention left empty are gone with it', async () => {
  const days = async (): Promise<readonly string[]> =>
    (
      await rowsOf<{ name: string }>(
        store.db.execute(sql`select c.relname as name from pg_inherits i join pg_class c on c.oid = i.inhrelid
          where c.relname ~ '^(rows|ends)_202702[0-9]{2}$' order by 1`),
      )
    ).map(({ name }) => name)
  const dayOf = (day: number): string => `2027-02-${String(day).padStart(2, '0')}`
  for (const kind of ['rows', 'ends']) {
    for (const day of [2, 3, 4]) {
      await store.db.execute(
        sql.raw(`create table ${kind}_202702${String(day).padStart(2, '0')} partition of ${kind}
          for values from ('${dayOf(day)} 00:00:00+00') to ('${dayOf(day + 1)} 00:00:00+00')`),
      )
    }
  }
  const orders = makeProducer()
  const on = (day: number, count: number): Uint8Array[] =>
    Array.from({ length: count }, (_, i) =>
      orders.decision({ timestamp: `${dayOf(day)}T10:00:${String(i % 60).padStart(2, '0')}.000000000Z` }),
    )
  await send(orders, [orders.start()])
  await send(orders, [...on(2, 400), ...on(3, 300), ...on(4, 10), orders.head(allow(710))])
  await auditor.checkpoint()
  const [count] = await rowsOf<{ n: number }>(
    store.db.execute(sql`select count(*)::integer as n from rows_20270202 where at >= '2027-02-02'`),
  )
  expect(count?.n).toBe(400)
  await retained(`${dayOf(4)}T00:00:00.000000000Z`) // 512 of 712 go: of the second day 190 stay.
  expect(await days()).toEqual(['ends_20270204', 'rows_20270203', 'rows_20270204'])
  expect(await verified()).toEqual(['note pruned'])
})

test('a hold without bounds keeps everything, and one by time and caller what fits both', async () => {
  const { olderThan } = await filled()
  await setHold(store, hold({ filter: {} }))
  expect(await planRetention(partsOf(olderThan))).toMatchObject({ stay: 512, bytes: 0 })
  await liftHold(store, 'case-7', 'Ann', 'too much')
  await setHold(store, hold({ case: 'other', filter: { caller: 'spiffe://bank.example/web' }, until: olderThan }))
  expect((await planRetention(partsOf(olderThan))).holds).toEqual({ other: 510 }) // All but two starts.
})

test('nothing goes while no auditor writes the entry', async () => {
  const { olderThan } = await filled()
  await expect(runRetention(partsOf(olderThan), 0)).rejects.toMatchObject({ code: 'unavailable' })
  await access(join(world.dir, 'log/0/tile/entries/000.gz'))
})

test('bundles that are gone without a word of it, and a carried entry that was changed, are broken', async () => {
  const { olderThan } = await filled()
  await writeFile(join(world.dir, 'log/0/minimum'), '512\n')
  await rm(join(world.dir, 'log/0/tile/entries/000.gz'), { force: true })
  expect(await verified(false)).toContain('broken pruned_unsaid')
  await writeFile(join(world.dir, 'log/0/minimum'), '0\n')
  expect(await verified(false)).toContain('broken entries_missing')
  await rm(join(world.dir, 'log/0/minimum'))
  await rm(join(world.dir, 'log/0'), { recursive: true })
  auditor = await world.open()
  await auditor.nextOffset(0)
  await auditor.checkpoint()
  await setHold(store, hold())
  await retained(olderThan)
  const path = join(world.dir, 'log/0/carried/000')
  const bytes = await readFile(path)
  bytes[bytes.length - 3]! ^= 1
  await writeFile(path, bytes)
  expect(await verified(false)).toContain('broken leaf_mismatch')
})

/** What a store goes on by, and what it answers from; but for when the auditor itself was met. */
const tablesOf = async ({ db }: Store) => ({
  records: await db.select().from(records).orderBy(asc(records.index)),
  epochs: (await db.select().from(epochs).orderBy(asc(epochs.epoch))).map((row) =>
    row.producer.endsWith('/writ/auditor') ? { ...row, startedAt: '', lastAt: '' } : row,
  ),
  gaps: await db.select().from(gaps).orderBy(asc(gaps.epoch), asc(gaps.first)),
  announced: await rowsOf(db.execute(sql`select epoch, seq, shard, index from announced order by epoch, seq`)),
  holds: await activeHolds(db),
})
const backup = () =>
  makeBackup(join(world.dir, 'backup'), {
    ...{ store, sha256, at: '2026-11-23T17:04:09Z', waitMs: 0 },
    ...{ logDir: join(world.dir, 'log'), verifierKey: world.signer.verifierKey },
  })

test('a pruned log is backed up and restored as it is, with its holds, and goes on there', async () => {
  const quiet = makeProducer('web')
  await send(quiet, [quiet.start(), ...quiet.decisions(5), quiet.head({ counts: { allow: 5, deny: 0, fault: 0 } })])
  const late = quiet.decision()
  await send(quiet, [quiet.decision()]) // Another is missing before it.
  const { olderThan, orders } = await filled()
  await backup() // What a pruning takes later goes from it too.
  await setHold(store, hold())
  await setHold(store, hold({ case: 'case-8', filter: { caller: 'spiffe://bank.example/none' } }))
  await expect(backup()).rejects.toMatchObject({ code: 'unavailable', message: expect.stringContaining('case-7') })
  await retained(olderThan)
  await liftHold(store, 'case-8', 'Ann', 'settled')
  await auditor.checkpoint()
  await backup()
  await expect(access(join(world.dir, 'backup/log/0/tile/entries/000'))).rejects.toThrow()

  const other = await openTestStore()
  try {
    const to = { store: other, logDir: join(world.dir, 'restored'), verifyHead, sha256, now }
    const { shards, verification } = await restoreBackup(join(world.dir, 'backup'), to)
    expect(shards).toMatchObject([{ shard: 0, from: 512 }])
    const broken = verification.findings.filter(({ level, code }) => level === 'broken' && code !== 'head_invalid')
    expect(broken).toEqual([]) // No roots are pinned here.
    const tables = await tablesOf(other)
    expect(tables).toEqual(await tablesOf(store))
    expect(tables.holds.map(({ name }) => name)).toEqual(['case-7'])
    expect(tables.gaps).toHaveLength(1)
    expect((await listHolds(other.db)).map(({ lifted }) => lifted)).toEqual([false, true])

    Object.assign(other.db.means!, { files: (shard: number) => tileReader(join(to.logDir, String(shard))) })
    const next = await world.open(other, { logDir: to.logDir })
    await next.ingest(0, [message(offset++, quiet.producer, [late, ...quiet.decisions(3)])])
    await next.ingest(0, [message(offset++, orders.producer, orders.decisions(3))])
    await next.checkpoint()
    expect(next.status().tally).toMatchObject({ anomalies: 0 })
    expect((await tablesOf(other)).gaps.filter(({ closedIndex }) => closedIndex === null)).toEqual([])
    await next.close()
  } finally {
    await other.close()
  }
})

test.each([100, 600])(
  'a store that stayed at %i entries while 512 were pruned is brought up from the folder',
  async (count) => {
    const orders = makeProducer('web')
    await send(orders, [orders.start(), ...orders.decisions(count)])
    await auditor.checkpoint()
    const other = await openTestStore()
    try {
      const to = { store: other, logDir: join(world.dir, 'log'), verifyHead, sha256, now }
      await rebuildStore(world.signer.verifierKey, to)
      const { olderThan } = await filled()
      await retained(olderThan)
      await auditor.checkpoint()
      await rebuildStore(world.signer.verifierKey, to)
      expect(await tablesOf(other)).toEqual(await tablesOf(store))
    } finally {
      await other.close()
    }
  },
)
