/** Writes certificates and requests: node-forge encodes, node:crypto signs. Nothing from outside is parsed here. */

import type { KeyObject } from 'node:crypto'
import { algorithmDer, algorithmOfKey, type OwnKeyKind } from '../algorithms.ts'
import { usages } from '../extensions.ts'
import {
  binary,
  bits,
  bytesOf,
  encode,
  type Node,
  node,
  octets,
  oid,
  raw,
  sequence,
  setOf,
  Type,
  tagged,
  taggedText,
} from './asn1.ts'
import { keyIdOf, kindOf, signDer } from './crypto.ts'

const algorithmOf = (kind: OwnKeyKind): Node => raw(algorithmDer(algorithmOfKey[kind]))

export interface CertificateFields {
  /** Positive and minimal: the first byte is between 01 and 7F. */
  readonly serial: Uint8Array
  /** Encoded names, as `nameOf` makes them. */
  readonly issuer: Uint8Array
  readonly subject: Uint8Array
  readonly notBeforeMs: number
  readonly notAfterMs: number
  readonly spki: Uint8Array
  readonly uris: readonly string[]
  readonly dns: readonly string[]
  /** Trust domain that a CA below this one is held to; undefined on leaves and on roots. */
  readonly constrainTo: string | undefined
  readonly ca: { readonly pathLen: number | undefined } | undefined
  /** Key identifier of the issuer: that of its certificate (RFC 5280 section 4.2.1.1). */
  readonly issuerKeyId: Uint8Array
}

export function writeCertificate(fields: CertificateFields, issuerKey: KeyObject): Uint8Array {
  return signWhole(toBeSigned(fields, kindOf(issuerKey)), issuerKey)
}

/** The same with a key that is elsewhere: `sign` gives an ECDSA P-256 signature over SHA-256, in DER. */
export async function writeCertificateBy(
  fields: CertificateFields,
  sign: (bytes: Uint8Array) => Promise<Uint8Array>,
): Promise<Uint8Array> {
  const bytes = bytesOf(toBeSigned(fields, 'p256'))
  return wholeOf(bytes, 'p256', await sign(bytes))
}

function toBeSigned(fields: CertificateFields, kind: OwnKeyKind): Node {
  return sequence(
    tagged(0, node(Type.INTEGER, '\x02')),
    node(Type.INTEGER, binary(fields.serial)),
    algorithmOf(kind),
    raw(fields.issuer),
    sequence(timeNode(fields.notBeforeMs), timeNode(fields.notAfterMs)),
    raw(fields.subject),
    raw(fields.spki),
    tagged(3, sequence(...extensionsOf(fields))),
  )
}

/** A PKCS#10 request without a name: whoever signs it decides on that. */
export function writeCsr(spki: Uint8Array, key: KeyObject): Uint8Array {
  return signWhole(sequence(node(Type.INTEGER, '\x00'), sequence(), raw(spki), tagged(0)), key)
}

/** A PKCS#10 request of an issuer, with what it should be held to: its trust domain, and leaves below it. */
export function writeIssuerCsr(spki: Uint8Array, key: KeyObject, trustDomain: string, commonName: string): Uint8Array {
  const extensions = sequence(
    extension('2.5.29.19', true, sequence(node(Type.BOOLEAN, '\xff'), smallInteger(0))),
    extension('2.5.29.15', true, bits(1, '\x06')),
    extension('2.5.29.17', false, sequence(taggedText(6, `spiffe://${trustDomain}`))),
    constrainedTo(trustDomain),
  )
  // extensionRequest (RFC 2985 section 5.4.2).
  const attribute = sequence(oid('1.2.840.113549.1.9.14'), setOf(extensions))
  const content = sequence(
    ...[node(Type.INTEGER, '\x00'), raw(nameOf(trustDomain, commonName)), raw(spki), tagged(0, attribute)],
  )
  return signWhole(content, key)
}

export interface RevocationFields {
  /** Encoded name and key identifier of who signs it. */
  readonly issuer: Uint8Array
  readonly issuerKeyId: Uint8Array
  /** Grows with each list (RFC 5280 section 5.2.3). */
  readonly number: number
  readonly fromMs: number
  readonly untilMs: number
  /** Serial numbers, lower-case hex as records have them. */
  readonly serials: readonly string[]
}

/** A complete revocation list of version 2 (RFC 5280 section 5.1). When each was revoked is not told: `fromMs` stands for it. */
export function writeRevocationList(fields: RevocationFields, issuerKey: KeyObject): Uint8Array {
  const { issuer, issuerKeyId, number, fromMs, untilMs, serials } = fields
  const revoked = serials.map((serial) => sequence(node(Type.INTEGER, positive(serial)), timeNode(fromMs)))
  const extensions = [
    extension('2.5.29.35', false, sequence(taggedText(0, binary(issuerKeyId)))),
    extension('2.5.29.20', false, node(Type.INTEGER, positive(number.toString(16)))),
  ]
  const tbs = sequence(
    node(Type.INTEGER, '\x01'),
    algorithmOf(kindOf(issuerKey)),
    raw(issuer),
    timeNode(fromMs),
    timeNode(untilMs),
    ...(revoked.length > 0 ? [sequence(...revoked)] : []),
    tagged(0, sequence(...extensions)),
  )
  return signWhole(tbs, issuerKey)
}

/** A positive INTEGER in the fewest bytes (X.690 section 8.3). */
function positive(hex: string): string {
  const bytes = Buffer.from(hex.length % 2 === 0 ? hex : `0${hex}`, 'hex')
  let at = 0
  while (at < bytes.length - 1 && bytes[at] === 0) at++
  return (bytes[at]! >= 0x80 ? '\0' : '') + bytes.subarray(at).toString('latin1')
}

function signWhole(content: Node, key: KeyObject): Uint8Array {
  const bytes = bytesOf(content)
  return wholeOf(bytes, kindOf(key), signDer(key, bytes))
}

function wholeOf(bytes: Uint8Array, kind: OwnKeyKind, signature: Uint8Array): Uint8Array {
  const whole = sequence(raw(bytes), algorithmOf(kind), bits(0, binary(signature)))
  return bytesOf(whole)
}

/** An encoded name of organisation and common name; without both it is empty. */
export function nameOf(organisation?: string, commonName?: string): Uint8Array {
  const rdn = (type: string, text: string) => setOf(sequence(oid(type), node(Type.UTF8, text)))
  const rdns = []
  if (organisation) rdns.push(rdn('2.5.4.10', organisation))
  if (commonName) rdns.push(rdn('2.5.4.3', commonName))
  return bytesOf(sequence(...rdns))
}

function extensionsOf(fields: CertificateFields): Node[] {
  const { ca, constrainTo, uris, dns, spki, issuerKeyId, subject } = fields
  const basic = ca ? [node(Type.BOOLEAN, '\xff'), ...(ca.pathLen === undefined ? [] : [smallInteger(ca.pathLen)])] : []
  const names = [...uris.map((uri) => taggedText(6, uri)), ...dns.map((name) => taggedText(2, name))]
  const list = [
    extension('2.5.29.19', true, sequence(...basic)),
    // keyCertSign and cRLSign for a signer, digitalSignature for a leaf (X509-SVID section 4.3).
    extension('2.5.29.15', true, ca ? bits(1, '\x06') : bits(7, '\x80')),
    extension('2.5.29.14', false, octets(binary(keyIdOf(spki)))),
    extension('2.5.29.35', false, sequence(taggedText(0, binary(issuerKeyId)))),
  ]
  // RFC 5280 section 4.1.2.6: critical where the subject is empty.
  if (names.length > 0) list.push(extension('2.5.29.17', subject.length === 2, sequence(...names)))
  if (!ca) list.push(extension('2.5.29.37', false, sequence(oid(usages.serverAuth), oid(usages.clientAuth))))
  if (constrainTo) list.push(constrainedTo(constrainTo))
  return list
}

/** RFC 5280 section 4.2.1.10. */
const constrainedTo = (trustDomain: string): Node =>
  extension('2.5.29.30', true, sequence(tagged(0, sequence(taggedText(6, trustDomain)))))

function extension(name: string, critical: boolean, value: Node): Node {
  return sequence(oid(name), ...(critical ? [node(Type.BOOLEAN, '\xff')] : []), octets(encode(value)))
}

const smallInteger = (value: number): Node => node(Type.INTEGER, String.fromCharCode(value))

/** RFC 5280 section 4.1.2.5. */
function timeNode(ms: number): Node {
  const digits = new Date(ms).toISOString().replace(/\D/g, '').slice(0, 14)
  return Number(digits.slice(0, 4)) < 2050
    ? node(Type.UTCTIME, `${digits.slice(2)}Z`)
    : node(Type.GENERALIZEDTIME, `${digits}Z`)
}

/** 126 random bits as a positive number of exactly 16 bytes, so that serial numbers all look alike. */
export function newSerial(random: (length: number) => Uint8Array): Uint8Array {
  const serial = random(16).slice()
  serial[0] = (serial[0]! & 0x3f) | 0x40
  return serial
}
