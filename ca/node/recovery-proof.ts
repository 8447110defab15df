/** That a workload holds its recovery key, shown beside each request for a certificate. */

import { concat, fromBase64, toBase64, utf8 } from '../../core/bytes.ts'
import { WritError } from '../../core/fault.ts'
import { keyKindOf } from '../algorithms.ts'
import { attempt, readDer } from '../der.ts'
import { privateKeyOf, sha256Hex, signDer, spkiOf, verifySignature } from './crypto.ts'

/** A P-256 key (SubjectPublicKeyInfo, DER), and its ECDSA signature with SHA-256 over what `signedOf` says, DER. */
export interface RecoveryProof {
  readonly key: Uint8Array
  readonly signature: Uint8Array
}

/** The request for a certificate is signed, whose own key the caller has: a proof that was seen is worth nothing. */
const signedOf = (csrDer: Uint8Array): Uint8Array => concat(utf8('writ-recovery\n'), csrDer)

/** A header and no member of the body: a control plane that knows none of it goes on as it did. */
export const recoveryHeader = 'writ-recovery'

/** The header's value: key and signature, each as base64, with a space between them. */
export function recoveryText(keyPem: string, csrDer: Uint8Array): string {
  return `${toBase64(spkiOf(keyPem))} ${toBase64(signDer(privateKeyOf(keyPem), signedOf(csrDer)))}`
}

/** Throws `certificate_invalid` where the text is nothing of the kind; whether it holds, `provenDigest` says. */
export function readRecovery(text: string): RecoveryProof {
  const [key, signature, ...more] = text.length > 1024 ? [] : text.split(' ').map(fromBase64)
  if (key && signature && more.length === 0) return { key, signature }
  throw invalid('not two texts of base64')
}

/** SHA-256 of the key, lower-case hex. Throws `certificate_invalid` where the proof does not hold for this request. */
export function provenDigest({ key, signature }: RecoveryProof, csrDer: Uint8Array): string {
  const read = attempt(() => keyKindOf(readDer(key)))
  if (!('value' in read) || read.value !== 'p256') throw invalid('the key is not P-256')
  if (verifySignature({ algorithm: 'ecdsa-sha256', spki: key, signed: signedOf(csrDer), signature }))
    return sha256Hex(key)
  throw invalid('the key did not sign this request')
}

const invalid = (what: string): WritError =>
  new WritError('certificate_invalid', `a bad recovery proof: ${what}`, {
    cure: `sign the certificate request with the key that stands in the header ${recoveryHeader}`,
  })
