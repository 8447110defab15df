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

/** Another partition, added since; where reading of it stands is told apart. */
const takeIn = async (partition: number, at: number, of: Producer, ...leaves: Uint8Array[]): Promise<void> => {
  await auditor.ingest(partition, [message(at, of.name, leaves)])
  await auditor.checkpoint()
}
/** Long enough for an answer of the stream, and for the look after it. */
const looks = async (): Promise<void> => {
  for (let i = 0; i < 3; i++) {
    await auditor.checkpoint()
    await new Promise(setImmediate)
  }
}

test('a run whose workload began again in a partition that was added is told in the log of its own, and closed there', async () => {
  auditor = await open({ streamEnds: async () => new Map([[0, 1n]]) })
  const before = await killed()
  const tail = orders.decision()
  orders.nowMs += minute
  await takeIn(1, 0, orders, orders.restart(false))
  orders.nowMs += 11 * minute
  await takeIn(1, 1, orders, orders.head())
  await looks()
  expect(await lost()).toMatchObject([{ action: 'opened', of: { epoch: before }, last: 3, next: orders.epoch }])
  expect((await world.log(1)).filter(({ kind }) => kind === 'spool_lost')).toEqual([])
  await take(tail)
  await looks()
  expect((await lost()).map(({ action }) => action)).toEqual(['opened', 'closed'])
})

test('nothing is told while the run that quotes it may lie in a partition that is not read up to where the stream goes', async () => {
  let ends = new Map([
    [0, 2n],
    [1, 1n],
    [2, 1n],
  ])
  auditor = await open({ streamEnds: async () => ends })
  const before = await killed()
  orders.nowMs += minute
  const quoting = orders.restart()
  const other = new Producer('orders', orders.nowMs) // Another place of the workload, which knows of nothing before.
  await take(other.start())
  other.nowMs += 11 * minute
  const web = new Producer('web')
  await takeIn(1, 0, web, web.start())
  await take(other.head())
  await looks()
  expect(await lost()).toEqual([])
  await takeIn(2, 0, orders, quoting)
  await looks()
  expect(await lost()).toEqual([]) // It never was.
  // Where nothing quotes it in all that the stream held, it is lost; what the stream got since is waited for no longer.
  const third = new Producer('ledger')
  await takeIn(0, offset++, third, third.start(), third.head(), third.decision())
  third.nowMs += minute
  const gone = third.epoch
  await takeIn(1, 1, third, third.restart(false))
  third.nowMs += 11 * minute
  ends = new Map([[2, 2n]])
  await takeIn(1, 2, third, third.head())
  await looks()
  expect(await lost()).toEqual([])
  ends = new Map([[2, 99n]])
  await takeIn(2, 1, orders, orders.head())
  await looks()
  expect((await lost()).map(({ of }) => of.epoch)).toEqual([gone])
  expect(before).not.toBe(gone)
})

test('a stream that does not answer is asked again, and holds up no checkpoint', async () => {
  let asked = 0
  const streamEnds = async (): Promise<ReadonlyMap<number, bigint>> => {
    if (asked++ === 0) throw new Error('away')
    return new Map()
  }
  auditor = await open({ streamEnds })
  await killed()
  orders.nowMs += minute
  await takeIn(1, 0, orders, orders.restart(false))
  orders.nowMs += 11 * minute
  await takeIn(1, 1, orders, orders.head())
  await looks()
  await looks()
  expect(asked).toBe(2)
  expect(await lost()).toHaveLength(1)
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
