import { access, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { parseVerifierKey } from '../../../audit/log/note.ts'
import type { Auditor } from '../../../audit/node/auditor.ts'
import { verifyPlace } from '../../../audit/node/examine.ts'
import { tileReader } from '../../../audit/node/folder.ts'
import { liftHold, listHolds, setHold } from '../../../audit/node/orders.ts'
import { planRetention, type RetainPlan, runRetention } from '../../../audit/node/retain.ts'
import type { Store } from '../../../audit/node/store.ts'
import { records } from '../../../audit/store/schema.ts'
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
