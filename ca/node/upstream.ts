/** Issuers that somebody above signs: an offline root, Vault, another Writ. Their roots are what workloads then trust. */

import { equalBytes } from '../../core/bytes.ts'
import { WritError } from '../../core/fault.ts'
import { parseSpiffeId, type TrustDomain } from '../../core/spiffe.ts'
import { isOwnKind } from '../algorithms.ts'
import { isSignedBy } from '../signed.ts'
import { verifySvid } from '../svid.ts'
import { type Certificate, parseCertificate } from '../x509.ts'
import { keyIdOf, newKeyPair, privateKeyOf, spkiOf, verifySignature } from './crypto.ts'
import { writeLeaf } from './leaf.ts'

export interface IssuerRequest {
  /** PKCS#10, DER: the key, and what the issuer should be held to. */
  readonly csr: Uint8Array
  readonly trustDomain: TrustDomain
  readonly commonName: string
  /** Longest life, in milliseconds. Less is taken as well. */
  readonly lifeMs: number
}

/** An authority above this one. */
export interface Upstream {
  /** Names it beside what it signed: `upstream:…`. */
  readonly ref: string
  /**
   * The chain from the issuer to the root, both included. Rejects with `unavailable`, `forbidden` or `not_found`, and its
   * cure; the chain is for the caller to judge.
   */
  sign(request: IssuerRequest): Promise<readonly Uint8Array[]>
}

/** What stands for the key of a root that signs nothing here. */
export const offlineRef = 'upstream:offline'

export const isUpstream = (rootKey: string): boolean => rootKey.startsWith('upstream:')

/** An issuer with what is between it and its root, all DER. */
export interface IssuerChain {
  readonly issuer: Uint8Array
  readonly intermediates: readonly Uint8Array[]
  readonly root: Uint8Array
}

/**
 * Takes a chain only where a leaf signed by this key verifies under its root, for as long as the issuer lives: path
 * length, name constraints, key usage and kinds of keys are judged as every peer will judge them. Throws
 * `certificate_invalid`.
 */
export function provenChain(
  chain: readonly Uint8Array[],
  keyPem: string,
  trustDomain: TrustDomain,
  nowMs: number,
): IssuerChain {
  if (chain.length < 2) throw wrong('it has no root')
  const issuer = read(chain[0]!)
  const root = read(chain.at(-1)!)
  const intermediates = chain.slice(1, -1)
  if (!isOwnKind(issuer.key)) throw wrong('the key of the issuer is not P-256, P-384 or Ed25519')
  if (!equalBytes(spkiOf(keyPem), issuer.spki)) throw wrong('the first certificate is of another key')
  if (!equalBytes(root.subject, root.issuer) || !isSignedBy(root, root, verifySignature)) {
    throw wrong('the last certificate is no root, for it did not sign itself')
  }
  const { keyUsage } = root.extensions
  if (!keyUsage?.critical || !keyUsage.bits.has('keyCertSign')) {
    throw wrong('its root has no critical key usage with keyCertSign, as X509-SVID section 4.3 wants it')
  }
  const notBeforeMs = Math.max(issuer.notBeforeMs, nowMs - 60_000)
  const probe = writeLeaf(
    {
      ...{ serial: Uint8Array.of(1), issuer: issuer.subject, issuerKeyId: signerKeyId(issuer), notBeforeMs },
      notAfterMs: issuer.notAfterMs,
      spki: newKeyPair().spki,
      uris: [parseSpiffeId(`spiffe://${trustDomain}/writ/probe`)!],
      dns: [],
    },
    privateKeyOf(keyPem),
  )
  const bundle = { trustDomain, sequence: 0, roots: [root.der] }
  const answer = verifySvid([probe, issuer.der, ...intermediates], bundle, nowMs, verifySignature)
  if (!answer.ok) throw wrong(`a certificate by it is refused: ${answer.detail}`)
  if (answer.identity.notAfterMs < issuer.notAfterMs) throw wrong('a certificate above the issuer ends before it')
  return { issuer: issuer.der, intermediates, root: root.der }
}

/** The identifier by which certificates of a signer name its key: the one that it bears (RFC 5280 section 4.2.1.2). */
export const signerKeyId = ({ extensions, spki }: Certificate): Uint8Array => extensions.subjectKeyId ?? keyIdOf(spki)

function read(der: Uint8Array): Certificate {
  const answer = parseCertificate(der)
  if ('certificate' in answer) return answer.certificate
  throw wrong(`a certificate of it does not read: ${answer.wrong}`)
}

const wrong = (why: string): WritError =>
  new WritError('certificate_invalid', `this chain cannot be issued by: ${why}`, {
    cure: 'give the issuer first and its root last, with cA, keyCertSign and no path length of 0 above it',
  })
