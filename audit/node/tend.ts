/** What the store needs now and then, beside what comes in: partitions ahead of time, block indexes, sums by the hour. */

import { sql } from '../store/drizzle.ts'
import { emptyChunks } from '../store/empty-chunks.ts'
import { foldTraffic } from '../store/fold.ts'
import { readToOf } from '../store/reconciled.ts'
import { rowsOf } from '../store/sql.ts'
import type { Store } from './store.ts'

/** Days for which partitions are there before they begin. */
const daysAhead = 3

export async function makePartitions({ db }: Store): Promise<void> {
  await db.execute(sql`select writ_partitions(${daysAhead})`)
}

/** Brings the sums of shards up to their rows, and has searches skip the blocks that came since. */
export async function tendStore(store: Store, shards: readonly number[]): Promise<void> {
  for (const shard of shards) while (await store.transaction((tx) => foldTraffic(tx, shard)));
  await store.db.execute(sql`select writ_summarise()`)
}

/** Time for which the store keeps leaves that the log folder has too, in milliseconds. */
const keepChunksMs = 3_600_000
/** The same for those that the comparison of calls, perhaps in a process without that folder, has not read yet. */
const keepUnreadMs = 24 * 3_600_000

/** Where the user of the database may: one that only adds leaves this to maintenance. */
async function emptyBuffer({ db }: Store, shards: readonly number[]): Promise<void> {
  const [may] = await rowsOf<{ may: boolean }>(db.execute(sql`select has_table_privilege('chunks', 'delete') as may`))
  if (!may?.may || !db.means?.files) return
  const readTo = await readToOf(db)
  for (const shard of shards) {
    await emptyChunks(db, shard, Date.now() - keepUnreadMs)
    await emptyChunks(db, shard, Date.now() - keepChunksMs, readTo && (readTo.get(shard) ?? 0))
  }
}

export interface Tender {
  start(): void
  /** Resolves when nothing of it runs any more. */
  close(): Promise<void>
}

const hourMs = 3_600_000

/** What fails is done the next time: nothing is lost by it, and answers only take longer. */
export function openTender(store: Store, shards: () => readonly number[], everyMs: number): Tender {
  let timer: ReturnType<typeof setTimeout> | undefined
  let running: Promise<void> | undefined
  let partitionsDue = 0
  let closed = false

  const tend = async (): Promise<void> => {
    if (performance.now() >= partitionsDue) {
      await makePartitions(store)
      partitionsDue = performance.now() + hourMs
    }
    await tendStore(store, shards())
    await emptyBuffer(store, shards())
  }
  const turn = (): void => {
    running = tend()
      .catch(() => undefined)
      .then(() => {
        running = undefined
        if (!closed) timer = setTimeout(turn, everyMs)
      })
  }
  return {
    start: () => {
      if (!timer && !running && !closed) turn()
    },
    close: async () => {
      closed = true
      clearTimeout(timer)
      await running
    },
  }
}
