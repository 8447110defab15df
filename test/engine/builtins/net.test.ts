import fc from 'fast-check'
import { expect, test } from 'vitest'
import { formatAddress, parseAddress, parseBlock, plain } from '../../../engine/builtins/net/address.ts'
import { ask, askIn, contextAt } from './ask.ts'

test('addresses are read strictly and written by RFC 5952', () => {
  for (const [text, wanted] of Object.entries({
    '1.2.3.4': '1.2.3.4',
    '2001:DB8:0:0:1:0:0:1': '2001:db8::1:0:0:1',
    '::': '::',
    '::1': '::1',
    '1::': '1::',
    '1:0:3:4:5:6:7:8': '1:0:3:4:5:6:7:8',
    '::ffff:1.2.3.4': '1.2.3.4',
    '64:ff9b::1.2.3.4': '64:ff9b::102:304',
  })) {
    expect([text, formatAddress(parseAddress(text)!)]).toEqual([text, wanted])
  }
  for (const bad of [
    '',
    '1.2.3',
    '1.2.3.256',
    '01.2.3.4',
    '1.2.3.4.5',
    ':::',
    '1::2::3',
    '1:2:3:4:5:6:7',
    '1:2:3:4:5:6:7:8:9',
    '1:2:3:4:5:6:7::8',
    'g::',
    '12345::',
    '1.2.3.4::',
    '::1.2.3',
    'fe80::1%eth0',
  ]) {
    expect([bad, parseAddress(bad)]).toEqual([bad, undefined])
  }
})

test('an address comes back as it was written', () => {
  const numbers = (bits: 32 | 128) =>
    fc.record({ value: fc.bigInt({ min: 0n, max: 2n ** BigInt(bits) - 1n }), bits: fc.constant(bits) })
  fc.assert(
    fc.property(fc.oneof(numbers(32), numbers(128)), (address) => {
      expect(parseAddress(formatAddress(address))).toEqual(plain(address))
    }),
  )
})

test('a block has a length that fits, and begins where its fixed bits end', () => {
  expect(parseBlock('10.1.2.3/8')).toEqual({ value: 10n << 24n, bits: 32, prefix: 8 })
  for (const bad of ['10.0.0.0', '10.0.0.0/33', '10.0.0.0/', '10.0.0.0/-1', '::/129', '::/x', '10.0.0.0/8/8']) {
    expect([bad, ask('net.cidr_is_valid', JSON.stringify(bad))]).toEqual([bad, 'false'])
  }
  expect(ask('net.cidr_is_valid', '1')).toBe('false')
})

test('every pair in which one block contains the other is found, by place', () => {
  expect(ask('net.cidr_contains_matches', '"10.0.0.0/8"', '"10.1.0.0/16"')).toBe('{["10.0.0.0/8", "10.1.0.0/16"]}')
  expect(ask('net.cidr_contains_matches', '["10.0.0.0/8", "::/0"]', '{"x": "10.1.2.3", "y": ["11.0.0.0/8", 1]}')).toBe(
    '{[0, "x"]}',
  )
  expect(ask('net.cidr_contains_matches', '["10.0.0.0/9"]', '["10.0.0.0/8"]')).toBe('set()')
  expect(ask('net.cidr_contains_matches', '["10.0.0.0/9"]', '[[]]')).toBe('undefined')
})

test('a block is listed, a large one is not', () => {
  expect(ask('net.cidr_expand', '"192.168.1.5/30"')).toBe(
    '{"192.168.1.4", "192.168.1.5", "192.168.1.6", "192.168.1.7"}',
  )
  expect(ask('net.cidr_expand', '"::ffff/127"')).toBe('{"::fffe", "::ffff"}')
  expect(() => ask('net.cidr_expand', '"10.0.0.0/8"')).toThrow(RangeError)
  expect(ask('net.cidr_expand', '"x"')).toBe('undefined')
})

test('blocks are merged into the fewest', () => {
  expect(ask('net.cidr_merge', '["192.0.2.0/25", "192.0.2.128/25", "192.0.2.8/32", "198.51.100.0/24"]')).toBe(
    '{"192.0.2.0/24", "198.51.100.0/24"}',
  )
  expect(ask('net.cidr_merge', '["10.0.0.0/32", "10.0.0.1/32", "10.0.0.2/32"]')).toBe('{"10.0.0.0/31", "10.0.0.2/32"}')
  expect(ask('net.cidr_merge', '{"2001:db8::/33", "2001:db8:8000::/33"}')).toBe('{"2001:db8::/32"}')
  expect(ask('net.cidr_merge', '["::1"]')).toBe('undefined')
  expect(ask('net.cidr_merge', '[]')).toBe('set()')
})

test('a name is looked up once, where the host can, and the answer is told', () => {
  const asked: string[] = []
  const told: unknown[] = []
  const context = {
    ...contextAt(0n, {
      lookupIpAddr: (name) => {
        asked.push(name)
        return name === 'a' ? ['::1', '127.0.0.1'] : undefined
      },
    }),
    record: (name: string) => void told.push(name),
  }
  expect(askIn(context, 'net.lookup_ip_addr', '"a"')).toBe('{"127.0.0.1", "::1"}')
  expect(askIn(context, 'net.lookup_ip_addr', '"a"')).toBe('{"127.0.0.1", "::1"}')
  expect(askIn(context, 'net.lookup_ip_addr', '"b"')).toBe('undefined')
  expect([asked, told]).toEqual([
    ['a', 'b'],
    ['net.lookup_ip_addr', 'net.lookup_ip_addr'],
  ])
})
