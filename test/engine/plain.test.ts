import fc from 'fast-check'
import { expect, test } from 'vitest'
import { plainJson } from '../../engine/plain.ts'

const limits = { maxDepth: 4, maxBytes: 100 }
const said = (value: unknown) => {
  const plain = plainJson(value, limits)
  return plain.ok ? new TextDecoder().decode(plain.bytes) : plain
}
const wrong = (value: unknown) => {
  const plain = plainJson(value, limits)
  return plain.ok ? undefined : plain.wrong
}

test('what looks empty is handed over as it is', () => {
  expect([null, false, 0, '', [], {}].map(said)).toEqual(['null', 'false', '0', '""', '[]', '{}'])
})

test('what JSON cannot hold is refused instead of dropped or changed', () => {
  expect(wrong(undefined)).toContain('undefined')
  expect(wrong(Number.NaN)).toContain('NaN')
  expect(wrong([undefined])).toContain('undefined')
  expect(wrong(new Array(2))).toContain('undefined')
  expect(wrong({ a: 1n })).toContain('bigint')
  expect(wrong({ a: () => 1 })).toContain('function')
  expect(wrong(new Uint8Array(2))).toContain('class')
  expect(wrong(new ArrayBuffer(2))).toContain('class')
  expect(wrong(new Date(0))).toContain('class')
  expect(wrong(new Map())).toContain('class')
  expect(wrong('\ud800')).toContain('surrogate')
  expect(wrong({ '\ud800': 1 })).toContain('surrogate')
})

test('members that are undefined are left out, objects without prototype are plain', () => {
  expect(said({ a: undefined, b: Object.assign(Object.create(null), { c: 1 }) })).toBe('{"b":{"c":1}}')
})

test('the deepest nesting that is allowed passes, one more does not', () => {
  expect(said([[[[1]]]])).toBe('[[[[1]]]]')
  expect(said([[[[[1]]]]])).toEqual({ ok: false, limit: true, wrong: 'nested too deeply' })
  const endless: unknown[] = []
  endless.push(endless)
  expect(wrong(endless)).toBe('nested too deeply')
})

test('the longest that is allowed passes, one more byte does not', () => {
  expect(said('x'.repeat(98))).toHaveLength(100)
  expect(said('x'.repeat(99))).toEqual({ ok: false, limit: true, wrong: 'too long' })
  expect(wrong('é'.repeat(50))).toBe('too long')
})

test('every JSON value within the limits comes through whole', () => {
  fc.assert(
    fc.property(fc.jsonValue({ noUnicodeString: false, maxDepth: 5 }), (value) => {
      const plain = plainJson(value, { maxDepth: 64, maxBytes: 1_000_000 })
      expect(plain.ok && JSON.parse(new TextDecoder().decode(plain.bytes))).toEqual(JSON.parse(JSON.stringify(value)))
    }),
  )
})
