/** Who is at the other end: judged once in full, then compared on every request. */

import type { Evidence, Identified, IdentityRefusal, IdentityState, Peer, TrustBundle } from '../core/identity.ts'
import type { Identify } from '../core/ports.ts'
import { trustDomainOf } from '../core/spiffe.ts'
import type { VerifySignature } from './algorithms.ts'
import { type KnownSigners, rememberChains, rememberGood, rememberSigners } from './remember.ts'
import { checkSvid, readRoots, readSvid } from './svid.ts'
import { type Certificate, parseCertificate } from './x509.ts'

export type TrustState = Pick<IdentityState, 'generation' | 'bundles' | 'denied'>

/** What else than chains a shell takes. */
export interface OtherProofs {
  /** JWT-SVIDs (ca/jwt.ts). Default none is taken. */
  readonly jwt?: Identify
  /** Tokens of platforms (ca/platform/identify.ts). Default none is taken. */
  readonly platform?: (token: string, nowMs: number) => Promise<Identified>
}

/**
 * The one function for everything that can prove a name; each refusal has its code and its reason.
 * The answer is kept in `peer.known`. While the generation is the same, it is the answer to every later call, until
 * its time is over; then a name becomes `identity_expired`, and what was not valid yet is judged again. A chain that
 * proved a name is known by its bytes, for the same generation and time: a new connection that shows it is the same peer,
 * since its handshake has proved the key. `peer.evidence` is then the one that is kept.
 */
export function makeIdentify(
  state: () => TrustState,
  verifySignature: VerifySignature,
  { jwt, platform }: OtherProofs = {},
): Identify {
  const roots = rememberRoots()
  const verify = { leaf: verifySignature, signer: rememberGood(verifySignature) }
  const signers = rememberSigners()
  const chains = rememberChains()
  return (peer, nowMs) => {
    const now = state()
    const { known } = peer
    if (known?.generation === now.generation && nowMs <= known.untilMs) return known.answer
    if (peer.evidence.kind === 'jwt' && jwt) return jwt(peer, nowMs)
    if (peer.evidence.kind === 'platform' && platform) return platform(peer.evidence.token, nowMs)
    if (peer.evidence.kind === 'x509') {
      const kept = chains.find(peer.evidence)
      if (kept && holds(kept.known, now.generation, nowMs)) {
        peer.evidence = kept.evidence
        peer.known = kept.known
        return kept.known.answer
      }
    }
    const { answer, untilMs } = judge(peer.evidence, now, nowMs, roots, verify, signers)
    peer.known = { answer, generation: now.generation, untilMs }
    if (answer.ok && peer.evidence.kind === 'x509') chains.keep(peer.evidence, peer.known)
    return answer
  }
}

/** The same for one chain that is asked about once, as that of a server. */
export const identifyChain = (
  chain: readonly Uint8Array[],
  state: Omit<TrustState, 'generation'>,
  nowMs: number,
  verify: VerifySignature,
): Identified => {
  const rootsOf = ({ roots }: TrustBundle) => readRoots(roots)
  const evidence = { kind: 'x509', chain } as const
  return judge(evidence, { ...state, generation: 0 }, nowMs, rootsOf, { leaf: verify, signer: verify }, noSigners)
    .answer
}

const holds = ({ answer, generation, untilMs }: NonNullable<Peer['known']>, now: number, nowMs: number): boolean =>
  generation === now && nowMs <= untilMs && answer.ok && nowMs >= answer.identity.notBeforeMs

const noSigners: KnownSigners = { read: parseCertificate, keep() {} }

interface Judged {
  readonly answer: Identified
  readonly untilMs: number
}

const refuse = (code: IdentityRefusal, detail: string, untilMs = Number.POSITIVE_INFINITY): Judged => ({
  answer: { ok: false, code, detail },
  untilMs,
})

function judge(
  evidence: Evidence,
  state: TrustState,
  nowMs: number,
  roots: (bundle: TrustBundle) => readonly Certificate[],
  verify: { readonly leaf: VerifySignature; readonly signer: VerifySignature },
  signers: KnownSigners,
): Judged {
  switch (evidence.kind) {
    case 'none':
      return refuse('identity_missing', 'no certificate and no token')
    case 'jwt':
      return refuse('identity_invalid', 'no JWT-SVIDs are taken here')
    case 'platform':
      return refuse('identity_invalid', 'no tokens of platforms are taken here')
    case 'declared': {
      const { identity } = evidence
      if (state.denied.has(identity.id)) return refuse('identity_revoked', `${identity.id} is on the deny list`)
      return { answer: { ok: true, identity }, untilMs: Number.POSITIVE_INFINITY }
    }
    case 'x509': {
      const read = readSvid(evidence.chain, signers.read)
      if ('wrong' in read) return refuse('identity_invalid', read.wrong)
      const domain = trustDomainOf(read.svid.id)
      const bundle = state.bundles.get(domain)
      // The key of the map is what was asked for; a bundle filed under another name speaks for nobody.
      if (bundle?.trustDomain !== domain) return refuse('identity_untrusted', `no trust bundle for ${domain}`)
      const checked = checkSvid(read.svid, roots(bundle), nowMs, verify.leaf, verify.signer)
      if (!checked.ok) return refuse(checked.code, checked.detail, checked.untilMs)
      const { identity, path } = checked
      for (const signer of path.slice(1)) signers.keep(signer)
      if (state.denied.has(identity.id)) return refuse('identity_revoked', `${identity.id} is on the deny list`)
      const denied = path.find((certificate) => state.denied.has(certificate.serial))
      if (denied) return refuse('identity_revoked', `certificate ${denied.serial} is on the deny list`)
      return { answer: { ok: true, identity }, untilMs: identity.notAfterMs }
    }
  }
}

/** Roots are read once for as long as their bundle is in use. */
function rememberRoots(): (bundle: TrustBundle) => readonly Certificate[] {
  const seen = new WeakMap<TrustBundle, readonly Certificate[]>()
  return (bundle) => {
    const known = seen.get(bundle)
    if (known) return known
    const roots = readRoots(bundle.roots)
    seen.set(bundle, roots)
    return roots
  }
}
