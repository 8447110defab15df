import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { type Finder, makeFinder } from '../../../audit/findings/node/finder.ts'
import { findingDefaults } from '../../../audit/findings/settings.ts'
import type { Auditor } from '../../../audit/node/auditor.ts'
import type { Store } from '../../../audit/node/store.ts'
import type { AuditEvent, FindingBody } from '../../../core/record.ts'
import { formatMs, formatTime } from '../../../core/time.ts'
import { makeProducer, makeWorld, message, now, openTestStore, type World } from '../node/auditor-fixture.ts'

/** What is looked at once in a while, beside a real auditor and store: grants that nobody uses, and mixes that moved. */

const day = 24 * 3_600_000
let store: Store
let world: World
let finder: Finder
let auditor: Auditor
let nowMs: number
let offset: number
const orders = () => makeProducer()

beforeAll(async () => {
  store = await openTestStore()
})
beforeEach(async () => {
  world = await makeWorld(store)
  nowMs = Number(now() / 1_000_000n)
  offset = 0
  finder = makeFinder({
    store,
    settings: () => ({ ...findingDefaults, learningMs: day, minMix: 20, mute: [{ finding: 'first_seen' }] }),
    sinks: () => [],
    own: 'spiffe://bank.example/writ/auditor',
    nowMs: () => nowMs,
    onFault: (thrown) => {
      throw thrown
    },
    everyMs: 1e9,
  })
  auditor = await world.open(undefined, { onStored: finder.onStored })
  await finder.start(auditor)
})
afterEach(async () => {
  await finder.close()
  await world.end()
})
afterAll(() => store.close())

const call = (caller: string, path: string, atMs: number) =>
  ({
    timestamp: formatTime(BigInt(Math.floor(atMs)) * 1_000_000n),
    input: {
      attributes: {
        source: { principal: `spiffe://bank.example/${caller}` },
        request: { http: { method: 'GET', path } },
      },
    },
  }) as Partial<AuditEvent>

const take = async (producer: string, lines: readonly Uint8Array[]): Promise<void> => {
  await auditor.ingest(0, [message(offset++, producer, lines)])
  await finder.look()
}
const told = async (finding: FindingBody['finding']): Promise<readonly (AuditEvent & FindingBody)[]> =>
  (await world.log()).filter(
    (event): event is AuditEvent<FindingBody> =>
      event.kind === 'finding' && (event as AuditEvent<FindingBody>).finding === finding,
  )

test('what was let and not used for the time that is set is told once, and again only after it was used again', async () => {
  const shop = orders()
  const callsAt = (ms: number): Uint8Array[] => [shop.decision(call('web', '/orders/1', ms))]
  await take(shop.producer, [shop.start(), ...callsAt(nowMs), shop.decision(call('web', '/prices', nowMs))])
  const later = async (ms: number): Promise<void> => {
    nowMs += ms
    await finder.look()
  }
  await later(findingDefaults.unusedMs - day)
  expect(await told('unused_grant')).toEqual([])
  await take(shop.producer, callsAt(nowMs)) // One of the two is used.
  await later(2 * day)
  const [first, ...others] = await told('unused_grant')
  expect(others).toEqual([])
  expect(first).toMatchObject({
    ...{ subject: 'spiffe://bank.example/web', target: shop.producer, count: 1 },
    facts: { operations: ['GET /prices'], days: 90 },
  })
  await later(30 * day)
  expect(await told('unused_grant')).toHaveLength(1)
  await take(shop.producer, [shop.decision(call('web', '/prices', nowMs))])
  await later(findingDefaults.unusedMs + day)
  expect((await told('unused_grant')).slice(1).map(({ facts }) => facts)).toEqual([
    { operations: ['GET /orders/{}'], days: 90 },
    { operations: ['GET /prices'], days: 90 },
  ])
})

test('a caller whose mix of operations moved against its days before is told once a day, one that asks the same is not', async () => {
  const shop = orders()
  const dayOf = (caller: string, path: string, ms: number): Uint8Array[] =>
    Array.from({ length: 30 }, (_, i) => shop.decision(call(caller, path, ms + i * 1000)))
  await take(shop.producer, [shop.start()])
  for (let i = 0; i < 4; i++) {
    await take(shop.producer, [...dayOf('web', '/orders', nowMs), ...dayOf('batch', '/stock', nowMs)])
    nowMs += day
  }
  await finder.look()
  expect(await told('mix_moved')).toEqual([])
  await take(shop.producer, [...dayOf('web', '/orders', nowMs), ...dayOf('batch', '/customers/1', nowMs)])
  nowMs += 61_000
  await finder.look()
  const moved = await told('mix_moved')
  expect(moved).toMatchObject([
    {
      ...{
        subject: 'spiffe://bank.example/batch',
        count: 30,
        first_at: expect.stringContaining(formatMs(nowMs).slice(0, 10)),
      },
      what: expect.stringContaining('went from 0 % to 100 %'),
    },
  ])
  await take(shop.producer, dayOf('batch', '/customers/2', nowMs))
  nowMs += 61_000
  await finder.look()
  expect(await told('mix_moved')).toHaveLength(1)
})

test('a clock that is ahead is told once a day, one that is right is not', async () => {
  const [ahead, right] = [orders(), makeProducer('ledger')]
  await take(ahead.producer, [ahead.start(), ahead.decision(call('web', '/a', nowMs + 60_000))])
  await take(right.producer, [right.start(), right.decision(call('web', '/a', nowMs))])
  nowMs += 61_000
  await finder.look()
  expect((await told('clock_skew')).map(({ subject, facts }) => [subject, facts['direction']])).toEqual([
    [ahead.producer, 'ahead'],
  ])
})
