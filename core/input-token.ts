/** What a policy reads of a request's token, and what of that the record keeps. */

import { type Exact, exactText, hasDecimals, projectedExact, roundedJson } from './exact.ts'
import type { TokenFacts } from './facts.ts'
import { pickMembers } from './input-body.ts'
import type { Parts } from './input-path.ts'
import type { Json } from './json.ts'
import type { InputPath } from './policy.ts'

/** `input.writ.token`. */
export const judgedToken = (token: TokenFacts): Json => roundedJson(inputOf(token))

/** The same as JSON text, of what is read of it, in which every number has the value it was written with. */
export const tokenText = (token: TokenFacts, parts: Parts): string => exactText(projectedExact(inputOf(token), parts))

function inputOf({ audiences, claims, issuer, provider, subject }: TokenFacts): Exact {
  return { audiences, claims, issuer, provider, ...(subject === undefined ? undefined : { subject }) }
}

/** Issuer and digest always, and that it was bound to its caller's certificate; of the claims only those that are named, as of a body's members, for they may be personal. */
export function recordedToken(
  { bound, claims, issuer, provider, sha256 }: TokenFacts,
  paths: readonly InputPath[],
): Json {
  const { kept, leftOut } = pickMembers(claims, paths)
  return {
    ...(bound === undefined ? undefined : { bound }),
    ...(kept !== undefined && !hasDecimals(kept) ? { claims: roundedJson(kept) } : undefined),
    ...(leftOut.length === 0 ? undefined : { claims_left_out: leftOut }),
    ...(kept !== undefined && hasDecimals(kept) ? { claims_text: exactText(kept) } : undefined),
    issuer,
    provider,
    sha256,
  }
}

/** As a token may write its `aud`: one, or a list of them; undefined where it is neither. */
export function audiencesOf(aud: Exact | undefined): readonly string[] | undefined {
  if (typeof aud === 'string') return [aud]
  return Array.isArray(aud) && aud.every((one) => typeof one === 'string') ? (aud as readonly string[]) : undefined
}
