/** Huffman decoding of strings (RFC 7541 section 5.2), half a byte at a time. */

/** Bits of each byte's code, and last those of the end of a string: the code of appendix B follows from them. */
const lengths: readonly number[] = [
  ...[13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28],
  ...[28, 28, 28, 28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6],
  ...[6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10, 13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7],
  ...[7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6, 15, 5, 6, 5, 6, 5, 6, 6],
  ...[6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28, 20, 22],
  ...[20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23],
  ...[22, 23, 23, 24, 22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22],
  ...[23, 23, 20, 22, 22, 22, 23, 22, 22, 23, 26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25],
  ...[19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27, 20, 24, 20, 21, 22, 21, 21, 23, 22, 22],
  ...[25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26, 30],
]

/** No byte's code: the end of a string, which no string may hold. */
const endOfString = 256

/** A step of four bits: the next state in the lower half, a byte that was completed above, and marks. */
const emits = 1 << 24
const ends = 1 << 25
const fails = 1 << 26

const steps = makeSteps()

/** Codes of one length are numbers in a row, in the order of the bytes; the shorter ones come first. */
function makeTree(): Int16Array {
  const tree = new Int16Array(2 * 257) // Two children a node: another node, or minus a byte, less one.
  let nodes = 1
  let code = 0
  let before = 0
  const byLength = [...lengths.keys()].sort((a, b) => lengths[a]! - lengths[b]! || a - b)
  for (const byte of byLength) {
    const bits = lengths[byte]!
    code = before === 0 ? 0 : (code + 1) << (bits - before)
    before = bits
    let node = 0
    for (let i = bits - 1; i > 0; i--) {
      const at = 2 * node + ((code >> i) & 1)
      if (tree[at] === 0) tree[at] = nodes++
      node = tree[at]!
    }
    tree[2 * node + (code & 1)] = -byte - 1
  }
  return tree
}

function makeSteps(): Int32Array {
  const tree = makeTree()
  const mayEnd = endings(tree)
  const table = new Int32Array(256 * 16)
  for (let state = 0; state < 256; state++) {
    for (let nibble = 0; nibble < 16; nibble++) {
      let node = state
      let step = 0
      for (let i = 3; i >= 0; i--) {
        node = tree[2 * node + ((nibble >> i) & 1)]!
        if (node >= 0) continue
        const byte = -node - 1
        step |= byte === endOfString ? fails : emits | (byte << 16)
        node = 0
      }
      table[state * 16 + nibble] = step | node | (mayEnd.has(node) ? ends : 0)
    }
  }
  return table
}

/** A string may end in up to seven ones: the beginning of the code that ends it. */
function endings(tree: Int16Array): ReadonlySet<number> {
  const found = new Set([0])
  for (let node = 0, i = 0; i < 7; i++) {
    node = tree[2 * node + 1]!
    found.add(node)
  }
  return found
}

/** Bytes that a string of so many coded ones has at most. */
export const mostDecoded = (coded: number): number => Math.ceil((coded * 8) / 5)

/** Decodes into `out`, which has room for `mostDecoded`. How many bytes that are, or -1 where no coder wrote it. */
export function decodeHuffman(bytes: Uint8Array, from: number, to: number, out: Uint8Array): number {
  let state = 0
  let length = 0
  let step = ends
  let seen = 0
  for (let i = from; i < to; i++) {
    const byte = bytes[i]!
    step = steps[(state << 4) | (byte >> 4)]!
    seen |= step
    if ((step & emits) !== 0) out[length++] = (step >> 16) & 255
    state = step & 255
    step = steps[(state << 4) | (byte & 15)]!
    seen |= step
    if ((step & emits) !== 0) out[length++] = (step >> 16) & 255
    state = step & 255
  }
  return (seen & fails) !== 0 || (step & ends) === 0 ? -1 : length
}
