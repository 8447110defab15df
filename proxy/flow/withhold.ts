/** A request that was allowed and is not sent on: its service keeps failing, and nobody is asked for a while. */

import type { RequestFacts } from '../../core/facts.ts'
import type { Outcome } from '../../core/outcome.ts'
import type { Exchange, Onward } from '../exchange.ts'
import { isGrpc } from './grpc.ts'
import { upstreamProblem } from './problem.ts'

export async function withhold(
  exchange: Exchange,
  { head, requestId }: RequestFacts,
  onward: Onward,
): Promise<Outcome> {
  const ids = { requestId, decisionId: onward.setResponseHeaders['x-writ-decision'] }
  const grpc = head !== undefined && isGrpc(head)
  const outcome = await exchange.refuse(upstreamProblem('circuit_open', ids, grpc))
  return outcome.code === 'refused' ? { ...outcome, code: 'circuit_open' } : outcome
}
