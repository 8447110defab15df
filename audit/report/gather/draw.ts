/** Draws that everybody who has the seed makes alike. */

import { utf8 } from '../../../core/bytes.ts'
import type { Sha256 } from '../../../core/ports.ts'

/**
 * `size` of `total`, counted from 0, or all where there are no more: the n-th draw is SHA-256 of `<seed>/<name>/<n>`, its
 * first 6 bytes modulo `total`; none is drawn twice. In order.
 */
export function drawn(seed: string, name: string, total: number, size: number, sha256: Sha256): readonly number[] {
  if (total <= size) return Array.from({ length: total }, (_, i) => i)
  const found = new Set<number>()
  for (let n = 0; found.size < size; n++) {
    const digest = sha256(utf8(`${seed}/${name}/${n}`))
    found.add(digest.subarray(0, 6).reduce((sum, byte) => sum * 256 + byte, 0) % total)
  }
  return [...found].sort((a, b) => a - b)
}
