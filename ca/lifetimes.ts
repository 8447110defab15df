/** How long certificates still hold, and when their renewal should have happened by itself. */

import { equalBytes } from '../core/bytes.ts'
import type { IdentityState } from '../core/identity.ts'
import { trustDomainOf } from '../core/spiffe.ts'
import { type Certificate, parseCertificate } from './x509.ts'

export interface Lifetime {
  readonly kind: 'leaf' | 'issuer' | 'root'
  readonly notBeforeMs: number
  readonly notAfterMs: number
}

/** How far certificates begin in the past, which is no part of the life they were given, in milliseconds. */
export const backdateMs = 60_000
const dayMs = 86_400_000

/** How late a renewal is. */
export type Urgency = 'overdue' | 'critical'

/**
 * A leaf is renewed at half of its life, an issuer with a sixth of its left, a root half a year before its end. Overdue is
 * what was not: with a third of its life left, an eighth, and 90 days or a quarter. With half of that left it is critical.
 */
export function urgencyOf({ kind, notBeforeMs, notAfterMs }: Lifetime, nowMs: number): Urgency | undefined {
  const life = notAfterMs - notBeforeMs - backdateMs
  const least = { leaf: life / 3, issuer: life / 8, root: Math.min(90 * dayMs, life / 4) }[kind]
  const left = notAfterMs - nowMs
  if (left >= least) return undefined
  return left < least / 2 ? 'critical' : 'overdue'
}

export const isOverdue = (one: Lifetime, nowMs: number): boolean => urgencyOf(one, nowMs) !== undefined

/** Of a process's own certificate, of the issuer that signed it, and of the root that this leads to. */
export function lifetimesOf({ svid, bundles }: Pick<IdentityState, 'svid' | 'bundles'>): readonly Lifetime[] {
  const above = svid.chain.slice(1).flatMap(read)
  const roots = (bundles.get(trustDomainOf(svid.id))?.roots ?? []).flatMap(read)
  const last = above.at(-1)
  const [root] = roots
    .filter(({ subject }) => last && equalBytes(subject, last.issuer))
    .sort((a, b) => b.notAfterMs - a.notAfterMs)
  return [lifetime('leaf', svid), ...above.slice(0, 1).map((one) => lifetime('issuer', one))].concat(
    root ? lifetime('root', root) : [],
  )
}

export const lifetime = (
  kind: Lifetime['kind'],
  { notBeforeMs, notAfterMs }: { readonly notBeforeMs: number; readonly notAfterMs: number },
): Lifetime => ({ kind, notBeforeMs, notAfterMs })

function read(der: Uint8Array): readonly Certificate[] {
  const answer = parseCertificate(der)
  return 'certificate' in answer ? [answer.certificate] : []
}
