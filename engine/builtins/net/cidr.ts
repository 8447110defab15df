/** net.cidr_* beyond those compiled into each policy, and net.lookup_ip_addr where the host can look up. */

import { isArray, RegoObject, RegoSet, setOf, type Value } from '../../value.ts'
import { type BuiltinContext, BuiltinError, type BuiltinFamily } from '../builtin.ts'
import { itemsOf, stringOf } from '../operand.ts'
import {
  type Address,
  type Block,
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
function containsMatches(_: BuiltinContext, outer: Value, inner: Value): Value {
  const blocks = placed(outer).map(([place, value]) => [place, blockArg(value)] as const)
  const ranges = placed(inner).map(([place, value]) => [place, rangeArg(value)] as const)
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

interface Range {
  readonly first: bigint
  readonly last: bigint
  readonly bits: 32 | 128
  /** As it was given, until it is merged with another. */
  readonly text: string | undefined
}

/** The fewest blocks that cover the same addresses. */
function merge(_: BuiltinContext, blocks: Value): Value {
  const ranges = itemsOf(blocks).map(mergeable).sort(byEnd)
  for (let i = ranges.length - 1; i > 0; i--) {
    const [before, one] = [ranges[i - 1]!, ranges[i]!]
    const previous = one.first === 0n ? 0n : one.first - 1n
    if (before.bits !== one.bits || previous > before.last) continue
    const [first] = [before.first, one.first].sort((a, b) => (a < b ? -1 : 1)) as [bigint, bigint]
    ranges.splice(i - 1, 2, { first, last: one.last, bits: one.bits, text: undefined })
  }
  return setOf(ranges.flatMap((range) => (range.text === undefined ? coverOf(range) : [range.text])))
}

function byEnd(a: Range, b: Range): number {
  if (a.bits !== b.bits) return a.bits - b.bits
  const order = a.last - b.last || a.first - b.first
  return order < 0n ? -1 : order > 0n ? 1 : 0
}

/** A bare IPv4 address stands for the network of its class (RFC 791); a bare IPv6 address for none. */
function mergeable(value: Value): Range {
  const text = stringOf(value)
  const address = parseAddress(text)
  const bare = address && plain(address)
  if (!bare) {
    const block = plain(blockArg(text))
    return { first: block.value, last: lastOf(block).value, bits: block.bits, text: formatBlock(block) }
  }
  if (bare.bits === 128) throw new BuiltinError('IPv6 invalid: needs prefix length')
  const prefix =
    bare.value < 0x80000000n ? 8 : bare.value < 0xc0000000n ? 16 : bare.value < 0xe0000000n ? 24 : undefined
  if (prefix === undefined) throw new BuiltinError(`${text} is of no class that has networks`)
  const free = (1n << BigInt(32 - prefix)) - 1n
  return { first: bare.value & ~free, last: bare.value | free, bits: 32, text: `${formatAddress(bare)}/${prefix}` }
}

function coverOf({ first, last, bits }: Range): readonly string[] {
  const blocks: string[] = []
  for (let at = first; at <= last; ) {
    let free = 0
    while (free < bits && (at >> BigInt(free)) % 2n === 0n && at + (2n << BigInt(free)) - 1n <= last) free++
    blocks.push(formatBlock({ value: at, bits, prefix: bits - free }))
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
