/** Brings a shard's files up to its leaves and has the tree signed: what runs each second, and after every crash. */

import { WritError } from '../../core/fault.ts'
import { type Checkpoint, originOf, type SignedCheckpoint } from '../../core/log.ts'
import type { CheckpointSigner, NowNs, Sha256 } from '../../core/ports.ts'
import { formatTime } from '../../core/time.ts'
import { consistencyProof, leafHash } from '../log/merkle.ts'
import { hashesFromTiles } from '../log/tiles.ts'
import { and, eq } from '../store/drizzle.ts'
import { chunkOver } from '../store/leaves.ts'
import { checkpoints, type Db } from '../store/schema.ts'
import type { LogFolder } from './folder.ts'
import { forkCure } from './signer.ts'

/** Gives the folder the leaves that it lacks below `size`. */
export async function catchUp(folder: LogFolder, db: Db, shard: number, size: number, sha256: Sha256): Promise<void> {
  while (folder.size < size) {
    const from = folder.size
    const chunk = await chunkOver(db, shard, from, size - 1)
    const leaves = chunk && chunk.first <= from ? chunk.leaves.slice(from - chunk.first, size - chunk.first) : []
    if (leaves.length === 0) throw missing(shard, from)
    await folder.append(leaves.map((bytes) => ({ bytes, hash: leafHash(sha256, bytes) })))
  }
}

const missing = (shard: number, index: number): WritError =>
  new WritError('log_invalid', `leaf ${index} of shard ${shard} is missing from the store, or cannot be read in it`, {
    cure: 'the log folder lacks it too: restore the folder from a copy; `writ audit verify --database` names what is gone',
  })

export interface SigningParts {
  readonly trustDomain: string
  readonly signer: CheckpointSigner
  readonly db: Db
  readonly sha256: Sha256
  readonly now: NowNs
}

/** Signs and publishes the folder's tree where it has grown; gives the checkpoint that is now the last. */
export async function signTree(
  folder: LogFolder,
  shard: number,
  stored: number,
  parts: SigningParts,
): Promise<Checkpoint | undefined> {
  const origin = originOf(parts.trustDomain, shard)
  const last = await parts.signer.last(origin)
  requireMemory(origin, last, folder.size, Math.max(stored, folder.published?.checkpoint.size ?? 0))
  const { size } = folder
  const done = folder.published?.checkpoint.size === size && last?.size === size && stored === size
  if (size === 0 || done) return last

  const root = await folder.seal()
  const hashAt = hashesFromTiles(parts.sha256, folder.read, size)
  const proof = last ? await consistencyProof(parts.sha256, last.size, size, hashAt) : []
  const signed = await parts.signer.sign({ origin, size, root }, proof)
  await folder.publish(signed)
  await parts.db
    .insert(checkpoints)
    .values({ shard, size, root, note: signed.note, at: formatTime(parts.now()) })
    .onConflictDoNothing()
  return signed.checkpoint
}

/** The table keeps a checkpoint with the cosignatures that it got. */
export async function keepCosigned(db: Db, shard: number, { checkpoint, note }: SignedCheckpoint): Promise<void> {
  await db
    .update(checkpoints)
    .set({ note })
    .where(and(eq(checkpoints.shard, shard), eq(checkpoints.size, checkpoint.size)))
}

/** The signer remembers what it signed: a log that is shorter now was rolled back, and a signer that forgot is no witness. */
export function requireMemory(origin: string, last: Checkpoint | undefined, size: number, published: number): void {
  if (last && last.size > size) {
    throw new WritError(
      'fork',
      `${origin}: ${last.size} entries were signed, the store has ${size}: it was rolled back`,
      {
        cure: forkCure,
      },
    )
  }
  if (!last && published > 0) {
    throw new WritError('fork', `${origin}: ${published} entries were published, and the signer remembers none`, {
      cure: "restore the signer's folder from a copy; a new signer must begin a new log",
    })
  }
}
