/** What somebody should look at before it hurts: told when it begins, when it is critical, and when it is over. */

import { type Lifetime, type Urgency, urgencyOf } from '../../ca/lifetimes.ts'
import { family, labelsOf } from '../../proxy/telemetry/exposition.ts'
import type { OnEvent } from './telemetry.ts'

export interface Finding {
  /** Stable, for those who filter by it. */
  readonly code: `${Lifetime['kind']}_renewal_overdue`
  /** What it is about: a workload, or a trust domain. */
  readonly subject: string
  readonly urgency: Urgency
  readonly text: string
}

export interface Alarm extends Finding {
  /** RFC 3339. */
  readonly since: string
}

export interface Alarms {
  current(): readonly Alarm[]
  /** What is found now, however often it is looked: an alarm that was there goes on, one that is left out is over. */
  look(found: readonly Finding[]): void
}

export function makeAlarms(nowMs: () => number, onEvent: OnEvent): Alarms {
  let raised: ReadonlyMap<string, Alarm> = new Map()
  return {
    current: () => [...raised.values()],
    look(found) {
      const since = new Date(nowMs()).toISOString()
      const next = new Map(
        found.map((one): [string, Alarm] => {
          const key = `${one.code} ${one.subject}`
          return [key, { ...one, since: raised.get(key)?.since ?? since }]
        }),
      )
      for (const [key, { urgency, text }] of next) {
        if (raised.get(key)?.urgency === urgency) continue
        const level = urgency === 'critical' ? 'error' : 'warn'
        onEvent({ level, from: 'alarm', text: `${key}${urgency === 'critical' ? ' is critical' : ''}: ${text}` })
      }
      for (const key of raised.keys())
        if (!next.has(key)) onEvent({ level: 'info', from: 'alarm', text: `${key} is over` })
      raised = next
    },
  }
}

const cures = {
  leaf: 'see what its process says of control, and that control runs',
  issuer: 'see what control says of the authority: writ ca status',
  root: 'let another follow: writ ca rotate; one above, by those who hold it',
} as const

/** `why` is what went wrong last, by kind, where that is known. For a new issuer nobody waits until it is late as well. */
export const overdue = (
  subject: string,
  lifetimes: readonly Lifetime[],
  nowMs: number,
  why: { readonly [kind in Lifetime['kind']]?: string | undefined } = {},
): readonly Finding[] =>
  lifetimes.flatMap((one): readonly Finding[] => {
    const { kind, notAfterMs } = one
    const cause = why[kind]
    const urgency = urgencyOf(one, nowMs) ?? (kind === 'issuer' && cause !== undefined ? 'overdue' : undefined)
    if (!urgency) return []
    const end = `the ${kind} ${notAfterMs > nowMs ? 'ends' : 'ended'} at ${new Date(notAfterMs).toISOString()}`
    const text = `${end}${cause === undefined ? '' : `: ${cause}`}; ${cures[kind]}`
    return [{ code: `${kind}_renewal_overdue`, subject, urgency, text }]
  })

/** Prometheus' text format. Below zero it is over. */
export const lifetimesText = (lifetimes: readonly Lifetime[], nowMs: number): string =>
  family(
    'writ_certificate_remaining_seconds',
    'gauge',
    'Until the end of the certificate in use, its issuer and its root.',
    lifetimes.map(({ kind, notAfterMs }) => [labelsOf({ kind }), (notAfterMs - nowMs) / 1000]),
  )

/** By identity: a sidecar has one, an agent those of its host. */
export function renewalsText(
  all: readonly { readonly id: string; readonly notAfterMs: number | undefined; readonly failures: number }[],
  nowMs: number,
): string {
  const held = all.flatMap(({ id, notAfterMs }) =>
    notAfterMs === undefined ? [] : [[labelsOf({ id }), (notAfterMs - nowMs) / 1000] as const],
  )
  return (
    family(
      'writ_identity_remaining_seconds',
      'gauge',
      'Until the end of the certificate in use, by identity. Below zero it is over.',
      held,
    ) +
    family(
      'writ_identity_renewals_failed_total',
      'counter',
      'Tries to get or renew a certificate that failed, by identity.',
      all.map(({ id, failures }) => [labelsOf({ id }), failures]),
    )
  )
}

export const alarmsText = (alarms: readonly Alarm[]): string =>
  family(
    'writ_alarm',
    'gauge',
    '1 for each alarm that is raised, 2 where it is critical.',
    alarms.map(({ code, subject, urgency }) => [labelsOf({ code, subject }), urgency === 'critical' ? 2 : 1]),
  )
