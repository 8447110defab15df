import fc from 'fast-check'
import { afterEach, expect, test } from 'vitest'
import { collected, makeCollector } from '../../../control/collector.ts'
import type { MeshDoorParts } from '../../../control/node/mesh-door.ts'
import { WritError } from '../../../core/fault.ts'
import type { DecisionBody } from '../../../core/record.ts'
import type { SpiffeId } from '../../../core/spiffe.ts'
import { ask, epoch, type TestMesh, testMesh, testSink } from './mesh.ts'

const open: TestMesh[] = []
async function mesh(change: Partial<MeshDoorParts> = {}): Promise<TestMesh> {
  const made = await testMesh({}, change)
  open.push(made)
  return made
}
afterEach(async () => {
  await Promise.all(open.splice(0).map(({ door }) => door.close()))
})

const orders = 'spiffe://bank.example/orders' as SpiffeId
const payments = 'spiffe://bank.example/payments' as SpiffeId

const record = (change: object = {}): DecisionBody => ({
  kind: 'decision',
  direction: 'inbound',
  workload: orders,
  listener: 'orders/edge',
  verdict: 'allow',
  code: 'allowed',
  by: 'policy',
  enforced: true,
  reasons: [],
  bundles: { bank: { revision: 'r1', sha256: 'ab'.repeat(32) } },
  path: 'writ/authz/result',
  input: { attributes: {}, writ: {} },
  request_id: 'r-1',
  ...change,
})

const outcome = (seq: number, change: object = {}) => ({
  epoch,
  seq,
  code: 'completed',
  status: 200,
  request_bytes: 1,
  response_bytes: 2,
  duration_us: 3,
  upstream: '',
  ...change,
})

const post = ({ door }: TestMesh, body: unknown, token = 'edge-orders') =>
  ask(door.port, 'POST', '/v1/records', { body, headers: { authorization: `Bearer ${token}` } })

const codeOf = async (answer: ReturnType<typeof post>) => (await answer).status

test('records of a token’s own workload are kept, another workload’s are not, nor what came with them', async () => {
  const it = await mesh()
  expect((await post(it, { records: [record(), record({ request_id: 'r-2' })] })).json).toEqual({
    ids: [
      { epoch, seq: 1 },
      { epoch, seq: 2 },
    ],
    unknown_outcomes: 0,
  })
  expect(it.sink.bodies).toEqual([record(), record({ request_id: 'r-2' })])
  expect(await codeOf(post(it, { records: [record(), record({ workload: payments })] }))).toBe(403)
  expect(it.sink.bodies).toHaveLength(2)
  expect(await codeOf(post(it, { records: [record()] }, 'guessed'))).toBe(401)
  it.deny(orders)
  expect(await codeOf(post(it, { records: [record()] }))).toBe(403)
  expect(it.sink.bodies).toHaveLength(2)
})

test('the answer waits until the records are kept', async () => {
  const it = await mesh()
  let release = (): void => {}
  it.sink.gate = new Promise((resolve) => {
    release = resolve
  })
  let over = false
  const answer = post(it, { records: [record()] }).then((got) => {
    over = true
    return got
  })
  while (it.sink.bodies.length === 0) await new Promise((resolve) => setTimeout(resolve, 5))
  await ask(it.door.port, 'GET', '/v1/trust')
  expect(over).toBe(false)
  release()
  expect((await answer).status).toBe(200)
})

test('a record that cannot be kept is no id but a 503', async () => {
  const sink = testSink()
  const it = await mesh({
    sink: { ...sink, keep: () => Promise.reject(new WritError('audit_unavailable', 'the spool is full')) },
  })
  const answer = await post(it, { records: [record()] })
  expect([answer.status, (answer.json as { code: string }).code]).toEqual([503, 'audit_unavailable'])
})

test('an outcome joins a decision of the same workload, once', async () => {
  const it = await mesh()
  await post(it, { records: [record()] })
  expect(await codeOf(post(it, { outcomes: [outcome(1)] }, 'edge-payments'))).toBe(403)
  expect(it.sink.outcomes).toEqual([])
  expect((await post(it, { outcomes: [outcome(1), outcome(99)] })).json).toEqual({ ids: [], unknown_outcomes: 1 })
  expect(it.sink.outcomes).toEqual([
    [
      expect.objectContaining({ epoch, seq: 1 }),
      { code: 'completed', status: 200, requestBytes: 1, responseBytes: 2, durationUs: 3, upstream: '' },
    ],
  ])
  expect((await post(it, { outcomes: [outcome(1)] })).json).toEqual({ ids: [], unknown_outcomes: 1 })
})

test('what is not a record in every member is refused whole', async () => {
  const it = await mesh()
  const wrong: object[] = [
    { more: 1 },
    { kind: 'admin' },
    { verdict: 'allow', code: 'policy_denied' },
    { code: 'nonsense' },
    { input: 'text' },
    { input: { a: '\ud800' } },
    { input: JSON.parse(`{"a":${'['.repeat(40)}${']'.repeat(40)}}`) },
    { input: { a: 'x'.repeat(60_000) } },
    { bundles: { bank: { revision: 'r', sha256: 'short' } } },
    { reasons: Array(33).fill('r') },
  ]
  for (const change of wrong) {
    expect(await codeOf(post(it, { records: [record(), record(change)] })), JSON.stringify(change).slice(0, 60)).toBe(
      400,
    )
  }
  expect(await codeOf(post(it, { outcomes: [outcome(1, { code: 'fine' })] }))).toBe(400)
  expect(await codeOf(post(it, { records: Array(257).fill(record()) }))).toBe(400)
  expect(await codeOf(post(it, { records: [], pad: 'x'.repeat(256 * 1024) }))).toBe(413)
  expect(await codeOf(post(it, `{"records":[{"input":${'['.repeat(200_000)}`))).toBe(400)
  expect(it.sink.bodies).toEqual([])
  expect(await codeOf(post(it, { records: Array(256).fill(record()) }))).toBe(200)
})

test('any JSON is read or refused, never thrown on', () => {
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      expect(collected.safeParse({ records: [value] }).success).toBe(false)
      const { success } = collected.safeParse({ records: [record({ input: value })] })
      expect(success).toBe(success && typeof value === 'object' && value !== null && !Array.isArray(value))
    }),
    { numRuns: 300 },
  )
})

test('only so many decisions are remembered for their outcomes: the oldest is forgotten', async () => {
  const sink = testSink()
  const collect = makeCollector(sink, 2)
  await collect(orders, { records: [record(), record(), record()], outcomes: [], refusals: [] })
  const outcomes = [outcome(1), outcome(2), outcome(3)] as never
  const ended = await collect(orders, { records: [], outcomes, refusals: [] })
  expect(ended.unknown_outcomes).toBe(1)
  expect(sink.outcomes.map(([id]) => id.seq)).toEqual([2, 3])
})

const refusal = (change: object = {}) => ({
  source: '192.0.2.1',
  code: 'identity_missing',
  detail: 'no token',
  count: 7,
  ...change,
})

test('counts of nameless callers are counted under the token’s own workload, and only as refusals', async () => {
  const it = await mesh()
  expect(await codeOf(post(it, { refusals: [refusal()] }))).toBe(200)
  expect(it.sink.refusals).toEqual([{ listener: orders, ...refusal() }])
  for (const wrong of [
    refusal({ listener: payments }),
    refusal({ code: 'allowed' }),
    refusal({ code: 'nonsense' }),
    refusal({ count: 0 }),
    refusal({ count: 1.5 }),
    refusal({ source: 'x'.repeat(65) }),
    refusal({ detail: 'x'.repeat(201) }),
  ]) {
    expect(await codeOf(post(it, { refusals: [wrong] }))).toBe(400)
  }
  expect(await codeOf(post(it, { refusals: Array(257).fill(refusal()) }))).toBe(400)
  expect(await codeOf(post(it, { refusals: Array(256).fill(refusal()) }))).toBe(200)
  expect(await codeOf(post(it, { refusals: [refusal()] }, 'guessed'))).toBe(401)
  expect(it.sink.refusals).toHaveLength(257)
})
