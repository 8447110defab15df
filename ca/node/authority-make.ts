/** Makes what an authority consists of: a root, the issuer under it that signs leaves, and the key of its tokens. */

import { toHex } from '../../core/bytes.ts'
import { WritError } from '../../core/fault.ts'
import type { RandomBytes } from '../../core/ports.ts'
import type { TrustDomain } from '../../core/spiffe.ts'
import { backdateMs } from '../lifetimes.ts'
import { type Certificate, parseCertificate } from '../x509.ts'
import type { HeldAuthority } from './authority-state.ts'
import { keyIdOf, newKeyPair, privateKeyOf, sha256Hex } from './crypto.ts'
import { jwtSignerOf } from './jwt.ts'
import { type KeySeal, openRootKey, type RootKey, type RootKeys } from './root-keys.ts'
import { provenChain, signerKeyId, type Upstream } from './upstream.ts'
import { nameOf, newSerial, writeCertificateBy, writeIssuerCsr } from './write.ts'

export interface Making {
  readonly trustDomain: TrustDomain
  readonly nowMs: () => number
  readonly random: RandomBytes
  readonly keys: RootKeys
  readonly seal: KeySeal
  /** Who signs issuers instead of roots of ours. */
  readonly upstream: Upstream | undefined
  /** Lives of a root and of an issuer, in milliseconds. */
  readonly rootMs: number
  readonly issuerMs: number
  /** Longest life of a leaf, in milliseconds. */
  readonly maxLeafMs: number
}

/** What signs leaves, from the root down. */
export type Signers = Pick<HeldAuthority, 'root' | 'rootKey' | 'intermediates' | 'issuer' | 'issuerKey'>

/** A new authority, prepared: it is in no bundle yet. */
export const makeAuthority = async (making: Making, publishedIn: number): Promise<HeldAuthority> =>
  heldOf(making, making.upstream ? await signedAbove(making, making.upstream) : await newRoot(making), publishedIn)

/** The next issuer of an authority; under another root, where the authority above has another one by now. */
export async function nextSigners(making: Making, { root, rootKey }: HeldAuthority): Promise<Signers> {
  if (making.upstream) return signedAbove(making, making.upstream)
  return newIssuer(making, read(root), await openRootKey(rootKey, making.keys, making.seal))
}

async function signedAbove(making: Making, upstream: Upstream): Promise<Signers> {
  const { trustDomain, nowMs, random, seal, issuerMs } = making
  const { spki, keyPem } = newKeyPair()
  const commonName = issuerName(random)
  const csr = writeIssuerCsr(spki, privateKeyOf(keyPem), trustDomain, commonName)
  const chain = await upstream.sign({ csr, trustDomain, commonName, lifeMs: issuerMs })
  return { ...provenChain(chain, keyPem, trustDomain, nowMs()), rootKey: upstream.ref, issuerKey: seal.seal(keyPem) }
}

async function newRoot(making: Making): Promise<Signers> {
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
  return newIssuer(making, read(der), key)
}

/** An authority of what signs its leaves, and a key for its tokens. */
export function heldOf(
  { nowMs, seal, maxLeafMs }: Making,
  signers: Signers,
  publishedIn: number,
  tokenKeyPem: string = newKeyPair().keyPem,
): HeldAuthority {
  const root = read(signers.root)
  return {
    id: sha256Hex(root.der).slice(0, 16),
    phase: 'prepared',
    notBeforeMs: root.notBeforeMs,
    notAfterMs: root.notAfterMs,
    publishedIn,
    preparedAtMs: nowMs(),
    longestMs: maxLeafMs,
    tokenKey: seal.seal(tokenKeyPem),
    jwtKey: jwtSignerOf(tokenKeyPem).publicKey,
    former: [],
    ...signers,
  }
}

/** Held to its own trust domain and to leaves, so that losing it loses no more than that. */
export async function newIssuer(making: Making, root: Certificate, key: RootKey): Promise<Signers> {
  const { spki, keyPem } = newKeyPair()
  const own = { root: root.der, rootKey: key.ref, intermediates: [] }
  return { ...own, issuer: await writeIssuer(making, root, key, spki), issuerKey: making.seal.seal(keyPem) }
}

/** A certificate by which this key signs leaves of the trust domain. */
export async function writeIssuer(
  making: Making,
  root: Certificate,
  key: RootKey,
  spki: Uint8Array,
): Promise<Uint8Array> {
  const { trustDomain, nowMs, random, issuerMs } = making
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
      subject: nameOf(trustDomain, issuerName(random)),
      constrainTo: trustDomain,
      ca: { pathLen: 0 },
      issuerKeyId: signerKeyId(root),
    },
    key.sign,
  )
  return read(issuer).der
}

const issuerName = (random: RandomBytes): string => `issuer ${toHex(random(4))}`

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
