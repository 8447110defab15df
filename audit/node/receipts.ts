/** Proofs that a record is covered by the checkpoint that strangers see, read from the log's files. */

import { join } from 'node:path'
import { and, eq } from 'drizzle-orm'
import { fromUtf8 } from '../../core/bytes.ts'
import type { Checkpoint } from '../../core/log.ts'
import type { FindReceipt, Sha256 } from '../../core/ports.ts'
import { parseCheckpoint } from '../log/checkpoint.ts'
import { inclusionProof } from '../log/merkle.ts'
import { parseNote } from '../log/note.ts'
import { hashesFromTiles } from '../log/tiles.ts'
import { records } from '../store/schema.ts'
import { checkpointFile, tileReader } from './folder.ts'
import { type Store, storeFault } from './store.ts'

export interface ReceiptParts {
  readonly store: Store
  /** The folder that holds one log per shard. Auditors of one store share it, or each answers for its own shards. */
  readonly logDir: string
  readonly sha256: Sha256
}

export function receiptFinder({ store, logDir, sha256 }: ReceiptParts): FindReceipt {
  return async ({ epoch, seq }) => {
    const [found] = await store.db
      .select({ shard: records.shard, index: records.index })
      .from(records)
      .where(and(eq(records.epoch, epoch), eq(records.seq, seq)))
      .catch((thrown: unknown) => {
        throw storeFault(thrown)
      })
    if (!found) return undefined
    const read = tileReader(join(logDir, String(found.shard)))
    const bytes = await read(checkpointFile)
    const note = bytes && fromUtf8(bytes)
    const checkpoint: Checkpoint | undefined = note ? parseCheckpoint(parseNote(note)?.text ?? '') : undefined
    if (!note || !checkpoint || checkpoint.size <= found.index) return undefined
    const hashAt = hashesFromTiles(sha256, read, checkpoint.size)
    return { index: found.index, path: await inclusionProof(sha256, found.index, checkpoint.size, hashAt), note }
  }
}
