import fc from 'fast-check'
import { expect, test } from 'vitest'
import { BuiltinError } from '../../../../engine/builtins/builtin.ts'
import { escapedPath, goUrlText, parseGoUrl } from '../../../../engine/builtins/go/url.ts'

test('a URL is taken apart', () => {
  expect(parseGoUrl('SPIFFE://u:p@example.com:80/a%2Fb?x=1&y#frag')).toEqual({
    scheme: 'spiffe',
    opaque: '',
    user: 'u:p',
    host: 'example.com:80',
    path: '/a/b',
    rawPath: '/a%2Fb',
    omitHost: false,
    forceQuery: false,
    rawQuery: 'x=1&y',
    fragment: 'frag',
    rawFragment: '',
  })
})

test('what is no path is opaque, and a path needs no host', () => {
  expect(parseGoUrl('mailto:me@example.com')).toMatchObject({ opaque: 'me@example.com', path: '' })
  expect(parseGoUrl('file:/etc/hosts')).toMatchObject({ omitHost: true, path: '/etc/hosts', host: '' })
  expect(parseGoUrl('file:///etc/hosts')).toMatchObject({ omitHost: false, path: '/etc/hosts', host: '' })
})

test.each([
  'http://example.com/a%2Fb',
  'http://[::1%25eth0]:80/',
  'http://example.com/?',
  'mailto:me@example.com',
  'file:/etc/hosts',
  'file:///etc/hosts',
  '//example.com/x',
  'http://a:b@example.com',
  '/only/a/path?q#f',
  '*',
])('%s is written as it was', (text) => {
  expect(goUrlText(parseGoUrl(text))).toBe(text)
})

test('a path is escaped where it was not', () => {
  expect(escapedPath(parseGoUrl('http://example.com/ü b'))).toBe('/%C3%BC%20b')
  expect(escapedPath(parseGoUrl("http://example.com/a'b"))).toBe("/a'b")
})

test.each([
  ['a colon before any scheme', ':x'],
  ['a colon in the first step', 'a b:c'],
  ['a control character', 'http://a/\n'],
  ['a broken escape', '/%zz'],
  ['an escape of ASCII in a host', 'http://a%41/'],
  ['a port that is no number', 'http://a:b/'],
  ['two colons in the host of HTTP', 'http://a:1:2/'],
  ['brackets without an address', 'http://[a]/'],
  ['IPv4 in brackets', 'http://[1.2.3.4]/'],
  ['a user with a space', 'http://a b@c/'],
])('%s is refused', (_, text) => {
  expect(() => parseGoUrl(text)).toThrow(BuiltinError)
})

test('any text is a URL or refused, and what is written reads the same', () => {
  const text = fc.oneof(fc.string({ unit: 'grapheme' }), fc.string({ unit: fc.constantFrom(...'ab:/?#[]@%41 é.') }))
  fc.assert(
    fc.property(text, (given) => {
      let url: ReturnType<typeof parseGoUrl>
      try {
        url = parseGoUrl(given)
      } catch (thrown) {
        expect(thrown).toBeInstanceOf(BuiltinError)
        return
      }
      const again = parseGoUrl(goUrlText(url))
      expect(goUrlText(again)).toBe(goUrlText(url))
      expect(escapedPath(again)).toBe(escapedPath(url))
    }),
  )
})
