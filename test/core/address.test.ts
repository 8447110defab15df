import { BlockList, isIP } from 'node:net'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { isIpv4, isWithin, parseAddress, parseRange, sourceKey } from '../../core/address.ts'

/** Node's own reading of addresses is what ours is held against. */

const text = fc.oneof(
  fc.ipV4(),
  fc.ipV6(),
  fc.ipV4().map((four) => `::ffff:${four}`),
  fc.stringMatching(/^[0-9a-f:.%/]{0,24}$/),
  fc.string({ maxLength: 12 }),
)

test('what is an address to Node is one here, and nothing else is', () => {
  fc.assert(
    fc.property(text, (address) => {
      fc.pre(!address.includes('%')) // Node takes more zones than we care for.
      expect(parseAddress(address) !== undefined).toBe(isIP(address) !== 0)
    }),
    { numRuns: 2000 },
  )
})

test('a range holds what it holds for Node', () => {
  const ranges = fc.oneof(
    fc.tuple(fc.ipV4(), fc.nat(32)).map(([address, bits]) => ({ address, bits, family: 'ipv4' as const })),
    fc.tuple(fc.ipV6(), fc.nat(128)).map(([address, bits]) => ({ address, bits, family: 'ipv6' as const })),
  )
  fc.assert(
    fc.property(ranges, fc.oneof(fc.ipV4(), fc.ipV6()), ({ address, bits, family }, other) => {
      const list = new BlockList()
      list.addSubnet(address, bits, family)
      const from = parseAddress(address)!
      const range = { from, bits: family === 'ipv4' ? bits + 96 : bits }
      for (const one of [other, address]) {
        const asked = parseAddress(one)!
        // A range of IPv6 that holds all mapped addresses is one that nobody writes; Node tells the families apart.
        fc.pre(
          isIpv4(asked) === (isIP(one) === 4) && (family === 'ipv4') === isIpv4(from) && isIpv4(asked) === isIpv4(from),
        )
        expect(isWithin(asked, range)).toBe(list.check(one, isIP(one) === 4 ? 'ipv4' : 'ipv6'))
      }
    }),
    { numRuns: 2000 },
  )
})

test.each([
  '10.0.0.1/8',
  '10.0.0.0/33',
  '10.0.0.0/08',
  '10.0.0.0/',
  '10.0.0/8',
  '::1/64',
  '::/129',
  'fe80::1%eth0',
  '1.2.3.4/8/8',
  'x',
  '',
])('%s is no range', (range) => expect(parseRange(range)).toBeUndefined())

test('a mapped address is its address of IPv4, and a source is what shares its first bits', () => {
  const by = { ipv4: 32, ipv6: 64 }
  const key = (address: string, prefix = by) => sourceKey(parseAddress(address)!, prefix)
  expect(key('::ffff:10.0.0.1')).toBe(key('10.0.0.1'))
  expect(key('10.0.0.1')).not.toBe(key('10.0.0.2'))
  expect(key('10.0.0.1', { ipv4: 24, ipv6: 64 })).toBe(key('10.0.0.2', { ipv4: 24, ipv6: 64 }))
  expect(key('2001:db8::1')).toBe(key('2001:db8:0:0:ffff::1'))
  expect(key('2001:db8::1')).not.toBe(key('2001:db8:0:1::1'))
  expect(isWithin(parseAddress('::ffff:10.1.2.3')!, parseRange('10.0.0.0/8')!)).toBe(true)
  expect(parseAddress('fe80::1%eth0')).toEqual(parseAddress('fe80::1'))
})
