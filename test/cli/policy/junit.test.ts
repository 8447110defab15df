import fc from 'fast-check'
import { SaxesParser } from 'saxes'
import { expect, test } from 'vitest'
import { junitXml } from '../../../cli/policy/junit.ts'
import type { Json } from '../../../core/json.ts'

interface Element {
  readonly name: string
  readonly attributes: Readonly<Record<string, string>>
}

/** Elements as a strict parser gives them; it throws on what is not well-formed. */
function parse(xml: string): readonly Element[] {
  const found: Element[] = []
  const parser = new SaxesParser()
  parser.on('error', (error) => {
    throw error
  })
  parser.on('opentag', ({ name, attributes }) => found.push({ name, attributes }))
  parser.write(xml).close()
  return found
}

const result = (name: string, more: { readonly [name: string]: Json } = {}): Json => ({
  ...{ package: 'data.shop_test', name, location: { file: 'a_test.rego', row: 3, col: 1 }, duration: 1_500_000 },
  ...more,
})

test('each test is a case, with what became of it', () => {
  const results = [result('test_a'), result('test_b', { fail: true }), result('todo_test_c', { skip: true })]
  const elements = parse(junitXml([{ name: 'shop', results, complaint: '' }]))
  expect(elements[1]).toMatchObject({
    name: 'testsuite',
    attributes: { name: 'shop', tests: '3', failures: '1', skipped: '1' },
  })
  const cases = elements.flatMap(({ name, attributes }) => (name === 'testcase' ? [attributes] : []))
  expect(cases.map(({ name }) => name)).toEqual(['test_a', 'test_b', 'todo_test_c'])
  expect(cases[0]).toMatchObject({ classname: 'data.shop_test', file: 'a_test.rego', line: '3', time: '0.001500' })
  expect(elements.map(({ name }) => name).filter((name) => name === 'failure' || name === 'skipped')).toHaveLength(2)
})

test('a test of several cases is one case for each', () => {
  const parts = {
    one: { name: 'one' },
    two: { name: 'two', fail: true, sub_results: { deep: { name: 'deep', fail: true } } },
  }
  const xml = junitXml([
    { name: 'shop', results: [result('test_many', { fail: true, sub_results: parts })], complaint: '' },
  ])
  const names = parse(xml).flatMap(({ name, attributes }) => (name === 'testcase' ? [attributes['name']] : []))
  expect(names).toEqual(['test_many/one', 'test_many/two/deep'])
  expect(parse(xml).filter(({ name }) => name === 'failure')).toHaveLength(1)
})

test('a policy that does not compile is an error, with what OPA said', () => {
  const elements = parse(junitXml([{ name: 'shop', results: undefined, complaint: 'a.rego:1: "oops" <eof>\n' }]))
  expect(elements.at(-1)).toEqual({ name: 'error', attributes: { message: 'a.rego:1: "oops" <eof>' } })
})

test('whatever a test is called, the report is well-formed and says it', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), fc.string(), (name, suite) => {
      const parsed = parse(junitXml([{ name: suite, results: [result(name, { fail: true })], complaint: '' }]))
      const shown = parsed.find((one) => one.name === 'testcase')!.attributes['name']!
      expect(shown.replaceAll('\ufffd', '').length).toBeLessThanOrEqual(name.length)
      if (/^[\t\n\r\x20-\x7e]*$/.test(name)) expect(shown).toBe(name)
    }),
  )
  for (const text of [']]>', '<!--', '&#0;', '\u0000\u0008\ufffe\ud800', 'a\nb\tc'])
    parse(junitXml([{ name: text, results: undefined, complaint: text }]))
})

test('whatever OPA prints, the report is well-formed', () => {
  fc.assert(
    fc.property(
      fc.json(),
      (results) => void parse(junitXml([{ name: 'x', results: JSON.parse(results) as Json, complaint: '' }])),
    ),
  )
})
