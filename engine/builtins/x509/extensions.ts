/** What the extensions of a certificate say (RFC 5280 section 4.2). */

import { BuiltinError } from '../builtin.ts'
import { type GoUrl, parseGoUrl } from '../go/url.ts'
import { type AlternativeNames, readConstraints, type Subtrees } from './constraints.ts'
import { contextTag, contextTagWithin, DerReader, type Oid, oidText, tags } from './der.ts'
import { isDomain } from './domain.ts'
import { ia5 } from './name.ts'

export interface Extension {
  readonly id: Oid
  readonly critical: boolean
  readonly value: Uint8Array
}

export interface Meaning {
  /** Bit 0 is digitalSignature. */
  readonly keyUsage: number
  readonly extKeyUsage: readonly number[]
  readonly unknownExtKeyUsage: readonly Oid[]
  readonly basicConstraints: { readonly isCa: boolean; readonly maxPathLength: number | undefined } | undefined
  readonly alternativeNames: AlternativeNames
  readonly nameConstraints:
    | { readonly critical: boolean; readonly permitted: Subtrees; readonly excluded: Subtrees }
    | undefined
  readonly crlDistributionPoints: readonly string[]
  readonly subjectKeyId: Uint8Array | undefined
  readonly authorityKeyId: Uint8Array | undefined
  readonly policies: readonly Oid[] | undefined
  readonly policyMappings: readonly (readonly [Oid, Oid])[]
  readonly requireExplicitPolicy: number | undefined
  readonly inhibitPolicyMapping: number | undefined
  readonly inhibitAnyPolicy: number | undefined
  readonly ocspServers: readonly string[]
  readonly issuerUrls: readonly string[]
  readonly unhandledCritical: readonly Oid[]
}

export const noNames: AlternativeNames = { dns: [], email: [], ip: [], uri: [] }

export const noMeaning: Meaning = {
  keyUsage: 0,
  extKeyUsage: [],
  unknownExtKeyUsage: [],
  basicConstraints: undefined,
  alternativeNames: noNames,
  nameConstraints: undefined,
  crlDistributionPoints: [],
  subjectKeyId: undefined,
  authorityKeyId: undefined,
  policies: undefined,
  policyMappings: [],
  requireExplicitPolicy: undefined,
  inhibitPolicyMapping: undefined,
  inhibitAnyPolicy: undefined,
  ocspServers: [],
  issuerUrls: [],
  unhandledCritical: [],
}

/** Extensions that are read, by OID. */
export const extensionOid = { alternativeNames: '2.5.29.17', nameConstraints: '2.5.29.30' } as const

export function readExtension(der: DerReader): Extension {
  const id = der.oid()
  const critical = der.next === tags.boolean ? der.boolean() : false
  return { id, critical, value: der.read(tags.octetString) }
}

export function readMeaning(extensions: readonly Extension[]): Meaning {
  let meaning = noMeaning
  for (const extension of extensions) {
    const found = readOne(extension)
    if (found) meaning = { ...meaning, ...found.says }
    if (extension.critical && !found?.whole) {
      meaning = { ...meaning, unhandledCritical: [...meaning.unhandledCritical, extension.id] }
    }
  }
  return meaning
}

/** `whole` tells that nothing of the extension was left unread. */
interface Found {
  readonly says: Partial<Meaning>
  readonly whole: boolean
}

const says = (meaning: Partial<Meaning>, whole: boolean = true): Found => ({ says: meaning, whole })

function readOne(extension: Extension): Found | undefined {
  const oid = oidText(extension.id)
  const der = (what: string): DerReader => new DerReader(extension.value, what)
  switch (oid) {
    case '2.5.29.14':
      refuseCritical(extension, 'subject key identifier')
      return says({ subjectKeyId: der('subject key identifier').read(tags.octetString) })
    case '2.5.29.15':
      return says({ keyUsage: readKeyUsage(der('key usage')) })
    case extensionOid.alternativeNames: {
      const names = readAlternativeNames(extension.value)
      return says(
        { alternativeNames: names },
        Object.values(names).some((list) => list.length > 0),
      )
    }
    case '2.5.29.19':
      return says({ basicConstraints: readBasicConstraints(der('basic constraints').sequence()) })
    case extensionOid.nameConstraints: {
      const { permitted, excluded, whole } = readConstraints(extension.value)
      return says({ nameConstraints: { critical: extension.critical, permitted, excluded } }, whole)
    }
    case '2.5.29.31':
      return says({ crlDistributionPoints: readDistributionPoints(der('CRL distribution points').sequence()) })
    case '2.5.29.32':
      return says({ policies: readPolicies(der('certificate policies').sequence()) })
    case '2.5.29.33':
      return says({ policyMappings: readMappings(der('policy mappings').sequence()) })
    case '2.5.29.35':
      refuseCritical(extension, 'authority key identifier')
      return says({ authorityKeyId: der('authority key identifier').sequence().optional(contextTag(0)) })
    case '2.5.29.36':
      return says(readPolicyConstraints(der('policy constraints').sequence()))
    case '2.5.29.37':
      return says(readExtKeyUsage(der('extended key usage').sequence()))
    case '2.5.29.54':
      return says({ inhibitAnyPolicy: der('inhibit any policy').small() })
    case '1.3.6.1.5.5.7.1.1':
      refuseCritical(extension, 'authority info access')
      return says(readAccess(der('authority info access').sequence()))
    default:
      return undefined
  }
}

function refuseCritical({ critical }: Extension, what: string): void {
  if (critical) throw new BuiltinError(`x509: ${what} incorrectly marked critical`)
}

function readKeyUsage(der: DerReader): number {
  const { bytes } = der.bitString()
  let usage = 0
  for (let bit = 0; bit < 9; bit++) if ((bytes[bit >> 3] ?? 0) & (0x80 >> (bit & 7))) usage |= 1 << bit
  return usage
}

function readBasicConstraints(der: DerReader): NonNullable<Meaning['basicConstraints']> {
  const isCa = der.next === tags.boolean ? der.boolean() : false
  return { isCa, maxPathLength: der.next === tags.integer ? der.small() : undefined }
}

export function readAlternativeNames(value: Uint8Array): AlternativeNames {
  const names = { dns: [] as string[], email: [] as string[], ip: [] as Uint8Array[], uri: [] as GoUrl[] }
  const list = new DerReader(value, 'subject alternative names').sequence()
  while (!list.empty) {
    const { tag, content } = list.any()
    if (tag === contextTag(1)) names.email.push(ia5(content))
    else if (tag === contextTag(2)) names.dns.push(ia5(content))
    else if (tag === contextTag(6)) names.uri.push(readUri(ia5(content)))
    else if (tag === contextTag(7)) names.ip.push(readAddress(content))
  }
  return names
}

function readUri(text: string): GoUrl {
  const url = parseGoUrl(text)
  if (url.host !== '' && !isDomain(url.host)) throw new BuiltinError(`x509: the URI ${text} has an invalid domain`)
  return url
}

function readAddress(content: Uint8Array): Uint8Array {
  if (content.length === 4 || content.length === 16) return content
  throw new BuiltinError(`x509: cannot parse IP address of length ${content.length}`)
}

function readDistributionPoints(list: DerReader): readonly string[] {
  const uris: string[] = []
  while (!list.empty) {
    const name = list.sequence().optional(contextTagWithin(0))
    if (!name) continue
    const full = new DerReader(name, 'CRL distribution point').within(contextTagWithin(0))
    while (full.next === contextTag(6)) uris.push(lenient.decode(full.any().content))
  }
  return uris
}

function readPolicies(list: DerReader): readonly Oid[] {
  const policies: Oid[] = []
  while (!list.empty) policies.push(list.sequence().oid())
  if (new Set(policies.map(oidText)).size < policies.length) throw list.malformed()
  return policies
}

function readMappings(list: DerReader): readonly (readonly [Oid, Oid])[] {
  const mappings: (readonly [Oid, Oid])[] = []
  while (!list.empty) {
    const pair = list.sequence()
    mappings.push([pair.oid(), pair.oid()])
  }
  return mappings
}

function readPolicyConstraints(der: DerReader): Pick<Meaning, 'requireExplicitPolicy' | 'inhibitPolicyMapping'> {
  const number = (tag: number): number | undefined => (der.next === tag ? der.small(tag) : undefined)
  return { requireExplicitPolicy: number(contextTag(0)), inhibitPolicyMapping: number(contextTag(1)) }
}

const lenient = new TextDecoder('utf-8', { ignoreBOM: true })

/** Go's numbers, which are places in this list. */
const usages: readonly string[] = [
  '2.5.29.37.0',
  ...[1, 2, 3, 4, 5, 6, 7, 8, 9].map((n) => `1.3.6.1.5.5.7.3.${n}`),
  '1.3.6.1.4.1.311.10.3.3',
  '2.16.840.1.113730.4.1',
  '1.3.6.1.4.1.311.2.1.22',
  '1.3.6.1.4.1.311.61.1.1',
]

function readExtKeyUsage(list: DerReader): Pick<Meaning, 'extKeyUsage' | 'unknownExtKeyUsage'> {
  const extKeyUsage: number[] = []
  const unknownExtKeyUsage: Oid[] = []
  while (!list.empty) {
    const oid = list.oid()
    const number = usages.indexOf(oidText(oid))
    if (number >= 0) extKeyUsage.push(number)
    else unknownExtKeyUsage.push(oid)
  }
  return { extKeyUsage, unknownExtKeyUsage }
}

function readAccess(list: DerReader): Pick<Meaning, 'ocspServers' | 'issuerUrls'> {
  const ocspServers: string[] = []
  const issuerUrls: string[] = []
  while (!list.empty) {
    const description = list.sequence()
    const method = oidText(description.oid())
    const uri = description.optional(contextTag(6))
    if (uri && method === '1.3.6.1.5.5.7.48.1') ocspServers.push(lenient.decode(uri))
    if (uri && method === '1.3.6.1.5.5.7.48.2') issuerUrls.push(lenient.decode(uri))
  }
  return { ocspServers, issuerUrls }
}
