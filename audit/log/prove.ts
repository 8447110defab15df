/** One entry of a log and the proof that it is there, read from the log's own files. */

import { fromUtf8 } from '../../core/bytes.ts'
import type { Checkpoint, Receipt } from '../../core/log.ts'
import type { Sha256 } from '../../core/ports.ts'
import { parseCheckpoint } from './checkpoint.ts'
import { inclusionProof } from './merkle.ts'
import { parseNote } from './note.ts'
import { hashesFromTiles, readBundle, type TileReader, tileWidth } from './tiles.ts'

/** Path of the newest checkpoint (C2SP tlog-tiles). */
export const checkpointFile = 'checkpoint'

/** Path of the newest checkpoint that its log's quorum of witnesses cosigned, with their lines. */
export const witnessedFile = 'checkpoint.witnessed'

/** Path of the checkpoint over what is left of a log that another one follows; its origin says so. */
export const keptFile = 'checkpoint.kept'

/** Path of the index before which entries were taken away: their hashes are still there (C2SP tlog-tiles, pruning). */
export const minimumFile = 'minimum'

/** Path, beside a log's shards, of its own witness policy (C2SP tlog-policy). Whoever verifies takes it from elsewhere. */
export const policyFile = 'witness.policy'

export async function minimumIndex(read: TileReader): Promise<number> {
  const bytes = await read(minimumFile)
  const text = bytes ? fromUtf8(bytes).trim() : '0'
  return /^\d{1,15}$/.test(text) && Number(text) % tileWidth === 0 ? Number(text) : 0
}

/** The newest checkpoint of a log, its signature not yet looked at; undefined where there is none. */
export async function newestCheckpoint(
  read: TileReader,
  file: string = checkpointFile,
): Promise<{ readonly note: string; readonly checkpoint: Checkpoint } | undefined> {
  const bytes = await read(file)
  const note = bytes && fromUtf8(bytes)
  const checkpoint = note ? parseCheckpoint(parseNote(note)?.text ?? '') : undefined
  return note && checkpoint ? { note, checkpoint } : undefined
}

/** Undefined while no checkpoint covers the entry. Throws `log_invalid` where tiles are missing. */
export async function receiptFor(
  read: TileReader,
  index: number,
  sha256: Sha256,
  file: string = checkpointFile,
): Promise<Receipt | undefined> {
  const newest = await newestCheckpoint(read, file)
  if (!newest || newest.checkpoint.size <= index) return undefined
  const { size } = newest.checkpoint
  const path = await inclusionProof(sha256, index, size, hashesFromTiles(sha256, read, size))
  return { index, path, note: newest.note }
}

/** As `receiptFor`; of a log that another one follows, what it has under no checkpoint of its own is proven as kept. */
export async function receiptInLog(read: TileReader, index: number, sha256: Sha256): Promise<Receipt | undefined> {
  const kept = await newestCheckpoint(read, keptFile)
  if (!kept) return receiptFor(read, index, sha256)
  const newest = await newestCheckpoint(read)
  const whole = newest !== undefined && newest.checkpoint.size <= kept.checkpoint.size && newest.checkpoint.size > index
  return receiptFor(read, index, sha256, whole ? checkpointFile : keptFile)
}

/** An entry's bytes in a log of `size`. Throws `log_invalid` where its bundle is missing. */
export async function entryAt(read: TileReader, index: number, size: number): Promise<Uint8Array> {
  return (await readBundle(read, Math.floor(index / tileWidth), size))[index % tileWidth]!
}
