/** A trust domain's certificate authority in a folder: one root, and under it the issuer that signs leaves. */

import type { KeyObject } from 'node:crypto'
import { join } from 'node:path'
import { toHex } from '../../core/bytes.ts'
import { WritError } from '../../core/fault.ts'
import type { TrustBundle } from '../../core/identity.ts'
import type { RandomBytes } from '../../core/ports.ts'
import { type SpiffeId, type TrustDomain, trustDomainOf } from '../../core/spiffe.ts'
import { keyKindOf } from '../algorithms.ts'
import { attempt, readDer } from '../der.ts'
import { readSvid, signerDomain } from '../svid.ts'
import { type Certificate, parseCertificate } from '../x509.ts'
import { newKeyPair, privateKeyOf, spkiOf } from './crypto.ts'
import { createText, privateFolder, readText, replaceText } from './files.ts'
import { type JwtRequest, type MintedJwt, mintJwtSvid, openJwtSigner } from './jwt.ts'
import { writeLeaf } from './leaf.ts'
import { certificatesOf, keyOf, pemOf } from './pem.ts'
import { nameOf, newSerial, writeCertificate, writeRevocationList } from './write.ts'

const hourMs = 3_600_000
const dayMs = 24 * hourMs

/** Life of a root: ten years. */
const rootMs = 3650 * dayMs
/** Life of an issuer: one year. A new one is made when a sixth of that is left. */
const issuerMs = 365 * dayMs
/** Life of a leaf unless another is asked for. */
export const leafMs: number = hourMs
/** Life of a revocation list. */
const listMs = hourMs
/** How far certificates begin in the past, for clocks that are behind. */
const backdateMs = 60_000

export interface IssueRequest {
  readonly id: SpiffeId
  /** SubjectPublicKeyInfo, DER. */
  readonly spki: Uint8Array
  /** Life of the leaf in milliseconds. Default one hour; never beyond the issuer's own end. */
  readonly ttlMs?: number
  /** DNS names that stand beside the id. Default none. */
  readonly dns?: readonly string[]
}

export interface IssuedLeaf {
  /** Leaf and issuer, DER. */
  readonly chain: readonly Uint8Array[]
  readonly serial: string
  readonly notBeforeMs: number
  readonly notAfterMs: number
}

export interface Authority {
  readonly trustDomain: TrustDomain
  bundle(): TrustBundle
  issue(request: IssueRequest): IssuedLeaf
  mintJwt(request: JwtRequest): Promise<MintedJwt>
  /** A revocation list of the issuer for those outside: DER, an hour long. What is no serial number is left out. */
  revocationList(denied: Iterable<string>): Uint8Array
}

export interface AuthorityOptions {
  /** Holds `root.pem` and `issuer.pem`, a key and its certificate each, and `jwt.pem`. Made with mode 0700 if missing. */
  readonly dir: string
  readonly trustDomain: TrustDomain
  readonly nowMs: () => number
  readonly random: RandomBytes
}

interface Signer {
  readonly certificate: Certificate
  readonly keyPem: string
  readonly key: KeyObject
}

export function openAuthority(options: AuthorityOptions): Authority {
  const { dir, trustDomain, nowMs, random } = options
  privateFolder(dir)
  const rootPath = join(dir, 'root.pem')
  const issuerPath = join(dir, 'issuer.pem')
  const root = load(rootPath, trustDomain) ?? createRoot(rootPath, options)
  const jwt = openJwtSigner(dir)
  const bundle: TrustBundle = {
    trustDomain,
    sequence: 1,
    roots: [root.certificate.der],
    jwtKeys: [jwt.publicKey],
  }
  let issuer = load(issuerPath, trustDomain)

  const currentIssuer = (): Signer => {
    if (!issuer || isWorn(issuer.certificate, nowMs())) {
      issuer = makeIssuer(root, trustDomain, nowMs(), random)
      replaceText(issuerPath, textOf(issuer))
    }
    return issuer
  }
  currentIssuer()

  return {
    trustDomain,
    bundle: () => bundle,
    issue(request) {
      refuseForeign(request.id, trustDomain)
      return issueLeaf(currentIssuer(), request, nowMs(), random)
    },
    async mintJwt(request) {
      refuseForeign(request.id, trustDomain)
      return mintJwtSvid(jwt, request, nowMs(), random)
    },
    revocationList(denied) {
      const { certificate, key } = currentIssuer()
      const fromMs = wholeSeconds(nowMs())
      const serials = [...denied].filter((text) => /^[0-9a-f]{1,40}$/.test(text) && /[1-9a-f]/.test(text))
      const { subject: issuer, spki: issuerSpki } = certificate
      const untilMs = fromMs + listMs
      return writeRevocationList({ issuer, issuerSpki, number: fromMs / 1000, fromMs, untilMs, serials }, key)
    },
  }
}

function refuseForeign(id: SpiffeId, trustDomain: TrustDomain): void {
  if (trustDomainOf(id) === trustDomain) return
  throw new WritError('certificate_invalid', `${id} is not of the trust domain ${trustDomain}`, {
    cure: 'ask the authority of its own trust domain',
  })
}

const isWorn = ({ notBeforeMs, notAfterMs }: Certificate, nowMs: number): boolean =>
  notAfterMs - nowMs < (notAfterMs - notBeforeMs) / 6

function issueLeaf(issuer: Signer, request: IssueRequest, nowMs: number, random: RandomBytes): IssuedLeaf {
  const { id, spki, ttlMs = leafMs, dns = [] } = request
  const key = attempt(() => keyKindOf(readDer(spki)))
  if (!('value' in key) || key.value !== 'p256') {
    throw new WritError('certificate_invalid', `no certificate for ${id}: its key is not P-256`, {
      cure: 'make a P-256 key',
    })
  }
  const notBeforeMs = wholeSeconds(nowMs - backdateMs)
  const notAfterMs = Math.min(wholeSeconds(nowMs + ttlMs), issuer.certificate.notAfterMs)
  const serial = newSerial(random)
  const { subject, spki: issuerSpki } = issuer.certificate
  const leaf = writeLeaf(
    { serial, issuer: subject, notBeforeMs, notAfterMs, spki, uris: [id], dns, issuerSpki },
    issuer.key,
  )
  const chain = [leaf, issuer.certificate.der]
  const read = readSvid([leaf]) // What our own validator would refuse never leaves; the issuer was read when it was made.
  if ('wrong' in read) {
    throw new WritError('certificate_invalid', `no certificate for ${id}: ${read.wrong}`, {
      cure: 'ask for DNS names that are host names',
    })
  }
  return { chain, serial: toHex(serial), notBeforeMs, notAfterMs }
}

/** Whoever creates the file first has made the root; a process that comes second takes that one. */
function createRoot(path: string, { trustDomain, nowMs, random }: AuthorityOptions): Signer {
  const { spki, keyPem } = newKeyPair()
  const name = nameOf(trustDomain, `root ${toHex(random(4))}`)
  const root = signerOf(
    writeCertificate(
      {
        ...signerFields(spki, trustDomain, nowMs(), nowMs() + rootMs, random),
        issuer: name,
        subject: name,
        issuerSpki: spki,
      },
      privateKeyOf(keyPem),
    ),
    keyPem,
  )
  return createText(path, textOf(root)) ? root : load(path, trustDomain)!
}

/** Held to its own trust domain and to leaves, so that losing it loses no more than that. */
function makeIssuer(root: Signer, trustDomain: TrustDomain, nowMs: number, random: RandomBytes): Signer {
  const { spki, keyPem } = newKeyPair()
  const notAfterMs = Math.min(nowMs + issuerMs, root.certificate.notAfterMs)
  if (notAfterMs <= nowMs) {
    throw new WritError('certificate_invalid', `the root of ${trustDomain} has expired`, {
      cure: 'make a new root in an empty folder and give its trust bundle to every workload',
    })
  }
  const der = writeCertificate(
    {
      ...signerFields(spki, trustDomain, nowMs, notAfterMs, random),
      issuer: root.certificate.subject,
      subject: nameOf(trustDomain, `issuer ${toHex(random(4))}`),
      constrainTo: trustDomain,
      ca: { pathLen: 0 },
      issuerSpki: root.certificate.spki,
    },
    root.key,
  )
  return signerOf(der, keyPem)
}

function signerFields(spki: Uint8Array, trustDomain: TrustDomain, nowMs: number, endMs: number, random: RandomBytes) {
  return {
    serial: newSerial(random),
    notBeforeMs: wholeSeconds(nowMs - backdateMs),
    notAfterMs: wholeSeconds(endMs),
    spki,
    uris: [`spiffe://${trustDomain}`],
    dns: [],
    constrainTo: undefined,
    ca: { pathLen: undefined },
  }
}

const wholeSeconds = (ms: number): number => Math.floor(ms / 1000) * 1000

const textOf = ({ certificate, keyPem }: Signer): string => keyPem + pemOf(certificate.der, 'CERTIFICATE')

function signerOf(der: Uint8Array, keyPem: string): Signer {
  const read = parseCertificate(der)
  if ('wrong' in read) throw new WritError('internal', `wrote a certificate that does not read: ${read.wrong}`)
  return { certificate: read.certificate, keyPem, key: privateKeyOf(keyPem) }
}

function load(path: string, trustDomain: TrustDomain): Signer | undefined {
  const text = readText(path)
  if (text === undefined) return undefined
  const [der] = certificatesOf(text)
  const keyPem = keyOf(text)
  const read = der && parseCertificate(der)
  if (!read || !keyPem || 'wrong' in read || toHex(spkiOf(keyPem)) !== toHex(read.certificate.spki)) {
    throw new WritError('certificate_invalid', `${path} is not a key with its certificate`, {
      cure: 'restore it from a backup; a new root would be unknown to every workload',
    })
  }
  const domain = signerDomain(read.certificate)
  if (domain !== trustDomain) {
    throw new WritError('config_invalid', `${path} is the authority of ${domain ?? 'nobody'}, not of ${trustDomain}`, {
      cure: 'give each trust domain a folder of its own',
    })
  }
  return { certificate: read.certificate, keyPem, key: privateKeyOf(keyPem) }
}
