/** May this request pass? The proxy's own refusals first; what is left is the policy's to say. */

import { type Decision, type DecisionFault, fault, refuse } from '../../core/decision.ts'
import type { Authenticated, RequestFacts } from '../../core/facts.ts'
import { messageOf } from '../../core/fault.ts'
import type { PolicyUse } from '../../core/policy.ts'
import type { Decide } from '../../core/ports.ts'
import { type Exchange, isHead } from '../exchange.ts'
import { isBodyFault, type SeenBody } from './body/see.ts'
import { isPreflight } from './filters/cors.ts'
import type { Found } from './route.ts'
import { isJudged, type Strangers } from './strangers.ts'
import { refusedToken } from './token.ts'

export interface JudgeParts {
  readonly direction: 'inbound' | 'outbound'
  readonly policy: PolicyUse | undefined
  readonly decide: Decide
  readonly strangers?: Strangers | undefined
}

const routed: Decision = { verdict: 'allow', code: 'routed', from: { by: 'proxy' }, reasons: [] }

export function judge(
  exchange: Pick<Exchange, 'head'>,
  facts: RequestFacts,
  found: Found | undefined,
  parts: JudgeParts,
  body?: SeenBody,
  token?: Authenticated,
): Decision | Promise<Decision> {
  if (!isHead(exchange.head)) return refuse(exchange.head.code, exchange.head.detail)
  const { identified } = facts.source
  if (!isJudged(identified, parts.strangers)) return refuse(identified.code, identified.detail)
  if (!found) return refuse('no_route', `nothing serves ${exchange.head.authority}`)
  if (exchange.head.method === 'CONNECT' && !found.connect) {
    return refuse('method_unsupported', 'no tunnel is opened to it')
  }
  if (token?.ok === false) return refusedToken(token)
  if (isBodyFault(body)) return refuse(body.code, body.detail)
  return permitted(facts, found, parts)
}

/** A connection that is passed as bytes: all that is known of it is who calls and what. */
export function judgeConnection(
  facts: RequestFacts,
  found: Found | undefined,
  parts: JudgeParts,
): Decision | Promise<Decision> {
  const { identified } = facts.source
  if (!isJudged(identified, parts.strangers)) return refuse(identified.code, identified.detail)
  return found ? permitted(facts, found, parts) : refuse('no_route', 'the service of this port has no endpoint')
}

function permitted(facts: RequestFacts, found: Found, parts: JudgeParts): Decision | Promise<Decision> {
  if (parts.direction === 'outbound' && !found.endpoint.outside) return routed // Judged where it arrives.
  // Browsers send no credentials with it (Fetch, CORS-preflight request), and the route answers it by itself.
  if (found.fromOutside && found.filters?.cors && facts.head && isPreflight(facts.head)) return routed
  try {
    const use = found.policy ?? parts.policy
    const decision = parts.decide(facts, use)
    return decision instanceof Promise
      ? decision.then((settled) => faultPassed(settled, use), undecided)
      : faultPassed(decision, use)
  } catch (thrown) {
    return undecided(thrown)
  }
}

/** What a binding may let through: faults of a policy. Those of an identity, of the log and of our own never are. */
const passable: ReadonlySet<string> = new Set<DecisionFault>([
  'policy_missing',
  'policy_undefined',
  'policy_result_invalid',
  'policy_error',
  'policy_limit',
  'policy_data_stale',
])

function faultPassed(decision: Decision, use: PolicyUse | undefined): Decision {
  if (decision.verdict !== 'fault' || use?.onFault !== 'pass' || !passable.has(decision.code)) return decision
  const { code, from, reasons } = decision
  return { verdict: 'allow', code: 'fault_passed', from, reasons: [`${code}: ${reasons[0] ?? ''}`] }
}

const undecided = (thrown: unknown): Decision => fault('internal', messageOf(thrown))
