/** uri.parse and uri.is_valid: what Go's url.Parse takes for a URL. */

import { objectOf, type Value } from '../value.ts'
import { type BuiltinContext, BuiltinError, type BuiltinFamily } from './builtin.ts'
import { escapeUrl, unescapeUrl } from './go/escape.ts'
import { parseAddress } from './net/address.ts'
import { stringOf } from './operand.ts'

export interface Uri {
  readonly scheme: string
  readonly host: string
  readonly path: string
  readonly rawPath: string
  readonly rawQuery: string
  readonly fragment: string
}

export function readUri(text: string): Uri {
  const [before, rawFragment] = cut(text, '#')
  const fragment = unescapeUrl(rawFragment, 'fragment')
  const nothing = { scheme: '', host: '', path: '', rawPath: '', rawQuery: '', fragment }
  if (/[\x00-\x1f\x7f]/.test(before)) throw new BuiltinError('invalid control character in URL')
  if (before === '*') return { ...nothing, path: '*', rawPath: '*' }
  if (before.startsWith(':')) throw new BuiltinError('missing protocol scheme')

  const [, name = '', after = before] = /^([A-Za-z][A-Za-z0-9+.-]*):(.*)$/s.exec(before) ?? []
  const scheme = name.toLowerCase()
  const [rest, rawQuery] = cut(after, '?')
  if (!rest.startsWith('/')) {
    if (scheme !== '') return { ...nothing, scheme, rawQuery } // What follows is opaque.
    if (cut(rest, '/')[0].includes(':')) throw new BuiltinError('first path segment in URL cannot contain colon')
  }
  const hasAuthority = rest.startsWith('//') && (scheme !== '' || !rest.startsWith('///'))
  const end = rest.indexOf('/', 2)
  const authority = hasAuthority ? rest.slice(2, end < 0 ? undefined : end) : ''
  const rawPath = hasAuthority ? (end < 0 ? '' : rest.slice(end)) : rest
  const host = hasAuthority ? readAuthority(scheme, authority) : ''
  const path = unescapeUrl(rawPath, 'path')
  return { ...nothing, scheme, host, path, rawPath: escapeUrl(path, 'path') === rawPath ? path : rawPath, rawQuery }
}

/** The host with its port; names and passwords are checked and left out. */
function readAuthority(scheme: string, authority: string): string {
  const at = authority.lastIndexOf('@')
  const host = readHost(scheme, authority.slice(at + 1))
  const user = at < 0 ? '' : authority.slice(0, at)
  if (!/^[A-Za-z0-9\-._:~!$&'()*+,;=%@]*$/.test(user)) throw new BuiltinError('invalid userinfo')
  unescapeUrl(user, 'user')
  return host
}

function readHost(scheme: string, host: string): string {
  const open = host.lastIndexOf('[')
  if (open > 0) throw new BuiltinError('invalid IP-literal')
  if (open === 0) return readLiteral(host)
  const first = host.indexOf(':')
  const strict = scheme === 'http' || scheme === 'https'
  if (first >= 0) checkPort(host.slice(strict ? first : host.lastIndexOf(':')))
  return unescapeUrl(host, 'host')
}

/** An IPv6 address in brackets, perhaps with a zone after "%25" (RFC 6874). */
function readLiteral(host: string): string {
  const close = host.lastIndexOf(']')
  if (close < 0) throw new BuiltinError("missing ']' in host")
  const port = host.slice(close + 1)
  checkPort(port)
  const inside = host.slice(1, close)
  const zoneAt = inside.indexOf('%25')
  const address = unescapeUrl(zoneAt < 0 ? inside : inside.slice(0, zoneAt), 'host')
  const zone = zoneAt < 0 ? '' : unescapeUrl(inside.slice(zoneAt), 'zone')
  const parsed = parseAddress(address)
  if (parsed?.bits !== 128 || zone === '%') throw new BuiltinError('invalid IP-literal')
  return `[${address}${zone}]${unescapeUrl(port, 'host')}`
}

function checkPort(port: string): void {
  if (!/^(?::[0-9]*)?$/.test(port)) throw new BuiltinError(`invalid port ${port} after host`)
}

function parse(_: BuiltinContext, text: Value): Value {
  const { scheme, host, path, rawPath, rawQuery, fragment } = readUri(stringOf(text))
  const [, name = host, port = ''] = /^(.*):([0-9]*)$/s.exec(host) ?? []
  const hostname = name.startsWith('[') && name.endsWith(']') ? name.slice(1, -1) : name
  const members = { scheme, hostname, port, path, raw_path: rawPath, raw_query: rawQuery, fragment }
  return objectOf(Object.entries(members).filter(([, value]) => value !== ''))
}

function isValid(_: BuiltinContext, text: Value): boolean {
  if (typeof text !== 'string' || text === '') return false
  try {
    readUri(text)
    return true
  } catch (thrown) {
    if (thrown instanceof BuiltinError) return false
    throw thrown
  }
}

function cut(text: string, at: string): readonly [string, string] {
  const index = text.indexOf(at)
  return index < 0 ? [text, ''] : [text.slice(0, index), text.slice(index + at.length)]
}

export const uri: BuiltinFamily = { 'uri.parse': parse, 'uri.is_valid': isValid }
