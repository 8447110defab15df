import fc from 'fast-check'
import { expect, test } from 'vitest'
import { contentOf } from '../../../audit/query/content.ts'
import { fromUtf8, utf8 } from '../../../core/bytes.ts'
import { canonicalJson, type Json, parseJson } from '../../../core/json.ts'
import { Mesh } from '../verify/log.ts'

const record = parseJson(fromUtf8(new Mesh().orders.decision())) as { readonly [name: string]: Json }
const leafWith = (extra: Json): Uint8Array => utf8(canonicalJson({ ...record, extra }))
const textOf = (value: Json): string => (typeof value === 'string' ? value : JSON.stringify(value))

test('a value is found in the record that has it, whatever it is and however JSON writes it', () => {
  const value = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.double({ noNaN: true }),
    fc.jsonValue() as fc.Arbitrary<Json>,
  )
  fc.assert(
    fc.property(value, fc.boolean(), (given, isListed) => {
      const text = canonicalJsonOr(given)
      if (text === undefined) return
      const read = parseJson(text)!
      if (Array.isArray(read)) return // One of a list is asked for, not the list.
      const holds = contentOf({ fact: [{ name: 'extra', value: textOf(read) }] })!
      expect(holds(leafWith(isListed ? [1, read] : read))).toBe(true)
      expect(holds(leafWith({ other: read }))).toBe(false)
    }),
    { numRuns: 1000 },
  )
  expect(contentOf({ fact: [{ name: 'extra', value: 'x' }] })!(Uint8Array.of(0xff))).toBe(false)
})

/** Undefined for what no record can hold, such as half of a character. */
function canonicalJsonOr(value: Json): string | undefined {
  try {
    const text = canonicalJson(value)
    return parseJson(fromUtf8(utf8(text))) === undefined ? undefined : text
  } catch {
    return undefined
  }
}
