/** What somebody should look at before it hurts: told once when it begins and once when it is over. */

import { isOverdue, type Lifetime } from '../../ca/lifetimes.ts'
import { family, labelsOf } from '../../proxy/telemetry/exposition.ts'
import type { OnEvent } from './telemetry.ts'

export interface Finding {
  /** Stable, for those who filter by it. */
  readonly code: `${Lifetime['kind']}_renewal_overdue`
  /** What it is about: a workload, or a trust domain. */
  readonly subject: string
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
      for (const [key, { text }] of next)
        if (!raised.has(key)) onEvent({ level: 'warn', from: 'alarm', text: `${key}: ${text}` })
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

/** `why` is what went wrong when a new issuer was asked for, where that is known: then nobody waits for it to be late. */
export const overdue = (
  subject: string,
  lifetimes: readonly Lifetime[],
  nowMs: number,
  why?: string | undefined,
): readonly Finding[] =>
  lifetimes
    .filter((one) => isOverdue(one, nowMs) || (why !== undefined && one.kind === 'issuer'))
    .map(({ kind, notAfterMs }) => ({
      code: `${kind}_renewal_overdue`,
      subject,
      text: `the ${kind} ends at ${new Date(notAfterMs).toISOString()}${kind === 'issuer' && why ? `: ${why}` : ''}; ${cures[kind]}`,
    }))

/** Prometheus' text format. Below zero it is over. */
export const lifetimesText = (lifetimes: readonly Lifetime[], nowMs: number): string =>
  family(
    'writ_certificate_remaining_seconds',
    'gauge',
    'Until the end of the certificate in use, its issuer and its root.',
    lifetimes.map(({ kind, notAfterMs }) => [labelsOf({ kind }), (notAfterMs - nowMs) / 1000]),
  )

export const alarmsText = (alarms: readonly Alarm[]): string =>
  family(
    'writ_alarm',
    'gauge',
    '1 for each alarm that is raised.',
    alarms.map(({ code, subject }) => [labelsOf({ code, subject }), 1]),
  )
