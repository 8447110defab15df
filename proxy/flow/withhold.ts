/** A request that was allowed and is not sent on: its service keeps failing, or has as many requests as it may have. */

import type { RequestFacts } from '../../core/facts.ts'
import type { Outcome } from '../../core/outcome.ts'
import type { Exchange, Onward } from '../exchange.ts'
import type { Withheld } from './attempts.ts'
import { isGrpc } from './grpc.ts'
import { upstreamProblem } from './problem.ts'

export async function withhold(
  exchange: Exchange,
  { head, requestId }: RequestFacts,
  onward: Onward,
  code: Withheld,
): Promise<Outcome> {
  const ids = { requestId, decisionId: onward.setResponseHeaders['x-writ-decision'] }
  const grpc = head !== undefined && isGrpc(head)
  const outcome = await exchange.refuse(upstreamProblem(code, ids, grpc))
  return outcome.code === 'refused' ? { ...outcome, code } : outcome
}
