/** Name constraints (RFC 5280 section 4.2.1.10): what names an authority may give, and whether they were kept. */

import { BuiltinError } from '../builtin.ts'
import type { GoUrl } from '../go/url.ts'
import { contextTag, contextTagWithin, DerReader } from './der.ts'
import { isDomain, isDomainConstraint, type Mailbox, readMailbox } from './domain.ts'
import { readIp } from './ip.ts'
import { ia5 } from './name.ts'

/** Names of a subject beside its distinguished one (RFC 5280 section 4.2.1.6). */
export interface AlternativeNames {
  readonly dns: readonly string[]
  readonly email: readonly string[]
  readonly ip: readonly Uint8Array[]
  readonly uri: readonly GoUrl[]
}

export interface Subtrees {
  readonly dns: readonly string[]
  readonly ip: readonly { readonly address: Uint8Array; readonly mask: Uint8Array }[]
  readonly email: readonly string[]
  readonly uri: readonly string[]
}

export interface Constraints {
  readonly permitted: Subtrees
  readonly excluded: Subtrees
  /** False where they hold kinds of names that are not compared. */
  readonly whole: boolean
}

export function readConstraints(value: Uint8Array): Constraints {
  const outer = new DerReader(value, 'name constraints')
  const both = outer.sequence()
  outer.end()
  const permitted = both.optional(contextTagWithin(0)) ?? new Uint8Array()
  const excluded = both.optional(contextTagWithin(1)) ?? new Uint8Array()
  both.end()
  if (permitted.length + excluded.length === 0) throw new BuiltinError('x509: empty name constraints extension')
  const [first, second] = [readSubtrees(permitted), readSubtrees(excluded)]
  return { permitted: first.subtrees, excluded: second.subtrees, whole: first.whole && second.whole }
}

function readSubtrees(content: Uint8Array): { readonly subtrees: Subtrees; readonly whole: boolean } {
  const subtrees = {
    dns: [] as string[],
    ip: [] as Subtrees['ip'][number][],
    email: [] as string[],
    uri: [] as string[],
  }
  let whole = true
  const list = new DerReader(content, 'name constraints')
  while (!list.empty) {
    const { tag, content: name } = list.sequence().any()
    if (tag === contextTag(2)) subtrees.dns.push(domainOf(ia5(name)))
    else if (tag === contextTag(7)) subtrees.ip.push(networkOf(name))
    else if (tag === contextTag(1)) subtrees.email.push(emailOf(ia5(name)))
    else if (tag === contextTag(6)) subtrees.uri.push(uriDomainOf(ia5(name)))
    else whole = false
  }
  return { subtrees, whole }
}

const bad = (text: string): never => {
  throw new BuiltinError(`x509: failed to parse the name constraint ${JSON.stringify(text)}`)
}

const domainOf = (text: string): string => (isDomainConstraint(text) ? text : bad(text))
const uriDomainOf = (text: string): string => (readIp(text) ? bad(text) : domainOf(text))
const emailOf = (text: string): string => (text.includes('@') ? (readMailbox(text) ? text : bad(text)) : domainOf(text))

function networkOf(content: Uint8Array): Subtrees['ip'][number] {
  const half = content.length / 2
  if (half !== 4 && half !== 16)
    throw new BuiltinError(`x509: IP constraint contained value of length ${content.length}`)
  const mask = content.subarray(half)
  const bits = Array.from(mask, (byte) => byte.toString(2).padStart(8, '0')).join('')
  if (!/^1*0*$/.test(bits)) throw new BuiltinError('x509: IP constraint contained invalid mask')
  return { address: content.subarray(0, half), mask }
}

/** Every name must be within what is permitted for its kind, where something is, and outside what is excluded. */
export function keepsConstraints(names: AlternativeNames, { permitted, excluded }: Constraints): boolean {
  const mailboxes = names.email.map(readMailbox)
  const hosts = names.uri.map(hostOf)
  if (!mailboxes.every((mailbox) => mailbox !== undefined) || !hosts.every((host) => host !== undefined)) return false
  if (!names.dns.every(isDomain)) return false
  return (
    kept(names.ip, permitted.ip, excluded.ip, inNetwork, inNetwork) &&
    kept(names.dns, permitted.dns, excluded.dns, inDomain, touchesDomain) &&
    kept(hosts, permitted.uri, excluded.uri, inDomain, touchesDomain) &&
    kept(mailboxes, permitted.email, excluded.email, isMailOf, isMailOf)
  )
}

function kept<T, C>(
  names: readonly T[],
  permitted: readonly C[],
  excluded: readonly C[],
  isIn: (name: T, constraint: C) => boolean,
  touches: (name: T, constraint: C) => boolean,
): boolean {
  return names.every(
    (name) =>
      (permitted.length === 0 || permitted.some((constraint) => isIn(name, constraint))) &&
      !excluded.some((constraint) => touches(name, constraint)),
  )
}

function inNetwork(ip: Uint8Array, { address, mask }: Subtrees['ip'][number]): boolean {
  return ip.length === address.length && ip.every((byte, i) => (byte & mask[i]!) === (address[i]! & mask[i]!))
}

function inDomain(name: string, constraint: string): boolean {
  const [given, domain] = [name.toLowerCase(), constraint.toLowerCase()]
  if (domain === '' || given === domain) return true
  return given.endsWith(domain.startsWith('.') ? domain : `.${domain}`)
}

/** A star could become a name that is excluded. */
function touchesDomain(name: string, constraint: string): boolean {
  const parent = constraint.slice(Math.max(constraint.indexOf('.'), 0)).toLowerCase()
  return inDomain(name, constraint) || (name.startsWith('*') && parent !== '' && name.slice(1).toLowerCase() === parent)
}

function isMailOf(mailbox: Mailbox, constraint: string): boolean {
  if (!constraint.includes('@')) return inDomain(mailbox.domain, constraint)
  const exact = readMailbox(constraint)
  return exact?.local === mailbox.local && exact.domain === mailbox.domain
}

/** A URI's host without its port; undefined where there is none or an address, which no domain holds. */
function hostOf(url: GoUrl): string | undefined {
  const host = url.host.toLowerCase().replace(/:[0-9]*$/, '')
  return host === '' || host.startsWith('[') || readIp(host) ? undefined : host
}
