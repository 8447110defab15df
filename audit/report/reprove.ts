/** Proves leaves drawn at random, one by one, the way an auditor would: from the leaf's bytes up to the signed root. */

import { fromHex, toHex, utf8 } from '../../core/bytes.ts'
import type { LeafPlace } from '../../core/compliance.ts'
import { messageOf } from '../../core/fault.ts'
import type { Sha256 } from '../../core/ports.ts'
import { inclusionProof, leafHash, verifyInclusion } from '../log/merkle.ts'
import { hashesFromTiles, readBundle, tileWidth } from '../log/tiles.ts'
import type { TreeSource } from '../verify/tree.ts'
import type { ShardSummary } from '../verify/verify.ts'

export interface Reproved {
  /** Whoever has the seed draws the same leaves. */
  readonly seed: string
  readonly drawn: readonly (LeafPlace & { readonly proven: boolean; readonly detail: string })[]
}

/** Nobody who writes records can foresee it: the first 8 bytes of SHA-256 over the roots. */
export const seedOf = (shards: readonly ShardSummary[], sha256: Sha256): string =>
  toHex(sha256(utf8(shards.map(({ origin, size, root }) => `${origin} ${size} ${root}\n`).join('')))).slice(0, 16)

export async function reprove(
  sources: readonly TreeSource[],
  shards: readonly ShardSummary[],
  count: number,
  seed: string,
  sha256: Sha256,
): Promise<Reproved> {
  const drawn: (LeafPlace & { proven: boolean; detail: string })[] = []
  for (const at of draw(shards, count, seed, sha256)) {
    const source = sources.find(({ shard }) => shard === at.shard)!
    const summary = shards.find(({ shard }) => shard === at.shard)!
    const detail = await proofFault(source, summary, at.index, sha256)
    drawn.push({ ...at, proven: detail === '', detail })
  }
  return { seed, drawn }
}

/** The n-th draw is SHA-256 of `<seed>/<n>`, its first 6 bytes modulo the number of leaves; a leaf is drawn once. */
export function draw(
  shards: readonly ShardSummary[],
  count: number,
  seed: string,
  sha256: Sha256,
): readonly LeafPlace[] {
  const total = shards.reduce((sum, { size }) => sum + size, 0)
  const drawn = new Map<number, LeafPlace>()
  for (let n = 0; drawn.size < Math.min(count, total) && n < 100 * count; n++) {
    const digest = sha256(utf8(`${seed}/${n}`))
    let at = digest.subarray(0, 6).reduce((sum, byte) => sum * 256 + byte, 0) % total
    if (drawn.has(at)) continue
    const number = at
    for (const { shard, size } of shards) {
      if (at < size) {
        drawn.set(number, { shard, index: at })
        break
      }
      at -= size
    }
  }
  return [...drawn.values()].sort((a, b) => a.shard - b.shard || a.index - b.index)
}

async function proofFault(source: TreeSource, shard: ShardSummary, index: number, sha256: Sha256): Promise<string> {
  try {
    const bundle = await readBundle(source.read, Math.floor(index / tileWidth), shard.size)
    const hash = leafHash(sha256, bundle[index % tileWidth]!)
    const path = await inclusionProof(sha256, index, shard.size, hashesFromTiles(sha256, source.read, shard.size))
    const root = fromHex(shard.root)!
    return verifyInclusion(sha256, hash, index, shard.size, path, root)
      ? ''
      : 'its path does not lead to the signed root'
  } catch (thrown) {
    return messageOf(thrown)
  }
}
