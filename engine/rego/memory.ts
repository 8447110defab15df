/** Sets a bound on a module's own memory, which Go's linker leaves open up to 4 GiB. */

import { concat } from '../../core/bytes.ts'
import { WritError } from '../../core/fault.ts'

/** 2 GiB, in pages of 64 KiB: a policy with 100 MB of data fits, and one that never ends is stopped. */
export const maxPages = 32_768

const memorySection = 5

/** The module with that bound on its one memory (WebAssembly core 5.5.8). Throws `policy_invalid` where it has none. */
export function boundMemory(wasm: Uint8Array): Uint8Array {
  let at = 8
  const u32 = (): number => {
    let value = 0
    for (let shift = 0; shift < 35; shift += 7) {
      const byte = wasm[at++]
      if (byte === undefined) break
      value += (byte & 0x7f) * 2 ** shift
      if (byte < 0x80) return value
    }
    throw new WritError('policy_invalid', 'it is no WebAssembly module')
  }
  while (at < wasm.length) {
    const from = at
    const id = wasm[at++]
    const length = u32()
    const end = at + length
    if (id !== memorySection) {
      at = end
      continue
    }
    const [count, flags] = [u32(), u32()]
    const minimum = u32()
    if (count !== 1 || flags > 1 || minimum > maxPages) break
    const body = Uint8Array.of(1, 1, ...leb(minimum), ...leb(maxPages))
    return concat(wasm.subarray(0, from), Uint8Array.of(memorySection, ...leb(body.length)), body, wasm.subarray(end))
  }
  throw new WritError('policy_invalid', 'it has no memory of its own that could be bounded')
}

function leb(value: number): readonly number[] {
  return value < 0x80 ? [value] : [(value % 0x80) + 0x80, ...leb(Math.floor(value / 0x80))]
}
