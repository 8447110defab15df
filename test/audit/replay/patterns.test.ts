import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { fits, Patterns } from '../../../audit/replay/patterns.ts'
import { openRego } from '../../engine/compiled.ts'
import { needs } from '../../parts/needs.ts'

const withOpa = needs('opa')

const time = '2026-11-23T11:00:00.000000000Z'

function seen(paths: readonly string[], limits: { values?: number; names?: number } = {}): readonly string[] {
  const patterns = new Patterns(limits)
  for (const path of paths) patterns.saw(path.slice(1).split('/'), time)
  return patterns.list().map(({ path }) => `/${path.join('/')}`)
}

const numbered = (count: number, of: (i: number) => string) => Array.from({ length: count }, (_, i) => of(i))

describe('a position of a path', () => {
  test('becomes {} with the ninth value, and not with the eighth', () => {
    expect(seen(numbered(8, (i) => `/orders/${i}`))).toEqual(numbered(8, (i) => `/orders/${i}`))
    expect(seen(numbered(9, (i) => `/orders/${i}`))).toEqual(['/orders/{}'])
  })

  test('of names takes more of them, for a mesh has many', () => {
    const word = (i: number) => `/${String.fromCharCode(97 + (i % 26))}${'x'.repeat(i / 26)}`
    expect(seen(numbered(64, word)).length).toBe(64)
    expect(seen(numbered(65, word))).toEqual(['/{}'])
    expect(seen(numbered(3, word), { names: 2 })).toEqual(['/{}'])
  })

  test('keeps names apart from values that stand at the same place', () => {
    expect(seen([...numbered(9, (i) => `/orders/${i}`), '/orders/search'])).toEqual(['/orders/search', '/orders/{}'])
  })

  test('counts below the same steps only', () => {
    const paths = [...numbered(8, (i) => `/orders/${i}`), ...numbered(8, (i) => `/accounts/${i}`)]
    expect(seen(paths).length).toBe(16)
  })

  test('brings together what stands below it', () => {
    expect(seen(numbered(9, (i) => `/orders/${i}/${i % 2 ? 'items' : 'notes'}`))).toEqual([
      '/orders/{}/items',
      '/orders/{}/notes',
    ])
    expect(seen(numbered(81, (i) => `/a/${i % 9}/b/${i}`))).toEqual(['/a/{}/b/{}'])
  })

  test('never becomes {} by steps that {} does not stand for', () => {
    const odd = ['', '.', '..', 'a/1', 'b\\1']
    const patterns = new Patterns({ values: 1, names: 1 })
    for (const step of ['1', '2', 'a', 'b', odd[0]!]) patterns.saw(['x', step], time)
    expect(patterns.list().map(({ path }) => path)).toEqual([
      ['x', ''],
      ['x', '{}'],
    ])
  })
})

test('a pattern says how often it was seen, when last, and by which paths', () => {
  const patterns = new Patterns()
  for (let i = 0; i < 10; i++) patterns.saw(['orders', String(i)], `2026-11-23T11:00:0${i}Z`)
  expect(patterns.list()).toEqual([
    {
      path: ['orders', '{}'],
      count: 10,
      last: '2026-11-23T11:00:09Z',
      examples: ['/orders/0', '/orders/1', '/orders/2'],
    },
  ])
})

test('what a pattern would read as something else is not written, and its neighbour is', () => {
  const patterns = new Patterns()
  expect(patterns.saw(['orders', '{id}'], time)).toBe('unwritable')
  expect(patterns.saw(['orders', '**'], time)).toBe('unwritable')
  expect(patterns.saw(['orders', '*'], time)).toBe('kept')
  expect(
    patterns.saw(
      Array.from({ length: 65 }, () => 'a'),
      time,
    ),
  ).toBe('unwritable')
})

test('no more steps are remembered than there is room for', () => {
  const room = { left: 5 }
  const patterns = new Patterns({ values: 100, room })
  const kept = numbered(10, (i) => String(i)).map((step) => patterns.saw([step], time))
  expect(kept).toEqual([...Array(5).fill('kept'), ...Array(5).fill('no_room')])
  expect(patterns.saw(['3'], time)).toBe('kept')
})

const step = fc.oneof(
  fc.constantFrom('orders', 'accounts', 'items', '', '.', 'a/b', 'c\\d'),
  fc.nat({ max: 30 }).map(String),
  fc.stringMatching(/^[a-z]{1,2}$/),
)
const steps = fc.array(step, { minLength: 1, maxLength: 4 })
const limits = fc.record({ values: fc.nat({ max: 4 }), names: fc.nat({ max: 4 }) })

test('in any order the same paths give the same patterns, and each path fits one', () => {
  fc.assert(
    fc.property(fc.array(steps, { maxLength: 60 }), limits, fc.nat(), (paths, given, seed) => {
      const odd = paths.flat().filter((one) => ['', '.', 'a/b', 'c\\d'].includes(one))
      const enough = { ...given, names: Math.max(given.names, new Set(odd).size) }
      const of = (list: readonly string[][]) => {
        const patterns = new Patterns(enough)
        for (const one of list) expect(patterns.saw(one, time)).toBe('kept')
        return patterns.list()
      }
      const found = of(paths)
      const other = paths.toSorted((a, b) => (hash(a, seed) < hash(b, seed) ? -1 : 1))
      expect(of(other)).toEqual(found)
      for (const one of paths) expect(found.some(({ path }) => fits(path, one))).toBe(true)
      expect(found.reduce((sum, { count }) => sum + count, 0)).toBe(paths.length)
    }),
  )
})

test('with room for all of them the patterns are the paths themselves', () => {
  fc.assert(
    fc.property(fc.array(steps, { maxLength: 40 }), (paths) => {
      const patterns = new Patterns({ values: 1000, names: 1000 })
      for (const one of paths) patterns.saw(one, time)
      const texts = (list: readonly (readonly string[])[]) =>
        [...new Set(list.map((one) => JSON.stringify(one)))].toSorted()
      expect(texts(patterns.list().map(({ path }) => path))).toEqual(texts(paths))
    }),
  )
})

const hash = (path: readonly string[], seed: number): number =>
  [...JSON.stringify(path)].reduce((sum, char) => (sum * 31 + char.charCodeAt(0) + seed) % 1_000_003, 7)

withOpa('a pattern fits what the library says that it fits', async () => {
  const rego =
    'package t\nimport data.writ.lib.http\n# METADATA\n# entrypoint: true\nr := [p | some p in input.patterns; http.matches(p, input.steps)]\n'
  const policy = await openRego(rego, [])
  const wanted = fc.array(fc.oneof(step, fc.constantFrom('{}', '{id}', '**', '*')), { minLength: 1, maxLength: 4 })
  fc.assert(
    fc.property(
      fc.array(wanted, { minLength: 1, maxLength: 8 }),
      fc.array(fc.oneof(step, fc.constant('**')), { maxLength: 4 }),
      (patterns, given) => {
        const answer = policy.evaluate('t/r', { patterns, steps: given })
        expect(answer).toEqual({ ok: true, value: patterns.filter((one) => fits(one, given)) })
      },
    ),
    { numRuns: 400 },
  )
})
