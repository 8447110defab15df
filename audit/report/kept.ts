/**
 * What earlier reports left, and how far it is to be believed: sums of a part by the hash of its subtree, which stands for
 * every byte of its leaves and is proven up to the signed root; a verification by the proof that the log extends it.
 */

import { equalBytes, toHex, utf8 } from '../../core/bytes.ts'
import type { Json } from '../../core/json.ts'
import type { Checkpoint } from '../../core/log.ts'
import type { Sha256 } from '../../core/ports.ts'
import { foldHashes, rootAt } from '../log/merkle.ts'
import { formatVerifierKey } from '../log/note.ts'
import { minimumIndex } from '../log/prove.ts'
import { hashesFromTiles } from '../log/tiles.ts'
import type { SavedVerification, VerifyParts } from '../verify/verify.ts'
import { partLeaves as partLeavesByDefault } from './gather/gather.ts'
import type { SavedPart } from './gather/part.ts'
import type { PinnedSource } from './pinned.ts'

/** Sums of parts and what the verification knew, as earlier reports left them. Only what its own reports wrote may be read. */
export interface KeptSums {
  /** Undefined where there is none, or it is not what was written. */
  readonly read: (name: string) => Promise<Json | undefined>
  readonly write: (name: string, value: Json) => Promise<void>
}

export class KeptParts {
  /** Something that was kept went into the report. */
  used: boolean = false
  readonly #sums: KeptSums
  readonly #sources: readonly PinnedSource[]
  readonly #sha256: Sha256
  readonly #partLeaves: number
  readonly #log: string
  readonly #believing: boolean
  /** Hashes of the complete parts of a shard; undefined of those whose bytes were pruned. */
  readonly #hashes = new Map<number, readonly (Uint8Array | undefined)[]>()
  #plan = ''
  #toSave: SavedVerification | undefined
  /** Leaves that the verification speaks of which was kept. */
  #verified = 0

  constructor(
    sums: KeptSums,
    sources: readonly PinnedSource[],
    { sha256, key, partLeaves = partLeavesByDefault }: VerifyParts & { readonly partLeaves?: number },
    believing: boolean,
  ) {
    this.#sums = sums
    this.#sources = sources
    this.#sha256 = sha256
    this.#partLeaves = partLeaves
    this.#believing = believing
    this.#log = this.#digest(formatVerifierKey(key))
  }

  /** What the sums are of, but for the period. */
  plan(text: string): void {
    this.#plan = this.#digest(`${this.#partLeaves} ${text}`)
  }

  /** A second pass over the same checkpoint finds what the first has hashed. */
  async shard(shard: number, tree: Checkpoint): Promise<void> {
    if (this.#hashes.has(shard)) return
    const source = this.#sources.find((one) => one.shard === shard)!
    const hashAt = hashesFromTiles(this.#sha256, source.read, tree.size)
    const level = Math.log2(this.#partLeaves)
    const hashes: Uint8Array[] = []
    try {
      for (let i = 0; (i + 1) * this.#partLeaves <= tree.size; i++) hashes.push(await hashAt(level, i))
      const root = await rootAt(this.#sha256, tree.size, (at, index) => {
        const count = 2 ** (at - level)
        return at < level
          ? hashAt(at, index)
          : foldHashes(this.#sha256, hashes.slice(index * count, (index + 1) * count))
      })
      if (!equalBytes(root, tree.root)) return // What is wrong the verification says.
    } catch {
      return
    }
    const minimum = await minimumIndex(source.read)
    this.#hashes.set(
      shard,
      hashes.map((hash, i) => (i * this.#partLeaves < minimum ? undefined : hash)),
    )
  }

  async part(shard: number, part: number): Promise<SavedPart | undefined> {
    const name = this.#believing ? this.#nameOf(shard, part) : undefined
    const saved = name === undefined ? undefined : ((await this.#sums.read(name)) as SavedPart | undefined)
    if (saved) this.used = true
    return saved
  }

  async keep(shard: number, part: number, saved: SavedPart): Promise<void> {
    const name = this.#nameOf(shard, part)
    if (name) await this.#sums.write(name, saved as unknown as Json)
  }

  async verified(): Promise<SavedVerification | undefined> {
    if (!this.#believing) return undefined
    const saved = (await this.#sums.read(this.#verifiedName)) as SavedVerification | undefined
    if (!saved) return undefined
    this.used = true
    this.#verified = sizeOf(saved)
    return saved
  }

  toSave(saved: SavedVerification): void {
    this.#toSave = saved
  }

  /** When nothing spoke against it. One at an older checkpoint does not take the place of a newer one. */
  async save(): Promise<void> {
    if (this.#toSave && sizeOf(this.#toSave) > this.#verified)
      await this.#sums.write(this.#verifiedName, this.#toSave as unknown as Json)
  }

  #nameOf(shard: number, part: number): string | undefined {
    const hash = this.#hashes.get(shard)?.[part]
    return hash && `parts/${this.#plan}/${shard}-${part}-${toHex(hash)}`
  }

  get #verifiedName(): string {
    return `verified-${this.#log}`
  }

  #digest(text: string): string {
    return toHex(this.#sha256(utf8(text))).slice(0, 32)
  }
}

const sizeOf = ({ shards }: SavedVerification): number => shards.reduce((sum, { size }) => sum + size, 0)
