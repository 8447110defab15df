/**
 * A sample that everybody draws alike: the leaves whose hashes are smallest. Hashes fall where they fall, so that is
 * as good as chance, and nobody can choose what is shown.
 */

export interface Sampled {
  readonly shard: number
  readonly index: number
}

export class Sample {
  readonly #size: number
  #kept: { readonly key: string; readonly at: Sampled }[] = []

  constructor(size: number) {
    this.#size = size
  }

  offer(key: string, at: Sampled): void {
    const last = this.#kept.at(-1)
    if (this.#kept.length === this.#size && last && key >= last.key) return
    this.#kept.push({ key, at })
    this.#kept.sort((a, b) => (a.key < b.key ? -1 : 1))
    if (this.#kept.length > this.#size) this.#kept.pop()
  }

  /** In the order of the log. */
  get list(): readonly Sampled[] {
    return this.#kept.map(({ at }) => at).sort((a, b) => a.shard - b.shard || a.index - b.index)
  }
}
