/** Proofs that a record is covered by the checkpoint that strangers see, read from the log's files. */

import { join } from 'node:path'
import type { FindReceipt, Sha256 } from '../../core/ports.ts'
import { decisionId } from '../../core/record.ts'
import { receiptInLog } from '../log/prove.ts'
import { placesOf } from '../store/places.ts'
import { tileReader } from './folder.ts'
import { type Store, storeFault } from './store.ts'

export interface ReceiptParts {
  readonly store: Store
  /** The folder that holds one log per shard. Auditors of one store share it, or each answers for its own shards. */
  readonly logDir: string
  readonly sha256: Sha256
}

export function receiptFinder({ store, logDir, sha256 }: ReceiptParts): FindReceipt {
  return async ({ epoch, seq }) => {
    const places = await placesOf(store.db, [{ epoch, seq }]).catch((thrown: unknown) => {
      throw storeFault(thrown)
    })
    const found = places.get(decisionId({ epoch, seq }))
    if (!found) return undefined
    return receiptInLog(tileReader(join(logDir, String(found.shard))), found.index, sha256)
  }
}
