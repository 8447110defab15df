import fc from 'fast-check'
import { expect, test } from 'vitest'
import { normalisePath, queryFault } from '../../../proxy/flow/normalise.ts'

const path = (raw: string): string => {
  const normal = normalisePath(raw)
  return 'path' in normal ? normal.path : `wrong: ${normal.wrong}`
}

test.each([
  ['/', '/'],
  ['/a/b', '/a/b'],
  ['/a/', '/a/'],
  ['//a///b', '/a/b'],
  ['/a/./b', '/a/b'],
  ['/a/b/..', '/a/'],
  ['/a/.', '/a/'],
  ['/a/../../b', '/b'],
  ['/..', '/'],
  ['/%2e%2E/a', '/a'],
  ['/a/%2e%2e/b', '/b'],
  ['/a/.%2e', '/'],
  ['/a//../b', '/b'],
  ['/%41%7e', '/A~'],
  ['/%c3%a9', '/%C3%A9'],
  ['/%252e%252e/a', '/%252e%252e/a'],
  ['/%2541', '/%2541'],
  ['/a%20b', '/a%20b'],
  ['/a|b[c]', '/a%7Cb%5Bc%5D'],
  ['/...', '/...'],
  ['/.a', '/.a'],
  ['/a.', '/a.'],
  ['/a;x=1', '/a;x=1'],
])('%s becomes %s', (raw, normal) => {
  expect(path(raw)).toBe(normal)
})

test.each([
  'a',
  '/%',
  '/%2',
  '/%gg',
  '/%00',
  '/%1f',
  '/%7f',
  '/%2f',
  '/%5C',
  '/\\',
  '/%ff',
  '/%c0%ae',
  '/\xe4',
  '/ ',
  '/..;x/',
])('%s is refused', (raw) => {
  expect(path(raw)).toContain('wrong')
})

test('a normal path is its own normal form, and holds nothing to normalise', () => {
  const piece = fc.oneof(
    fc.constantFrom('/', '.', '..', '%2e', '%2E', '//', '%25', '%41', 'a', '%c3%a9', '|', ';', '%7c', '%'),
    fc.string({ maxLength: 2, unit: 'binary-ascii' }),
  )
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
      const once = normalisePath(`/${pieces.join('')}`)
      if ('wrong' in once) return
      expect(normalisePath(once.path)).toEqual(once)
      expect(once.path).not.toMatch(/\/\/|\/\.{1,2}(\/|$)|[^!-~]|\\|%2f|%5c|%00/i)
    }),
    { numRuns: 5000 },
  )
})

test('a query keeps its slashes and double slashes, and loses nothing', () => {
  expect(queryFault('to=%2f%2f&a=//x\\[y]')).toBeUndefined()
  expect(queryFault('a=%')).toContain('escape')
  expect(queryFault('a=%00')).toContain('NUL')
  expect(queryFault('a=%c0%80')).toContain('UTF-8')
  expect(queryFault('a=#')).toContain('character')
})
