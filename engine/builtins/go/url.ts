/** URLs as Go's net/url takes them apart and puts them together (RFC 3986 with Go's leniencies). */

import { BuiltinError } from '../builtin.ts'
import { parseAddress } from '../net/address.ts'
import { escapeUrl, unescapeUrl } from './escape.ts'

/** `path` and `fragment` are without escapes; beside them stands how they were written where escaping gives another text. */
export interface GoUrl {
  readonly scheme: string
  /** What follows the scheme where that is no path. */
  readonly opaque: string
  /** With its password, escaped. */
  readonly user: string | undefined
  /** With its port. */
  readonly host: string
  readonly path: string
  readonly rawPath: string
  readonly omitHost: boolean
  readonly forceQuery: boolean
  readonly rawQuery: string
  readonly fragment: string
  readonly rawFragment: string
}

const nothing: GoUrl = {
  scheme: '',
  opaque: '',
  user: undefined,
  host: '',
  path: '',
  rawPath: '',
  omitHost: false,
  forceQuery: false,
  rawQuery: '',
  fragment: '',
  rawFragment: '',
}

/** Throws a BuiltinError where it is no URL. */
export function parseGoUrl(text: string): GoUrl {
  const [before, written] = cut(text, '#')
  const fragment = unescapeUrl(written, 'fragment')
  const rawFragment = escapeUrl(fragment, 'fragment') === written ? '' : written
  return { ...withoutFragment(before), fragment, rawFragment }
}

function withoutFragment(text: string): GoUrl {
  if (/[\x00-\x1f\x7f]/.test(text)) throw new BuiltinError('invalid control character in URL')
  if (text === '*') return { ...nothing, path: '*' }
  if (text.startsWith(':')) throw new BuiltinError('missing protocol scheme')
  const scheme = /^([A-Za-z][A-Za-z0-9+.-]*):/.exec(text)?.[1]
  const whole = scheme === undefined ? text : text.slice(scheme.length + 1)
  const [rest, rawQuery] = cut(whole, '?')
  const forceQuery = whole !== rest && rawQuery === ''
  const url = { ...nothing, scheme: (scheme ?? '').toLowerCase(), forceQuery, rawQuery }

  if (!rest.startsWith('/')) {
    if (scheme !== undefined) return { ...url, opaque: rest }
    if (cut(rest, '/')[0].includes(':')) throw new BuiltinError('first path segment in URL cannot contain colon')
  }
  if (rest.startsWith('//') && (scheme !== undefined || !rest.startsWith('///'))) {
    const slash = rest.indexOf('/', 2)
    const authority = slash < 0 ? rest.slice(2) : rest.slice(2, slash)
    return { ...url, ...readAuthority(url.scheme, authority), ...readPath(slash < 0 ? '' : rest.slice(slash)) }
  }
  return { ...url, omitHost: scheme !== undefined && rest.startsWith('/'), ...readPath(rest) }
}

function readPath(written: string): Pick<GoUrl, 'path' | 'rawPath'> {
  const path = unescapeUrl(written, 'path')
  return { path, rawPath: escapeUrl(path, 'path') === written ? '' : written }
}

function readAuthority(scheme: string, authority: string): Pick<GoUrl, 'user' | 'host'> {
  const at = authority.lastIndexOf('@')
  const host = readHost(scheme, authority.slice(at + 1))
  if (at < 0) return { user: undefined, host }
  const user = authority.slice(0, at)
  if (!/^[A-Za-z0-9\-._:~!$&'()*+,;=%@]*$/.test(user)) throw new BuiltinError('invalid userinfo')
  const colon = user.indexOf(':')
  const parts = colon < 0 ? [user] : [user.slice(0, colon), user.slice(colon + 1)]
  return { user: parts.map((part) => escapeUrl(unescapeUrl(part, 'user'), 'user')).join(':'), host }
}

function readHost(scheme: string, host: string): string {
  const open = host.lastIndexOf('[')
  if (open > 0) throw new BuiltinError('invalid IP-literal')
  if (open === 0) return readLiteral(host)
  // Several colons are let pass where databases write lists of hosts, but not in HTTP.
  const colon = scheme === 'http' || scheme === 'https' ? host.indexOf(':') : host.lastIndexOf(':')
  if (colon >= 0) checkPort(host.slice(colon))
  return unescapeUrl(host, 'host')
}

/** An IPv6 address in brackets, perhaps with a zone after "%25" (RFC 6874). */
function readLiteral(host: string): string {
  const close = host.lastIndexOf(']')
  if (close < 0) throw new BuiltinError("missing ']' in host")
  const inside = host.slice(1, close)
  const zoneAt = inside.indexOf('%25')
  const address = unescapeUrl(zoneAt < 0 ? inside : inside.slice(0, zoneAt), 'host')
  const zone = zoneAt < 0 ? '' : unescapeUrl(inside.slice(zoneAt), 'zone')
  if (parseAddress(address)?.bits !== 128 || zone === '%') throw new BuiltinError('invalid IP-literal')
  checkPort(host.slice(close + 1))
  return `[${address}${zone}]${host.slice(close + 1)}`
}

function checkPort(text: string): void {
  if (!/^(?::[0-9]*)?$/.test(text)) throw new BuiltinError(`invalid port ${text} after host`)
}

/** The path with escapes: as it was written where that is well formed. */
export const escapedPath = ({ path, rawPath }: GoUrl): string =>
  path === '*' && rawPath === '' ? '*' : written(path, rawPath, 'path')

export function goUrlText(url: GoUrl): string {
  const scheme = url.scheme === '' ? '' : `${url.scheme}:`
  const query = url.forceQuery || url.rawQuery !== '' ? `?${url.rawQuery}` : ''
  const fragment = url.fragment === '' ? '' : `#${written(url.fragment, url.rawFragment, 'fragment')}`
  return `${scheme}${url.opaque === '' ? hierarchy(url, scheme) : url.opaque}${query}${fragment}`
}

/** Authority and path, which must not be read as something else. */
function hierarchy(url: GoUrl, scheme: string): string {
  const { host, user, omitHost } = url
  const path = escapedPath(url)
  const isPath = host === '' && user === undefined && (scheme === '' || omitHost || path === '')
  const authority = isPath ? '' : `//${user === undefined ? '' : `${user}@`}${escapeUrl(host, 'host')}`
  const slash = path !== '' && !path.startsWith('/') && host !== '' ? '/' : ''
  const dot = scheme + authority === '' && cut(path, '/')[0].includes(':') ? './' : ''
  return `${authority}${slash}${dot}${path}`
}

/** What RFC 3986 lets stand in a path, and brackets. */
const wellFormed = /^[A-Za-z0-9\-._~!$&'()*+,;=:@%/[\]]*$/

function written(plain: string, raw: string, part: 'path' | 'fragment'): string {
  return raw !== '' && wellFormed.test(raw) ? raw : escapeUrl(plain, part)
}

/** Up to the first mark, and after it. */
function cut(text: string, mark: string): readonly [string, string] {
  const at = text.indexOf(mark)
  return at < 0 ? [text, ''] : [text.slice(0, at), text.slice(at + 1)]
}
