import { expect, test } from 'vitest'
import { formatAlarms } from '../../cli/status.ts'
import { alarmsText, lifetimesText, makeAlarms, overdue } from '../../cli/wire/alarms.ts'
import type { TelemetryEvent } from '../../cli/wire/telemetry.ts'
import { above } from '../ca/above.ts'
import { bank, newAuthority, noonMs } from '../ca/world.ts'

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
  ])
  expect(alarms.current()).toMatchObject([{ subject: 'orders', since: '2026-11-23T12:41:00.000Z' }])
  expect(formatAlarms({ alarms: alarms.current() })).toContain('leaf_renewal_overdue  orders  2026-11-23T12:41:00')
  expect(alarmsText(alarms.current())).toContain('writ_alarm{code="leaf_renewal_overdue",subject="orders"} 1')
  alarms.look(overdue('orders', [{ ...leaf, notAfterMs: nowMs + 3_600_000 }], nowMs))
  expect(events.slice(1)).toEqual([{ level: 'info', from: 'alarm', text: 'leaf_renewal_overdue orders is over' }])
  expect([alarms.current(), formatAlarms({ alarms: [] }), alarmsText([])]).toEqual([[], '', ''])
})

test('an issuer that could not be renewed is an alarm at once, with its cause, while it still holds for weeks', async () => {
  let nowMs = noonMs
  const upstream = above(() => nowMs)
  const authority = await newAuthority(bank, () => nowMs, { upstream })
  const found = () => {
    const fault = authority.renewalFault()
    return overdue(bank, authority.lifetimes(), nowMs, fault === undefined ? undefined : String(fault))
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
