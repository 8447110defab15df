/** IP addresses and ranges of them, as numbers of 16 bytes: one of IPv4 is its IPv4-mapped form (RFC 4291 section 2.5.5.2). */

export type Address = Uint8Array

/** Addresses that share their first `bits` of 128. */
export interface Range {
  readonly from: Address
  readonly bits: number
}

/** Undefined for a text that is no address. A zone (`fe80::1%eth0`) says nothing here. */
export function parseAddress(text: string): Address | undefined {
  const percent = text.indexOf('%')
  const plain = percent < 0 ? text : text.slice(0, percent)
  return plain.includes(':') ? parse6(plain) : parse4(plain)
}

/** `10.0.0.0/8`, `2001:db8::/32`, or one address. Undefined for another text, and where bits stand behind the prefix. */
export function parseRange(text: string): Range | undefined {
  const [address, length, more] = text.split('/')
  const from = more === undefined ? parseAddress(address!) : undefined
  if (!from || address!.includes('%')) return undefined
  const before = address!.includes(':') ? 0 : 96
  if (length === undefined) return { from, bits: 128 }
  if (!/^(?:0|[1-9][0-9]{0,2})$/.test(length) || Number(length) > 128 - before) return undefined
  const bits = before + Number(length)
  return same(from, masked(from, bits), 128) ? { from, bits } : undefined
}

export const isWithin = (address: Address, { from, bits }: Range): boolean => same(address, from, bits)

/** Whether it is one of IPv4. */
export const isIpv4 = (address: Address): boolean => same(address, mapped, 96)

/** The same for all addresses that share their first bits: of 32 for IPv4, of 128 for others. */
export function sourceKey(address: Address, { ipv4, ipv6 }: { readonly ipv4: number; readonly ipv6: number }): string {
  const bits = isIpv4(address) ? 96 + ipv4 : ipv6
  return String.fromCharCode(...masked(address, bits))
}

const mapped: Address = new Uint8Array([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 0, 0, 0, 0])

function masked(address: Address, bits: number): Address {
  return address.map((byte, at) => {
    const own = Math.min(8, Math.max(0, bits - at * 8))
    return byte & (0xff << (8 - own))
  })
}

function same(a: Address, b: Address, bits: number): boolean {
  const whole = bits >> 3
  for (let at = 0; at < whole; at++) if (a[at] !== b[at]) return false
  const rest = bits & 7
  return rest === 0 || (a[whole]! ^ b[whole]!) >> (8 - rest) === 0
}

function parse4(text: string): Address | undefined {
  const match = /^(0|[1-9][0-9]{0,2})\.(0|[1-9][0-9]{0,2})\.(0|[1-9][0-9]{0,2})\.(0|[1-9][0-9]{0,2})$/.exec(text)
  const steps = match?.slice(1).map(Number)
  if (!steps || steps.some((step) => step > 255)) return undefined
  const bytes = mapped.slice()
  bytes.set(steps, 12)
  return bytes
}

function parse6(text: string): Address | undefined {
  const [front, back, more] = text.split('::')
  if (more !== undefined) return undefined
  const [head, tail] = [groupsOf(front!), groupsOf(back ?? '')]
  if (!head || !tail) return undefined
  const zeros = 8 - head.length - tail.length
  if (back === undefined ? zeros !== 0 : zeros < 1) return undefined
  const groups = [...head, ...Array.from({ length: zeros }, () => 0), ...tail]
  return new Uint8Array(groups.flatMap((group) => [group >> 8, group & 0xff]))
}

/** Groups of 16 bits; the last one may be an address of IPv4. */
function groupsOf(text: string): number[] | undefined {
  if (text === '') return []
  const steps = text.split(':')
  const groups: number[] = []
  for (const [at, step] of steps.entries()) {
    const four = at === steps.length - 1 && step.includes('.') ? parse4(step) : undefined
    if (four) groups.push((four[12]! << 8) | four[13]!, (four[14]! << 8) | four[15]!)
    else if (/^[0-9a-fA-F]{1,4}$/.test(step)) groups.push(Number.parseInt(step, 16))
    else return undefined
  }
  return groups
}
