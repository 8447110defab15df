import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { openStore, type Store } from '../../../audit/node/store.ts'
import { type Question, readQuestion } from '../../../audit/query/ask.ts'
import { counts, edges } from '../../../audit/query/node/edges.ts'
import { findDecisions, isoTime, latest } from '../../../audit/query/node/find.ts'
import { Mesh, Signer } from '../verify/log.ts'
import { id, Producer, startMs } from '../verify/producer.ts'
import { empty, fill } from './store.ts'

let store: Store
beforeAll(async () => {
  store = await openStore({ kind: 'pglite' })
})
afterAll(() => store.close())
beforeEach(() => empty(store.db))

const signer = new Signer()
const paths = async (question: Question) => (await findDecisions(store.db, question)).rows.map(({ path }) => path)

const tried = { attempts: ['10.0.0.1:80 503', '10.0.0.2:80 "\\'], stopped: 'retry_limit' } as const

async function fillCalls(): Promise<Mesh> {
  const mesh = new Mesh()
  mesh.leaves.push(
    mesh.orders.decision({ path: '/orders/1', requestId: 'one', revision: 'r1' }),
    mesh.orders.decision({ path: '/orders/2', verdict: 'deny', caller: id('ops/batch'), revision: 'r2' }),
    mesh.orders.decision({ path: '/orders_2', verdict: 'fault', method: 'POST' }),
    mesh.orders.decision({ path: '/stock/1', caller: undefined, verdict: 'deny', code: 'identity_missing' }),
  )
  const end = { code: 'completed' as const, status: 200, request_bytes: 0, response_bytes: 9, upstream: '127.0.0.1:80' }
  mesh.leaves.push(mesh.orders.write({ kind: 'outcomes', outcomes: [{ seq: 1, ...end, duration_us: 1500, ...tried }] }))
  mesh.leaves.push(mesh.orders.write({ kind: 'outcomes', outcomes: [{ seq: 2, ...end, duration_us: 9 }] }))
  await fill(store.db, mesh.leaves, signer, { covered: mesh.leaves.length - 4, attestedSeq: 2 })
  return mesh
}

test('decisions come newest first, with how they ended and how far they are proven', async () => {
  const mesh = await fillCalls()
  const { rows, next } = await findDecisions(store.db, {})
  expect(rows.map(({ path }) => path)).toEqual(['/stock/1', '/orders_2', '/orders/2', '/orders/1'])
  expect(next).toBeNull()
  expect(rows[3]).toMatchObject({
    id: `${mesh.orders.epoch}-1`,
    index: 5,
    time: '2026-11-23T12:00:00.010000Z',
    caller: id('web'),
    target: id('orders'),
    verdict: 'allow',
    status: 200,
    durationUs: 1500,
    ...tried,
    attested: true,
    covered: true,
  })
  expect(rows[2]).toMatchObject({ status: 200, attempts: [], stopped: null })
  expect(rows[0]).toMatchObject({ caller: null, status: null, attempts: null, attested: false, covered: false })
})

test('every filter keeps what it names and leaves its neighbour out', async () => {
  await fillCalls()
  expect(await paths({ caller: 'batch' })).toEqual(['/orders/2'])
  expect(await paths({ caller: 'ops/batch' })).toEqual(['/orders/2'])
  expect(await paths({ caller: 'atch' })).toEqual([])
  expect(await paths({ caller: id('web') })).toEqual(['/orders_2', '/orders/1'])
  expect(await paths({ target: 'billing' })).toEqual([])
  expect(await paths({ target: 'orders' })).toHaveLength(4)
  expect(await paths({ verdict: 'deny' })).toEqual(['/stock/1', '/orders/2'])
  expect(await paths({ code: 'identity_missing' })).toEqual(['/stock/1'])
  expect(await paths({ method: 'POST' })).toEqual(['/orders_2'])
  expect(await paths({ path: '/orders/' })).toEqual(['/orders/2', '/orders/1'])
  expect(await paths({ path: '/orders_' })).toEqual(['/orders_2'])
  expect(await paths({ requestId: 'one' })).toEqual(['/orders/1'])
  expect(await paths({ revision: 'r2' })).toEqual(['/orders/2'])
  expect(await paths({ attempts: 2 })).toEqual(['/orders/1'])
  expect(await paths({ attempts: 3 })).toEqual([])
  expect(await paths({ fromMs: startMs + 20, toMs: startMs + 40 })).toEqual(['/orders_2', '/orders/2'])
  expect(await paths({ fromMs: startMs + 21, toMs: startMs + 30 })).toEqual([])
})

test('answers on trial are asked for by themselves, and count nowhere', async () => {
  const mesh = await fillCalls()
  const before = await counts(store.db)
  const billing = new Producer('billing')
  const of = `${mesh.orders.epoch}-1`
  const trial = { name: 'x', mode: 'shadow', of, enforced_verdict: 'allow' } as const
  const started = billing.start()
  const beside = billing.decision({ path: '/tried', verdict: 'deny', enforced: false, trial })
  await fill(store.db, [started, beside], signer, { shard: 1 })
  expect(await paths({})).not.toContain('/tried')
  expect(await paths({ verdict: 'deny' })).toEqual(['/stock/1', '/orders/2'])
  expect(await paths({ shadow: 'only' })).toEqual(['/tried'])
  expect(await paths({ shadow: 'any' })).toHaveLength(5)
  expect(await paths({ id: `${billing.epoch}-1` })).toEqual(['/tried'])
  const { denied, allowed } = await counts(store.db)
  expect([denied, allowed]).toEqual([before.denied, before.allowed])
  expect(() => readQuestion([['shadow', 'yes']], 0)).toThrow(/shadow is one of no, only, any/)
})

test('one decision is found by its id, and no id finds nothing', async () => {
  const mesh = await fillCalls()
  expect(await paths({ id: `${mesh.orders.epoch}-2` })).toEqual(['/orders/2'])
  expect(await paths({ id: 'nonsense' })).toEqual([])
})

test('text from outside stays text', async () => {
  await fillCalls()
  expect(await paths({ caller: "web' or '1'='1" })).toEqual([])
  expect(await paths({ path: '%' })).toEqual([])
  expect(await paths({ caller: '%' })).toEqual([])
})

test('pages follow each other over shards without repeating or losing a row', async () => {
  const mesh = new Mesh().calls(30)
  await fill(store.db, mesh.leaves, signer)
  const billing = new Producer('billing', startMs + 95)
  const others = [billing.start(), ...Array.from({ length: 20 }, (_, i) => billing.decision({ path: `/bills/${i}` }))]
  await fill(store.db, others, signer, { shard: 1 })

  const whole = await findDecisions(store.db, { limit: 1000 })
  const times = whole.rows.map(({ time }) => time)
  expect(times).toEqual([...times].sort().reverse())
  expect(whole.rows).toHaveLength(50)

  const seen: string[] = []
  let cursor: string | null = ''
  let pages = 0
  while (cursor !== null && pages++ < 20) {
    const question = readQuestion(
      [
        ['limit', '7'],
        ['cursor', cursor],
      ],
      0,
    )
    const page = await findDecisions(store.db, question)
    seen.push(...page.rows.map((row) => row.id))
    cursor = page.next
  }
  expect(seen).toEqual(whole.rows.map((row) => row.id))
  expect(pages).toBe(8)
  expect((await latest(store.db, 3)).map((row) => row.id)).toEqual(seen.slice(0, 3))
})

test('edges count what counted, by caller and target', async () => {
  const mesh = await fillCalls()
  await fill(store.db, [], signer, { shard: 9 })
  const found = await edges(store.db, startMs, startMs + 10_000)
  expect(found[0]).toMatchObject({
    caller: id('web'),
    target: id('orders'),
    allowed: 1,
    denied: 0,
    faults: 1,
    rate: 0.2,
  })
  expect(found[0]!.p95Ms).toBeCloseTo(1.5)
  expect(found.find(({ caller }) => caller === null)).toMatchObject({ denied: 1, p50Ms: null })
  expect(await edges(store.db, startMs + 60_000, startMs + 70_000)).toEqual([])

  const sums = await counts(store.db)
  expect(sums).toMatchObject({ records: mesh.leaves.length, allowed: 1, denied: 2, faults: 1, callers: 2, missing: 0 })
  expect(sums.checkpoints).toHaveLength(1)
})

test('a time is the same in whatever zone the session tells it', () => {
  expect(isoTime('2026-11-23 17:04:09.1234+00')).toBe('2026-11-23T17:04:09.123400Z')
  expect(isoTime('2026-11-23 18:04:09+01')).toBe('2026-11-23T17:04:09.000000Z')
  expect(isoTime('2026-11-23 22:34:09.5+05:30')).toBe('2026-11-23T17:04:09.500000Z')
})
