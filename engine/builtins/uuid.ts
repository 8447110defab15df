/** uuid.rfc4122 and uuid.parse (RFC 4122). */

import { fromHex, toHex } from '../../core/bytes.ts'
import { formatValue, fromInteger, objectOf, type Value } from '../value.ts'
import type { BuiltinContext, BuiltinFamily } from './builtin.ts'
import { stringOf } from './operand.ts'

/** Version 4, from the evaluation's random bytes; the same for the same key. */
function random(context: BuiltinContext, key: Value): Value {
  const uuid = context.once(`uuid.rfc4122 ${formatValue(key)}`, () => {
    const bytes = context.random(16)
    bytes[6] = (bytes[6]! & 0x0f) | 0x40
    bytes[8] = (bytes[8]! & 0x3f) | 0x80
    const hex = toHex(bytes)
    return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-')
  })
  context.record('uuid.rfc4122', [key], uuid)
  return uuid
}

const dashed = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/

function parse(_: BuiltinContext, text: Value): Value | undefined {
  const bytes = read(stringOf(text).toLowerCase())
  if (!bytes) return undefined
  const version = bytes[6]! >> 4
  const members: Record<string, Value> = { version, variant: variantOf(bytes[8]!) }
  if (version === 1 || version === 2) {
    const view = new DataView(bytes.buffer)
    members['time'] = fromInteger(unixNs(view))
    members['nodeid'] = Array.from(bytes.subarray(10), (byte) => toHex(Uint8Array.of(byte))).join('-')
    members['macvariables'] = macOf(bytes[10]!)
    members['clocksequence'] = view.getUint16(8) & 0x3fff
    if (version === 2) {
      members['id'] = view.getUint32(0)
      members['domain'] = ['Person', 'Group', 'Org'][bytes[9]!] ?? `Domain${bytes[9]}`
    }
  }
  return objectOf(Object.entries(members))
}

/** Bare, with dashes, between any two characters as `{}`, or after urn:uuid:. */
function read(text: string): Uint8Array | undefined {
  if (text.length === 32) return fromHex(text)
  const inside = text.length === 45 ? text.replace(/^urn:uuid:/, '') : text.length === 38 ? text.slice(1, -1) : text
  return dashed.test(inside) ? fromHex(inside.replaceAll('-', '')) : undefined
}

const variantOf = (byte: number): string =>
  (byte & 0xc0) === 0x80
    ? 'RFC4122'
    : (byte & 0xe0) === 0xc0
      ? 'Microsoft'
      : (byte & 0xe0) === 0xe0
        ? 'Future'
        : 'Reserved'

const macOf = (byte: number): string =>
  `${(byte & 2) === 2 ? 'local' : 'global'}:${(byte & 1) === 1 ? 'multicast' : 'unicast'}`

/** From steps of 100 ns since 15 October 1582; what 64 bits do not hold wraps around, as in OPA. */
function unixNs(view: DataView): bigint {
  const ticks =
    BigInt(view.getUint32(0)) | (BigInt(view.getUint16(4)) << 32n) | (BigInt(view.getUint16(6) & 0xfff) << 48n)
  return BigInt.asIntN(64, (ticks - 122_192_928_000_000_000n) * 100n)
}

export const uuid: BuiltinFamily = { 'uuid.rfc4122': random, 'uuid.parse': parse }
