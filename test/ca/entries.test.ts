import fc from 'fast-check'
import { expect, test } from 'vitest'
import { entriesJson, matching, readEntries, readEntry, revise } from '../../ca/entries.ts'
import { makeOnce } from '../../ca/node/once.ts'
import { domain, id } from './world.ts'

const agent = id('spiffe://bank.example/writ/agent/a')
const orders = revise({
  name: 'orders',
  id: id('spiffe://bank.example/orders'),
  parent: agent,
  selectors: ['unix:gid:5', 'unix:uid:5'],
  ttlMs: 60_000,
  jwtTtlMs: 60_000,
  dns: ['orders.bank.example'],
  federatesWith: [domain('other.example')],
  hint: 'h',
})

test('an entry is for whoever proves all of its selectors under its own agent', () => {
  const proven = new Set(['unix:uid:5', 'unix:gid:5', 'unix:path:/bin/x'])
  expect(matching([orders], agent, proven)).toEqual([orders])
  expect(matching([orders], agent, new Set(['unix:uid:5']))).toEqual([])
  expect(matching([orders], undefined, proven)).toEqual([])
  expect(matching([orders], id('spiffe://bank.example/writ/agent/b'), proven)).toEqual([])
  expect(matching([{ ...orders, selectors: [] }], agent, proven)).toEqual([])
})

test('an agent reads entries as control wrote them, revision and all; one that is wrong refuses all', () => {
  const text = JSON.parse(
    JSON.stringify(entriesJson([orders, revise({ name: 'a', id: orders.id, selectors: ['a:b'] })])),
  )
  expect(readEntries(text)).toEqual([orders, revise({ name: 'a', id: orders.id, selectors: ['a:b'] })])
  const [first] = text.entries
  for (const wrong of [
    { ...first, id: 'spiffe://bank.example' },
    { ...first, parent: 'x' },
    { ...first, selectors: ['no colon'] },
    { ...first, selectors: 'unix:uid:5' },
    { ...first, federates_with: ['UPPER'] },
    { ...first, ttl_ms: '5' },
    null,
  ]) {
    expect(readEntries({ entries: [first, wrong] })).toBeUndefined()
  }
})

test('any change of an entry changes its revision', () => {
  expect(revise({ ...orders, ttlMs: 60_001 }).revision).not.toBe(orders.revision)
  expect(revise({ ...orders, selectors: ['unix:uid:5'] }).revision).not.toBe(orders.revision)
  expect(revise({ ...orders }).revision).toBe(orders.revision)
})

test('whatever comes as an entry is read or refused', () => {
  fc.assert(fc.property(fc.jsonValue(), (value) => void readEntry(value)))
})

test('what may be shown once is taken once, also when its issuer thinks it is still good', () => {
  const once = makeOnce()
  expect(once.take('a', 1000, 0)).toBe(true)
  expect(once.take('a', 1000, 0)).toBe(false)
  expect(once.take('a', 1000, 60_000)).toBe(false)
  expect(once.take('b', 1000, 0)).toBe(true)
})
