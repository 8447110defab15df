/** Certificates, requests and keys in the shape that Go's encoding/json gives them, which is what policies see. */

import { toBase64 } from '../../../core/bytes.ts'
import { fromInteger, type RegoObject, type Value } from '../../value.ts'
import { type GoUrl, goUrlText } from '../go/url.ts'
import { object } from '../object.ts'
import type { Certificate } from './certificate.ts'
import type { AlternativeNames, Subtrees } from './constraints.ts'
import { type Oid, oidText } from './der.ts'
import type { Extension } from './extensions.ts'
import { ipText } from './ip.ts'
import { keyAlgorithm, type PublicKey } from './key.ts'
import { type Attribute, valuesOf } from './name.ts'
import type { PrivateKey } from './private.ts'
import type { CertificateRequest } from './request.ts'

/** With `URIStrings`, which OPA adds in all but two places. */
export const extendedCertificate = (certificate: Certificate): RegoObject =>
  object({
    ...members(certificate),
    URIStrings: list(certificate.meaning.alternativeNames.uri.map((url) => goUrlText(url))),
  })

export const plainCertificate = (certificate: Certificate): RegoObject => object(members(certificate))

function members(certificate: Certificate): Record<string, Value> {
  const { meaning } = certificate
  const { basicConstraints: basic, nameConstraints: names } = meaning
  return {
    ...namesShape(meaning.alternativeNames),
    AuthorityKeyId: bytes(meaning.authorityKeyId),
    BasicConstraintsValid: basic !== undefined,
    CRLDistributionPoints: list(meaning.crlDistributionPoints),
    ...subtreesShape('Excluded', names?.excluded),
    ExtKeyUsage: list(meaning.extKeyUsage),
    Extensions: list(certificate.extensions.map(extensionShape)),
    ExtraExtensions: null,
    ...counted('InhibitAnyPolicy', meaning.inhibitAnyPolicy),
    ...counted('InhibitPolicyMapping', meaning.inhibitPolicyMapping),
    IsCA: basic?.isCa ?? false,
    Issuer: nameShape(certificate.issuer),
    IssuingCertificateURL: list(meaning.issuerUrls),
    KeyUsage: meaning.keyUsage,
    MaxPathLen: basic ? (basic.maxPathLength ?? -1) : 0,
    MaxPathLenZero: basic?.maxPathLength === 0,
    NotAfter: certificate.notAfter.text,
    NotBefore: certificate.notBefore.text,
    OCSPServer: list(meaning.ocspServers),
    ...subtreesShape('Permitted', names?.permitted),
    PermittedDNSDomainsCritical: names?.critical ?? false,
    Policies: list((meaning.policies ?? []).map(oidText)),
    PolicyIdentifiers: meaning.policies?.map(oid) ?? null,
    PolicyMappings: list(meaning.policyMappings.map(mappingShape)),
    PublicKey: publicKeyShape(certificate.publicKey),
    PublicKeyAlgorithm: keyAlgorithm[certificate.publicKey.kind],
    Raw: bytes(certificate.raw),
    RawIssuer: bytes(certificate.rawIssuer),
    RawSubject: bytes(certificate.rawSubject),
    RawSubjectPublicKeyInfo: bytes(certificate.rawKey),
    RawTBSCertificate: bytes(certificate.rawTbs),
    ...counted('RequireExplicitPolicy', meaning.requireExplicitPolicy),
    SerialNumber: fromInteger(certificate.serial),
    Signature: bytes(certificate.signature),
    SignatureAlgorithm: certificate.signatureAlgorithm.number,
    Subject: nameShape(certificate.subject),
    SubjectKeyId: bytes(meaning.subjectKeyId),
    UnhandledCriticalExtensions: list(meaning.unhandledCritical.map(oid)),
    UnknownExtKeyUsage: list(meaning.unknownExtKeyUsage.map(oid)),
    Version: certificate.version,
  }
}

export const requestShape = (request: CertificateRequest): RegoObject =>
  object({
    ...namesShape(request.alternativeNames),
    Attributes: list(request.attributes),
    Extensions: list(request.extensions.map(extensionShape)),
    ExtraExtensions: null,
    PublicKey: publicKeyShape(request.publicKey),
    PublicKeyAlgorithm: keyAlgorithm[request.publicKey.kind],
    Raw: bytes(request.raw),
    RawSubject: bytes(request.rawSubject),
    RawSubjectPublicKeyInfo: bytes(request.rawKey),
    RawTBSCertificateRequest: bytes(request.rawTbs),
    Signature: bytes(request.signature),
    SignatureAlgorithm: request.signatureAlgorithm.number,
    Subject: nameShape(request.subject),
    Version: request.version,
  })

/** `tls.Certificate`: a chain and the key of its leaf. */
export const keyPairShape = (chain: readonly Uint8Array[], leaf: Certificate, key: PrivateKey): RegoObject =>
  object({
    Certificate: chain.map(bytes),
    Leaf: plainCertificate(leaf),
    OCSPStaple: null,
    PrivateKey: privateKeyShape(key),
    SignedCertificateTimestamps: null,
    SupportedSignatureAlgorithms: null,
  })

function publicKeyShape(key: PublicKey): Value {
  switch (key.kind) {
    case 'rsa':
      return object({ E: fromInteger(key.e), N: fromInteger(key.n) })
    case 'ec':
      return object({ Curve: object({}), X: fromInteger(key.x), Y: fromInteger(key.y) })
    case 'ed25519':
      return bytes(key.bytes)
    case 'dsa':
      return object(numbers({ P: key.p, Q: key.q, G: key.g, Y: key.y }))
    case 'unknown':
      return null
  }
}

export function privateKeyShape(key: PrivateKey): Value {
  switch (key.kind) {
    case 'rsa':
      return object({
        ...numbers({ D: key.d, E: key.e, N: key.n }),
        Precomputed: object({ CRTValues: [], ...numbers({ Dp: key.dp, Dq: key.dq, Qinv: key.qi }) }),
        Primes: [fromInteger(key.p), fromInteger(key.q)],
      })
    case 'ec':
      return object({ Curve: object({}), ...numbers({ D: key.d, X: key.x, Y: key.y }) })
    case 'ed25519':
      return bytes(new Uint8Array([...key.seed, ...key.publicKey]))
    case 'x25519':
      return object({})
  }
}

const nameFields: Readonly<Record<string, string>> = {
  Country: '2.5.4.6',
  Locality: '2.5.4.7',
  Organization: '2.5.4.10',
  OrganizationalUnit: '2.5.4.11',
  PostalCode: '2.5.4.17',
  Province: '2.5.4.8',
  StreetAddress: '2.5.4.9',
}

function nameShape(name: readonly Attribute[]): RegoObject {
  const fields = Object.entries(nameFields).map(([field, type]) => [field, list(valuesOf(name, type))] as const)
  return object({
    ...Object.fromEntries(fields),
    CommonName: valuesOf(name, '2.5.4.3').at(-1) ?? '',
    ExtraNames: null,
    Names: list(name.map(({ type, value }) => object({ Type: oid(type), Value: value }))),
    SerialNumber: valuesOf(name, '2.5.4.5').at(-1) ?? '',
  })
}

const namesShape = ({ dns, email, ip, uri }: AlternativeNames): Record<string, Value> => ({
  DNSNames: list(dns),
  EmailAddresses: list(email),
  IPAddresses: list(ip.map(ipText)),
  URIs: list(uri.map(urlShape)),
})

const subtreesShape = (prefix: 'Permitted' | 'Excluded', trees: Subtrees | undefined): Record<string, Value> => ({
  [`${prefix}DNSDomains`]: list(trees?.dns ?? []),
  [`${prefix}EmailAddresses`]: list(trees?.email ?? []),
  [`${prefix}IPRanges`]: list(
    (trees?.ip ?? []).map(({ address, mask }) => object({ IP: ipText(address), Mask: bytes(mask) })),
  ),
  [`${prefix}URIDomains`]: list(trees?.uri ?? []),
})

const urlShape = (url: GoUrl): RegoObject =>
  object({
    ForceQuery: url.forceQuery,
    Fragment: url.fragment.toWellFormed(),
    Host: url.host.toWellFormed(),
    OmitHost: url.omitHost,
    Opaque: url.opaque.toWellFormed(),
    Path: url.path.toWellFormed(),
    RawFragment: url.rawFragment.toWellFormed(),
    RawPath: url.rawPath.toWellFormed(),
    RawQuery: url.rawQuery.toWellFormed(),
    Scheme: url.scheme,
    User: url.user === undefined ? null : object({}),
  })

const extensionShape = ({ id, critical, value }: Extension): RegoObject =>
  object({ Critical: critical, Id: oid(id), Value: bytes(value) })

const mappingShape = ([issuer, subject]: readonly [Oid, Oid]): RegoObject =>
  object({ IssuerDomainPolicy: oidText(issuer), SubjectDomainPolicy: oidText(subject) })

const counted = (name: string, count: number | undefined): Record<string, Value> => ({
  [name]: count ?? 0,
  [`${name}Zero`]: count === 0,
})

const numbers = (members: Readonly<Record<string, bigint>>): Record<string, Value> =>
  Object.fromEntries(Object.entries(members).map(([name, value]) => [name, fromInteger(value)]))

const oid = (numbers: Oid): Value => [...numbers]

/** Go writes a list that was never made as null. */
const list = (items: readonly Value[]): Value => (items.length === 0 ? null : items)

const bytes = (content: Uint8Array | undefined): Value => (content === undefined ? null : toBase64(content))
