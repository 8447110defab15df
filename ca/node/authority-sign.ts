/** Signs leaves with the keys of the authority that is active. */

import type { KeyObject } from 'node:crypto'
import { equalBytes, toHex } from '../../core/bytes.ts'
import { WritError } from '../../core/fault.ts'
import type { RandomBytes } from '../../core/ports.ts'
import { type SpiffeId, type TrustDomain, trustDomainOf } from '../../core/spiffe.ts'
import { isOwnKind, keyKindOf } from '../algorithms.ts'
import { attempt, readDer } from '../der.ts'
import { backdateMs } from '../lifetimes.ts'
import { readSvid, signerDomain } from '../svid.ts'
import { type Certificate, parseCertificate } from '../x509.ts'
import { wholeSeconds } from './authority-make.ts'
import type { HeldAuthority } from './authority-state.ts'
import { privateKeyOf, spkiOf } from './crypto.ts'
import { type JwtSigner, jwtSignerOf } from './jwt.ts'
import { writeLeaf } from './leaf.ts'
import { signerKeyId } from './upstream.ts'
import { newSerial } from './write.ts'

/** Life of a leaf unless another is asked for: an hour, in milliseconds. */
export const leafMs: number = 3_600_000

export interface IssueRequest {
  readonly id: SpiffeId
  /** SubjectPublicKeyInfo, DER. */
  readonly spki: Uint8Array
  /** Life of the leaf in milliseconds. Default one hour; never beyond the authority's longest nor the issuer's own end. */
  readonly ttlMs?: number | undefined
  /** DNS names that stand beside the id. Default none. */
  readonly dns?: readonly string[] | undefined
}

export interface IssuedLeaf {
  /** Leaf, issuer, and what is between that and the root, DER. */
  readonly chain: readonly Uint8Array[]
  readonly serial: string
  readonly notBeforeMs: number
  readonly notAfterMs: number
}

/** What signs: an authority's keys, opened. */
export interface Signing {
  readonly held: HeldAuthority
  readonly issuer: Certificate
  /** What a leaf brings along: the issuer and what is between it and the root, DER. */
  readonly above: readonly Uint8Array[]
  readonly issuerKeyId: Uint8Array
  readonly issuerKey: KeyObject
  readonly tokens: JwtSigner
}

export function refuseForeign(id: SpiffeId, trustDomain: TrustDomain): void {
  if (trustDomainOf(id) === trustDomain) return
  throw new WritError('certificate_invalid', `${id} is not of the trust domain ${trustDomain}`, {
    cure: 'ask the authority of its own trust domain',
  })
}

/** A sixth of its life is left. */
export const isWorn = ({ notBeforeMs, notAfterMs }: Certificate, nowMs: number): boolean =>
  notAfterMs - nowMs < (notAfterMs - notBeforeMs) / 6

/** Throws `certificate_invalid` for a key or a name that gets no certificate, `unavailable` past the issuer's end. */
export function issueLeaf(
  { issuer, above, issuerKeyId, issuerKey }: Signing,
  request: IssueRequest,
  longestMs: number,
  nowMs: number,
  random: RandomBytes,
): IssuedLeaf {
  const { id, spki, ttlMs = leafMs, dns = [] } = request
  const key = attempt(() => keyKindOf(readDer(spki)))
  if (!('value' in key) || !isOwnKind(key.value)) {
    throw new WritError('certificate_invalid', `no certificate for ${id}: its key is not P-256, P-384 or Ed25519`, {
      cure: 'make a P-256 key',
    })
  }
  if (issuer.notAfterMs <= nowMs) {
    throw new WritError('unavailable', 'the issuer has expired and could not be replaced', {
      cure: "see what the control plane reports about the root's key",
    })
  }
  const notBeforeMs = wholeSeconds(nowMs - backdateMs)
  const notAfterMs = Math.min(wholeSeconds(nowMs + Math.min(ttlMs, longestMs)), issuer.notAfterMs)
  const serial = newSerial(random)
  const leaf = writeLeaf(
    { serial, issuer: issuer.subject, notBeforeMs, notAfterMs, spki, uris: [id], dns, issuerKeyId },
    issuerKey,
  )
  const chain = [leaf, ...above]
  const read = readSvid([leaf]) // What our own validator would refuse never leaves; the issuer was read when it was made.
  if ('wrong' in read) {
    throw new WritError('certificate_invalid', `no certificate for ${id}: ${read.wrong}`, {
      cure: 'ask for DNS names that are host names',
    })
  }
  return { chain, serial: toHex(serial), notBeforeMs, notAfterMs }
}

/** Throws `certificate_invalid` where keys and certificates do not belong together. */
export function openSigning(held: HeldAuthority, trustDomain: TrustDomain, open: (text: string) => string): Signing {
  const issuer = readSigner(held.issuer, trustDomain)
  const keyPem = open(held.issuerKey)
  if (!equalBytes(spkiOf(keyPem), issuer.spki)) throw damaged('the key of the issuer is not that of its certificate')
  readSigner(held.root, trustDomain)
  return {
    ...{ held, issuer, above: [issuer.der, ...held.intermediates], issuerKeyId: signerKeyId(issuer) },
    ...{ issuerKey: privateKeyOf(keyPem), tokens: jwtSignerOf(open(held.tokenKey)) },
  }
}

/** A certificate that signs for this trust domain; those above may be named after none. Throws as `openSigning` does. */
export function readSigner(der: Uint8Array, trustDomain: TrustDomain): Certificate {
  const read = parseCertificate(der)
  if ('wrong' in read) throw damaged(`a certificate does not read: ${read.wrong}`)
  const domain = signerDomain(read.certificate)
  if (domain === trustDomain || !read.certificate.extensions.subjectAltName?.uris.length) return read.certificate
  throw new WritError('config_invalid', `this is the authority of ${domain ?? 'nobody'}, not of ${trustDomain}`, {
    cure: 'give each trust domain a folder of its own',
  })
}

export const damaged = (why: string): WritError =>
  new WritError('certificate_invalid', `the authority's state is damaged: ${why}`, {
    cure: 'restore it from a backup; a new root would be unknown to every workload',
  })
