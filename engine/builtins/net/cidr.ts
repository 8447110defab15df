/** net.cidr_* beyond those compiled into each policy, and net.lookup_ip_addr where the host can look up. */

import { isArray, RegoObject, RegoSet, setOf, type Value } from '../../value.ts'
import { type BuiltinContext, BuiltinError, type BuiltinFamily } from '../builtin.ts'
import { itemsOf, stringOf } from '../operand.ts'
import {
  type Address,
  type Block,
  blockOf,
  contains,
  formatAddress,
  formatBlock,
  lastOf,
  parseAddress,
  parseBlock,
  plain,
} from './address.ts'

function blockArg(value: Value): Block {
  const block = parseBlock(stringOf(value))
  if (!block) throw new BuiltinError(`invalid CIDR address: ${stringOf(value)}`)
  return block
}

/** Every pair of places, one in each collection, at which the first holds a block that contains what the second holds. */
function containsMatches(context: BuiltinContext, outer: Value, inner: Value): Value {
  const outside = placed(outer)
  const inside = outside.length === 0 ? [] : placed(inner)
  if (inside.length === 0) return setOf([]) // Nothing was compared, and so nothing found wrong.
  const blocks = outside.map(([place, value]) => [place, blockArg(value)] as const)
  const ranges = inside.map(([place, value]) => [place, rangeArg(value)] as const)
  context.spend(4 * blocks.length * ranges.length)
  return setOf(
    blocks.flatMap(([a, block]) =>
      ranges.filter(([, range]) => range.every((one) => contains(block, one))).map(([b]) => [a, b]),
    ),
  )
}

/** First and last address of a block, or an address alone. */
function rangeArg(value: Value): readonly Address[] {
  const address = parseAddress(stringOf(value))
  if (address) return [address]
  const block = blockArg(value)
  return [block, lastOf(block)]
}

/** Index, key or element, and the text at it: the element itself, or the first of one that is an array. */
function placed(value: Value): readonly (readonly [Value, Value])[] {
  if (typeof value === 'string') return [[value, value]]
  const text = (element: Value): Value => {
    const first = isArray(element) ? element[0] : element
    if (typeof first !== 'string') throw new BuiltinError('element must be string or non-empty array')
    return first
  }
  if (isArray(value)) return value.map((element, i) => [i, text(element)])
  if (value instanceof RegoSet) return value.items.map((element) => [element, text(element)])
  return value instanceof RegoObject ? value.entries.map(([key, element]) => [key, text(element)]) : []
}

const maxAddresses = 65_536n

function expand(_: BuiltinContext, text: Value): Value {
  const block = blockArg(text)
  const count = 1n << BigInt(block.bits - block.prefix)
  if (count > maxAddresses) throw new RangeError(`net.cidr_expand: more than ${maxAddresses} addresses`)
  return setOf(
    Array.from({ length: Number(count) }, (_, i) => formatAddress({ ...block, value: block.value + BigInt(i) })),
  )
}

/** Addresses in the space of IPv6, where those of IPv4 lie from ::ffff:0:0 on, as Go holds them. */
interface Range {
  readonly first: bigint
  readonly last: bigint
  /** As it was given, until it is merged with another. */
  readonly text: string | undefined
}

/** The fewest blocks that cover the same addresses. */
function merge(context: BuiltinContext, blocks: Value): Value {
  const ranges = itemsOf(blocks).map(mergeable).sort(byEnd)
  context.spend(ranges.length ** 2 / 64) // Each that is merged moves those behind it.
  for (let i = ranges.length - 1; i > 0; i--) {
    const [before, one] = [ranges[i - 1]!, ranges[i]!]
    const lowest = one.first === 0n || one.first === mappedFrom
    if ((lowest ? one.first : one.first - 1n) > before.last) continue
    const [first] = [before.first, one.first].sort((a, b) => (a < b ? -1 : 1)) as [bigint, bigint]
    ranges.splice(i - 1, 2, { first, last: one.last, text: undefined })
  }
  return setOf(ranges.flatMap((range) => (range.text === undefined ? coverOf(range) : [range.text])))
}

const mappedFrom = 0xffffn << 32n

function byEnd(a: Range, b: Range): number {
  const order = a.last - b.last || a.first - b.first
  return order < 0n ? -1 : order > 0n ? 1 : 0
}

/** A bare IPv4 address stands for the network of its class (RFC 791); a bare IPv6 address for none. */
function mergeable(value: Value): Range {
  const text = stringOf(value)
  const address = parseAddress(text)
  const bare = address && plain(address)
  if (bare?.bits === 128) throw new BuiltinError('IPv6 invalid: needs prefix length')
  const given = bare ? { ...bare, prefix: classPrefix(bare.value) } : plain(blockArg(text))
  const block = blockOf(given, given.prefix)
  const offset = block.bits === 32 ? mappedFrom : 0n
  return { first: block.value + offset, last: lastOf(block).value + offset, text: formatBlock(given) }
}

const classPrefix = (value: bigint): number => (value < 0x80000000n ? 8 : value < 0xc0000000n ? 16 : 24)

function coverOf({ first, last }: Range): readonly string[] {
  const blocks: string[] = []
  for (let at = first; at <= last; ) {
    let free = 0
    while (free < 128 && (at >> BigInt(free)) % 2n === 0n && at + (2n << BigInt(free)) - 1n <= last) free++
    blocks.push(formatBlock({ value: at, bits: 128, prefix: 128 - free }))
    at += 1n << BigInt(free)
  }
  return blocks
}

function lookup(context: BuiltinContext, name: Value): Value | undefined {
  const host = stringOf(name)
  const found = context.once(`net.lookup_ip_addr ${host}`, () => context.host.lookupIpAddr?.(host))
  if (!found) throw new BuiltinError(`no address of ${host} is known`)
  const addresses = setOf(found)
  context.record('net.lookup_ip_addr', [name], addresses)
  return addresses
}

export const net: BuiltinFamily = {
  'net.cidr_contains_matches': containsMatches,
  'net.cidr_expand': expand,
  'net.cidr_is_valid': (_, text) => typeof text === 'string' && parseBlock(text) !== undefined,
  'net.cidr_merge': merge,
  'net.lookup_ip_addr': lookup,
}
