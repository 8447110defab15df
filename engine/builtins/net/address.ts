/** IP addresses and CIDR blocks as numbers, read and written as Go's net package does. */

export interface Address {
  readonly value: bigint
  readonly bits: 32 | 128
}

/** A block: its first address, and how many leading bits are fixed. */
export interface Block extends Address {
  readonly prefix: number
}

/** Without zones. An octet with a leading zero is refused: some read it as octal. */
export function parseAddress(text: string): Address | undefined {
  return text.includes(':') ? parse6(text) : parse4(text)
}

function parse4(text: string): Address | undefined {
  const octets = text.split('.')
  if (octets.length !== 4 || !octets.every((octet) => /^(?:0|[1-9][0-9]{0,2})$/.test(octet))) return undefined
  if (octets.some((octet) => Number(octet) > 255)) return undefined
  return { value: octets.reduce((value, octet) => value * 256n + BigInt(octet), 0n), bits: 32 }
}

function parse6(text: string): Address | undefined {
  const halves = text.split('::')
  if (halves.length > 2) return undefined
  const [head, tail] = halves.map((half) => groupsOf(half)) as [Groups, Groups | undefined]
  if (!head || (halves.length === 2 && !tail)) return undefined
  const given = head.length + (tail?.length ?? 0)
  if (halves.length === 2 ? given > 7 : given !== 8) return undefined
  // A dotted quad stands for the last two groups, so only at the end.
  if (halves.length === 2 && halves[0]!.includes('.')) return undefined
  const groups = [...head, ...Array.from({ length: 8 - given }, () => 0n), ...(tail ?? [])]
  return { value: groups.reduce((value, group) => value * 65_536n + group, 0n), bits: 128 }
}

type Groups = readonly bigint[] | undefined

function groupsOf(text: string): Groups {
  if (text === '') return []
  const parts = text.split(':')
  const groups: bigint[] = []
  for (const [i, part] of parts.entries()) {
    if (part.includes('.')) {
      const quad = i === parts.length - 1 ? parse4(part) : undefined
      if (!quad) return undefined
      groups.push(quad.value >> 16n, quad.value & 0xffffn)
    } else if (/^[0-9a-fA-F]{1,4}$/.test(part)) groups.push(BigInt(`0x${part}`))
    else return undefined
  }
  return groups
}

export function parseBlock(text: string): Block | undefined {
  const slash = text.indexOf('/')
  const address = slash < 0 ? undefined : parseAddress(text.slice(0, slash))
  const length = text.slice(slash + 1)
  if (!address || !/^[0-9]{1,8}$/.test(length) || Number(length) > address.bits) return undefined
  return blockOf(address, Number(length))
}

export function blockOf({ value, bits }: Address, prefix: number): Block {
  const free = BigInt(bits - prefix)
  return { value: (value >> free) << free, bits, prefix }
}

const mapped = 0xffffn

/** ::ffff:0:0/96 is IPv4 in other clothes; Go takes it for that. */
export function plain<T extends Address>(of: T): T {
  if (of.bits === 32 || of.value >> 32n !== mapped) return of
  const value = of.value & 0xffffffffn
  return 'prefix' in of
    ? { ...of, value, bits: 32, prefix: Math.max((of.prefix as number) - 96, 0) }
    : { ...of, value, bits: 32 }
}

export function contains(outer: Block, inner: Address): boolean {
  const [a, b] = [plain(outer), plain(inner)]
  return a.bits === b.bits && blockOf(b, a.prefix).value === a.value
}

export const lastOf = ({ value, bits, prefix }: Block): Address => ({
  value: value | ((1n << BigInt(bits - prefix)) - 1n),
  bits,
})

/** RFC 5952, and dotted for what is IPv4. */
export function formatAddress(address: Address): string {
  const { value, bits } = plain(address)
  if (bits === 32) return [24n, 16n, 8n, 0n].map((shift) => String((value >> shift) & 0xffn)).join('.')
  const groups = Array.from({ length: 8 }, (_, i) => ((value >> BigInt(112 - 16 * i)) & 0xffffn).toString(16))
  const text = groups.join(':')
  const zeros = [...text.matchAll(/(?<![0-9a-f])0(?::0)+(?![0-9a-f])/g)]
  const longest = zeros.reduce<RegExpExecArray | undefined>(
    (best, one) => (best && best[0].length >= one[0].length ? best : one),
    undefined,
  )
  if (!longest) return text
  const head = text.slice(0, longest.index).replace(/:$/, '')
  const tail = text.slice(longest.index + longest[0].length).replace(/^:/, '')
  return `${head}::${tail}`
}

export function formatBlock(block: Block): string {
  const { prefix } = plain(block)
  return `${formatAddress(block)}/${prefix}`
}
