/** Subject alternative names and the name constraints that CAs are held to (RFC 5280 sections 4.2.1.6 and 4.2.1.10). */

import { type Der, listOf, malformed, tags, walk } from './der.ts'

export interface Names {
  readonly uris: readonly string[]
  readonly dns: readonly string[]
}

export interface NameConstraints {
  /** A form that is listed here admits only what is listed; one that is not listed is free. */
  readonly permitted: Names
  readonly excluded: Names
}

const dnsTag = 0x82
const uriTag = 0x86
/** otherName, rfc822Name, x400Address, directoryName, ediPartyName, iPAddress, registeredID. */
const otherTags = new Set([0xa0, 0x81, 0xa3, 0xa4, 0xa5, 0x87, 0x88])

/** RFC 1034 labels, underscores allowed as seen in the wild; a wildcard only as the whole first label. */
const dnsShape =
  /^(?:\*\.)?(?:[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?\.)*[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?$/

export function readSubjectAltName(der: Der): Names {
  const uris: string[] = []
  const dns: string[] = []
  for (const name of listOf(der, 'subject alternative name')) {
    if (name.tag === uriTag) uris.push(ia5(name.body))
    else if (name.tag === dnsTag) dns.push(dnsName(name.body))
    else if (!otherTags.has(name.tag)) throw malformed('a name of no known form')
  }
  return { uris, dns }
}

export function readNameConstraints(der: Der): NameConstraints {
  const parts = walk(der, tags.sequence, 'name constraints')
  const permitted = parts.maybe(0xa0)
  const excluded = parts.maybe(0xa1)
  parts.end('name constraints')
  if (!permitted && !excluded) throw malformed('name constraints without a constraint')
  return { permitted: readSubtrees(permitted), excluded: readSubtrees(excluded) }
}

/** Forms that are not processed here are refused: RFC 5280 section 4.2.1.10 leaves only that or processing them. */
function readSubtrees(list: Der | undefined): Names {
  const uris: string[] = []
  const dns: string[] = []
  if (!list) return { uris, dns }
  if (list.items.length === 0) throw malformed('an empty list of name constraints')
  for (const subtree of list.items) {
    const base = subtree.items[0]
    // `minimum` is 0, which DER leaves out, and `maximum` is absent: a subtree is its base alone.
    if (subtree.tag !== tags.sequence || subtree.items.length !== 1 || !base) throw malformed('a bad name constraint')
    if (base.tag === uriTag) uris.push(constraintHost(base.body, 'URI'))
    else if (base.tag === dnsTag) dns.push(constraintHost(base.body, 'DNS'))
    else throw malformed('a name constraint of a form other than DNS and URI')
  }
  return { uris, dns }
}

/** A host; for URIs also `.host`, which stands for everything below it; for DNS also nothing, which stands for all. */
function constraintHost(body: Uint8Array, form: 'URI' | 'DNS'): string {
  const text = ia5(body).toLowerCase()
  const host = form === 'URI' && text.startsWith('.') ? text.slice(1) : text
  const empty = form === 'DNS' && host === ''
  if (!empty && (!dnsShape.test(host) || host.includes('*') || host.length > 255))
    throw malformed(`a bad ${form} constraint`)
  return text
}

function dnsName(body: Uint8Array): string {
  const text = ia5(body)
  if (text.length > 253 || !dnsShape.test(text)) throw malformed('a bad DNS name')
  return text.toLowerCase()
}

/** Printable ASCII: a control character in a name serves nobody but a forger. */
function ia5(body: Uint8Array): string {
  let text = ''
  for (const byte of body) {
    if (byte < 0x21 || byte > 0x7e) throw malformed('a name with characters outside printable ASCII')
    text += String.fromCharCode(byte)
  }
  return text
}

/** Why these names break the constraints, or undefined. */
export function constraintFault(names: Names, constraints: NameConstraints): string | undefined {
  return (
    formFault(names.dns, constraints.permitted.dns, constraints.excluded.dns, dnsWithin, dnsTouches) ??
    formFault(names.uris, constraints.permitted.uris, constraints.excluded.uris, uriWithin, uriTouches)
  )
}

type Matches = (name: string, base: string) => boolean

function formFault(
  names: readonly string[],
  permitted: readonly string[],
  excluded: readonly string[],
  within: Matches,
  touches: Matches,
): string | undefined {
  for (const name of names) {
    if (permitted.length > 0 && !permitted.some((base) => within(name, base))) return `${name} is not permitted`
    if (excluded.some((base) => touches(name, base))) return `${name} is excluded`
  }
  return undefined
}

const below = (host: string, base: string): boolean => base === '' || host === base || host.endsWith(`.${base}`)

const dnsWithin: Matches = (name, base) => below(name.replace(/^\*\./, ''), base)

/** A wildcard also touches every base that it could stand for. */
const dnsTouches: Matches = (name, base) =>
  dnsWithin(name, base) || (name.startsWith('*.') && below(base, name.slice(2)))

const uriWithin: Matches = (uri, base) => {
  const host = hostOf(uri)
  if (host === undefined) return false
  return base.startsWith('.') ? host.endsWith(base) && host !== base : host === base
}

/** RFC 5280 section 4.2.1.10: a URI without a plain host cannot be judged, so it counts as excluded. */
const uriTouches: Matches = (uri, base) => hostOf(uri) === undefined || uriWithin(uri, base)

function hostOf(uri: string): string | undefined {
  return /^[A-Za-z][A-Za-z0-9+.-]*:\/\/([A-Za-z0-9._-]+)(?:[/?#]|$)/.exec(uri)?.[1]?.toLowerCase()
}
