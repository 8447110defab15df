/** Protocol buffers as far as the Workload API and SDS need them: fields of bytes, texts, messages, numbers and flags. */

import { BinaryReader, BinaryWriter, WireType } from '@bufbuild/protobuf/wire'
import { fromUtf8 } from '../../core/bytes.ts'
import { messageOf } from '../../core/fault.ts'
import type { Json } from '../../core/json.ts'

/** A number is written as a double: `google.protobuf.Value` is the only message here that has any. */
export type Field = readonly [number: number, value: Uint8Array | string | boolean | number]

export function encode(...fields: readonly Field[]): Uint8Array {
  const writer = new BinaryWriter()
  for (const [number, value] of fields) {
    if (typeof value === 'string') writer.tag(number, WireType.LengthDelimited).string(value)
    else if (typeof value === 'boolean') writer.tag(number, WireType.Varint).bool(value)
    else if (typeof value === 'number') writer.tag(number, WireType.Bit64).double(value)
    else writer.tag(number, WireType.LengthDelimited).bytes(value)
  }
  return writer.finish()
}

/** A field of a map whose keys are texts. */
export const entry = (number: number, key: string, value: Uint8Array): Field => [number, encode([1, key], [2, value])]

/** The fields that have a length, by number and in order; others are read over. */
export type Fields = ReadonlyMap<number, readonly Uint8Array[]>

/** Most fields of one message. A request of these services has a dozen. */
const maxFields = 10_000

/** Never throws. */
export function decode(bytes: Uint8Array): { readonly fields: Fields } | { readonly wrong: string } {
  const fields = new Map<number, Uint8Array[]>()
  try {
    const reader = new BinaryReader(bytes)
    for (let count = 0; reader.pos < reader.len; count++) {
      if (count >= maxFields) return { wrong: `more than ${maxFields} fields` }
      const [number, wire] = reader.tag()
      if (wire !== WireType.LengthDelimited) {
        reader.skip(wire, number)
        continue
      }
      const value = reader.bytes()
      const before = fields.get(number)
      if (before) before.push(value)
      else fields.set(number, [value])
    }
  } catch (thrown) {
    return { wrong: `no protocol buffer: ${messageOf(thrown)}` }
  }
  return { fields }
}

/** The last one counts where a field that comes once comes twice; undefined where it is no UTF-8. */
export function textOf(fields: Fields, number: number): string | undefined {
  const bytes = fields.get(number)?.at(-1)
  return bytes === undefined ? '' : readText(bytes)
}

/** Undefined where one of them is no UTF-8. */
export function textsOf(fields: Fields, number: number): readonly string[] | undefined {
  const texts = (fields.get(number) ?? []).map(readText)
  return texts.includes(undefined) ? undefined : (texts as string[])
}

function readText(bytes: Uint8Array): string | undefined {
  try {
    return fromUtf8(bytes)
  } catch {
    return undefined
  }
}

/** `google.protobuf.Struct`. */
export const structOf = (object: { readonly [name: string]: Json | undefined }): Uint8Array =>
  encode(
    ...Object.entries(object).flatMap(([name, value]) =>
      value === undefined ? [] : [entry(1, name, structValue(value))],
    ),
  )

function structValue(value: Json): Uint8Array {
  if (value === null) return new Uint8Array([8, 0]) // null_value is field 1, an enumeration whose only value is 0.
  if (typeof value === 'number') return encode([2, value])
  if (typeof value === 'string') return encode([3, value])
  if (typeof value === 'boolean') return encode([4, value])
  if (Array.isArray(value)) return encode([6, encode(...value.map((item): Field => [1, structValue(item as Json)]))])
  return encode([5, structOf(value as { readonly [name: string]: Json })])
}
