/** hex, base64url without padding, and urlquery. */

import { fromHex, toBase64Url, toHex } from '../../core/bytes.ts'
import { bytesOfString, compareStrings, objectOf, type RegoObject, stringOfBytes, type Value } from '../value.ts'
import { type BuiltinContext, BuiltinError, type BuiltinFamily } from './builtin.ts'
import { escapeUrl, unescapeUrl } from './go/escape.ts'
import { objectArg, stringOf, stringsOf } from './operand.ts'

function hexDecode(_: BuiltinContext, text: Value): Value {
  const bytes = fromHex(stringOf(text).toLowerCase())
  if (!bytes) throw new BuiltinError('invalid hex')
  return stringOfBytes(bytes)
}

function encodeObject(_: BuiltinContext, object: Value): Value {
  const pairs = objectArg(object).entries.flatMap(([key, value]) => {
    const values = typeof value === 'string' ? [value] : stringsOf(value)
    return values.map((one) => [stringOf(key), one] as const)
  })
  return pairs
    .sort(([a], [b]) => compareStrings(a, b))
    .map(([key, value]) => `${escapeUrl(key, 'query')}=${escapeUrl(value, 'query')}`)
    .join('&')
}

function decodeObject(_: BuiltinContext, query: Value): RegoObject {
  const found = new Map<string, string[]>()
  for (const pair of stringOf(query).split('&')) {
    if (pair === '') continue
    if (pair.includes(';')) throw new BuiltinError('invalid semicolon separator in query')
    const at = pair.indexOf('=')
    const key = unescapeUrl(at < 0 ? pair : pair.slice(0, at), 'query')
    const value = unescapeUrl(at < 0 ? '' : pair.slice(at + 1), 'query')
    const values = found.get(key)
    if (values) values.push(value)
    else found.set(key, [value])
  }
  return objectOf(found)
}

export const encoding: BuiltinFamily = {
  'hex.encode': (_, text) => toHex(bytesOfString(stringOf(text))),
  'hex.decode': hexDecode,
  'base64url.encode_no_pad': (_, text) => toBase64Url(bytesOfString(stringOf(text))),
  'urlquery.encode': (_, text) => escapeUrl(stringOf(text), 'query'),
  'urlquery.decode': (_, text) => unescapeUrl(stringOf(text), 'query'),
  'urlquery.encode_object': encodeObject,
  'urlquery.decode_object': decodeObject,
}
