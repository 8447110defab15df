/** Issuers and chains that were found good, and their signatures: a mesh shows the same ones again and again. */

import { equalBytes, toHex } from '../core/bytes.ts'
import type { Evidence, Peer } from '../core/identity.ts'
import { Recent } from '../core/recent.ts'
import type { VerifySignature } from './algorithms.ts'
import { type Certificate, parseCertificate } from './x509.ts'

/** Most that are remembered; beyond them the one that came first is checked again. */
const maxKnown = 64

/** Answers true without the work where key, bytes and signature are, to the last bit, what held before. */
export function rememberGood(verify: VerifySignature): VerifySignature {
  const known = new Map<string, Parameters<VerifySignature>[0]>()
  return (check) => {
    const name = toHex(check.signature.subarray(-8))
    const before = known.get(name)
    if (before && isSame(before, check)) return true
    if (!verify(check)) return false
    known.set(name, check)
    if (known.size > maxKnown) known.delete(known.keys().next().value!)
    return true
  }
}

function isSame(a: Parameters<VerifySignature>[0], b: Parameters<VerifySignature>[0]): boolean {
  return (
    a.algorithm === b.algorithm &&
    equalBytes(a.signature, b.signature) &&
    equalBytes(a.spki, b.spki) &&
    equalBytes(a.signed, b.signed)
  )
}

export interface KnownSigners {
  readonly read: typeof parseCertificate
  /** Only what led to a root is kept: nobody else can crowd out what is known. */
  keep(signer: Certificate): void
}

/** Certificates of signers, which need not be read again where they are the same to the last bit. */
export function rememberSigners(): KnownSigners {
  const known = new Map<string, Certificate>()
  const nameOf = (der: Uint8Array): string => toHex(der.subarray(-8))
  return {
    read(der) {
      const certificate = known.get(nameOf(der))
      return certificate && equalBytes(certificate.der, der) ? { certificate } : parseCertificate(der)
    },
    keep(signer) {
      known.set(nameOf(signer.der), signer)
      if (known.size > maxKnown) known.delete(known.keys().next().value!)
    },
  }
}

type Chain = Extract<Evidence, { kind: 'x509' }>
type Known = NonNullable<Peer['known']>

export interface KnownChains {
  /** What is known of a chain that is the same to the last bit, and its evidence as it was kept. */
  find(shown: Chain): KnownChain | undefined
  /** Only what proved a name is kept, for the same reason as with signers. */
  keep(evidence: Chain, known: Known): void
}

export interface KnownChain {
  readonly evidence: Chain
  readonly known: Known
}

/** Chains and what was said of them, so that the next connection of the same peer costs neither a check nor memory. */
export function rememberChains(): KnownChains {
  const recent = new Recent<KnownChain>()
  return {
    find({ chain }) {
      const before = chain[0] && recent.find(chain[0])
      return before && isSameChain(before.evidence.chain, chain) ? before : undefined
    },
    keep(evidence, known) {
      const leaf = evidence.chain[0]
      if (leaf) recent.keep(leaf, { evidence, known })
    },
  }
}

const isSameChain = (a: readonly Uint8Array[], b: readonly Uint8Array[]): boolean =>
  a === b || (a.length === b.length && a.every((one, i) => equalBytes(one, b[i]!)))
