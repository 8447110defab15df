/** What is known of certificates that were shown lately: found by the end of their signature, and held against all of their bytes. */

import { toHex } from './bytes.ts'

/** Most that are kept; beyond them the one that came first goes. Some 1.5 KiB each. */
const most = 1024

export class Recent<Known> {
  readonly #kept = new Map<string, Known>()

  /** What is kept of a leaf that ends alike. Whoever asks compares the rest. */
  find(leaf: Uint8Array): Known | undefined {
    return this.#kept.get(nameOf(leaf))
  }

  keep(leaf: Uint8Array, known: Known): void {
    const name = nameOf(leaf)
    this.#kept.delete(name) // So that it counts as the newest.
    this.#kept.set(name, known)
    if (this.#kept.size > most) this.#kept.delete(this.#kept.keys().next().value!)
  }

  clear(): void {
    this.#kept.clear()
  }
}

const nameOf = (leaf: Uint8Array): string => toHex(leaf.subarray(-8))
