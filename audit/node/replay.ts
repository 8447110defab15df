/** A store that was restored and is behind what was signed: whether what the stream brings again makes the same tree. */

import { equalBytes } from '../../core/bytes.ts'
import { WritError } from '../../core/fault.ts'
import type { Checkpoint } from '../../core/log.ts'
import type { Sha256 } from '../../core/ports.ts'
import type { StartBody } from '../../core/record.ts'
import { Frontier } from '../log/merkle.ts'
import { hashesFromTiles } from '../log/tiles.ts'
import type { OwnChain } from '../store/own.ts'
import type { Db } from '../store/schema.ts'
import { openLogFolder } from './folder.ts'
import { catchUp } from './tiles.ts'

export interface Replay {
  /** Entries that are to be stored next. Throws `fork`, before they are, where they are not what was signed. */
  take(entries: readonly { readonly hash: Uint8Array }[]): void
  /** Everything that was signed is there again. */
  readonly done: boolean
}

export async function openReplay(
  dir: string,
  shard: number,
  size: number,
  signed: Checkpoint,
  { db, sha256 }: { readonly db: Db; readonly sha256: Sha256 },
): Promise<Replay> {
  const folder = await openLogFolder(dir, sha256)
  await catchUp(folder, db, shard, size, sha256)
  await folder.seal()
  const tree = await Frontier.at(sha256, size, hashesFromTiles(sha256, folder.read, size))
  return {
    take: (entries) => {
      if (tree.size >= signed.size) return
      for (const { hash } of entries) {
        if (tree.size === signed.size) break
        tree.append(hash)
      }
      if (tree.size < signed.size || equalBytes(tree.root(), signed.root)) return
      throw new WritError(
        'fork',
        `${signed.origin}: what came again makes another tree than the ${signed.size} entries that were signed`,
        {
          cure:
            'the auditor had written entries of its own since the backup, or the stream has other records: restore a later ' +
            'backup or the log folder; where there is none, open a new log: `writ audit new-log`',
        },
      )
    },
    get done() {
      return tree.size >= signed.size
    },
  }
}

/** The chain that the former auditor wrote, as if it had never stopped. */
export const resumed = ({ epoch, seq, hash }: NonNullable<StartBody['previous']>): OwnChain => ({
  epoch,
  nextSeq: seq + 1,
  prev: hash,
})
