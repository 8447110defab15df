/** X.509 extensions as plain data (RFC 5280 section 4.2). */

import { type Der, listOf, malformed, oidText, readDer, smallInteger, tags, walk } from './der.ts'
import { type NameConstraints, type Names, readNameConstraints, readSubjectAltName } from './names.ts'

export type KeyUsageBit = (typeof keyUsageBits)[number]

const keyUsageBits = [
  'digitalSignature',
  'contentCommitment',
  'keyEncipherment',
  'dataEncipherment',
  'keyAgreement',
  'keyCertSign',
  'cRLSign',
  'encipherOnly',
  'decipherOnly',
] as const

export const usages = { serverAuth: '1.3.6.1.5.5.7.3.1', clientAuth: '1.3.6.1.5.5.7.3.2' } as const

export interface Extensions {
  readonly subjectAltName: (Names & { readonly critical: boolean }) | undefined
  readonly keyUsage: { readonly bits: ReadonlySet<KeyUsageBit>; readonly critical: boolean } | undefined
  /** Dotted OIDs. */
  readonly extendedKeyUsage: readonly string[] | undefined
  readonly basicConstraints:
    | { readonly ca: boolean; readonly pathLen: number | undefined; readonly critical: boolean }
    | undefined
  readonly nameConstraints: (NameConstraints & { readonly critical: boolean }) | undefined
  readonly subjectKeyId: Uint8Array | undefined
  readonly authorityKeyId: Uint8Array | undefined
  /** Dotted OIDs of critical extensions that are not read here. Any of them refuses the certificate. */
  readonly unknownCritical: readonly string[]
}

const known = new Set(['2.5.29.14', '2.5.29.15', '2.5.29.17', '2.5.29.19', '2.5.29.30', '2.5.29.35', '2.5.29.37'])

interface Raw {
  readonly critical: boolean
  readonly value: Uint8Array
}

export function readExtensions(list: Der): Extensions {
  const raw = new Map<string, Raw>()
  for (const item of listOf(list, 'extensions')) {
    const parts = walk(item, tags.sequence, 'extension')
    const oid = oidText(parts.take(tags.oid, 'extension name').body)
    const critical = parts.maybe(tags.boolean)
    const value = parts.take(tags.octetString, 'extension value').body
    parts.end('extension')
    if (critical?.body[0] === 0) throw malformed('a default that is written out')
    if (raw.has(oid)) throw malformed(`extension ${oid} twice`)
    raw.set(oid, { critical: critical !== undefined, value })
  }
  return {
    subjectAltName: read(raw, '2.5.29.17', readSubjectAltName),
    keyUsage: read(raw, '2.5.29.15', (der) => ({ bits: readKeyUsage(der) })),
    extendedKeyUsage: read(raw, '2.5.29.37', (der) => ({ oids: readExtendedKeyUsage(der) }))?.oids,
    basicConstraints: read(raw, '2.5.29.19', readBasicConstraints),
    nameConstraints: read(raw, '2.5.29.30', readNameConstraints),
    subjectKeyId: neverCritical(read(raw, '2.5.29.14', (der) => ({ keyId: readSubjectKeyId(der) })))?.keyId,
    authorityKeyId: neverCritical(read(raw, '2.5.29.35', (der) => ({ keyId: readAuthorityKeyId(der) })))?.keyId,
    unknownCritical: [...raw].filter(([oid, { critical }]) => critical && !known.has(oid)).map(([oid]) => oid),
  }
}

export const noExtensions: Extensions = {
  subjectAltName: undefined,
  keyUsage: undefined,
  extendedKeyUsage: undefined,
  basicConstraints: undefined,
  nameConstraints: undefined,
  subjectKeyId: undefined,
  authorityKeyId: undefined,
  unknownCritical: [],
}

function read<T extends object>(
  raw: ReadonlyMap<string, Raw>,
  oid: string,
  reader: (der: Der) => T,
): (T & { readonly critical: boolean }) | undefined {
  const extension = raw.get(oid)
  return extension && { ...reader(readDer(extension.value)), critical: extension.critical }
}

/** RFC 5280 sections 4.2.1.1 and 4.2.1.2: key identifiers are marked non-critical. */
function neverCritical<T extends { readonly critical: boolean }>(extension: T | undefined): T | undefined {
  if (extension?.critical) throw malformed('a key identifier marked critical')
  return extension
}

/** X.690 section 11.2.2: a named bit list ends with a bit that is set. RFC 5280 section 4.2.1.3: at least one is. */
function readKeyUsage(der: Der): ReadonlySet<KeyUsageBit> {
  if (der.tag !== tags.bitString || der.body.length < 2) throw malformed('a bad key usage')
  const length = (der.body.length - 1) * 8 - der.body[0]!
  const isSet = (bit: number) => (der.body[1 + (bit >> 3)]! & (0x80 >> (bit & 7))) !== 0
  if (length > keyUsageBits.length || !isSet(length - 1)) throw malformed('a bad key usage')
  return new Set(keyUsageBits.filter((_, bit) => bit < length && isSet(bit)))
}

function readExtendedKeyUsage(der: Der): readonly string[] {
  return listOf(der, 'extended key usage').map((oid) => {
    if (oid.tag !== tags.oid) throw malformed('a bad extended key usage')
    return oidText(oid.body)
  })
}

/** RFC 5280 section 4.2.1.9: a path length only where cA is true; false is the default, which DER leaves out. */
function readBasicConstraints(der: Der): { readonly ca: boolean; readonly pathLen: number | undefined } {
  const parts = walk(der, tags.sequence, 'basic constraints')
  const ca = parts.maybe(tags.boolean)
  const pathLen = parts.maybe(tags.integer)
  parts.end('basic constraints')
  if (ca?.body[0] === 0) throw malformed('a default that is written out')
  if (pathLen && !ca) throw malformed('a path length without cA')
  return { ca: ca !== undefined, pathLen: pathLen && smallInteger(pathLen, 'path length') }
}

function readSubjectKeyId(der: Der): Uint8Array {
  if (der.tag !== tags.octetString || der.body.length === 0) throw malformed('a bad subject key identifier')
  return der.body
}

/** Only the key identifier counts; issuer and serial number, where given, are left unread. */
function readAuthorityKeyId(der: Der): Uint8Array | undefined {
  if (der.tag !== tags.sequence) throw malformed('a bad authority key identifier')
  return der.items.find((item) => item.tag === 0x80)?.body
}
