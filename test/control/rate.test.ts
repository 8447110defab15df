import fc from 'fast-check'
import { expect, test } from 'vitest'
import { makeRate, sourceOf } from '../../control/rate.ts'
import { waitOf, waitUntil } from '../../control/wait.ts'

test('a source gets its burst at once, and then so many a second', () => {
  const may = makeRate({ burst: 2, perSecond: 1, sources: 4 })
  expect([may('a', 0), may('a', 0), may('a', 0)]).toEqual([true, true, false])
  expect([may('a', 999), may('a', 1000), may('a', 1000)]).toEqual([false, true, false])
  expect(may('b', 1000)).toBe(true)
  expect([may('a', 60_000), may('a', 60_000), may('a', 60_000)]).toEqual([true, true, false])
})

test('only so many sources are remembered, the quiet ones are forgotten first', () => {
  const may = makeRate({ burst: 1, perSecond: 0, sources: 2 })
  expect([may('a', 0), may('b', 0), may('a', 0), may('c', 0)]).toEqual([true, true, false, true])
  expect([may('a', 0), may('b', 0)]).toEqual([false, true])
})

test('an IPv6 source is its /64, an IPv4 one itself in whatever dress', () => {
  expect(sourceOf('::ffff:10.0.0.1')).toBe(sourceOf('10.0.0.1'))
  expect(sourceOf('10.0.0.1')).not.toBe(sourceOf('10.0.0.2'))
  expect(sourceOf('2001:db8:1:2::1')).toBe(sourceOf('2001:db8:1:2:ffff::9'))
  expect(sourceOf('2001:db8:1:2::1')).toBe(sourceOf('2001:0db8:0001:0002::1'))
  expect(sourceOf('2001:db8:1:2::1')).not.toBe(sourceOf('2001:db8:1:3::1'))
  expect(sourceOf('fe80::1%eth0')).toBe(sourceOf('fe80::2%eth0'))
  fc.assert(fc.property(fc.oneof(fc.ipV6(), fc.string()), (text) => void sourceOf(text)))
})

test('a wait is as long as asked for, and never longer than half a minute', () => {
  expect(waitOf('wait=5')).toBe(5000)
  expect(waitOf('respond-async, wait="7"; x=1')).toBe(7000)
  expect(waitOf('wait=31')).toBe(30_000)
  for (const none of [undefined, '', 'wait', 'wait=', 'await=5', 'wait=-1', 'wait=5s'])
    expect(waitOf(none), none).toBe(0)
})

test('a wait ends with what it waited for, with its signal, or not at all begun', async () => {
  const heard = new Set<() => void>()
  const subscribe = (changed: () => void) => {
    heard.add(changed)
    return () => void heard.delete(changed)
  }
  let done = false
  const waiting = waitUntil(() => done, subscribe, 60_000, new AbortController().signal)
  for (const changed of heard) changed()
  expect(heard.size).toBe(1)
  done = true
  for (const changed of heard) changed()
  expect(await waiting).toBe(true)

  done = false
  const ended = new AbortController()
  const cut = waitUntil(() => done, subscribe, 60_000, ended.signal)
  ended.abort()
  expect(await cut).toBe(false)
  expect(await waitUntil(() => done, subscribe, 60_000, ended.signal)).toBe(false)
  expect(await waitUntil(() => done, subscribe, 1, new AbortController().signal)).toBe(false)
  expect(heard.size).toBe(0)
})
