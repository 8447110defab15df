/** Random bytes fetched in blocks, since each fetch costs more than the bytes: every request needs a few for its id. */

import type { RandomBytes } from '../../core/ports.ts'

/** Bytes fetched at a time. */
const blockBytes = 4096

/** Each byte is given out once. What is returned may share memory with what others get: it is to be read, not written. */
export function inBlocks(random: RandomBytes): RandomBytes {
  let block: Uint8Array = new Uint8Array(0)
  let at = 0
  return (length) => {
    if (length > blockBytes) return random(length)
    if (at + length > block.length) {
      block = random(blockBytes)
      at = 0
    }
    at += length
    return block.subarray(at - length, at)
  }
}
