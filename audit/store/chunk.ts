/** Leaves of a chunk: each after its length in two bytes, as in an entry bundle of C2SP tlog-tiles, but as many as fit. */

export interface Chunk {
  /** How many of the entries it holds. */
  readonly count: number
  readonly bytes: Uint8Array
}

/** Leaves in one chunk at most: whoever wants one of them reads them all. */
export const maxChunkLeaves = 1024
/** And their bytes before they are compressed. One leaf always fits. */
export const maxChunkBytes: number = 1024 * 1024

export function* chunksOf(entries: readonly { readonly bytes: Uint8Array }[]): Iterable<Chunk> {
  for (let from = 0; from < entries.length; ) {
    let to = from
    let size = 0
    while (to < entries.length && to - from < maxChunkLeaves) {
      const more = 2 + entries[to]!.bytes.length
      if (to > from && size + more > maxChunkBytes) break
      size += more
      to++
    }
    yield { count: to - from, bytes: joined(entries, from, to, size) }
    from = to
  }
}

function joined(
  entries: readonly { readonly bytes: Uint8Array }[],
  from: number,
  to: number,
  size: number,
): Uint8Array {
  const whole = new Uint8Array(size)
  let at = 0
  for (let i = from; i < to; i++) {
    const { bytes } = entries[i]!
    if (bytes.length > 0xffff) throw new RangeError(`a leaf of ${bytes.length} bytes; 65535 is the most`)
    whole[at] = bytes.length >> 8
    whole[at + 1] = bytes.length & 255
    whole.set(bytes, at + 2)
    at += 2 + bytes.length
  }
  return whole
}

/** The leaves of a chunk, or undefined where the lengths do not add up. */
export function leavesOf({ bytes, count }: Chunk): readonly Uint8Array[] | undefined {
  const leaves: Uint8Array[] = []
  let at = 0
  while (at + 2 <= bytes.length && leaves.length < count) {
    const end = at + 2 + bytes[at]! * 256 + bytes[at + 1]!
    if (end > bytes.length) return undefined
    leaves.push(bytes.subarray(at + 2, end))
    at = end
  }
  return at === bytes.length && leaves.length === count ? leaves : undefined
}
