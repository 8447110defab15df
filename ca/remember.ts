/** Issuers that were found good, and their signatures: every chain of a mesh brings the same few again. */

import { equalBytes, toHex } from '../core/bytes.ts'
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
