/** The definitions of RFC 6962 section 2.1, word for word and slow: what the real ones are compared with. */

import { createHash } from 'node:crypto'
import type { Sha256 } from '../../../core/ports.ts'

export const sha256: Sha256 = (bytes) => Uint8Array.from(createHash('sha256').update(bytes).digest())

const hashOf = (...parts: readonly Uint8Array[]): Uint8Array => sha256(Buffer.concat(parts))

const split = (n: number): number => {
  let k = 1
  while (k * 2 < n) k *= 2
  return k
}

export function naiveRoot(entries: readonly Uint8Array[]): Uint8Array {
  if (entries.length === 0) return hashOf()
  if (entries.length === 1) return hashOf(Uint8Array.of(0), entries[0]!)
  const k = split(entries.length)
  return hashOf(Uint8Array.of(1), naiveRoot(entries.slice(0, k)), naiveRoot(entries.slice(k)))
}

export function naivePath(m: number, entries: readonly Uint8Array[]): Uint8Array[] {
  if (entries.length === 1) return []
  const k = split(entries.length)
  return m < k
    ? [...naivePath(m, entries.slice(0, k)), naiveRoot(entries.slice(k))]
    : [...naivePath(m - k, entries.slice(k)), naiveRoot(entries.slice(0, k))]
}

export function naiveProof(m: number, entries: readonly Uint8Array[], whole = true): Uint8Array[] {
  if (m === entries.length) return whole ? [] : [naiveRoot(entries)]
  const k = split(entries.length)
  return m <= k
    ? [...naiveProof(m, entries.slice(0, k), whole), naiveRoot(entries.slice(k))]
    : [...naiveProof(m - k, entries.slice(k), false), naiveRoot(entries.slice(0, k))]
}
