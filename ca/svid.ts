/** X509-SVIDs by the letter of the SPIFFE X509-SVID standard, on top of the path check. */

import type { Identity, IdentityRefusal, TrustBundle } from '../core/identity.ts'
import { parseSpiffeId, parseTrustDomain, type SpiffeId, trustDomainOf } from '../core/spiffe.ts'
import type { VerifySignature } from './algorithms.ts'
import { usages } from './extensions.ts'
import { checkPath, maxChain } from './path.ts'
import { type Certificate, isEmptyName, parseCertificate } from './x509.ts'

/** A chain whose certificates keep the standard's rules; nobody has vouched for it yet. */
export interface ClaimedSvid {
  readonly id: SpiffeId
  /** The leaf first. */
  readonly chain: readonly [Certificate, ...Certificate[]]
}

/** `readSigner` may know certificates of signers that it read before. */
export function readSvid(
  ders: readonly Uint8Array[],
  readSigner: typeof parseCertificate = parseCertificate,
): { readonly svid: ClaimedSvid } | { readonly wrong: string } {
  if (ders.length > maxChain) return { wrong: `a chain of ${ders.length} certificates` }
  const certificates: Certificate[] = []
  for (const der of ders) {
    const read = certificates.length === 0 ? parseCertificate(der) : readSigner(der)
    if ('wrong' in read) return read
    certificates.push(read.certificate)
  }
  const [leaf, ...signers] = certificates
  if (!leaf) return { wrong: 'no certificate' }
  const named = readLeaf(leaf)
  if ('wrong' in named) return named
  for (const signer of signers) {
    const wrong = signerFault(signer, named.id)
    if (wrong) return { wrong }
  }
  return { svid: { id: named.id, chain: [leaf, ...signers] } }
}

/** X509-SVID sections 2, 3.1, 4.1, 4.3, 4.4 and 5.2, and RFC 5280 section 4.2.1.6. */
function readLeaf(leaf: Certificate): { readonly id: SpiffeId } | { readonly wrong: string } {
  const { subjectAltName, basicConstraints, keyUsage, extendedKeyUsage } = leaf.extensions
  if (subjectAltName?.uris.length !== 1) return { wrong: 'not exactly one URI name' }
  const id = parseSpiffeId(subjectAltName.uris[0]!)
  if (!id) return { wrong: 'a URI name that is no SPIFFE ID of a workload' }
  if (isEmptyName(leaf.subject) && !subjectAltName.critical) return { wrong: 'an empty subject without critical names' }
  if (basicConstraints?.ca) return { wrong: 'a signing certificate, which authenticates nobody' }
  if (!keyUsage?.critical) return { wrong: 'key usage missing or not critical' }
  if (!keyUsage.bits.has('digitalSignature')) return { wrong: 'key usage without digitalSignature' }
  if (keyUsage.bits.has('keyCertSign') || keyUsage.bits.has('cRLSign')) return { wrong: 'a leaf that may sign others' }
  if (extendedKeyUsage && !svidUsages.every((usage) => extendedKeyUsage.includes(usage))) {
    return { wrong: 'extended key usage without both serverAuth and clientAuth' }
  }
  return { id }
}

const svidUsages = [usages.serverAuth, usages.clientAuth]

/** X509-SVID sections 3.2, 4.1 and 4.3: a signer may be named after its trust domain, never after a workload. */
function signerFault(signer: Certificate, id: SpiffeId): string | undefined {
  const { subjectAltName, basicConstraints, keyUsage } = signer.extensions
  if (!basicConstraints?.ca) return 'a signer that is no CA'
  if (!keyUsage?.critical || !keyUsage.bits.has('keyCertSign')) return 'a signer without critical keyCertSign'
  const domain = trustDomainOf(id)
  for (const uri of subjectAltName?.uris ?? []) {
    if (uri.startsWith('spiffe:') && uri !== `spiffe://${domain}`) return `a signer named ${uri}`
  }
  return undefined
}

export type SvidAnswer =
  | {
      readonly ok: true
      readonly identity: Identity
      /** From the leaf to the last certificate below the root. */
      readonly path: readonly Certificate[]
    }
  | { readonly ok: false; readonly code: IdentityRefusal; readonly detail: string; readonly untilMs: number }

/** `roots` are those of the SVID's own trust domain. */
export function checkSvid(
  { id, chain }: ClaimedSvid,
  roots: readonly Certificate[],
  nowMs: number,
  verify: VerifySignature,
  verifySigner: VerifySignature = verify,
): SvidAnswer {
  const good = roots.filter((root) => !signerFault(root, id))
  const answer = checkPath(chain, good, { nowMs, usages: svidUsages, verify, verifySigner })
  if (!answer.ok) return answer
  const { notBeforeMs, notAfterMs } = answer
  const serial = chain[0].serial
  const identity: Identity = { id, trustDomain: trustDomainOf(id), proof: 'x509', serial, notBeforeMs, notAfterMs }
  return { ok: true, identity, path: answer.path.slice(0, -1) }
}

/** A root that cannot be read vouches for nobody; the others still do. */
export function readRoots(ders: readonly Uint8Array[]): readonly Certificate[] {
  return ders.flatMap((der) => {
    const read = parseCertificate(der)
    return 'certificate' in read ? [read.certificate] : []
  })
}

/** The whole check of a chain against one trust bundle, for those who know whose it must be. */
export function verifySvid(
  ders: readonly Uint8Array[],
  bundle: TrustBundle,
  nowMs: number,
  verify: VerifySignature,
): SvidAnswer {
  const read = readSvid(ders)
  const untilMs = Number.POSITIVE_INFINITY
  if ('wrong' in read) return { ok: false, code: 'identity_invalid', detail: read.wrong, untilMs }
  if (trustDomainOf(read.svid.id) !== bundle.trustDomain) {
    return { ok: false, code: 'identity_untrusted', detail: `${read.svid.id} is of another trust domain`, untilMs }
  }
  return checkSvid(read.svid, readRoots(bundle.roots), nowMs, verify)
}

/** The trust domain that a CA certificate is named after. */
export function signerDomain(signer: Certificate): ReturnType<typeof parseTrustDomain> {
  const [uri] = signer.extensions.subjectAltName?.uris ?? []
  return uri?.startsWith('spiffe://') ? parseTrustDomain(uri.slice(9)) : undefined
}
