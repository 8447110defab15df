/**
 * Does this chain lead to one of these roots? RFC 5280 section 6 without policies, and stricter where a mesh
 * can afford it: whatever is not understood refuses. The chain comes in order (RFC 8446 section 4.4.2), so there is
 * no search and the work is bounded.
 */

import { equalBytes } from '../core/bytes.ts'
import type { VerifySignature } from './algorithms.ts'
import { type RevocationList, revocationOf } from './crl.ts'
import { constraintFault } from './names.ts'
import { isSignedBy } from './signed.ts'
import { type Certificate, isEmptyName } from './x509.ts'

/** Most certificates that a peer may show, its own included. */
export const maxChain = 4
/** Most revocation lists that are asked about one chain. */
const maxLists = 16
/** Most signatures that are checked for one chain. */
const maxSignatures = 16

export interface PathRules {
  readonly nowMs: number
  /** OIDs that an extended key usage must name, wherever in the chain there is one. */
  readonly usages: readonly string[]
  readonly verify: VerifySignature
  /** The same for certificates of signers, which come again and again. Default `verify`. */
  readonly verifySigner?: VerifySignature
  /** Revocation lists of issuers in the chain, 16 at most. Default none: then nothing is asked of them. */
  readonly lists?: readonly RevocationList[]
}

export type PathAnswer =
  | {
      readonly ok: true
      /** From the leaf to the root. */
      readonly path: readonly Certificate[]
      /** The narrowest window over the path. */
      readonly notBeforeMs: number
      readonly notAfterMs: number
    }
  | {
      readonly ok: false
      readonly code: 'identity_invalid' | 'identity_expired' | 'identity_revoked' | 'identity_untrusted'
      readonly detail: string
      /** How long that stays so: what is not valid yet may become it. Milliseconds since 1970. */
      readonly untilMs: number
    }

/** `roots` are those of one trust domain. */
export function checkPath(chain: readonly Certificate[], roots: readonly Certificate[], rules: PathRules): PathAnswer {
  if (chain.length === 0 || chain.length > maxChain) return invalid(`a chain of ${chain.length} certificates`)
  let checks = 0
  const issued = (issuer: Certificate, subject: Certificate): boolean =>
    names(issuer, subject) &&
    ++checks <= maxSignatures &&
    isSignedBy(subject, issuer, isSigner(subject) ? (rules.verifySigner ?? rules.verify) : rules.verify)

  let refusal: PathAnswer | undefined
  for (const [i, certificate] of chain.entries()) {
    for (const root of roots) {
      if (!issued(root, certificate)) continue
      const answer = judge([...chain.slice(0, i + 1), root], rules)
      if (answer.ok) return answer
      refusal ??= answer
    }
    const next = chain[i + 1]
    if (next && !issued(next, certificate)) return refusal ?? invalid('a certificate that the next one did not issue')
  }
  return refusal ?? refuse('identity_untrusted', 'no root of its trust domain issued this chain')
}

function refuse(
  code: (PathAnswer & { ok: false })['code'],
  detail: string,
  untilMs = Number.POSITIVE_INFINITY,
): PathAnswer {
  return { ok: false, code, detail, untilMs }
}

const invalid = (detail: string): PathAnswer => refuse('identity_invalid', detail)

/** RFC 5280 sections 4.1.2.4, 4.2.1.1 and 6.1.3 (a)(4). */
function names(issuer: Certificate, subject: Certificate): boolean {
  const { subjectKeyId } = issuer.extensions
  const { authorityKeyId } = subject.extensions
  return (
    !isEmptyName(issuer.subject) &&
    equalBytes(issuer.subject, subject.issuer) &&
    (!subjectKeyId || !authorityKeyId || equalBytes(subjectKeyId, authorityKeyId))
  )
}

/** All rules but signatures, over a path whose links hold. */
function judge(path: readonly Certificate[], rules: PathRules): PathAnswer {
  let notBeforeMs = 0
  let notAfterMs = Number.POSITIVE_INFINITY
  for (const [i, certificate] of path.entries()) {
    const fault = commonFault(certificate, rules) ?? (i > 0 ? signerFault(path, i) : leafFault(certificate))
    if (fault) return invalid(fault)
    notBeforeMs = Math.max(notBeforeMs, certificate.notBeforeMs)
    notAfterMs = Math.min(notAfterMs, certificate.notAfterMs)
  }
  if (rules.nowMs > notAfterMs) return refuse('identity_expired', `not valid after ${time(notAfterMs)}`)
  if (rules.nowMs < notBeforeMs)
    return refuse('identity_expired', `not valid before ${time(notBeforeMs)}`, notBeforeMs - 1)
  const out = revokedIn(path, rules)
  if (out) return out
  return { ok: true, path, notBeforeMs, notAfterMs }
}

function revokedIn(path: readonly Certificate[], { lists = [], nowMs, verify }: PathRules): PathAnswer | undefined {
  if (lists.length > maxLists) return invalid(`more than ${maxLists} revocation lists`)
  for (const [i, certificate] of path.slice(0, -1).entries()) {
    const said = revocationOf(certificate, path[i + 1]!, lists, nowMs, verify)
    if (said === 'revoked')
      return refuse('identity_revoked', `certificate ${certificate.serial} was revoked by its issuer`)
    if (said !== 'good') return invalid(said.unsure)
  }
  return undefined
}

const time = (ms: number): string => new Date(ms).toISOString()

function commonFault({ key, extensions }: Certificate, rules: PathRules): string | undefined {
  if (!key) return 'a key of a kind that does not count'
  const [unknown] = extensions.unknownCritical
  if (unknown) return `unknown critical extension ${unknown}`
  const { extendedKeyUsage } = extensions
  if (extendedKeyUsage && !rules.usages.every((usage) => extendedKeyUsage.includes(usage))) {
    return 'an extended key usage that leaves out what it is used for'
  }
  return undefined
}

/** RFC 5280 section 4.2.1.10: name constraints stand on CA certificates only. */
function leafFault({ extensions }: Certificate): string | undefined {
  return extensions.nameConstraints ? 'name constraints on a leaf' : undefined
}

/** RFC 5280 sections 4.2.1.3, 4.2.1.9, 4.2.1.10 and 6.1.4, for the signer at `at` over everything below it. */
function signerFault(path: readonly Certificate[], at: number): string | undefined {
  const { basicConstraints, keyUsage, nameConstraints } = path[at]!.extensions
  if (!basicConstraints?.ca || !basicConstraints.critical) return 'a signer that is no CA'
  if (keyUsage && !keyUsage.bits.has('keyCertSign')) return 'a signer whose key may not sign certificates'
  const between = path.slice(1, at).filter((certificate) => !isSelfIssued(certificate)).length
  if (basicConstraints.pathLen !== undefined && between > basicConstraints.pathLen) return 'a path longer than allowed'
  if (!nameConstraints) return undefined
  if (!nameConstraints.critical) return 'name constraints not marked critical'
  for (const [i, below] of path.slice(0, at).entries()) {
    if (i > 0 && isSelfIssued(below)) continue
    const names = below.extensions.subjectAltName
    const fault = names && constraintFault(names, nameConstraints)
    if (fault) return fault
  }
  return undefined
}

const isSigner = ({ extensions }: Certificate): boolean => extensions.basicConstraints?.ca === true

const isSelfIssued = (certificate: Certificate): boolean => equalBytes(certificate.issuer, certificate.subject)
