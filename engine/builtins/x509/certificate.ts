/** A certificate (RFC 5280 section 4.1), read as Go's crypto/x509 reads it. */

import { equalBytes } from '../../../core/bytes.ts'
import { BuiltinError, LimitError } from '../builtin.ts'
import { contextTag, contextTagWithin, DerReader, oidText, tags } from './der.ts'
import { type Extension, type Meaning, noMeaning, readExtension, readMeaning } from './extensions.ts'
import { type PublicKey, readAlgorithm, readPublicKey, readSignatureAlgorithm, type SignatureAlgorithm } from './key.ts'
import { type Attribute, readName } from './name.ts'
import { type Moment, readMoment } from './time.ts'

export interface Certificate {
  /** 1 to 3. */
  readonly version: number
  readonly raw: Uint8Array
  readonly rawTbs: Uint8Array
  readonly rawKey: Uint8Array
  readonly rawSubject: Uint8Array
  readonly rawIssuer: Uint8Array
  readonly signature: Uint8Array
  readonly signatureAlgorithm: SignatureAlgorithm
  readonly publicKey: PublicKey
  readonly serial: bigint
  readonly issuer: readonly Attribute[]
  readonly subject: readonly Attribute[]
  readonly notBefore: Moment
  readonly notAfter: Moment
  readonly extensions: readonly Extension[]
  /** What the extensions say. */
  readonly meaning: Meaning
}

/** How many certificates one call reads. */
const maxCertificates = 100

/** Certificates one after another. */
export function readCertificates(der: Uint8Array): readonly Certificate[] {
  const all = new DerReader(der, 'certificate')
  const certificates: Certificate[] = []
  while (!all.empty) {
    if (certificates.length === maxCertificates) throw new LimitError(`x509: more than ${maxCertificates} certificates`)
    certificates.push(readOne(all))
  }
  return certificates
}

/** Exactly one. */
export function readCertificate(der: Uint8Array): Certificate {
  const reader = new DerReader(der, 'certificate')
  const certificate = readOne(reader)
  if (!reader.empty) throw new BuiltinError('x509: trailing data')
  return certificate
}

function readOne(from: DerReader): Certificate {
  const raw = from.element(tags.sequence)
  const outer = new DerReader(raw.content, 'certificate')
  const tbs = outer.element(tags.sequence)
  const body = new DerReader(tbs.content, 'tbs certificate')

  const versionDer = body.optional(contextTagWithin(0))
  const version = 1 + (versionDer ? new DerReader(versionDer, 'version').small() : 0)
  if (version > 3) throw new BuiltinError('x509: invalid version')
  const serial = body.integer()
  if (serial < 0n) throw new BuiltinError('x509: negative serial number')

  const algorithm = body.element(tags.sequence).content
  if (!equalBytes(algorithm, outer.element(tags.sequence).content)) {
    throw new BuiltinError("x509: inner and outer signature algorithm identifiers don't match")
  }
  const rawIssuer = body.element(tags.sequence).whole
  const validity = body.sequence('validity')
  const [notBefore, notAfter] = [readMoment(validity), readMoment(validity)]
  const rawSubject = body.element(tags.sequence).whole
  const rawKey = body.element(tags.sequence).whole
  const extensions = version > 1 ? readTail(body, version) : []

  return {
    version,
    raw: raw.whole,
    rawTbs: tbs.whole,
    rawKey,
    rawSubject,
    rawIssuer,
    signature: rightAligned(outer),
    signatureAlgorithm: readSignatureAlgorithm(readAlgorithm(new DerReader(algorithm, 'signature algorithm'))),
    publicKey: readPublicKey(rawKey),
    serial,
    issuer: readName(rawIssuer),
    subject: readName(rawSubject),
    notBefore,
    notAfter,
    extensions,
    meaning: extensions.length === 0 ? noMeaning : readMeaning(extensions),
  }
}

/** Unique identifiers, which nobody reads, and extensions. */
function readTail(body: DerReader, version: number): readonly Extension[] {
  body.optional(contextTag(1))
  body.optional(contextTag(2))
  const content = version === 3 ? body.optional(contextTagWithin(3)) : undefined
  if (!content) return []
  const extensions: Extension[] = []
  const seen = new Set<string>()
  const list = new DerReader(content, 'extensions').sequence()
  while (!list.empty) {
    const extension = readExtension(list.sequence())
    const oid = oidText(extension.id)
    if (seen.has(oid)) throw new BuiltinError(`x509: certificate contains duplicate extension with OID "${oid}"`)
    seen.add(oid)
    extensions.push(extension)
  }
  return extensions
}

/** The bits of a BIT STRING as a number's bytes (X.690 section 8.6 puts the unused ones last). */
export function rightAligned(der: DerReader): Uint8Array {
  const { bytes, unused } = der.bitString()
  return unused === 0 ? bytes : bytes.map((byte, i) => (byte >> unused) | ((i > 0 ? bytes[i - 1]! : 0) << (8 - unused)))
}
