/** Serves one connection that is passed as bytes: one decision, one record, and its outcome at the end. */

import type { Outcome, PeerAnswer } from '../core/outcome.ts'
import type { SpiffeId } from '../core/spiffe.ts'
import type { Exchange } from './exchange.ts'
import { tellCalls } from './flow/calls.ts'
import { connectionFacts } from './flow/facts.ts'
import { judgeConnection } from './flow/judge.ts'
import { cutOff } from './flow/quarantine.ts'
import { decisionBody, keep, strangerOf } from './flow/record.ts'
import type { Found } from './flow/route.ts'
import type { Parts } from './serve.ts'

/** A connection as a shell shows it. */
export interface OpaqueConnection extends Pick<Exchange, 'peer' | 'local'> {
  /** The id that the proxy of the caller gave it. Default it has none. */
  readonly requestId: string | undefined
  /** Closes it without a byte. */
  refuse(): Outcome
  /** Connects it, and resolves once it is over. */
  forward(found: Found, requestId: string, stillAllowed: () => Promise<boolean>): Promise<Outcome>
}

/** `latest`: the parts in force later on, by which the open connection is judged again. */
export async function serveConnection(
  connection: OpaqueConnection,
  parts: Parts,
  latest: () => Parts = () => parts,
): Promise<void> {
  const { facts, found, decision } = await decided(connection, parts, connection.requestId)
  const { telemetry } = parts
  const use = parts.policy
  const { ok } = facts.source.identified
  if (!ok && !parts.strangers?.keeps(decision, Number(facts.atNs / 1_000_000n))) {
    // Counted, not kept: no stranger can fill the spool.
    parts.sink.refused(strangerOf(facts, decision))
    const outcome = connection.refuse()
    telemetry?.served({ facts, found, use, decision, kept: undefined, outcome })
    return
  }
  const kept = await keep(parts.sink, decisionBody(facts, found, decision, parts.policy))
  const again = async (): Promise<boolean> =>
    (await decided(connection, latest(), facts.requestId)).decision.verdict === 'allow'
  if ('unavailable' in kept) {
    const passes = parts.sink.account?.(decision.verdict, kept.thrown) === true
    if (passes && decision.verdict === 'allow' && found) {
      telemetry?.opened(facts, found)
      const outcome = await joined(found)
      telemetry?.served({ facts, found, use, decision, kept: undefined, outcome })
    } else {
      const outcome = connection.refuse()
      telemetry?.served({ facts, found, use, decision: kept.unavailable, kept: undefined, outcome })
    }
    return
  }
  const passed = decision.verdict === 'allow' && found
  if (passed) telemetry?.opened(facts, passed)
  const outcome = passed ? await joined(passed) : connection.refuse()
  telemetry?.served({ facts, found, use, decision, kept, outcome })
  parts.sink.outcome(kept, outcome)
  if (found) tellCalls(parts.sink, kept, facts, found, outcome)
  void parts.trials?.answered({ facts, found, decision, use: parts.policy, kept })

  async function joined(to: Found): Promise<Outcome> {
    const ended = to.begin?.()
    const outcome = await connection.forward(to, facts.requestId, again)
    if (typeof ended === 'function') ended(reached(outcome))
    return outcome
  }
}

/** What a connection says of its endpoint: whether it could be reached. How long it lasts and how it ends is its two ends' affair. */
const reached = ({ code }: Outcome): Pick<Outcome, 'code' | 'status' | 'durationUs'> => ({
  ...{ status: 0, durationUs: 0 },
  code: code === 'upstream_unreachable' || code === 'upstream_identity' ? code : 'completed',
})

/** By the identity, the quarantine, the services, the policy and the time of now. */
async function decided(connection: OpaqueConnection, parts: Parts, requestId: string | undefined) {
  const atNs = parts.now()
  const atMs = Number(atNs / 1_000_000n)
  const identified = await parts.identify(connection.peer, atMs)
  const found = parts.connectTo?.()
  const facts = connectionFacts(connection, identified, found, atNs, parts, requestId)
  const decision = cutOff(identified, parts.quarantined, atMs) ?? (await judgeConnection(facts, found, parts))
  return { facts, found, decision }
}

/** What came back of a connection says nothing of the decision at its other end. */
export const noAnswer = (target: SpiffeId): PeerAnswer => ({ target, status: 0, decision: '', again: false })
