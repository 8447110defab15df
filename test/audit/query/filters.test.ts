import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { openStore, type Store } from '../../../audit/node/store.ts'
import { type Question, readCursor, readQuestion } from '../../../audit/query/ask.ts'
import { findDecisions } from '../../../audit/query/node/find.ts'
import { templateOf } from '../../../audit/query/template.ts'
import { WritError } from '../../../core/fault.ts'
import type { DecisionBody } from '../../../core/record.ts'
import { Mesh, Signer } from '../verify/log.ts'
import { decisionBody, id, Producer, startMs } from '../verify/producer.ts'
import { fill } from './store.ts'

let store: Store
const hour = 3_600_000
const mesh = new Mesh()
const { orders, leaves } = mesh

/** What `web` asked, with a token of `sub`. */
function withToken(sub: string): DecisionBody {
  const body = decisionBody(orders.name, { path: '/mine' }, orders.nowMs)
  const { attributes, writ } = body.input as unknown as { attributes: object; writ: object }
  const claims = { sub, groups: ['staff', 'night'], 'https://bank.example/branch': 7 }
  return { ...body, input: { attributes, writ: { ...writ, token: { issuer: 'x', claims } } } as never, trace_id: 'ab' }
}

beforeAll(async () => {
  store = await openStore({ kind: 'pglite' })
  for (let h = 0; h < 6; h++) {
    orders.nowMs = startMs + h * hour
    if (h === 2) leaves.push(orders.decision({ caller: id('rare'), path: '/rare', verdict: 'deny' }))
    for (let i = 0; i < 80; i++) leaves.push(orders.decision({ path: `/orders/${i}` }))
    if (h === 1) leaves.push(orders.write(withToken('alice')), orders.write(withToken('bob')))
    if (h === 4) leaves.push(orders.decision({ caller: id('rare'), path: '/rare/again' }))
  }
  await fill(store.db, leaves, new Signer())
  const billing = new Producer('billing', startMs + hour)
  await fill(store.db, [billing.start(), billing.decision({ path: '/bills' })], new Signer(), { shard: 1 })
})
afterAll(() => store.close())

const ask = (pairs: readonly (readonly [string, string])[]) => findDecisions(store.db, readQuestion(pairs, startMs))
const paths = async (...pairs: (readonly [string, string])[]) => (await ask(pairs)).rows.map(({ path }) => path)

test('a claim is looked for in the records, by its value or as one of a list', async () => {
  expect(await paths(['claim', 'sub=alice'])).toEqual(['/mine'])
  expect(await paths(['claim', 'groups=night'])).toEqual(['/mine', '/mine'])
  expect(await paths(['claim', 'https://bank.example/branch=7'], ['claim', 'sub=bob'])).toEqual(['/mine'])
  expect(await paths(['claim', 'sub=carol'])).toEqual([])
  expect(await paths(['fact', 'input.writ.token.issuer=x'])).toHaveLength(2)
  expect(await paths(['fact', 'trace_id=ab'], ['claim', 'sub=bob'])).toEqual(['/mine'])
})

test('what is not wanted is left out, whatever the option, and what has no value is kept', async () => {
  expect(await paths(['not', 'caller=web'])).toEqual(['/rare/again', '/rare'])
  expect(await paths(['not', 'path=/orders'], ['not', 'verdict=deny'], ['not', 'path=/mine'])).toEqual([
    '/rare/again',
    '/bills',
  ])
  expect(await paths(['caller', 'rare'], ['not', 'trace-id=ab'])).toHaveLength(2)
  expect(await paths(['reason', 'NOT on the list'])).toEqual(['/rare'])
  expect(await paths(['producer', 'billing'])).toEqual(['/bills'])
})

test('looking for what no column has stops after so many records, says so, and goes on from there', async () => {
  const question: Question = { claim: [{ name: 'sub', value: 'alice' }] }
  const found: string[] = []
  let rounds = 0
  let looked = 0
  for (let from: Question = question; ; rounds++) {
    const page = await findDecisions(store.db, from, { leaves: 200 })
    found.push(...page.rows.map(({ path }) => path!))
    looked += page.looked ?? 0
    if (page.next === null) break
    expect(page.looked).toBeGreaterThan(0)
    from = { ...question, cursor: readCursor(page.next) }
  }
  expect(found).toEqual(['/mine'])
  expect(rounds).toBeGreaterThan(0)
  expect(looked).toBeGreaterThan(200)

  const one = await findDecisions(store.db, question, { bundles: 1 })
  expect([one.rows.length, one.next !== null, one.looked! > 0]).toEqual([0, true, true])
})

test('what is rare is read where the sums say that it is, and nowhere else', async () => {
  const { rows, next } = await findDecisions(store.db, { caller: 'rare' }, { records: 260 })
  expect(rows.map(({ path }) => path)).toEqual(['/rare/again', '/rare'])
  expect(next).toBeNull()
  const blind = await findDecisions(store.db, { path: '/rare' }, { records: 260 })
  expect(blind.next).not.toBeNull()
})

test('by whatever pages it is read, an answer is the same', async () => {
  const questions: Question[] = [
    { verdict: 'allow' },
    { caller: 'rare' },
    { fromMs: startMs + hour, toMs: startMs + 3 * hour },
    { not: [{ name: 'caller', value: 'rare' }], path: '/orders/1' },
  ]
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...questions), fc.integer({ min: 20, max: 300 }), async (question, limit) => {
      const whole = await findDecisions(store.db, { ...question, limit: 1000 })
      const read: string[] = []
      let from: Question = { ...question, limit }
      while (read.length < whole.rows.length) {
        const page = await findDecisions(store.db, from)
        read.push(...page.rows.map((row) => row.id))
        if (page.next === null) break
        from = { ...question, limit, cursor: readCursor(page.next) }
      }
      expect(read.slice(0, whole.rows.length)).toEqual(whole.rows.map((row) => row.id))
    }),
    { numRuns: 8 },
  )
})

test('what is no filter is refused by name', () => {
  for (const [name, value] of [
    ['not', 'colour=red'],
    ['not', 'verdict=maybe'],
    ['claim', 'sub'],
    ['kind', 'gossip'],
    ['attempts', '11'],
  ] as const) {
    expect(() => readQuestion([[name, value]], 0)).toThrow(WritError)
  }
  const many = Array.from({ length: 17 }, (): [string, string] => ['claim', 'a=b'])
  expect(() => readQuestion(many, 0)).toThrow('at most 16 times')
})

test('other kinds of records are found by their kind', async () => {
  const { rows } = await ask([['kind', 'start']])
  expect(rows.map(({ kind, shard }) => [kind, shard])).toEqual([
    ['start', 1],
    ['start', 0],
    ['start', 0],
    ['start', 0],
  ])
})

test('a path without what varies is an operation; a word stays a word', () => {
  expect(templateOf('/accounts/17/cards/9f86d081884c7d65')).toBe('/accounts/{}/cards/{}')
  expect(templateOf('/x/123e4567-e89b-12d3-a456-426614174000')).toBe('/x/{}')
  expect(templateOf('/v1/transfers/pending')).toBe('/v1/transfers/pending')
})
