import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { type Finder, makeFinder } from '../../../audit/findings/node/finder.ts'
import { type FindingSettings, findingDefaults } from '../../../audit/findings/settings.ts'
import type { Store } from '../../../audit/node/store.ts'
import { sql } from '../../../audit/store/drizzle.ts'
import { rowsOf } from '../../../audit/store/sql.ts'
import type { AuditEvent, FindingBody } from '../../../core/record.ts'
import type { SpiffeId } from '../../../core/spiffe.ts'
import { makeProducer, makeWorld, message, openTestStore, type World } from '../node/auditor-fixture.ts'

/** The finder beside a real auditor and store: each thing once, after a crash too, and as entries of the log. */

let store: Store
let world: World
const open: Finder[] = []
beforeAll(async () => {
  store = await openTestStore()
})
beforeEach(async () => {
  world = await makeWorld(store)
})
afterEach(async () => {
  for (const finder of open.splice(0)) await finder.close()
  await world.end()
})
afterAll(() => store.close())

const loud = { ...findingDefaults, learningMs: 0 }

async function opened(settings: Partial<FindingSettings> = {}, deaf = false) {
  const finder = makeFinder({
    store,
    settings: () => ({ ...loud, ...settings }),
    sinks: () => ['webhook'],
    own: 'spiffe://bank.example/writ/auditor',
    nowMs: () => 1_800_000_100_000,
    onFault: (thrown) => {
      throw thrown
    },
    everyMs: 1e9,
  })
  const auditor = await world.open(undefined, deaf ? {} : { onStored: finder.onStored })
  await finder.start(auditor)
  open.push(finder)
  return { finder, auditor }
}

const input = (caller: string, path = '/orders', method = 'GET') => ({
  attributes: { source: { principal: caller }, request: { http: { method, path } } },
})
const web = 'spiffe://bank.example/web'
const by = (caller: string, path?: string) => ({ input: input(caller, path) }) as Partial<AuditEvent>

const findings = async (): Promise<readonly (AuditEvent & FindingBody)[]> =>
  (await world.log()).filter((event): event is AuditEvent<FindingBody> => event.kind === 'finding')
const told = async (): Promise<readonly string[]> =>
  (await findings()).map(({ finding, subject, target }) => `${finding} ${subject} ${target ?? ''}`.trim())

test('what a caller uses for the first time is told once, by caller and target, with what it used', async () => {
  const { finder, auditor } = await opened()
  const orders = makeProducer()
  const first = [
    orders.start(),
    orders.decision(by(web, '/orders/1')),
    orders.decision(by(web, '/orders/2')),
    orders.decision(by(web, '/prices')),
  ]
  await auditor.ingest(0, [message(0, orders.producer, first)])
  await finder.look()
  expect(await told()).toEqual([`first_seen ${web} ${orders.producer}`])
  expect((await findings())[0]).toMatchObject({
    ...{ count: 3, severity: 'medium', facts: { operations: ['GET /orders/{}', 'GET /prices'], new_target: true } },
    evidence: [`${orders.epoch}-1`, `${orders.epoch}-3`],
  })
  await auditor.ingest(0, [message(1, orders.producer, [orders.decision(by(web, '/orders/3'))])])
  await finder.look()
  expect(await findings()).toHaveLength(1)
  await auditor.ingest(0, [message(2, orders.producer, [orders.decision(by(web, '/admin'))])])
  await finder.look()
  expect((await findings())[1]).toMatchObject({ severity: 'low', facts: { new_target: false } })
  const rows = await rowsOf<{ operation: string; count: string }>(
    store.db.execute(sql`select operation, count from edges_first_seen order by operation`),
  )
  expect(rows.map(({ operation, count }) => `${operation} ${count}`)).toEqual([
    ...['GET /admin 1', 'GET /orders/{} 3', 'GET /prices 1'],
  ])
})

test('nothing of what is new is told while the mesh is learnt, and it is not new afterwards', async () => {
  const { finder, auditor } = await opened({ learningMs: 1e9 })
  const orders = makeProducer()
  await auditor.ingest(0, [message(0, orders.producer, [orders.start(), orders.decision()])])
  await finder.look()
  expect(await told()).toEqual([])
  const after = await opened()
  await after.auditor.nextOffset(0)
  await after.auditor.ingest(0, [message(1, orders.producer, [orders.decision()])])
  await after.finder.look()
  expect(await told()).toEqual([])
})

test('entries that nobody looked at are read again, those that were looked at are not, and none counts twice', async () => {
  const orders = makeProducer()
  const deaf = await opened({}, true)
  await deaf.auditor.ingest(0, [message(0, orders.producer, [orders.start(), ...orders.decisions(40)])])
  const { finder, auditor } = await opened()
  await auditor.nextOffset(0)
  await auditor.ingest(0, [message(1, orders.producer, orders.decisions(5))])
  await finder.look()
  await auditor.ingest(0, [message(2, orders.producer, orders.decisions(5))])
  await Promise.all([finder.look(), deaf.finder.look()])
  const again = await opened()
  await again.finder.look()
  const [row] = await rowsOf<{ count: string }>(store.db.execute(sql`select count from edges_first_seen`))
  expect(Number(row?.count)).toBe(50)
  expect(await findings()).toHaveLength(1)
})

test('a spike of denials, an allow of nobody, a gap and an equivocation are each told once', async () => {
  const { finder, auditor } = await opened({ mute: [{ finding: 'first_seen' }] })
  const began = makeProducer('old')
  // The mesh is two days old, so that there is something usual.
  const past = { timestamp: '2027-01-13T08:00:00.000000000Z' } as Partial<AuditEvent>
  await auditor.ingest(0, [message(0, began.producer, [began.start(), began.decision(past)])])
  await store.db.execute(sql`update epochs set started_at = '2027-01-13T08:00:00Z'`)
  const orders = makeProducer()
  const deny = { verdict: 'deny', code: 'policy_denied', ...by(web) } as Partial<AuditEvent>
  const lines = [orders.start(), ...Array.from({ length: 25 }, () => orders.decision(deny)), orders.decision(by(''))]
  const lost = orders.decision()
  const next = orders.decision()
  await auditor.ingest(0, [message(1, orders.producer, [...lines, next])])
  await finder.look()
  await auditor.ingest(0, [
    message(2, orders.producer, [
      lost,
      orders.decision({ ...deny, seq: 3, decision_id: `${orders.epoch}-3` } as Partial<AuditEvent>),
    ]),
  ])
  await finder.look()
  await finder.look()
  expect((await told()).toSorted()).toEqual([
    'allow_unidentified spiffe://bank.example/orders spiffe://bank.example/orders',
    'anomaly spiffe://bank.example/orders',
    'denial_spike spiffe://bank.example/web',
    'gap spiffe://bank.example/orders',
  ])
  expect((await findings()).find(({ finding }) => finding === 'anomaly')).toMatchObject({
    ...{ severity: 'high', facts: { anomaly: 'equivocation' } },
  })
})

test('more than an hour takes are counted, the grave ones go first', async () => {
  const { finder, auditor } = await opened({ maxPerHour: 3 })
  const orders = makeProducer()
  const start = orders.start()
  const callers = Array.from({ length: 8 }, (_, i) => orders.decision(by(`spiffe://bank.example/c${i}`)))
  callers.push(orders.decision(by('')))
  await auditor.ingest(0, [message(0, orders.producer, [start, ...callers])])
  await finder.look()
  const list = await told()
  expect(list).toHaveLength(3)
  expect(list).toContain('allow_unidentified spiffe://bank.example/orders spiffe://bank.example/orders')
  const [row] = await rowsOf<{ count: string }>(store.db.execute(sql`select count from finding_counts`))
  expect(Number(row?.count)).toBe(6)
})

test('an acknowledgement in the log stands with its finding, and each finding waits for whoever is to hear of it', async () => {
  const { finder, auditor } = await opened()
  const orders = makeProducer()
  const control = makeProducer('writ/control')
  const begins = control.start()
  await auditor.ingest(0, [message(0, orders.producer, [orders.start(), orders.decision()])])
  await finder.look()
  const [row] = await rowsOf<{ id: string }>(store.db.execute(sql`select id from findings`))
  const waiting = await rowsOf(store.db.execute(sql`select sink from finding_deliveries`))
  expect(waiting).toEqual([{ sink: 'webhook' }])
  const note = { kind: 'acknowledgement', of: row!.id, by: 'Ada', actor: 'uid 0', note: 'a release' }
  const said = control.decision({ ...note } as unknown as Partial<AuditEvent>)
  await auditor.ingest(0, [message(1, control.producer as SpiffeId, [begins, said])])
  await finder.look()
  expect(await told()).toEqual([`first_seen ${web} ${orders.producer}`])
  expect(await rowsOf(store.db.execute(sql`select acknowledged_by, acknowledged_note from findings`))).toEqual([
    { acknowledged_by: 'Ada', acknowledged_note: 'a release' },
  ])
})

test('of two auditors each writes what it finds into its own partitions, and leaves the other’s alone', async () => {
  const orders = makeProducer()
  const other = await world.open()
  await other.ingest(1, [message(0, orders.producer, [orders.start(), orders.decision(by(web))])])
  const inOther = async (): Promise<string[]> =>
    (await world.log(1)).flatMap((event) => (event.kind === 'finding' ? [event.finding] : []))
  const { finder, auditor } = await opened()
  await auditor.nextOffset(0)
  await finder.look()
  expect(await inOther()).toEqual([])
  expect(auditor.owns(1)).toBe(false)
  await finder.start(other)
  await finder.look()
  expect(await inOther()).toEqual(['first_seen'])
})
