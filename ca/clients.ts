/**
 * Callers from outside whose certificates are no SVIDs: whoever leads to one of a gateway's own roots is called by the DNS
 * name of its certificate, in a trust domain that stands for those roots and for nothing else.
 */

import type { Identified, IdentityRefusal, Peer } from '../core/identity.ts'
import type { Identify } from '../core/ports.ts'
import { spiffeId, type TrustDomain } from '../core/spiffe.ts'
import type { VerifySignature } from './algorithms.ts'
import { usages } from './extensions.ts'
import type { TrustState } from './identify.ts'
import { checkPath, maxChain } from './path.ts'
import { readRoots } from './svid.ts'
import { type Certificate, parseCertificate } from './x509.ts'

export interface ClientRoots {
  /** Of those whose certificates name a SPIFFE id: no root here vouches for one. */
  readonly identify: Identify
  readonly state: () => TrustState
  /** DER. The same array as long as they are the same. */
  readonly roots: () => readonly Uint8Array[]
  readonly trustDomain: TrustDomain
  readonly verify: VerifySignature
}

interface Known {
  readonly answer: Identified
  readonly untilMs: number
  readonly generation: number
  readonly roots: readonly Uint8Array[]
}

/** What was answered for a peer is its answer until the roots, the deny list or its time change. */
export function makeIdentifyClients(options: ClientRoots): Identify {
  const known = new WeakMap<Peer, Known>()
  const svids = new WeakSet<Peer>()
  return (peer, nowMs) => {
    if (svids.has(peer)) return options.identify(peer, nowMs)
    const { generation, denied } = options.state()
    const roots = options.roots()
    const before = known.get(peer)
    if (before?.generation === generation && before.roots === roots && nowMs <= before.untilMs) return before.answer
    if (peer.evidence.kind !== 'x509') {
      svids.add(peer)
      return options.identify(peer, nowMs)
    }
    const judged = judge(peer.evidence.chain, readRoots(roots), denied, options, nowMs)
    if (judged === 'svid') {
      svids.add(peer)
      return options.identify(peer, nowMs)
    }
    known.set(peer, { ...judged, generation, roots })
    return judged.answer
  }
}

type Judged = Pick<Known, 'answer' | 'untilMs'>

const refuse = (code: IdentityRefusal, detail: string, untilMs = Number.POSITIVE_INFINITY): Judged => ({
  answer: { ok: false, code, detail },
  untilMs,
})

function judge(
  ders: readonly Uint8Array[],
  roots: readonly Certificate[],
  denied: ReadonlySet<string>,
  { trustDomain, verify }: ClientRoots,
  nowMs: number,
): Judged | 'svid' {
  if (ders.length > maxChain) return refuse('identity_invalid', `a chain of ${ders.length} certificates`)
  const chain: Certificate[] = []
  for (const der of ders) {
    const read = parseCertificate(der)
    if ('wrong' in read) return refuse('identity_invalid', read.wrong)
    chain.push(read.certificate)
  }
  const leaf = chain[0]
  if (!leaf) return refuse('identity_missing', 'no certificate')
  const { subjectAltName, basicConstraints, keyUsage } = leaf.extensions
  if (subjectAltName?.uris.some((uri) => uri.toLowerCase().startsWith('spiffe:'))) return 'svid'
  const names = subjectAltName?.dns ?? []
  const id =
    names.length === 1 && !names[0]!.includes('*') ? spiffeId(trustDomain, `/${names[0]!.toLowerCase()}`) : undefined
  if (!id) return refuse('identity_invalid', 'not exactly one DNS name')
  if (basicConstraints?.ca) return refuse('identity_invalid', 'a signing certificate, which authenticates nobody')
  if (keyUsage && !keyUsage.bits.has('digitalSignature')) {
    return refuse('identity_invalid', 'key usage without digitalSignature')
  }
  const path = checkPath(chain, roots, { nowMs, usages: [usages.clientAuth], verify })
  if (!path.ok) return refuse(path.code, path.detail, path.untilMs)
  if (denied.has(id)) return refuse('identity_revoked', `${id} is on the deny list`)
  const out = path.path.find(({ serial }) => denied.has(serial))
  if (out) return refuse('identity_revoked', `certificate ${out.serial} is on the deny list`)
  const { notBeforeMs, notAfterMs } = path
  const identity = { id, trustDomain, proof: 'x509', serial: leaf.serial, notBeforeMs, notAfterMs } as const
  return { answer: { ok: true, identity }, untilMs: notAfterMs }
}
