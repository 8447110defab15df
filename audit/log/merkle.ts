/** The Merkle tree of RFC 6962 section 2.1: hashes, roots and proofs. Sizes are numbers below 2^53. */

import { equalBytes, toHex } from '../../core/bytes.ts'
import type { Sha256 } from '../../core/ports.ts'

/** Hash of the perfect subtree of 2^level leaves that begins at leaf index * 2^level. */
export type HashAt = (level: number, index: number) => Uint8Array | Promise<Uint8Array>

export const hashBytes = 32

/** Leaves are hashed with 0x00 in front and nodes with 0x01, so that neither can pass for the other. */
export function leafHash(sha256: Sha256, bytes: Uint8Array): Uint8Array {
  const prefixed = new Uint8Array(1 + bytes.length)
  prefixed.set(bytes, 1)
  return sha256(prefixed)
}

export function nodeHash(sha256: Sha256, left: Uint8Array, right: Uint8Array): Uint8Array {
  const prefixed = new Uint8Array(1 + 2 * hashBytes)
  prefixed[0] = 1
  prefixed.set(left, 1)
  prefixed.set(right, 1 + hashBytes)
  return sha256(prefixed)
}

/** SHA-256 without an object for each hash, where the machine has a way to it. */
export interface QuickSha256 {
  /** Lower-case hex. */
  readonly hex: (bytes: Uint8Array) => string
  /** Puts the 32 bytes to `at`. */
  readonly into: (bytes: Uint8Array, out: Uint8Array, at: number) => void
  /** The bytes themselves, not hashed, in lower-case hex. */
  readonly text: (bytes: Uint8Array) => string
}

export const plainSha256 = (sha256: Sha256): QuickSha256 => ({
  hex: (bytes) => toHex(sha256(bytes)),
  into: (bytes, out, at) => out.set(sha256(bytes), at),
  text: toHex,
})

/** Root of a perfect subtree from its 2^n hashes, which lie one after the other from `from` on. */
export function foldBytes(sha256: QuickSha256, bytes: Uint8Array, from: number, hashes: number): Uint8Array {
  const row = Uint8Array.from(bytes.subarray(from, from + hashes * hashBytes)) // A slice of a Buffer would be no copy.
  const node = new Uint8Array(1 + 2 * hashBytes)
  node[0] = 1
  for (let width = hashes; width > 1; width /= 2) {
    for (let i = 0; i < width; i += 2) {
      for (let k = 0; k < 2 * hashBytes; k++) node[1 + k] = row[i * hashBytes + k]!
      sha256.into(node, row, (i / 2) * hashBytes)
    }
  }
  return row.slice(0, hashBytes)
}

/** Grows a tree leaf by leaf in bounded memory: one hash for each set bit of its size. */
export class Frontier {
  readonly #sha256: Sha256
  /** `#peaks[level]` is the perfect subtree of that level at the right edge, where there is one. */
  readonly #peaks: (Uint8Array | undefined)[] = []
  #size = 0

  constructor(sha256: Sha256) {
    this.#sha256 = sha256
  }

  /** Of the first `size` leaves of a tree whose hashes can be asked for. */
  static async at(sha256: Sha256, size: number, hashAt: HashAt): Promise<Frontier> {
    const frontier = new Frontier(sha256)
    frontier.#size = size
    for (let from = 0; from < size; ) {
      const level = Math.floor(Math.log2(size - from))
      frontier.#peaks[level] = await hashAt(level, from / 2 ** level)
      from += 2 ** level
    }
    return frontier
  }

  get size(): number {
    return this.#size
  }

  append(leaf: Uint8Array): void {
    let hash = leaf
    let level = 0
    for (let left = this.#peaks[level]; left; left = this.#peaks[++level]) {
      hash = nodeHash(this.#sha256, left, hash)
      this.#peaks[level] = undefined
    }
    this.#peaks[level] = hash
    this.#size++
  }

  root(): Uint8Array {
    let root: Uint8Array | undefined
    for (const peak of this.#peaks) if (peak) root = root ? nodeHash(this.#sha256, peak, root) : peak
    return root ?? this.#sha256(new Uint8Array(0))
  }
}

/** Root of a perfect subtree from its 2^n leaves or nodes. */
export function foldHashes(sha256: Sha256, hashes: readonly Uint8Array[]): Uint8Array {
  let row = hashes
  while (row.length > 1) {
    const next: Uint8Array[] = []
    for (let i = 0; i < row.length; i += 2) next.push(nodeHash(sha256, row[i]!, row[i + 1]!))
    row = next
  }
  return row[0]!
}

/** The root of the first `size` leaves. */
export async function rootAt(sha256: Sha256, size: number, hashAt: HashAt): Promise<Uint8Array> {
  return size === 0 ? sha256(new Uint8Array(0)) : rangeHash(sha256, 0, size, hashAt)
}

/** PATH(index, D[size]) of RFC 6962 section 2.1.1; `index` is below `size`. */
export async function inclusionProof(
  sha256: Sha256,
  index: number,
  size: number,
  hashAt: HashAt,
): Promise<readonly Uint8Array[]> {
  requireSizes(index >= 0 && index < size, index, size)
  const path: Uint8Array[] = []
  let low = 0
  let high = size
  while (high - low > 1) {
    const middle = low + splitOf(high - low)
    const right = index >= middle
    path.push(await rangeHash(sha256, right ? low : middle, right ? middle : high, hashAt))
    if (right) low = middle
    else high = middle
  }
  return path.reverse()
}

/** PROOF(old, D[size]) of RFC 6962 section 2.1.2. Empty from 0 and from `size` itself. */
export async function consistencyProof(
  sha256: Sha256,
  old: number,
  size: number,
  hashAt: HashAt,
): Promise<readonly Uint8Array[]> {
  requireSizes(old >= 0 && old <= size, old, size)
  if (old === 0 || old === size) return []
  const proof: Uint8Array[] = []
  let low = 0
  let high = size
  while (old !== high) {
    const middle = low + splitOf(high - low)
    const right = old > middle
    proof.push(await rangeHash(sha256, right ? low : middle, right ? middle : high, hashAt))
    if (right) low = middle
    else high = middle
  }
  if (low > 0) proof.push(await rangeHash(sha256, low, high, hashAt)) // Else it is the old root, which they have.
  return proof.reverse()
}

/** RFC 9162 section 2.1.3.2. */
export function verifyInclusion(
  sha256: Sha256,
  leaf: Uint8Array,
  index: number,
  size: number,
  path: readonly Uint8Array[],
  root: Uint8Array,
): boolean {
  if (!isSize(index) || !isSize(size) || index >= size || !path.every(isHash)) return false
  let node = index
  let last = size - 1
  let hash = leaf
  for (const sibling of path) {
    if (last === 0) return false
    if (isOdd(node) || node === last) {
      hash = nodeHash(sha256, sibling, hash)
      while (!isOdd(node) && node !== 0) {
        node = half(node)
        last = half(last)
      }
    } else {
      hash = nodeHash(sha256, hash, sibling)
    }
    node = half(node)
    last = half(last)
  }
  return last === 0 && equalBytes(hash, root)
}

/** RFC 9162 section 2.1.4.2; every tree extends the empty one, with an empty proof. */
export function verifyConsistency(
  sha256: Sha256,
  old: number,
  size: number,
  proof: readonly Uint8Array[],
  oldRoot: Uint8Array,
  root: Uint8Array,
): boolean {
  if (!isSize(old) || !isSize(size) || old > size || !proof.every(isHash)) return false
  if (old === 0) return proof.length === 0 && equalBytes(oldRoot, sha256(new Uint8Array(0)))
  if (old === size) return proof.length === 0 && equalBytes(oldRoot, root)

  let node = old - 1
  let last = size - 1
  while (isOdd(node)) {
    node = half(node)
    last = half(last)
  }
  const hashes = node === 0 ? [oldRoot, ...proof] : proof // A perfect old tree is its own first node.
  const first = hashes[0]
  if (!first) return false
  let oldHash = first
  let hash = first
  for (const sibling of hashes.slice(1)) {
    if (last === 0) return false
    if (isOdd(node) || node === last) {
      oldHash = nodeHash(sha256, sibling, oldHash)
      hash = nodeHash(sha256, sibling, hash)
      while (!isOdd(node) && node !== 0) {
        node = half(node)
        last = half(last)
      }
    } else {
      hash = nodeHash(sha256, hash, sibling)
    }
    node = half(node)
    last = half(last)
  }
  return last === 0 && equalBytes(oldHash, oldRoot) && equalBytes(hash, root)
}

/** MTH(D[low:high]) where `low` is where such a range can begin: its perfect subtrees are asked for, the rest folded. */
async function rangeHash(sha256: Sha256, low: number, high: number, hashAt: HashAt): Promise<Uint8Array> {
  const peaks: Uint8Array[] = []
  for (let at = low; at < high; ) {
    const level = Math.floor(Math.log2(high - at))
    const width = 2 ** level
    peaks.push(await hashAt(level, at / width))
    at += width
  }
  return peaks.reduceRight((right, left) => nodeHash(sha256, left, right))
}

/** The largest power of two below `n`, for n > 1. */
function splitOf(n: number): number {
  let k = 1
  while (2 * k < n) k *= 2
  return k
}

// Bit operators would cut numbers to 32 bits.
const isOdd = (n: number): boolean => n % 2 === 1
const half = (n: number): number => Math.floor(n / 2)
const isSize = (n: number): boolean => Number.isSafeInteger(n) && n >= 0
const isHash = (bytes: Uint8Array): boolean => bytes.length === hashBytes

function requireSizes(hold: boolean, first: number, second: number): void {
  if (!hold) throw new RangeError(`no proof from ${first} in a tree of ${second}`)
}
