/** What of a token's claims a policy may read, and what of those a record does not show. */

import type { Exact } from '../../core/exact.ts'
import { isWithin } from '../../core/input-body.ts'
import type { InputPath } from '../../core/policy.ts'
import { isKnown } from './body-reads.ts'

export interface ClaimReads {
  /** Below the claims, each with all that is below it; `[]` is all of them. Default none. */
  readonly claims?: readonly InputPath[]
}

export interface RecordedToken {
  /** The claims that were kept; undefined where the token had none of them, or none are kept. */
  readonly claims: Exact | undefined
  /** Claims that were to be kept and were too long for it. */
  readonly leftOut: readonly InputPath[]
}

const token = ['writ', 'token']
/** Whose token it is every record says; all else is a claim by another name. */
const claimsBehind: Readonly<Record<string, InputPath | undefined>> = { subject: ['sub'], audiences: ['aud'] }

export function claimReads(paths: readonly InputPath[]): ClaimReads {
  const claims = paths.flatMap((path): InputPath[] => {
    if (isWithin(token, path)) return [[]]
    if (!isWithin(path, token)) return []
    const [member, ...below] = path.slice(token.length)
    if (member === 'claims') return [below]
    const behind = Object.hasOwn(claimsBehind, member!) ? claimsBehind[member!] : undefined
    return behind ? [behind] : []
  })
  return claims.length > 0 ? { claims } : {}
}

/** Names of what is read and not shown: `claim a.b`, or `claims`. A request without a token has none. */
export function claimLacks(reads: ClaimReads, shown: RecordedToken, kept: ClaimReads): string[] {
  return (reads.claims ?? []).flatMap((path) => {
    if (isKnown(shown.claims, path)) return []
    const cut = shown.leftOut.some((other) => isWithin(other, path) || isWithin(path, other))
    if (!cut && kept.claims?.some((outer) => isWithin(path, outer))) return []
    return [path.length === 0 ? 'claims' : `claim ${path.join('.')}`]
  })
}
