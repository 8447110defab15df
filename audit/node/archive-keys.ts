/**
 * Beside an archive file, where any of its records has personal fields: under which key each was sealed. Neither what was
 * sealed nor a key; a store that is filled from the archive says by it which of them are erased.
 */

import { WritError } from '../../core/fault.ts'
import { disclosuresBetween, putBackDisclosures, type RecordDisclosure } from '../store/disclosures-again.ts'
import type { Db } from '../store/schema.ts'
import { type ArchiveFile, addSum, archivedFiles, digestOf, readSums } from './archive.ts'
import type { ArchivePlace } from './archive-place.ts'
import { packDisclosures, unpackDisclosures } from './packed-disclosures.ts'
import type { Store } from './store.ts'

/** A file has 32,768 lines of some 110 bytes at most. */
const maxKeysBytes = 8 << 20

const ending = '.keys.gz'

/** Name of the file of keys beside an archive file. */
export const keysFile = ({ name }: Pick<ArchiveFile, 'name'>): string => name.replace(/\.parquet$/, ending)

export const isKeysFile = (name: string): boolean => name.endsWith(ending)

/**
 * Adds what is missing for files with entries from `from` to before `before`, of which the store still has the rows.
 * Written once, as every file of an archive: a key that was erased since is the same key.
 */
export async function archiveKeys(
  out: ArchivePlace,
  db: Db,
  shard: number,
  from: number,
  before: number,
): Promise<void> {
  const sums = await readSums(out, shard)
  for (const file of await archivedFiles(out, shard)) {
    if (file.first < from || file.first >= before || sums.has(keysFile(file))) continue
    const rows = await disclosuresBetween(db, shard, file.first, file.last + 1)
    if (rows.length === 0) continue
    const bytes = await packDisclosures(rows.map((row) => ({ ...row, sealed: '' })))
    await out.write(shard, keysFile(file), bytes)
    await addSum(out, shard, keysFile(file), bytes)
  }
}

/** What a stranger may have made. */
export async function readKeys(bytes: Uint8Array): Promise<readonly RecordDisclosure[] | { readonly wrong: string }> {
  return (await unpackDisclosures(bytes, maxKeysBytes)) ?? { wrong: 'it is not lines of epoch, number and key' }
}

/** Once the store has every row again. Throws `log_invalid` where a file is not the one that was written. */
export async function restoreKeys(out: ArchivePlace, shard: number, store: Store): Promise<void> {
  const sums = await readSums(out, shard)
  for (const [name, sum] of sums) {
    if (!isKeysFile(name)) continue
    const bytes = await out.read(shard, name)
    const rows = bytes && digestOf(bytes) === sum ? await readKeys(bytes) : { wrong: 'it is gone or another' }
    if ('wrong' in rows) {
      throw new WritError('log_invalid', `${name} is not what was archived: ${rows.wrong}`, {
        cure: 'take another copy of the archive: `writ audit verify --archive` names all that is broken in this one',
      })
    }
    await store.transaction((tx) => putBackDisclosures(tx, rows))
  }
}
