import fc from 'fast-check'
import { expect, test } from 'vitest'
import { bytesField, idField, idHex, nothing, textField, textsField } from '../../../audit/store/copy.ts'

const text = fc.string({ unit: 'binary' }).map((value) => value.replaceAll('\0', '').toWellFormed())
/** Full of what COPY and arrays of PostgreSQL give a meaning to. */
const hard = fc.string({
  unit: fc.constantFrom('\\', '\t', '\n', '\r', '\b', '\f', '\v', '"', '{', '}', ',', 'N', 'n', 'x'),
})

const meanings: Readonly<Record<string, string>> = { t: '\t', n: '\n', r: '\r', b: '\b', f: '\f', v: '\v' }

/** As PostgreSQL's manual of COPY says a field of text is read. */
const readField = (field: string): string | null =>
  field === nothing ? null : field.replace(/\\(.)/gs, (_, letter: string) => meanings[letter] ?? letter)

/** As its manual of arrays says the value of a `text[]` is read, where every element is quoted. */
function readArray(value: string): readonly string[] {
  expect(value).toMatch(/^\{(?:"(?:[^"\\]|\\.)*"(?:,(?!\})|(?=\}$)))*\}$/s)
  return [...value.matchAll(/"((?:[^"\\]|\\.)*)"/gs)].map((match) => match[1]!.replace(/\\(.)/gs, '$1'))
}

test('a field is read as the text that was given, and cannot end its column or its row', () => {
  fc.assert(
    fc.property(fc.oneof(text, hard), (value) => {
      const field = textField(value)
      expect(field).not.toMatch(/[\t\n\r]/)
      expect(readField(field)).toBe(value)
    }),
    { numRuns: 500, examples: [['\\N'], ['\\.'], ['']] },
  )
  expect(readField(textField(null))).toBeNull()
})

test('an array is read as the texts that were given', () => {
  fc.assert(
    fc.property(fc.array(fc.oneof(text, hard), { maxLength: 5 }), (values) => {
      const field = textsField(values)
      expect(field).not.toMatch(/[\t\n\r]/)
      expect(readArray(readField(field)!)).toEqual(values)
    }),
    { numRuns: 500, examples: [[[]], [['']], [['NULL', '\\N']]] },
  )
})

test('bytes are read as they were', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => {
      expect(readField(bytesField(bytes))).toBe(`\\x${Buffer.from(bytes).toString('hex')}`)
    }),
  )
})

test('no two ids have one key, whatever their shape, and a key is whole bytes of hex', () => {
  const hex = fc.string({ unit: fc.constantFrom(...'0123456789abcdef') })
  const id = fc.oneof(
    fc.uuid(),
    hex,
    text,
    hex.map((value) => value.toUpperCase()),
  )
  const twins = fc.oneof(
    fc.tuple(id, id),
    id.map((one): [string, string] => [one, one.replaceAll('-', '')]),
  )
  fc.assert(
    fc.property(twins, ([one, other]) => {
      expect(idHex(one)).toMatch(/^(?:[0-9a-f]{2})+$/)
      expect(idHex(one) === idHex(other)).toBe(one === other)
      expect(readField(idField(one))).toBe(`\\x${idHex(one)}`)
    }),
    { numRuns: 500 },
  )
  expect(idField(null)).toBe(nothing)
})
