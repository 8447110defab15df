/** The token of a request, where the binding takes any: what it says, what a bad one is answered, and whether it is sent on. */

import { type Decision, fault, refuse } from '../../core/decision.ts'
import type { Authenticated, RequestFacts } from '../../core/facts.ts'
import type { Identified } from '../../core/identity.ts'
import { headerValue } from '../../core/input-text.ts'
import type { Authenticate } from '../../core/ports.ts'
import type { TokenUse } from '../../core/token.ts'
import { type Exchange, isHead } from '../exchange.ts'
import type { Found } from './route.ts'
import { isJudged, type Strangers } from './strangers.ts'

interface TokenParts {
  readonly direction: string
  readonly authenticate?: Authenticate | undefined
  readonly strangers?: Strangers | undefined
}

/** Nothing is verified for a caller who proved no name, or who asks for what is not served: those are refused anyway. */
export async function seeToken(
  { head, peer }: Pick<Exchange, 'head' | 'peer'>,
  source: Identified,
  found: Found | undefined,
  use: TokenUse,
  atNs: bigint,
  { direction, authenticate, strangers }: TokenParts,
): Promise<Authenticated | undefined> {
  if (!isHead(head) || !isJudged(source, strangers) || !found || direction !== 'inbound') return undefined
  if (!authenticate) return { ok: false, code: 'token_unverifiable', detail: 'nothing here verifies tokens' }
  return authenticate(head, peer, use, Number(atNs / 1_000_000n))
}

export const refusedToken = ({ code, detail }: Extract<Authenticated, { ok: false }>): Decision =>
  code === 'token_unverifiable' ? fault(code, detail) : refuse(code, detail)

/** RFC 6750 section 3: that a token did not hold, and nothing of why. */
export function challengeOf({ code }: Decision): string | undefined {
  switch (code) {
    case 'token_invalid':
      return 'Bearer error="invalid_token"'
    case 'token_expired':
      return 'Bearer error="invalid_token", error_description="The token is not valid at this time"'
    case 'token_ambiguous':
      return 'Bearer error="invalid_request"'
    default:
      return undefined
  }
}

/** Fields of what is sent on that hold the token no more; what the policy itself sets stays. */
export function withoutToken({ token, head }: RequestFacts): {
  readonly remove?: string
  readonly set?: Readonly<Record<string, string>>
} {
  if (!token?.strip || !head || token.strip.kind === 'query') return {}
  if (token.strip.kind === 'header') return { remove: token.strip.name }
  const { name } = token.strip
  // Commas are of fields that came more than once; no cookie holds any (RFC 6265 section 4.1.1).
  const pairs = (headerValue(head, 'cookie') ?? '').split(/[;,]/).map((pair) => pair.trim())
  const cookie = pairs.filter((pair) => pair !== '' && pair.split('=')[0]!.trim() !== name).join('; ')
  return cookie === '' ? { remove: 'cookie' } : { set: { cookie } }
}
