import fc from 'fast-check'
import { expect, test } from 'vitest'
import { parseCsr } from '../../ca/csr.ts'
import { attempt, type Der, oidText, readDer } from '../../ca/der.ts'
import { newKeyPair, privateKeyOf, verifySignature } from '../../ca/node/crypto.ts'
import { writeCsr } from '../../ca/node/write.ts'
import { isSignedBy } from '../../ca/signed.ts'
import { verifySvid } from '../../ca/svid.ts'
import { parseCertificate, readTime } from '../../ca/x509.ts'
import { fromHex, utf8 } from '../../core/bytes.ts'
import { newAuthority, newSvid, noonMs } from './world.ts'

const wrongOf = (hex: string): string | undefined => {
  const read = attempt(() => readDer(fromHex(hex.replaceAll(' ', ''))!))
  return 'wrong' in read ? read.wrong : undefined
}

test.each([
  ['a BOOLEAN is FF or 00', '0101ff', '010101'],
  ['an INTEGER has no spare zero byte', '02020080', '0202007f'],
  ['an INTEGER has no spare sign byte', '0202ff7f', '0202ff80'],
  ['an INTEGER is not empty', '020100', '0200'],
  ['a length is in its short form where that is enough', `3003 020100`, '308103020100'],
  ['a length has no leading zero', `0481 80 ${'00'.repeat(128)}`, `048200 80 ${'00'.repeat(128)}`],
  ['a length is definite', '3003020100', '30800201000000'],
  ['nothing comes after the end', '0500', '050000'],
  ['content is not cut short', '020101', '0202 01'],
  ['unused bits are zero', '03020780', '030207c0'],
  ['an arc has no leading zero bits', '0603551d0f', '060455801d0f'],
  ['the last arc is finished', '0603551d0f', '0603551d8f'],
  ['a SEQUENCE is constructed', '3000', '1000'],
  ['an OCTET STRING is primitive', '040100', '24030401 00'],
  ['a SET is in order', '3106 020101 020102', '3106 020102 020101'],
  ['a NULL is empty', '0500', '050100'],
  ['a tag number is at most 30', '9e0100', '9f1f0100'],
])('%s', (_, good, bad) => {
  expect(wrongOf(good)).toBeUndefined()
  expect(wrongOf(bad)).toEqual(expect.any(String))
})

test('nesting of sixteen is read, and of a thousand refused without recursing into it', async () => {
  const nested = (depth: number) => {
    let hex = '0500'
    for (let i = 0; i < depth; i++) {
      const length = hex.length / 2
      const size = length < 128 ? length.toString(16).padStart(2, '0') : `82${length.toString(16).padStart(4, '0')}`
      hex = `30${size}${hex}`
    }
    return hex
  }
  expect(wrongOf(nested(16))).toBeUndefined()
  expect(wrongOf(nested(17))).toContain('nested deeper')
  expect(wrongOf(nested(60))).toContain('nested deeper')
})

test('object identifiers read as dotted text', async () => {
  expect(oidText(fromHex('2a8648ce3d0201')!)).toBe('1.2.840.10045.2.1')
  expect(oidText(fromHex('551d0f')!)).toBe('2.5.29.15')
  expect(oidText(fromHex('8837')!)).toBe('2.999')
})

test('object identifiers of any arcs read as arithmetic says', () => {
  const arc = fc.oneof(fc.nat(300), fc.bigInt(0n, 2n ** 70n))
  const base128 = (value: bigint): number[] => {
    const digits = [Number(value & 127n)]
    for (let rest = value >> 7n; rest > 0n; rest >>= 7n) digits.unshift(Number(rest & 127n) | 128)
    return digits
  }
  fc.assert(
    fc.property(fc.nat(2), fc.nat(39), fc.array(arc, { maxLength: 2 }), (top, second, rest) => {
      const arcs = [BigInt(top * 40 + second), ...rest.map(BigInt)]
      const body = Uint8Array.from(arcs.flatMap(base128))
      if (body.length <= 32) expect(oidText(body)).toBe([top, second, ...rest].join('.'))
    }),
  )
})

test('times are taken that are on the calendar, to the second, and in their one form', () => {
  const read = (text: string): number | string => {
    const answer = attempt(() => readTime({ tag: text.length === 13 ? 0x17 : 0x18, body: utf8(text) } as Der))
    return 'value' in answer ? answer.value : answer.wrong
  }
  expect([read('261123120000Z'), read('491231235959Z'), read('500101000000Z')]).toEqual([
    noonMs,
    Date.UTC(2049, 11, 31, 23, 59, 59),
    Date.UTC(1950, 0, 1),
  ])
  expect([read('20500101000000Z'), read('99991231235959Z')]).toEqual([
    Date.UTC(2050, 0, 1),
    Date.UTC(9999, 11, 31, 23, 59, 59),
  ])
  expect([read('280229000000Z'), read('20960229000000Z')]).toEqual([Date.UTC(2028, 1, 29), Date.UTC(2096, 1, 29)])
  const moved = ['260229000000Z', '261301000000Z', '260001000000Z', '260100000000Z', '260431000000Z', '21000229000000Z']
  const late = ['261123240000Z', '261123126000Z', '261123120060Z']
  for (const text of [...moved, ...late]) expect(read(text)).toBe('a time that is not on the calendar')
  for (const text of [
    '261123120000z',
    '2611231200 0Z',
    '26112312000Z',
    '261123120000+',
    '26:123120000Z',
    '26/123120000Z',
  ])
    expect(read(text)).toBe('a bad time')
  expect(read('20491231235959Z')).toBe('a four-digit year before 2050')
  fc.assert(
    fc.property(fc.date({ min: new Date('1950-01-01'), max: new Date('9999-12-31'), noInvalidDate: true }), (date) => {
      const digits = date.toISOString().replace(/\D/g, '').slice(0, 14)
      const text = `${date.getUTCFullYear() < 2050 ? digits.slice(2) : digits}Z`
      expect(read(text)).toBe(Math.floor(date.getTime() / 1000) * 1000)
    }),
  )
})

const bytesLike = (good: Uint8Array) =>
  fc.oneof(
    // A few bytes changed.
    fc.array(fc.tuple(fc.nat(good.length - 1), fc.nat(255)), { minLength: 1, maxLength: 4 }).map((edits) => {
      const bytes = good.slice()
      for (const [at, byte] of edits) bytes[at] = byte
      return bytes
    }),
    // Cut short, or with something in the middle.
    fc.tuple(fc.nat(good.length), fc.uint8Array({ maxLength: 8 }), fc.nat(good.length)).map(([from, more, to]) => {
      return new Uint8Array([...good.subarray(0, from), ...more, ...good.subarray(to)])
    }),
    fc.uint8Array({ maxLength: 200 }),
  )

const same = (a: Uint8Array, b: Uint8Array) => a.length === b.length && a.every((byte, i) => byte === b[i])

test('a certificate with changed bytes is refused or does not verify, and never breaks the reader', async () => {
  const ca = await newAuthority()
  const { chain } = newSvid(ca)
  const [leaf, issuer] = chain as [Uint8Array, Uint8Array]
  fc.assert(
    fc.property(bytesLike(leaf), (bytes) => {
      fc.pre(!same(bytes, leaf))
      const read = parseCertificate(bytes)
      if ('certificate' in read) {
        const answer = verifySvid([bytes, issuer], ca.bundle(), noonMs, verifySignature)
        expect(answer.ok).toBe(false)
      }
    }),
    { numRuns: 1500 },
  )
})

test('a request with changed bytes is refused or is not signed by its key', async () => {
  const { spki, keyPem } = newKeyPair()
  const good = writeCsr(spki, privateKeyOf(keyPem))
  const holds = (bytes: Uint8Array): boolean => {
    const read = parseCsr(bytes)
    return 'request' in read && isSignedBy(read.request, read.request, verifySignature)
  }
  expect(holds(good)).toBe(true)
  fc.assert(
    fc.property(bytesLike(good), (bytes) => {
      fc.pre(!same(bytes, good))
      expect(holds(bytes)).toBe(false)
    }),
    { numRuns: 1500 },
  )
})
