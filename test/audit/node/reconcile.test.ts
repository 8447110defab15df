import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Reconciler } from '../../../audit/reconcile/reconcile.ts'
import { fromUtf8 } from '../../../core/bytes.ts'
import type { AuditEvent } from '../../../core/record.ts'
import { formatTime } from '../../../core/time.ts'
import { id, Producer, startMs } from '../verify/producer.ts'
import { both, minute, Pair, sidecars } from './reconcile-kit.ts'

const told = (reconciler: Reconciler): string[] =>
  reconciler.due().map(({ body }) => `${body.missing} ${body.silent.split('/').at(-1)} ${body.request_id}`)

test('a call that both sides recorded is no news, in whatever order they arrive', () => {
  for (const named of [true, false]) {
    for (const calleeFirst of [true, false]) {
      const pair = new Pair()
      const decision = `${pair.orders.epoch}-${pair.orders.seq}`
      if (calleeFirst) pair.judged('r-1')
      pair.called('r-1', named ? { decision } : {})
      if (!calleeFirst) pair.judged('r-1')
      pair.later(2 * minute)
      const reconciler = pair.read()
      expect(told(reconciler)).toEqual([])
      expect(reconciler.tally).toMatchObject({ matched: 1, unmatched: 0 })
      expect(reconciler.waiting).toBe(0)
    }
  }
})

test('a sidecar that leaves records out is named, once both have signed for longer than the window', () => {
  const pair = new Pair()
  const decision = pair.judged('r-1')
  pair.called('r-1', { decision })
  pair.called('r-2', { decision: `${pair.orders.epoch}-999` }) // It named a decision that it never recorded.
  pair.called('r-3')
  pair.later(minute - 1000)
  expect(told(pair.read())).toEqual([])
  pair.later(2000)
  expect(told(pair.read())).toEqual(['callee orders r-2', 'callee orders r-3'])
})

test('one record does not stand for two calls of the same id, nor one that was about somebody else', () => {
  const pair = new Pair()
  const decision = pair.judged('r-1')
  pair.called('r-1', { decision })
  pair.called('r-1', { decision })
  pair.leaves.push(pair.orders.decision({ caller: id('stranger'), requestId: 'r-2' }))
  pair.called('r-2')
  pair.later(2 * minute)
  expect(told(pair.read({ ...sidecars, outbound: () => new Set([id('web')]) }))).toEqual([
    'callee orders r-1',
    'callee orders r-2',
  ])
})

test('each attempt of one call has its own other side: none is missed, and one that the callee left out is told once', () => {
  const pair = new Pair()
  const { seq } = pair.web
  const first = pair.judged('r-1')
  pair.called('r-1', { seq, attempt: 1, decision: first })
  pair.called('r-1', { seq, attempt: 2, decision: `${pair.orders.epoch}-999` })
  pair.judged('r-1')
  pair.called('r-1', { seq, attempt: 3, status: 0 })
  const last = pair.judged('r-1')
  pair.called('r-1', { seq, decision: last })
  pair.later(2 * minute)
  const reconciler = pair.read()
  expect(reconciler.tally.matched).toBe(3)
  const due = reconciler.due()
  expect(due.map(({ body }) => [body.missing, body.of])).toEqual([['callee', `${pair.web.epoch}-${seq}`]])
  for (const one of due) reconciler.told(one)
  expect(reconciler.due()).toEqual([])
})

test('a caller whose sidecar did not note its call is named', () => {
  const pair = new Pair()
  pair.judged('r-1')
  pair.later(2 * minute)
  expect(told(pair.read())).toEqual(['caller web r-1'])
  expect(told(pair.read({ inbound: () => both, outbound: () => new Set([id('orders')]) }))).toEqual([])
})

test('a call whose answer never came may have been decided or not; sent twice it may have been decided twice', () => {
  const pair = new Pair()
  pair.called('r-1', { status: 0 })
  pair.judged('r-2')
  pair.called('r-2', { status: 0 })
  pair.judged('r-3')
  pair.called('r-3', { again: true })
  pair.judged('r-3')
  pair.later(2 * minute)
  const reconciler = pair.read()
  expect(told(reconciler)).toEqual([])
  expect(reconciler.waiting).toBe(0)
})

test('who has not signed for that time is waited for, but not for ever', () => {
  const pair = new Pair()
  pair.called('r-1')
  pair.web.nowMs += 60 * minute
  pair.leaves.push(pair.web.head())
  expect(told(pair.read())).toEqual([])
  pair.web.nowMs += 5 * 60 * minute + minute
  pair.leaves.push(pair.web.head())
  expect(told(pair.read())).toEqual(['callee orders r-1'])
})

test('an open gap explains what is missing, a closed one does not; so does a count of what could not be recorded', () => {
  const auditor = new Producer('writ/auditor')
  const gap = (pair: Pair, action: 'opened' | 'closed'): void => {
    const of = { producer: pair.orders.name, epoch: pair.orders.epoch }
    pair.write(auditor, { kind: 'gap', action, of, first: 5, last: 6 })
  }
  const open = new Pair()
  open.called('r-1')
  gap(open, 'opened')
  open.later(2 * minute)
  const reconciler = open.read()
  expect(told(reconciler)).toEqual([])
  expect(reconciler.tally.explained).toBe(1)
  gap(open, 'closed')
  expect(told(open.read())).toEqual(['callee orders r-1'])

  const full = new Pair()
  full.called('r-1')
  const at = (ms: number): string => formatTime(BigInt(startMs + ms) * 1_000_000n)
  const counts = { allow: 1, deny: 0, fault: 0 }
  full.write(full.orders, { kind: 'suppressed', counts, from: at(0), until: at(100), why: 'full' })
  full.later(2 * minute)
  full.called('r-2')
  full.later(2 * minute)
  expect(told(full.read())).toEqual(['callee orders r-2'])

  const dropping = new Pair()
  dropping.called('r-1')
  dropping.write(dropping.orders, { kind: 'dropped', counts, from: at(0), until: at(100) })
  dropping.later(2 * minute)
  dropping.called('r-2')
  dropping.later(2 * minute)
  expect(told(dropping.read())).toEqual(['callee orders r-2'])
})

test('a spool that was lost explains what it may have held; nobody excuses itself, or calls a call known', () => {
  const auditor = new Producer('writ/auditor')
  const at = (ms: number): string => formatTime(BigInt(startMs + ms) * 1_000_000n)
  const lost = new Pair()
  const before = lost.orders.epoch
  lost.called('r-1')
  lost.orders.nowMs += minute
  lost.leaves.push(lost.orders.restart(false))
  lost.write(auditor, {
    ...{ kind: 'spool_lost', action: 'opened', of: { producer: lost.orders.name, epoch: before } },
    ...{ last: 0, attested: -1, silent_since: at(0), next: lost.orders.epoch, next_at: at(minute) },
  })
  lost.web.nowMs += 2 * minute
  lost.called('r-2')
  lost.later(2 * minute)
  expect(told(lost.read())).toEqual(['callee orders r-2'])

  const forged = new Pair()
  forged.called('r-1')
  const of = { producer: forged.orders.name, epoch: forged.orders.epoch }
  forged.write(forged.orders, { kind: 'gap', action: 'opened', of, first: 5, last: 6 })
  forged.write(forged.orders, {
    ...{ kind: 'unmatched', missing: 'callee', silent: forged.orders.name, of: `${forged.web.epoch}-1` },
    ...{ request_id: 'r-1', by: forged.web.name, at: at(0) },
  })
  forged.later(2 * minute)
  expect(told(forged.read())).toEqual(['callee orders r-1'])
})

test('what waits is bounded, and what fell out is counted', () => {
  const pair = new Pair()
  for (let i = 0; i < 10; i++) pair.called(`r-${i}`)
  pair.later(2 * minute)
  const reconciler = pair.read({ ...sidecars, maxWaiting: 4 })
  expect(reconciler.waiting).toBe(4)
  expect(reconciler.tally.overflow).toBe(6)
  expect(told(reconciler)).toHaveLength(4)
})

test('a state that was saved at any record and opened again finds the same', () => {
  const pair = new Pair()
  for (let i = 0; i < 6; i++) {
    if (i !== 2) pair.judged(`r-${i}`)
    if (i !== 4) pair.called(`r-${i}`)
  }
  pair.later(2 * minute)
  const events = pair.leaves.map((leaf) => JSON.parse(fromUtf8(leaf)) as AuditEvent)
  const whole = told(pair.read())
  expect(whole).toEqual(['callee orders r-2', 'caller web r-4'])
  for (let cut = 0; cut <= events.length; cut++) {
    const before = new Reconciler(sidecars)
    for (const event of events.slice(0, cut)) before.take(event, 0)
    const after = new Reconciler(sidecars, JSON.parse(JSON.stringify(before.save())))
    for (const event of events.slice(cut)) after.take(event, 0)
    expect(told(after)).toEqual(whole)
  }
})

test('calls of a time whose records were not all seen are not judged, and those after it are', () => {
  const pair = new Pair()
  pair.called('r-1')
  const reconciler = pair.read()
  reconciler.passOver(startMs + minute)
  expect(reconciler.tally.overflow).toBe(1)
  const from = pair.leaves.length
  pair.called('r-2')
  pair.later(3 * minute)
  pair.called('r-3')
  pair.later(2 * minute)
  for (const leaf of pair.leaves.slice(from)) reconciler.take(JSON.parse(fromUtf8(leaf)) as AuditEvent, 0)
  expect(told(reconciler)).toEqual(['callee orders r-3'])
})

test('records of any shape are read without harm', () => {
  fc.assert(
    fc.property(
      fc.jsonValue(),
      fc.jsonValue(),
      fc.constantFrom('calls', 'decision', 'gap', 'head', 'start', 'suppressed', 'unmatched'),
      (one, other, kind) => {
        const pair = new Pair()
        const event = {
          ...JSON.parse(fromUtf8(pair.leaves[0]!)),
          kind,
          calls: one,
          of: other,
          input: one,
          previous: other,
          direction: 'inbound',
          enforced: true,
          workload: id('web'),
          request_id: one,
        }
        const reconciler = new Reconciler({})
        reconciler.take(event as AuditEvent, 0)
        reconciler.due()
      },
    ),
  )
})
