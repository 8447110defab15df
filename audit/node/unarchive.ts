/** Puts entries that were pruned back into a log folder, from an archive, each held against the folder's own tiles. */

import { dirname, join } from 'node:path'
import { equalBytes } from '../../core/bytes.ts'
import { WritError } from '../../core/fault.ts'
import type { Sha256 } from '../../core/ports.ts'
import { leafHash } from '../log/merkle.ts'
import { keptFile, minimumFile, minimumIndex, newestCheckpoint } from '../log/prove.ts'
import { encodeBundle, hashesFromTiles, tilePath, tileWidth } from '../log/tiles.ts'
import { archivedFiles, openArchive } from './archive.ts'
import type { ArchivePlace } from './archive-place.ts'
import { makeFolder, syncFolder, writeWhole } from './durable.ts'
import { sourcesIn } from './logfolder.ts'
import { pack, packedPath } from './packed.ts'

export interface Unarchived {
  readonly shard: number
  /** Entries from `from` to before `before` are there again. */
  readonly from: number
  readonly before: number
}

/**
 * From the newest pruned entry backwards, as far as the archive goes without a hole. The minimum is moved last: a run that
 * was interrupted is done again. Throws `log_invalid` where a file or a leaf is not what was signed.
 */
export async function unarchive(out: ArchivePlace, logDir: string, sha256: Sha256): Promise<readonly Unarchived[]> {
  const done: Unarchived[] = []
  for (const { shard, read } of await sourcesIn(logDir)) {
    const before = await minimumIndex(read)
    const newest = (await newestCheckpoint(read, keptFile)) ?? (await newestCheckpoint(read))
    if (before === 0 || !newest) continue
    const dir = join(logDir, String(shard))
    const hashAt = hashesFromTiles(sha256, read, newest.checkpoint.size)
    let from = before
    for (const file of [...(await archivedFiles(out, shard))].reverse()) {
      if (file.first >= before) continue
      if (file.last + 1 < from) break
      const bytes = await out.read(shard, file.name)
      const archive = bytes ? await openArchive(bytes) : { wrong: 'it is gone' }
      if ('wrong' in archive) throw invalid(file.name, archive.wrong)
      const leaves = archive.leaves.slice(0, Math.max(0, from - file.first))
      for (const [i, leaf] of leaves.entries()) {
        const place = file.first + i
        const said = await hashAt(0, place)
        if (!equalBytes(leafHash(sha256, leaf.bytes), said)) throw invalid(file.name, `entry ${place} is another`)
      }
      for (let at = 0; at < leaves.length; at += tileWidth) {
        const path = join(dir, packedPath(tilePath('entries', (file.first + at) / tileWidth)))
        await makeFolder(dirname(path))
        await writeWhole(path, await pack(encodeBundle(leaves.slice(at, at + tileWidth).map(({ bytes }) => bytes))))
        await syncFolder(dirname(path))
      }
      from = file.first
    }
    if (from < before) await writeWhole(join(dir, minimumFile), `${from}\n`)
    await syncFolder(dir)
    done.push({ shard, from, before })
  }
  return done
}

const invalid = (name: string, why: string): WritError =>
  new WritError('log_invalid', `${name} is not what was archived: ${why}`, {
    cure: 'take another copy of the archive: `writ audit verify --archive` names all that is broken in this one',
  })
