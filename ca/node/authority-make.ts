/** Makes what an authority consists of: a root, the issuer under it that signs leaves, and the key of its tokens. */

import { toHex } from '../../core/bytes.ts'
import { WritError } from '../../core/fault.ts'
import type { RandomBytes } from '../../core/ports.ts'
import type { TrustDomain } from '../../core/spiffe.ts'
import { type Certificate, parseCertificate } from '../x509.ts'
import type { HeldAuthority } from './authority-state.ts'
import { keyIdOf, newKeyPair, sha256Hex } from './crypto.ts'
import { jwtSignerOf } from './jwt.ts'
import type { KeySeal, RootKey, RootKeys } from './root-keys.ts'
import { nameOf, newSerial, writeCertificateBy } from './write.ts'

/** How far certificates begin in the past, for clocks that are behind, in milliseconds. */
export const backdateMs = 60_000

export interface Making {
  readonly trustDomain: TrustDomain
  readonly nowMs: () => number
  readonly random: RandomBytes
  readonly keys: RootKeys
  readonly seal: KeySeal
  /** Lives of a root and of an issuer, in milliseconds. */
  readonly rootMs: number
  readonly issuerMs: number
  /** Longest life of a leaf, in milliseconds. */
  readonly maxLeafMs: number
}

/** A new authority, prepared: it is in no bundle yet. */
export async function makeAuthority(making: Making, publishedIn: number): Promise<HeldAuthority> {
  const { trustDomain, keys, random, nowMs, rootMs } = making
  const key = await keys.create()
  const name = nameOf(trustDomain, `root ${toHex(random(4))}`)
  const der = await writeCertificateBy(
    {
      ...signerFields(key.spki, making, nowMs() + rootMs),
      issuer: name,
      subject: name,
      issuerKeyId: keyIdOf(key.spki),
    },
    key.sign,
  )
  return heldOf(making, read(der), key, newKeyPair().keyPem, publishedIn)
}

/** An authority around a root that exists: a fresh issuer under it, and the token key that is given. */
export async function heldOf(
  making: Making,
  root: Certificate,
  key: RootKey,
  tokenKeyPem: string,
  publishedIn: number,
): Promise<HeldAuthority> {
  const { nowMs, seal, maxLeafMs } = making
  return {
    id: sha256Hex(root.der).slice(0, 16),
    phase: 'prepared',
    root: root.der,
    notBeforeMs: root.notBeforeMs,
    notAfterMs: root.notAfterMs,
    publishedIn,
    preparedAtMs: nowMs(),
    longestMs: maxLeafMs,
    rootKey: key.ref,
    tokenKey: seal.seal(tokenKeyPem),
    jwtKey: jwtSignerOf(tokenKeyPem).publicKey,
    ...(await newIssuer(making, root, key)),
  }
}

/** Held to its own trust domain and to leaves, so that losing it loses no more than that. */
export async function newIssuer(
  making: Making,
  root: Certificate,
  key: RootKey,
): Promise<Pick<HeldAuthority, 'issuer' | 'issuerKey'>> {
  const { trustDomain, nowMs, random, seal, issuerMs } = making
  const { spki, keyPem } = newKeyPair()
  const notAfterMs = Math.min(nowMs() + issuerMs, root.notAfterMs)
  if (notAfterMs <= nowMs()) {
    throw new WritError('certificate_invalid', `the root of ${trustDomain} has expired`, {
      cure: 'make a new root in an empty folder and give its trust bundle to every workload',
    })
  }
  const issuer = await writeCertificateBy(
    {
      ...signerFields(spki, making, notAfterMs),
      issuer: root.subject,
      subject: nameOf(trustDomain, `issuer ${toHex(random(4))}`),
      constrainTo: trustDomain,
      ca: { pathLen: 0 },
      issuerKeyId: root.extensions.subjectKeyId ?? keyIdOf(root.spki),
    },
    key.sign,
  )
  return { issuer: read(issuer).der, issuerKey: seal.seal(keyPem) }
}

function signerFields(spki: Uint8Array, { trustDomain, nowMs, random }: Making, endMs: number) {
  return {
    serial: newSerial(random),
    notBeforeMs: wholeSeconds(nowMs() - backdateMs),
    notAfterMs: wholeSeconds(endMs),
    spki,
    uris: [`spiffe://${trustDomain}`],
    dns: [],
    constrainTo: undefined,
    ca: { pathLen: undefined },
  }
}

export const wholeSeconds = (ms: number): number => Math.floor(ms / 1000) * 1000

function read(der: Uint8Array): Certificate {
  const answer = parseCertificate(der)
  if ('wrong' in answer) throw new WritError('internal', `wrote a certificate that does not read: ${answer.wrong}`)
  return answer.certificate
}
