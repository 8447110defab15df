/** An allowed request goes on: to its service, once or more often, or as far as its route's own answer. */

import type { RequestFacts } from '../../core/facts.ts'
import type { Outcome, OutcomeCode } from '../../core/outcome.ts'
import type { RecordSink } from '../../core/ports.ts'
import type { RecordId } from '../../core/record.ts'
import type { Exchange, Onward, Refusal } from '../exchange.ts'
import { Attempts } from './attempts.ts'
import { mirrorsTold } from './calls.ts'
import { abortAnswer, routeAnswer } from './filters/answer.ts'
import { isGrpc } from './grpc.ts'
import type { ProblemIds } from './problem.ts'
import type { Found } from './route.ts'
import { withhold } from './withhold.ts'

/** `kept`: the record that its mirrors are told of. Default they are not told. */
export async function send(
  exchange: Exchange,
  facts: RequestFacts,
  found: Found,
  onward: Onward,
  sink: RecordSink,
  kept?: RecordId,
): Promise<Outcome> {
  const { filters, injected, prefix } = found
  if (!filters) return forward(exchange, facts, found, onward)
  const head = facts.head!
  const ids: ProblemIds = { requestId: facts.requestId, decisionId: onward.setResponseHeaders['x-writ-decision'] }
  const { delayMs, abort } = injected ?? {}
  if (delayMs !== undefined) await new Promise((resolve) => setTimeout(resolve, delayMs))
  const late = (outcome: Outcome): Outcome => (delayMs === undefined ? outcome : { ...outcome, delayedMs: delayMs })
  if (abort) {
    const outcome = await answered(exchange, abortAnswer(head, abort, ids), 'fault_injected')
    const { grpcStatus } = abort
    return late(grpcStatus === undefined || !isGrpc(head) ? outcome : { ...outcome, grpcStatus })
  }
  const answer = routeAnswer(head, prefix ?? '/', filters, ids)
  if (answer) return late(await answered(exchange, answer, 'route_answered'))
  const mirrors = onward.mirrors && mirrorsTold(onward.mirrors, sink, kept, facts)
  return late(await forward(exchange, facts, found, mirrors ? { ...onward, mirrors } : onward))
}

async function answered(exchange: Exchange, answer: Refusal, code: OutcomeCode): Promise<Outcome> {
  const outcome = await exchange.refuse(answer)
  return outcome.code === 'refused' ? { ...outcome, code } : outcome
}

/** Who compares versions of a service is told how the request ended, after all its attempts. */
function forward(exchange: Exchange, facts: RequestFacts, found: Found, onward: Onward): Promise<Outcome> {
  const { tell } = found
  if (!tell) return attempt(exchange, facts, found, onward)
  return attempt(exchange, facts, found, onward).then((outcome) => {
    tell(outcome)
    return outcome
  })
}

/** Who counts what becomes of an upstream's requests hears of this one, or says that it is not to be asked. */
function attempt(exchange: Exchange, facts: RequestFacts, found: Found, onward: Onward): Promise<Outcome> {
  const { begin, retry, endpoint } = found
  const ended = begin?.()
  if (typeof ended === 'string') return withhold(exchange, facts, onward, ended)
  if (retry && !exchange.upgrades) {
    const attempts = new Attempts(retry, facts.head!, endpoint, ended, () => performance.now())
    return exchange.forward({ ...onward, attempts }).then((outcome) => attempts.over(outcome))
  }
  if (!ended) return exchange.forward(onward)
  return exchange.forward(onward).then((outcome) => {
    ended(outcome)
    return outcome
  })
}
