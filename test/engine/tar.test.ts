import fc from 'fast-check'
import { expect, test } from 'vitest'
import { concat, utf8 } from '../../core/bytes.ts'
import { WritError } from '../../core/fault.ts'
import { readTar } from '../../engine/tar.ts'
import { tarOf } from './archive.ts'

const refusal = (archive: Uint8Array, maxFiles = 100): string | undefined => {
  try {
    readTar(archive, maxFiles)
    return undefined
  } catch (thrown) {
    if (thrown instanceof WritError && thrown.code === 'policy_invalid') return thrown.message
    throw thrown
  }
}

test('files come out by name, with the leading slash that OPA writes and without', () => {
  const files = readTar(
    tarOf([{ name: '/a' }, { name: './b/c', text: 'two' }, { name: 'd', text: 'x'.repeat(513) }]),
    100,
  )
  expect(files.map(({ name, bytes }) => [name, bytes.length])).toEqual([
    ['a', 0],
    ['b/c', 3],
    ['d', 513],
  ])
})

test('a path that leaves the archive is refused, a name that only begins with dots is not', () => {
  for (const name of ['../a', '/../a', 'a/../../b', 'a/./b', 'a//b', '//a', 'a\\..\\b', '..']) {
    expect(refusal(tarOf([{ name }]))).toContain('not allowed')
  }
  expect(refusal(tarOf([{ name: '..a/.b' }]))).toBeUndefined()
})

test('links and other things that are no files are refused, folders are passed over', () => {
  for (const type of ['1', '2', '3', '6', 'K', 'X', 'S']) {
    expect(refusal(tarOf([{ name: 'a', type }]))).toContain('no plain file')
  }
  expect(readTar(tarOf([{ name: 'a/', type: '5' }]), 100)).toEqual([])
})

const record = (key: string, value: string): string => {
  const rest = utf8(` ${key}=${value}\n`).length
  const length = rest + String(rest + String(rest).length).length
  return `${length} ${key}=${value}\n`
}
const extended = (type: string, text: string, next = 'short'): string | readonly string[] => {
  const archive = tarOf([{ name: './PaxHeaders/.', type, text }, { name: next, text: 'one' }, { name: 'other' }])
  return refusal(archive) ?? readTar(archive, 100).map(({ name }) => name)
}

test('a long name is that of the next file, as pax and GNU write it, and of no other', () => {
  const long = `ü/${'x'.repeat(300)}`
  expect(extended('x', record('mtime', '1.5') + record('path', `/${long}`))).toEqual([long, 'other'])
  expect(extended('L', `./${long}\0`)).toEqual([long, 'other'])
  expect(extended('g', record('comment', 'a commit'))).toEqual(['short', 'other'])
  expect(extended('x', record('SCHILY.xattr.user', 'a\0b'))).toEqual(['short', 'other'])
})

test('an extended header that changes more than a name, or is broken, is refused', () => {
  for (const key of ['size', 'linkpath', 'GNU.sparse.name', 'GNU.sparse.major', 'hdrcharset', 'SCHILY.realsize', 'new'])
    expect(extended('x', record(key, '1'))).toContain(`sets ${key}`)
  expect(extended('g', record('path', 'a'))).toContain('sets path')
  expect(extended('x', record('path', '../a'))).toContain('not allowed')
  expect(extended('L', '../a\0')).toContain('not allowed')
  for (const text of [
    'path=a\n',
    '8 path=a\n',
    '11 path=a\n',
    '99 path=a\n',
    '0 \n',
    '3 \n',
    record('path', 'a') + record('path', 'b'),
  ])
    expect(extended('x', text)).toContain('not well-formed')
  expect(extended('x', record('comment', 'x'.repeat(9000)))).toContain('longer than 8192')
  const twice = tarOf([
    { name: 'l', type: 'L', text: 'a\0' },
    { name: 'p', type: 'x', text: record('path', 'b') },
    { name: 'c' },
  ])
  expect(refusal(twice)).toContain('two names')
  expect(refusal(tarOf([{ name: 'a' }, { name: 'l', type: 'L', text: 'b\0' }]))).toContain('followed by no file')
})

test('a size that is negative or not octal is refused instead of read in a circle', () => {
  for (const size of ['-0000001000', '9', '\x80\0\0\0\0\0\0\0\0\0\x02', '']) {
    expect(refusal(tarOf([{ name: 'a', size }]))).toContain('not octal')
  }
})

test('a file that reaches past the end is refused', () => {
  expect(refusal(tarOf([{ name: 'a', size: '00000002001' }]))).toContain('too early')
})

test('a name may stand once', () => {
  expect(refusal(tarOf([{ name: '/a' }, { name: 'a' }]))).toContain('twice')
  expect(refusal(tarOf([{ name: 'a' }, { name: 'b' }]))).toBeUndefined()
})

test('as many files as allowed are read, one more is refused', () => {
  const archive = tarOf([{ name: 'a' }, { name: 'b' }])
  expect(refusal(archive, 2)).toBeUndefined()
  expect(refusal(archive, 1)).toContain('more than 1')
})

test('a changed header is refused, and so is anything behind the end', () => {
  const archive = tarOf([{ name: 'a' }])
  const changed = archive.slice()
  changed[0]! ^= 1
  expect(refusal(changed)).toContain('checksum')
  expect(refusal(concat(archive, Uint8Array.of(1)))).toContain('follows')
})

test('arbitrary bytes and arbitrary damage are refused or read, and never anything else', () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 2000 }), (bytes) => void refusal(bytes)))
  const archive = tarOf([
    { name: 'a', text: 'one' },
    { name: 'p', type: 'x', text: record('path', 'd/f/e') },
    { name: 'b/c', text: 'two' },
  ])
  fc.assert(
    fc.property(fc.nat({ max: archive.length - 1 }), fc.nat({ max: 255 }), (at, byte) => {
      const changed = archive.slice()
      changed[at] = byte
      if (refusal(changed)) return
      for (const { name } of readTar(changed, 100)) expect(name.split('/')).not.toContain('..')
    }),
  )
})
