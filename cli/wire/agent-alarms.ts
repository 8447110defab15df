/** What an agent tells of certificates that are not renewed: its own, and those of its host's workloads. */

import { lifetime } from '../../ca/lifetimes.ts'
import type { LiveIdentity } from '../../ca/node/rotate.ts'
import type { Agent } from '../../ca/node/workload/agent.ts'
import { alarmsText, type Finding, makeAlarms, overdue, renewalsText } from './alarms.ts'
import { pause } from './pause.ts'
import type { OnEvent } from './telemetry.ts'

/** Time between two looks, in milliseconds. */
const everyMs = 5000

export interface AgentAlarms {
  /** Looks now. */
  look(): void
  /** Prometheus' text format. */
  metrics(): string
}

/** Looks every five seconds until the signal. */
export function watchRenewals(options: {
  readonly source: Pick<LiveIdentity, 'current' | 'renewing'>
  readonly agent: Pick<Agent, 'kept'>
  readonly nowMs: () => number
  readonly onEvent: OnEvent
  readonly signal: AbortSignal
}): AgentAlarms {
  const { source, agent, nowMs, onEvent, signal } = options
  const alarms = makeAlarms(nowMs, onEvent)
  const held = () => {
    const { svid } = source.current()
    return [{ id: svid.id, svid, renewing: source.renewing() }, ...agent.kept()]
  }
  const look = (): void => {
    alarms.look(
      held().flatMap(({ id, svid, renewing }): readonly Finding[] => {
        const leaf = renewing.fault?.message
        if (svid) return overdue(id, [lifetime('leaf', svid)], nowMs(), { leaf })
        if (leaf === undefined) return []
        // It has nothing to go on with, so no part of a life is waited for.
        const text = `there is no first certificate yet: ${leaf}; see what control says of the entry`
        return [{ code: 'leaf_renewal_overdue', subject: id, urgency: 'critical', text }]
      }),
    )
  }
  const watch = async (): Promise<void> => {
    while (!signal.aborted) {
      await pause(everyMs, signal)
      look()
    }
  }
  void watch()
  return {
    look,
    metrics: () =>
      renewalsText(
        held().map(({ id, svid, renewing: { failures } }) => ({ id, notAfterMs: svid?.notAfterMs, failures })),
        nowMs(),
      ) + alarmsText(alarms.current()),
  }
}
