import { describe, expect, test } from 'vitest'
import { Grants } from '../../../audit/replay/grants.ts'
import { suggest } from '../../../audit/replay/suggest.ts'
import { formatSuggestion } from '../../../audit/replay/suggest-format.ts'
import type { Decision } from '../../../core/decision.ts'
import { type Asked, calls, decideBy, openBank, Traffic, use } from './traffic.ts'

const bank = decideBy(await openBank())
const from = { by: 'policy', policy: { bundle: 'bank', revision: 'r', sha256: '0' } } as const
const yes = (): Decision => ({ verdict: 'allow', code: 'allowed', from, reasons: [] })
const no = (): Decision => ({ verdict: 'deny', code: 'policy_denied', from, reasons: ['no'] })

const judged = async (asked: readonly Asked[], decide = bank) => (await new Traffic().judge(asked, decide)).events

const texts = (
  edges: readonly { from: string; to: string; method: string; path: readonly string[]; count: number }[],
) => edges.map(({ from, to, method, path, count }) => `${from} → ${to} ${method} /${path.join('/')} ${count}`)

const get = (path: string): Asked => ({ caller: 'web', target: 'orders', method: 'GET', path })

test('the edges are those that were used, in one order, and no refused call is among them', async () => {
  const found = await suggest(await judged(calls))
  const edges = [
    'orders → ledger GET /accounts/{} 10',
    'orders → ledger POST /transfers 10',
    'storefront → orders GET /orders 10',
    'storefront → orders POST /orders 10',
    'storefront → orders GET /orders/{} 10',
  ]
  expect(texts(found.edges)).toEqual(edges)
  expect(found).toMatchObject({ trustDomain: 'bank.example', allowed: 50, covered: 50, conflicts: [], leftOut: [] })
  expect(texts((await suggest((await judged(calls)).toReversed())).edges)).toEqual(edges)
})

test('only what one bundle decided is counted where it is named', async () => {
  expect((await suggest(await judged(calls), { bundle: 'bank' })).allowed).toBe(50)
  expect((await suggest(await judged(calls), { bundle: 'other' })).allowed).toBe(0)
})

test('a request that was refused and that an edge would allow is named, and one that it would not is none', async () => {
  const seen = Array.from({ length: 9 }, (_, i) => get(`/orders/${i}`))
  const allowed = await judged(seen, yes)
  const refused = await judged([get('/orders/77'), get('/orders/77'), get('/orders/'), get('/orders/1/x')], no)
  const found = await suggest([...allowed, ...refused])
  expect(found.conflicts).toEqual([
    { from: 'web', to: 'orders', method: 'GET', path: ['orders', '{}'], refused: '/orders/77', count: 2 },
  ])
  expect(formatSuggestion(found, 'mesh', '')).toContain(
    '# Careful: web may GET /orders/{} at orders would allow 2 that were refused, such as /orders/77.',
  )
})

test('what no edge can say is counted and said, and never dropped in silence', async () => {
  const found = await suggest(await judged([get('/orders/{id}'), get('/orders/1')], yes))
  expect([found.allowed, found.covered, found.leftOut.map(({ why, count }) => [why, count])]).toEqual([
    2,
    1,
    [['unwritable', 1]],
  ])
  const other = await suggest(await judged([get('/orders/1')], yes), { trustDomain: 'other.example' })
  expect(other.leftOut).toEqual([
    { why: 'other_domain', count: 1, example: 'spiffe://bank.example/web → spiffe://bank.example/orders' },
  ])
})

test('memory is bounded: further kinds of calls, steps and refusals are counted only', async () => {
  const many = Array.from({ length: 20 }, (_, i): Asked => ({ ...get('/orders'), caller: `web-${i}` }))
  const found = await suggest([...(await judged(many, yes)), ...(await judged(many, no))], { groups: 5 })
  expect([found.edges.length, found.leftOut[0], found.unchecked]).toMatchObject([5, { why: 'no_room', count: 15 }, 15])
  expect((await suggest(await judged(many, yes), { steps: 7 })).covered).toBe(7)
})

test('what a shadow or a fault let through is no evidence', async () => {
  const passed = await judged([get('/a')], () => ({ ...yes(), code: 'fault_passed' }) as Decision)
  expect((await suggest(passed)).allowed).toBe(0)
  const shadow = (await judged([get('/a')], yes)).map((event) => ({ ...event, enforced: false }))
  expect((await suggest(shadow)).allowed).toBe(0)
  expect(use.bundle).toBe('bank')
})

describe('grants of the data', () => {
  const edge = (from: string, method: string, path: readonly string[]) => ({ from, to: 'orders', method, path })
  const data = {
    shop: {
      trust_domain: 'bank.example',
      edges: [
        edge('storefront', 'GET', ['orders', '{id}']),
        edge('storefront', 'DELETE', ['orders', '{id}']),
        edge('spiffe://bank.example/storefront', 'POST', ['orders']),
        edge('ads', 'GET', ['orders']),
      ],
      rbac: {
        roles: { reader: ['read'], writer: ['write'], none: ['nothing'] },
        grants: { storefront: ['reader', 'none'], ads: ['reader', 'writer', 'gone'] },
        routes: [
          { method: 'GET', path: ['orders'], permission: 'read' },
          { method: 'POST', path: '/orders', permission: 'write', to: 'orders' },
        ],
      },
    },
  }

  test('are listed as used, with count and last use, or as not used', async () => {
    const grants = new Grants(data)
    expect(grants.size).toBe(9)
    const found = await suggest(await judged(calls), { grants })
    const used = found.grants.filter(({ count }) => count > 0)
    expect(used.map(({ at, count }) => [at, count])).toEqual([
      ['shop.edges[0]', 10],
      ['shop.edges[2]', 10],
      ['shop.rbac.grants.storefront', 10],
    ])
    expect(used[0]!.last).toMatch(/^2026-11-23T/)
    expect(found.grants.filter(({ last }) => last === null).map(({ text }) => text)).toEqual([
      'storefront may DELETE /orders/{id} at orders',
      'ads may GET /orders at orders',
      'storefront has the role none',
      'ads has the role reader',
      'ads has the role writer',
      'ads has the role gone',
    ])
    expect(formatSuggestion(found, 'mesh', '2026-10-24')).toContain(
      "# Not used since 2026-10-24, 6 of 9 grants of the policy's data:\n#   storefront may DELETE /orders/{id} at orders   (data.shop.edges[1])",
    )
  })

  test('are none where the data has neither shape', () => {
    expect(new Grants({ a: [1, { from: 'x' }], b: { roles: [] } }).size).toBe(0)
    expect(new Grants(null).size).toBe(0)
  })
})

test('no name or path ends the comment that it stands in', async () => {
  const found = await suggest(
    await judged(
      [...'123456789'].map((i) => get(`/a/${i}%0A"x": 1`)),
      yes,
    ),
  )
  const lines = formatSuggestion(found, 'mesh', '').split('\n')
  expect(lines.filter((line) => line.includes('"x"') && !line.trimStart().startsWith('#'))).toEqual([])
  expect(lines.some((line) => line.includes('/a/1\\n'))).toBe(true)
})
