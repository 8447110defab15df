/** Whether what was allowed once still is: asked of tunnels as long as they last, since one request opens them. */

import type { RequestFacts } from '../../core/facts.ts'
import type { Authenticate, Identify, NowNs } from '../../core/ports.ts'
import type { Exchange } from '../exchange.ts'
import { type JudgeParts, judge } from './judge.ts'
import { cutOff, type FindQuarantine } from './quarantine.ts'
import type { FindRoute } from './route.ts'
import { seeToken } from './token.ts'

interface AgainParts extends JudgeParts {
  readonly findRoute: FindRoute
  readonly identify: Identify
  readonly authenticate?: Authenticate | undefined
  readonly quarantined?: FindQuarantine | undefined
  readonly now: NowNs
}

/** By the identity, the quarantine, the routes, the policy and the time of now. A fault is no answer, and keeps nothing open. */
export async function stillAllowed(
  exchange: Pick<Exchange, 'head' | 'peer'>,
  facts: RequestFacts,
  parts: AgainParts,
): Promise<boolean> {
  const atNs = parts.now()
  const identified = await parts.identify(exchange.peer, Number(atNs / 1_000_000n))
  if (cutOff(identified, parts.quarantined, Number(atNs / 1_000_000n))) return false
  const found = parts.findRoute(exchange.head)
  const use = found?.policy ?? parts.policy
  const token = use?.tokens ? await seeToken(exchange, identified, found, use.tokens, atNs, parts) : undefined
  const { token: _, ...rest } = facts
  const now = { ...rest, source: { ...facts.source, identified }, atNs, ...(token?.ok && { token: token.token }) }
  return (await judge(exchange, now, found, parts, facts.body, token)).verdict === 'allow'
}
