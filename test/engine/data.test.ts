import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { utf8 } from '../../core/bytes.ts'
import type { Json } from '../../core/json.ts'
import { agedBy, type DataPart, readDocument, withData } from '../../engine/data.ts'

const ref = { bundle: 'bank', revision: 'r1', sha256: 'ab'.repeat(32) }
const content = (
  data: Json,
  more: { readonly roots?: readonly string[]; readonly entrypoints?: readonly string[] } = {},
) => ({
  ...{ ref, data, roots: [''], entrypoints: ['writ/authz/result'] },
  ...more,
})
const part = (path: string, value: Json = { a: 1 }): DataPart => ({ name: 'roles', path, value })

describe('a document', () => {
  test('is an object in JSON, or in YAML where it may be', () => {
    expect(readDocument(utf8('{"a":[1,{"b":null}]}'), false)).toEqual({ a: [1, { b: null }] })
    expect(readDocument(utf8('a: [1, {b: null}]\n'), true)).toEqual({ a: [1, { b: null }] })
    expect(readDocument(utf8('{"a":1}'), true)).toEqual({ a: 1 })
    expect(() => readDocument(utf8('a: 1'), false)).toThrow('it is no JSON')
  })

  test('that is torn, no object, too deep or inexact is refused with the reason', () => {
    const wrong = (text: string): string => {
      try {
        return JSON.stringify(readDocument(utf8(text), false))
      } catch (thrown) {
        return (thrown as Error).message
      }
    }
    expect(wrong('{"a":1')).toContain('it is no JSON')
    expect(wrong('')).toContain('it is no JSON')
    expect(wrong('[1]')).toBe('it is not an object')
    expect(wrong('null')).toBe('it is not an object')
    expect(wrong(`${'{"a":'.repeat(65)}1${'}'.repeat(65)}`)).toBe('it is nested more than 64 deep')
    expect(wrong(`${'{"a":'.repeat(64)}1${'}'.repeat(64)}`)).toMatch(/^\{"a"/)
    expect(wrong('{"a":9007199254740993}')).toContain('beyond 2^53')
    expect(wrong('{"a":9007199254740991}')).toBe('{"a":9007199254740991}')
  })

  test('of any bytes is an object or refused as policy_invalid, and JSON reads as JSON does', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), fc.boolean(), (bytes, yaml) => {
        try {
          expect(typeof readDocument(bytes, yaml)).toBe('object')
        } catch (thrown) {
          expect(thrown).toMatchObject({ code: 'policy_invalid' })
        }
      }),
    )
    fc.assert(
      fc.property(fc.dictionary(fc.string({ unit: 'binary' }), fc.jsonValue({ maxDepth: 4 })), (value) => {
        const text = JSON.stringify(value)
        fc.pre(!/\\ud[89a-f]/i.test(text) && !/[1-9]e\+(?:1[6-9]|[2-9]\d|\d{3})|\d{17}/.test(text))
        expect(readDocument(utf8(text), false)).toEqual(JSON.parse(text))
      }),
    )
  })
})

describe('data beside a bundle', () => {
  test('stands at its place, and all else stays', () => {
    const own = { bank: { name: 'b' }, other: 1 }
    expect(withData(content(own), [part('bank/roles'), part('new/deep/place', { c: 2 })])).toEqual({
      ...{ bank: { name: 'b', roles: { a: 1 } }, other: 1 },
      new: { deep: { place: { c: 2 } } },
    })
    expect(own).toEqual({ bank: { name: 'b' }, other: 1 })
    expect(withData(content(own), [{ name: 'roles', path: 'bank/roles' }])).toEqual(own)
  })

  test('takes no place that the bundle has, above it or below it', () => {
    const taken = (path: string, data: Json, more = {}): string => {
      try {
        withData(content(data, more), [part(path)])
        return 'free'
      } catch (thrown) {
        return (thrown as Error).message
      }
    }
    expect(taken('bank/roles', { bank: { roles: {} } })).toBe(
      'data roles of policy bank: the bundle has a value at bank/roles',
    )
    expect(taken('bank', { bank: { roles: {} } })).toContain('has a value at bank')
    expect(taken('bank/roles', { bank: 1 })).toContain('lies below a value')
    expect(taken('bank/roles', { bank: { role: {} } })).toBe('free')
    expect(taken('writ', {})).toContain('overlaps with the rule writ/authz/result')
    expect(taken('writ/authz/result/x', {})).toContain('overlaps with the rule')
    expect(taken('writ/authz/results', {})).toBe('free')
    expect(taken('bank/roles', {}, { roots: ['bank', 'writ'] })).toContain('by its root "bank"')
    expect(taken('banks/roles', {}, { roots: ['bank', 'writ'] })).toBe('free')
  })

  test('is as old as the time since it was last known to be the newest', () => {
    const by = { by: 'policy' as const, policy: ref }
    const version = { revision: 'v', sha256: 'cd'.repeat(32) }
    const aged = (asOf: number | undefined, maxAgeMs?: number) =>
      agedBy(by, [{ name: 'roles', path: 'r', version, ...(maxAgeMs && { maxAgeMs }) }], 10_000_000_000n, () => asOf)
    expect(aged(7500)).toEqual({ from: { ...by, data: [{ name: 'roles', ...version, ageS: 2 }] }, stale: undefined })
    expect(aged(7500, 2500).stale).toBeUndefined()
    expect(aged(7499, 2500).stale).toBe('data roles is 2 s old, where 2.5 s are the most')
    expect(aged(11_000, 2500).stale).toBeUndefined()
    expect(aged(undefined)).toEqual({ from: { ...by, data: [{ name: 'roles', ...version }] }, stale: undefined })
    expect(aged(undefined, 2500).stale).toBe('nobody has said how old data roles is, which may be 2.5 s old')
    expect(agedBy(by, [{ name: 'roles', path: 'r' }], 0n, undefined)).toEqual({
      ...{ from: { ...by, data: [] }, stale: 'there is no data roles yet' },
    })
  })
})
