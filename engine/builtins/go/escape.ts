/** Percent-encoding of URLs as Go's net/url has it: which bytes stand as they are depends on where they stand. */

import { bytesOfString, stringOfBytes } from '../../value.ts'
import { BuiltinError } from '../builtin.ts'

/** Part of a URL. */
export type UrlPart = 'query' | 'path' | 'fragment' | 'user' | 'host' | 'zone'

const word = 'A-Za-z0-9\\-_.~'
const unescaped: Readonly<Record<UrlPart, RegExp>> = {
  query: new RegExp(`[${word}]`),
  path: new RegExp(`[${word}$&+,/:;=@]`),
  fragment: new RegExp(`[${word}!()*$&+,/:;=?@]`),
  user: new RegExp(`[${word}$&+,;=]`),
  host: new RegExp(`[${word}!"$&'()*+,:;<=>[\\]]`),
  zone: new RegExp(`[${word}!"$&'()*+,:;<=>[\\]]`),
}

export function escapeUrl(text: string, part: UrlPart): string {
  let out = ''
  for (const byte of bytesOfString(text)) {
    const char = String.fromCharCode(byte)
    if (byte < 0x80 && unescaped[part].test(char)) out += char
    else out += part === 'query' && char === ' ' ? '+' : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`
  }
  return out
}

/** Throws a BuiltinError where an escape is broken, or where one or a byte may not stand in that part. */
export function unescapeUrl(text: string, part: UrlPart): string {
  const bytes = bytesOfString(text)
  const out: number[] = []
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at]!
    if (byte === 0x25) {
      out.push(escapedByte(bytes.subarray(at, at + 3), part))
      at += 2
    } else if (byte === 0x2b && part === 'query') out.push(0x20)
    else {
      const strict = part === 'host' || part === 'zone'
      if (strict && byte < 0x80 && !unescaped[part].test(String.fromCharCode(byte))) {
        throw new BuiltinError('invalid character in host name')
      }
      out.push(byte)
    }
  }
  return stringOfBytes(Uint8Array.from(out))
}

function escapedByte(bytes: Uint8Array, part: UrlPart): number {
  const text = String.fromCharCode(...bytes)
  if (!/^%[0-9a-fA-F]{2}$/.test(text)) throw new BuiltinError(`invalid URL escape ${text}`)
  const byte = Number.parseInt(text.slice(1), 16)
  // In a host only bytes beyond ASCII are escaped, and the percent sign before a zone (RFC 6874).
  const allowed =
    part === 'host'
      ? byte >= 0x80 || text === '%25'
      : part !== 'zone' ||
        text === '%25' ||
        byte === 0x20 ||
        (byte < 0x80 && unescaped.host.test(String.fromCharCode(byte)))
  if (!allowed) throw new BuiltinError(`invalid URL escape ${text}`)
  return byte
}
