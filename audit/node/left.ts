/** What a pruning left of a log's beginning, taken into a store that is made again: no rows, but what the rest is read by. */

import { WritError } from '../../core/fault.ts'
import type { Sha256 } from '../../core/ports.ts'
import type { HashAt } from '../log/merkle.ts'
import { carriedPath, decodeCarried, type TileReader, tileWidth } from '../log/tiles.ts'
import type { ArrivedRecord } from '../store/arrival.ts'
import { insertDisclosures, prepareDisclosures } from '../store/disclosures.ts'
import { sql } from '../store/drizzle.ts'
import { readmitFindings } from '../store/finding-rows.ts'
import { announcedLines, insertAnnounced, upsertEpochs, writeGaps } from '../store/ledger.ts'
import { readmitLostSpools } from '../store/lost-spools.ts'
import type { Readmitted } from '../store/readmit.ts'
import type { Db, EpochRow } from '../store/schema.ts'
import { readmitHolds } from './orders.ts'
import { otherCopy, signedEntry } from './signed-entry.ts'

/** What a pruning left of the beginning, and what the store has to say by it. */
export interface Left {
  readonly minimum: number
  readonly carried: readonly Carried[]
  readonly changes: readonly Readmitted[]
}

export interface Carried {
  readonly index: number
  readonly entry: ArrivedRecord
}

/** Entries that stand alone: there is a hole before and after each. Memory grows with what was carried. */
export async function carriedOf(
  read: TileReader,
  from: number,
  minimum: number,
  hashAt: HashAt,
  sha256: Sha256,
): Promise<readonly Carried[]> {
  const carried: Carried[] = []
  for (let index = Math.floor(from / tileWidth); index * tileWidth < minimum; index++) {
    const file = await read(carriedPath(index))
    const entries = file ? decodeCarried(file) : []
    if (!entries) throw new WritError('log_invalid', `${carriedPath(index)} is cut short`, { cure: otherCopy })
    for (const { at, bytes } of entries) {
      const place = index * tileWidth + at
      if (place >= from) carried.push({ index: place, entry: await signedEntry(bytes, place, hashAt, sha256) })
    }
  }
  return carried
}

/** Together with the first entries after it, so that a store that was interrupted begins again. */
export async function writeLeft(tx: Db, shard: number, { minimum, carried, changes }: Left): Promise<void> {
  const last = new Map<string, EpochRow>()
  for (const { epochs, gaps } of changes) {
    for (const row of epochs) last.set(row.epoch, row)
    await writeGaps(tx, gaps)
  }
  await upsertEpochs(tx, [...last.values()])
  await insertAnnounced(
    tx,
    announcedLines(
      shard,
      carried.map(({ index, entry }) => ({ index, event: entry.event })),
    ),
  )
  await readmitHolds(
    tx,
    carried.map(({ entry }) => entry),
  )
  await readmitFindings(
    tx,
    shard,
    carried.map(({ entry }) => entry),
  )
  for (const { index, entry } of carried) {
    await readmitLostSpools(tx, shard, index, [entry])
    await insertDisclosures(tx, shard, { rows: [], erased: prepareDisclosures(index, [entry]).erased })
  }
  await tx.execute(sql`insert into rolled (shard, below) values (${shard}, ${minimum})
    on conflict (shard) do update set below = greatest(rolled.below, excluded.below)`)
}
