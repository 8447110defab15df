import { expect, test } from 'vitest'
import type { KeptEntry } from '../../ca/node/workload/agent.ts'
import { formatAlarms } from '../../cli/status.ts'
import { watchRenewals } from '../../cli/wire/agent-alarms.ts'
import { alarmsText, lifetimesText, makeAlarms, overdue } from '../../cli/wire/alarms.ts'
import { makeLeaves } from '../../cli/wire/leaves.ts'
import type { TelemetryEvent } from '../../cli/wire/telemetry.ts'
import { WritError } from '../../core/fault.ts'
import { above } from '../ca/above.ts'
import { bank, id, newAuthority, newSvid, noonMs, orders } from '../ca/world.ts'

const dayMs = 86_400_000

test('an alarm is told when it begins and when it is over, not each time that somebody looks', () => {
  const events: TelemetryEvent[] = []
  let nowMs = noonMs
  const alarms = makeAlarms(
    () => nowMs,
    (event) => events.push(event),
  )
  const leaf = { kind: 'leaf', notBeforeMs: noonMs - 60_000, notAfterMs: noonMs + 3_600_000 } as const
  for (; nowMs < noonMs + 3_600_000; nowMs += 60_000) alarms.look(overdue('orders', [leaf], nowMs))
  expect(events).toEqual([
    { level: 'warn', from: 'alarm', text: expect.stringMatching(/^leaf_renewal_overdue orders: the leaf ends at /) },
    {
      level: 'error',
      from: 'alarm',
      text: expect.stringMatching(/^leaf_renewal_overdue orders is critical: the leaf/),
    },
  ])
  expect(alarms.current()).toMatchObject([{ subject: 'orders', since: '2026-11-23T12:41:00.000Z' }])
  expect(formatAlarms({ alarms: alarms.current() })).toContain('leaf_renewal_overdue  orders  2026-11-23T12:41:00')
  expect(alarmsText(alarms.current())).toContain('writ_alarm{code="leaf_renewal_overdue",subject="orders"} 2')
  alarms.look(overdue('orders', [{ ...leaf, notAfterMs: nowMs + 3_600_000 }], nowMs))
  expect(events.slice(2)).toEqual([{ level: 'info', from: 'alarm', text: 'leaf_renewal_overdue orders is over' }])
  expect([alarms.current(), formatAlarms({ alarms: [] }), alarmsText([])]).toEqual([[], '', ''])
})

test('at two thirds of its life a leaf is overdue, at five sixths critical, each with the cause where it is known', () => {
  const leaf = { kind: 'leaf', notBeforeMs: noonMs - 60_000, notAfterMs: noonMs + 3_600_000 } as const
  const at = (minutes: number, why?: string) => overdue('orders', [leaf], noonMs + minutes * 60_000, { leaf: why })
  expect([at(40, 'down'), at(41), at(50), at(51, 'down')]).toMatchObject([
    [],
    [{ urgency: 'overdue', text: expect.stringMatching(/^the leaf ends at 2026-11-23T13:00:00.000Z; see what/) }],
    [{ urgency: 'overdue' }],
    [{ urgency: 'critical', text: expect.stringMatching(/^the leaf ends at 2026-11-23T13:00:00.000Z: down; see/) }],
  ])
  expect(at(61)).toMatchObject([{ text: expect.stringContaining('the leaf ended at') }])
})

test('an agent tells of its own certificate and of each on its host, with the cause, in lines and in numbers', async () => {
  const events: TelemetryEvent[] = []
  const over = new AbortController()
  const authority = await newAuthority()
  let nowMs = noonMs
  const fault = new WritError('unavailable', 'control is away')
  const [svid, web] = [newSvid(authority, orders), newSvid(authority, id('spiffe://bank.example/web'))]
  const good = { failures: 0, fault: undefined }
  let kept: readonly KeptEntry[] = [{ id: web.id, svid: web, renewing: good }]
  const renewals = watchRenewals({
    source: { current: () => ({ generation: 1, svid, bundles: new Map(), denied: new Set() }), renewing: () => good },
    agent: { kept: () => kept },
    nowMs: () => nowMs,
    onEvent: (event) => events.push(event),
    signal: over.signal,
  })
  over.abort()
  renewals.look()
  expect(events).toEqual([])
  nowMs += 45 * 60_000
  const never = { id: id('spiffe://bank.example/new'), svid: undefined, renewing: { failures: 2, fault } }
  kept = [{ id: web.id, svid: web, renewing: { failures: 7, fault } }, never]
  renewals.look()
  renewals.look()
  expect(events.map(({ level, text }) => `${level} ${text}`)).toEqual([
    expect.stringMatching(/^warn leaf_renewal_overdue spiffe:\/\/bank.example\/orders: the leaf ends at \S+Z; see/),
    expect.stringMatching(/^warn leaf_renewal_overdue spiffe:\/\/bank.example\/web: .*: control is away; see/),
    expect.stringMatching(/^error leaf_renewal_overdue \S+new is critical: there is no first .*: control is away/),
  ])
  const text = renewals.metrics()
  expect(text).toContain('writ_identity_remaining_seconds{id="spiffe://bank.example/web"} 900\n')
  expect(text).toContain('writ_identity_renewals_failed_total{id="spiffe://bank.example/web"} 7\n')
  expect(text).toContain('writ_identity_renewals_failed_total{id="spiffe://bank.example/new"} 2\n')
  expect(text).not.toContain('remaining_seconds{id="spiffe://bank.example/new"}')
  expect(text).toContain('writ_alarm{code="leaf_renewal_overdue",subject="spiffe://bank.example/new"} 2\n')
})

test('control knows who did not renew when it was due, until it does, is gone, or is nobody any more', async () => {
  let nowMs = noonMs
  let renews = true
  const leaves = makeLeaves({ shared: undefined, renews: () => renews, nowMs: () => nowMs })
  const leaf = { id: orders, notBeforeMs: noonMs - 60_000, notAfterMs: noonMs + 3_600_000 }
  leaves.seen(leaf)
  nowMs += 40 * 60_000
  expect(await leaves.late()).toEqual([])
  nowMs += 1
  expect(await leaves.late()).toMatchObject([{ id: orders, lifetime: { kind: 'leaf', notAfterMs: leaf.notAfterMs } }])
  renews = false
  expect(await leaves.late()).toEqual([])
  renews = true
  leaves.seen({ ...leaf, notAfterMs: nowMs + 3_600_000 })
  expect(await leaves.late()).toEqual([])
  leaves.seen(leaf)
  nowMs = leaf.notAfterMs
  expect(await leaves.late()).toEqual([])
})

test('an issuer that could not be renewed is an alarm at once, with its cause, while it still holds for weeks', async () => {
  let nowMs = noonMs
  const upstream = above(() => nowMs)
  const authority = await newAuthority(bank, () => nowMs, { upstream })
  const found = () => {
    const fault = authority.renewalFault()
    return overdue(bank, authority.lifetimes(), nowMs, { issuer: fault === undefined ? undefined : String(fault) })
  }
  expect(found()).toEqual([])
  nowMs += 305 * dayMs
  expect(found()).toEqual([])
  upstream.fails = true
  await authority.maintain({ waiting: [], heardSinceMs: 0 }).catch(() => undefined)
  expect(found()).toMatchObject([
    { code: 'issuer_renewal_overdue', subject: bank, text: expect.stringContaining('nobody is there') },
  ])
  upstream.fails = false
  nowMs += 3_600_000
  await authority.maintain({ waiting: [], heardSinceMs: 0 })
  expect(found()).toEqual([])
  expect(lifetimesText(authority.lifetimes(), nowMs)).toContain(
    `writ_certificate_remaining_seconds{kind="issuer"} ${365 * 86_400}`,
  )
})
