import { expect, test } from 'vitest'
import { makePatternCache } from '../../../engine/builtins/patterns.ts'
import { ask } from './ask.ts'

const q = (text: string) => JSON.stringify(text)

test('a pattern is compiled once while it is kept; the least used goes first', () => {
  const cache = makePatternCache({ maxPatterns: 2 })
  let compiled = 0
  const use = (text: string) => cache.compiled('k', text, () => ++compiled)
  expect([use('a'), use('b'), use('a'), use('c'), use('a'), use('b')]).toEqual([1, 2, 1, 3, 1, 4])
  expect(cache.compiled('other', 'a', () => 'own')).toBe('own')
})

test('what is kept is bounded in characters, too, and what fails is not kept', () => {
  const cache = makePatternCache({ maxCharacters: 10 })
  let compiled = 0
  const use = (text: string) => cache.compiled('', text, () => ++compiled)
  use('12345')
  use('67890')
  expect(use('67890')).toBe(2)
  expect(use('12345')).toBe(3)
  expect([use('far longer than that'), use('far longer than that')]).toEqual([4, 5])
  const fail = () =>
    cache.compiled('', 'x', () => {
      throw new Error('bad')
    })
  expect(fail).toThrow('bad')
  expect(cache.compiled('', 'x', () => 'good')).toBe('good')
})

test('regular expressions are RE2, with Go’s empty matches', () => {
  expect(ask('regex.find_n', '"a*"', '"baac"', '-1')).toBe('["", "aa", ""]')
  expect(ask('regex.find_n', '"[a-z]"', '"abc"', '2')).toBe('["a", "b"]')
  expect(ask('regex.find_n', '"("', '"a"', '-1')).toBe('undefined')
  expect(ask('regex.find_n', '"(?=a)"', '"a"', '-1')).toBe('undefined')
  expect(ask('regex.split', '"(?i)X"', '"axbXc"')).toBe('["a", "b", "c"]')
  expect(ask('regex.split', '"a"', '""')).toBe('[""]')
})

test('a replacement expands groups by number and name, and $1x is a name', () => {
  const replace = (text: string, pattern: string, by: string) => ask('regex.replace', q(text), q(pattern), q(by))
  expect(replace('abc', '(b)', '[$1]')).toBe('"a[b]c"')
  // biome-ignore lint/suspicious/noTemplateCurlyInString: Go's form of a named group.
  expect(replace('abc', '(?P<n>b)', '${n}$n$$-$1x$9')).toBe('"abb$-c"')
  expect(replace('foo', '^[a-z]', 'F')).toBe('"Foo"')
  expect(replace('ab', 'x*', '-')).toBe('"-a-b-"')
})

test('time grows with the length of the text, whatever the pattern', () => {
  expect(ask('regex.replace', q(`${'a'.repeat(5000)}!`), '"(a+)+$"', '""')).toBe(q(`${'a'.repeat(5000)}!`))
})

test('a template has its patterns between delimiters', () => {
  const match = (template: string, text: string) => ask('regex.template_match', q(template), q(text), '"{"', '"}"')
  expect(match('urn:{[a-z]+}.x', 'urn:abc.x')).toBe('true')
  expect(match('urn:{[a-z]+}.x', 'urn:abc-x')).toBe('false')
  for (const bad of ['{', '}', '{a', '{(}']) expect(match(bad, 'a')).toBe('undefined')
  expect(ask('regex.template_match', '"a"', '"a"', '"<<"', '">"')).toBe('undefined')
})

test('globs meet where one text matches both', () => {
  const meet = (a: string, b: string) => ask('regex.globs_match', q(a), q(b))
  for (const [a, b] of [
    ['a.a.[0-9]+', 'a.*'],
    ['[a-p]+', '[p-z]+'],
    ['foo.*bar', 'foobar'],
    ['.*\\\\', 'x\\\\'],
    ['[ab]+c', '[bc]*'],
  ] as const) {
    expect([a, b, meet(a, b), meet(b, a)]).toEqual([a, b, 'true', 'true'])
  }
  for (const [a, b] of [
    ['abcd', 'abc'],
    ['[a-d]+', '[e-f]+'],
    ['.*', ''],
    ['.*f', '.*g'],
    ['a*', 'b*'],
    ['[0-9]*', '[a-z]'],
  ] as const) {
    expect([a, b, meet(a, b), meet(b, a)]).toEqual([a, b, 'false', 'false'])
  }
  for (const bad of ['*', '[', ']', '[-a]', '[b-a]', '\\', '[a-'])
    expect([bad, meet(bad, 'a')]).toEqual([bad, 'undefined'])
  expect(meet('.*'.repeat(60), `${'.*'.repeat(60)}a`)).toBe('true') // By trial and error: years.
  expect(ask('glob.quote_meta', '"a*?[]{}\\\\-,"')).toBe(q('a\\*\\?\\[\\]\\{\\}\\\\-,'))
})
