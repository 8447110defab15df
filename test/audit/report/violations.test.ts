import { expect, test } from 'vitest'
import type { Json } from '../../../core/json.ts'
import { id, leafHashOf, startMs } from '../verify/producer.ts'
import { checkOf, declaredFile, digest, reportOf, showing, toMs, World } from './world.ts'

/** Of each check: what breaks it, and where. Indices are those that the report must name, and no others as breaking. */
interface Violation {
  readonly what: string
  /** Breaks the log; gives the places that are to be found. */
  readonly seed: (world: World) => readonly number[]
  readonly without?: readonly string[]
  readonly start?: Json
  readonly declared?: Json
  readonly witnessMs?: number
  /** Checks that the same thing breaks by its nature. Default none. */
  readonly also?: readonly string[]
}

const weakTls = { min: 'TLSv1.1', ciphers: ['ECDHE-RSA-AES128-SHA'] }

const violations: Readonly<Record<string, Violation>> = {
  M01: {
    what: 'a caller that showed a token and no certificate',
    seed: (world) => [world.decide({ proof: 'jwt' })],
  },
  M02: {
    what: 'an allow to a caller without a name',
    seed: (world) => [world.decide({ caller: undefined })],
    also: ['M01', 'M10'],
  },
  M03: { what: 'a proxy that speaks TLS 1.1', seed: () => [4], start: { tls: weakTls } },
  M04: {
    what: 'a certificate that lives for 25 hours',
    seed: (world) => [world.decide({ notBeforeMs: startMs, notAfterMs: startMs + 90_000_000 })],
  },
  M05: {
    what: 'a certificate that nobody issued',
    seed: (world) => [
      world.decide({}, (body) => {
        body['peer'] = { ...(body['peer'] as { [member: string]: Json }), serial: '0bad' }
      }),
    ],
  },
  M06: {
    what: 'a drill in which an unknown caller was let in',
    seed: (world) => [
      world.put(world.orders, {
        ...{ kind: 'drill', drill: 'default_deny', workload: id('orders'), listener: 'orders/in' },
        ...{ case: 'no_certificate', refused: false, observed: 'HTTP 200' },
      }),
    ],
  },
  M07: {
    what: 'a decision by a revision that nobody published',
    seed: (world) => [
      world.decide({}, (body) => {
        body['bundles'] = { orders: { revision: 'r9', sha256: 'cd'.repeat(32) } }
      }),
    ],
  },
  M08: {
    what: 'a call that its callee did not record',
    seed: (world) => [
      world.put(world.auditor, {
        ...{ kind: 'unmatched', missing: 'callee', silent: id('orders'), of: `${world.orders.epoch}-7` },
        ...{ request_id: 'r', by: id('web'), at: '2026-11-23T12:00:00Z' },
      }),
    ],
  },
  M09: {
    what: 'a head whose signature does not hold',
    seed: (world) => {
      const head = new TextDecoder().decode(world.orders.head())
      const changed = head.replace(/"sig":"(.)/, (_, first: string) => `"sig":"${first === 'A' ? 'B' : 'A'}`)
      const leaf = new TextEncoder().encode(changed)
      world.orders.prev = Buffer.from(leafHashOf(leaf)).toString('hex') // What follows is chained to it.
      return [world.leaves.push(leaf) - 1]
    },
  },
  M10: {
    what: 'a record that does not say where the call came from',
    seed: (world) => [
      world.decide({}, (body) => {
        const input = body['input'] as { attributes: { source: { [member: string]: Json } } }
        delete (input.attributes.source as { [member: string]: Json | undefined })['address']
      }),
    ],
  },
  M11: {
    what: 'records pruned after 30 days',
    seed: (world) => [
      world.put(world.auditor, {
        ...{ kind: 'log', action: 'pruned', before: 0, stay: 0, holds: {} },
        olderThan: new Date(toMs - 30 * 86_400_000).toISOString(),
      }),
    ],
  },
  M12: {
    what: 'a clock that the ledger found off',
    seed: (world) => [world.put(world.auditor, world.finding('clock_skew'))],
  },
  M13: {
    what: 'a revision without an approval',
    seed: (world) => [
      world.put(world.control, {
        ...{ kind: 'policy', action: 'activated', bundle: 'orders', revision: 'r2', sha256: 'ef'.repeat(32) },
      }),
    ],
  },
  M14: {
    what: 'an edge that was used a hundred days ago and never since',
    seed: (world) => {
      const now = world.orders.nowMs
      world.orders.nowMs = startMs - 100 * 86_400_000
      const index = world.decide({ caller: id('old') })
      world.orders.nowMs = now
      return [index]
    },
  },
  M15: {
    what: 'a call from a zone that no flow leads from',
    seed: (world) => [world.decide({ caller: id('ledger') })],
  },
  M16: {
    what: 'a finding that nobody answered',
    seed: (world) => {
      const now = world.auditor.nowMs
      const index = world.put(world.auditor, world.finding('first_seen'))
      world.auditor.nowMs = now
      return [index]
    },
    declared: { ...declaredFile, parameters: { M16: { hours: 0.01 } } },
  },
  M17: {
    what: 'a reading by somebody who is not declared',
    seed: (world) => [
      world.put(world.control, {
        ...{ kind: 'audit_read', door: 'api', reader: 'mallory', action: 'export', question: '' },
        ...{ verdict: 'allow', count: 9, times: 1 },
      }),
    ],
  },
  M18: {
    what: 'a period without records whose cause nobody kept',
    seed: (world) => [
      world.put(world.orders, {
        ...{ kind: 'suppressed', counts: { allow: 0, deny: 0, fault: 0 }, why: '' },
        ...{ from: '2026-11-23T12:00:00Z', until: '2026-11-23T12:01:00Z' },
      }),
    ],
  },
  M19: {
    what: 'a refusal without a reason',
    seed: (world) => [
      world.decide({ verdict: 'deny' }, (body) => {
        delete body['code']
      }),
    ],
    also: ['M10'],
  },
  M20: {
    what: 'a token that two callers showed',
    seed: (world) => [world.decide({ caller: id('orders') }, showing('1'.repeat(64)))],
  },
  M21: {
    what: 'a drill in which something passed without a policy',
    seed: (world) => [
      world.put(world.orders, {
        ...{ kind: 'drill', drill: 'fail_closed', workload: id('orders'), listener: 'orders/in' },
        ...{ case: 'policy_missing', refused: false, observed: 'allow allowed' },
      }),
    ],
  },
  M22: {
    what: 'a card number in a path',
    seed: (world) => [world.decide({ path: '/cards/4111111111111111' })],
  },
}

test('a clean log breaks none of the 22 checks', async () => {
  const { report } = await reportOf(new World().end())
  const others = report.checks.filter(({ verdict }) => verdict !== 'pass')
  expect(others.map(({ id, verdict, finding }) => `${id} ${verdict}: ${finding}`)).toEqual([])
  expect(report.checks).toHaveLength(22)
  expect(report.summary).toBe('22 of 22 mapped parts measured, 22 pass')
})

test.each(Object.entries(violations))(
  '%s is broken by its violation alone, and names the record',
  async (check, violation) => {
    const { seed, without, start, declared, also = [] } = violation
    const world = new World(without, start as never)
    const places = seed(world)
    const { report } = await reportOf(world.end(), {}, declared ?? declaredFile)
    const result = checkOf(report, check)
    expect(`${check} ${result.verdict}`, `${violation.what}: ${result.finding}`).toBe(`${check} fail`)
    const named = result.sample.filter(({ breaks }) => breaks).map(({ index }) => index)
    expect(named, violation.what).toEqual(places)
    const failed = report.checks.filter(({ verdict }) => verdict === 'fail').map(({ id }) => id)
    expect(failed.sort()).toEqual([check, ...also].sort())
  },
)

test('each check has its violation', async () => {
  expect(Object.keys(violations)).toHaveLength(22)
  expect(digest).toHaveLength(64)
})
