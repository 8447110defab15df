/** How often one source may ask: a token bucket for each, in a table that strangers cannot make grow. */

export interface RateOptions {
  /** Requests a source may send at once. */
  readonly burst: number
  /** Requests a source gets back, per second. */
  readonly perSecond: number
  /** Sources that are remembered; beyond them the one that was quiet longest is forgotten. */
  readonly sources: number
}

/** May this source ask now? Each yes is counted, and counts for `cost` requests. Default 1. */
export type Allowed = (source: string, nowMs: number, cost?: number) => boolean

export function makeRate({ burst, perSecond, sources }: RateOptions): Allowed {
  const buckets = new Map<string, { readonly left: number; readonly atMs: number }>()
  return (source, nowMs, cost = 1) => {
    const key = sourceOf(source)
    const bucket = buckets.get(key)
    const regained = bucket ? (Math.max(0, nowMs - bucket.atMs) * perSecond) / 1000 : 0
    const left = bucket ? Math.min(burst, bucket.left + regained) : burst
    buckets.delete(key) // So that the table is in order of last use.
    buckets.set(key, { left: left < cost ? left : left - cost, atMs: nowMs })
    if (buckets.size > sources) buckets.delete(buckets.keys().next().value!)
    return left >= cost
  }
}

/** An IPv4 address, or the /64 of an IPv6 one: one household holds that many addresses. */
export function sourceOf(address: string): string {
  const mapped = /^::ffff:([0-9.]+)$/i.exec(address)
  if (mapped) return mapped[1]!
  if (!address.includes(':')) return address
  const [head = '', tail = ''] = address.split('%')[0]!.split('::')
  const before = head === '' ? [] : head.split(':')
  const after = tail === '' ? [] : tail.split(':')
  const gap = address.includes('::') ? Math.max(0, 8 - before.length - after.length) : 0
  const groups = [...before, ...Array<string>(gap).fill('0'), ...after]
  return groups
    .slice(0, 4)
    .map((group) => Number.parseInt(group, 16).toString(16))
    .join(':')
}
