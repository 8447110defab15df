import { afterAll, afterEach, beforeEach, expect, test } from 'vitest'
import { type Finder, makeFinder } from '../../../audit/findings/node/finder.ts'
import { findingDefaults } from '../../../audit/findings/settings.ts'
import type { Auditor } from '../../../audit/node/auditor.ts'
import { canned } from '../../../audit/query/node/canned.ts'
import { readAsked } from '../../../audit/query/questions.ts'
import { sql } from '../../../audit/store/drizzle.ts'
import { readmitLostSpools } from '../../../audit/store/lost-spools.ts'
import { type AuditEvent, encodeEvent, type FindingBody, type SpoolLostBody } from '../../../core/record.ts'
import { formatTime } from '../../../core/time.ts'
import { id, Producer, startMs } from '../verify/producer.ts'
import { makeWorld, message, openTestStore, type World } from './auditor-fixture.ts'

/** Runs of one workload, before a real auditor: what it says of a spool that does not come back. */

const minute = 60_000
const store = await openTestStore()
let world: World
let auditor: Auditor
let orders: Producer
let offset = 0

beforeEach(async () => {
  world = await makeWorld(store)
  orders = new Producer('orders')
  offset = 0
  auditor = await open()
})
afterEach(() => world.end())
afterAll(() => store.close())

const open = (more: object = {}): Promise<Auditor> =>
  world.open(undefined, {
    verifyHead: () => ({ ok: true }),
    now: () => BigInt(startMs) * 1_000_000n,
    lostSpoolEveryMs: 0,
    ...more,
  })

const take = async (...leaves: Uint8Array[]): Promise<void> => {
  await auditor.ingest(0, [message(offset++, orders.name, leaves)])
  await auditor.checkpoint()
}

const lost = async (): Promise<AuditEvent<SpoolLostBody>[]> =>
  (await world.log()).filter((event): event is AuditEvent<SpoolLostBody> => event.kind === 'spool_lost')

/** A run that says nothing more: three records, a head over two of them. */
async function killed(): Promise<string> {
  await take(orders.start(), orders.decision(), orders.head(), orders.decision())
  return orders.epoch
}

/** Time goes on, and the run of now signs. */
async function later(ms: number): Promise<void> {
  orders.nowMs += ms
  await take(orders.head())
}

test('a run that did not end, and whose workload began again without its spool, is told once it is silent for long', async () => {
  const before = await killed()
  const at = formatTime(BigInt(orders.nowMs - 10) * 1_000_000n)
  orders.nowMs += minute
  const startedAt = formatTime(BigInt(orders.nowMs) * 1_000_000n)
  await take(orders.restart(false))
  await later(8 * minute)
  expect(await lost()).toEqual([])
  await later(2 * minute)
  const of = { producer: orders.name, epoch: before }
  const told = { of, last: 3, attested: 2, silent_since: at, next: orders.epoch, next_at: startedAt }
  expect(await lost()).toMatchObject([{ action: 'opened', ...told, producer: id('writ/auditor') }])
  await later(minute)
  expect(await lost()).toHaveLength(1)
})

test('a clean end, a spool that came back with its workload, and a run that goes on are no losses', async () => {
  await take(orders.start(), orders.head(true))
  orders.nowMs += minute
  await take(orders.restart(false)) // After a clean end a new volume is nobody's loss.
  orders.nowMs += minute
  // Killed: its spool survives, so the next run quotes it; what had not been sent comes after that.
  const tail = orders.decision()
  const quoting = orders.restart()
  const other = new Producer('orders', orders.nowMs + minute) // And another place of the same workload is new.
  await take(other.start())
  await later(20 * minute)
  await take(quoting, tail)
  other.nowMs += 20 * minute
  await take(other.head())
  await later(minute)
  other.nowMs += minute
  await take(other.head())
  expect(await lost()).toEqual([])
})

test('one that comes back after all closes it', async () => {
  const before = await killed()
  const tail = orders.decision()
  orders.nowMs += minute
  await take(orders.restart(false))
  await later(11 * minute)
  await take(tail)
  await auditor.checkpoint()
  expect((await lost()).map(({ action, of, last }) => ({ action, epoch: of.epoch, last }))).toEqual([
    { action: 'opened', epoch: before, last: 3 },
    { action: 'closed', epoch: before, last: 3 },
  ])
  await later(minute)
  expect(await lost()).toHaveLength(2)
})

async function openWithFinder(): Promise<Finder> {
  const finder = makeFinder({
    ...{ store, settings: () => findingDefaults, sinks: () => [], own: id('writ/auditor'), everyMs: 1e9 },
    nowMs: () => startMs,
    onFault: (thrown) => {
      throw thrown
    },
  })
  auditor = await open({ onStored: finder.onStored })
  await finder.start(auditor)
  return finder
}

test('it is among what is missing, a finding, and known again to a store that was made anew from the log', async () => {
  const finder = await openWithFinder()
  const before = await killed()
  orders.nowMs += minute
  await take(orders.restart(false))
  await later(11 * minute)
  await finder.look()
  const findings = (await world.log()).filter(
    (event): event is AuditEvent<FindingBody> => event.kind === 'finding' && event.finding === 'spool_lost',
  )
  expect(findings).toMatchObject([{ finding: 'spool_lost', subject: orders.name, severity: 'high' }])
  expect(findings[0]!.what).toContain(`${before}-3`)
  await finder.close()

  const asked = await canned({ db: store.db }, readAsked('completeness', [], startMs + 60 * minute))
  expect(asked.ok).toBe(false)
  expect(asked.rows).toContainEqual(expect.objectContaining({ what: 'spool lost', producer: orders.name }))

  const entries = (await world.log()).map((event) => ({
    event,
    bytes: encodeEvent(event),
    hash: new Uint8Array(),
    hashHex: '',
  }))
  await store.db.execute(sql`delete from lost_spools`)
  await readmitLostSpools(store.db, 0, 0, entries)
  await later(minute)
  expect(await lost()).toHaveLength(1)
})

test('what only the auditor may say of others is no finding where a workload says it', async () => {
  const finder = await openWithFinder()
  const of = { producer: id('web'), epoch: orders.epoch }
  await take(
    orders.start(),
    orders.write({ kind: 'gap', action: 'opened', of, first: 1, last: 2 }),
    orders.write({ kind: 'gap', action: 'opened' } as never), // A body of another shape, which nobody may trip over.
  )
  await finder.look()
  expect((await world.log()).filter(({ kind }) => kind === 'finding')).toEqual([])
  await finder.close()
})
