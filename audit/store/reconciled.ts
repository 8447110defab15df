/** Where the comparison of both sides of calls stands. One process compares for all shards; the others can save nothing. */

import { fromUtf8, utf8 } from '../../core/bytes.ts'
import { isObject, type Json, parseJson } from '../../core/json.ts'
import { sql } from './drizzle.ts'
import { type Db, meansOf } from './schema.ts'
import { rowsOf } from './sql.ts'

/** What a state may become when it is opened: 200,000 calls that wait are less than half of it. */
const maxStateBytes = 256 * 1024 ** 2

export interface Turn {
  readonly turn: number
  /** What was saved last; undefined where nothing was, or where it cannot be read. */
  readonly state: Json | undefined
}

/** From now on whoever had the turn before can save no more. */
export async function takeTurn(db: Db): Promise<Turn> {
  const [row] = await rowsOf<{ turn: string; state: Uint8Array | null }>(
    db.execute(sql`insert into reconciled (turn, read_to) values (1, '{}')
      on conflict (one) do update set turn = reconciled.turn + 1 returning turn, state`),
  )
  const { turn, state } = row!
  if (state === null) return { turn: Number(turn), state: undefined }
  const bytes = await meansOf(db)
    .decompress(new Uint8Array(state), maxStateBytes)
    .catch(() => undefined)
  return { turn: Number(turn), state: bytes && parsed(bytes) }
}

function parsed(bytes: Uint8Array): Json | undefined {
  try {
    return parseJson(fromUtf8(bytes))
  } catch {
    return undefined
  }
}

/** False where somebody else has the turn: nothing was saved then. `readTo` is the next index of each shard. */
export async function saveTurn(
  tx: Db,
  turn: number,
  readTo: ReadonlyMap<number, number>,
  state: Json,
): Promise<boolean> {
  const bytes = await meansOf(tx).compress(utf8(JSON.stringify(state)))
  const saved = await rowsOf(
    tx.execute(sql`update reconciled set state = ${bytes}, read_to = ${JSON.stringify(Object.fromEntries(readTo))}
      where turn = ${turn} returning turn`),
  )
  return saved.length === 1
}

/** The next index to compare of each shard; undefined where nobody ever compared. */
export async function readToOf(db: Db): Promise<ReadonlyMap<number, number> | undefined> {
  const [row] = await rowsOf<{ read_to: string }>(db.execute(sql`select read_to from reconciled`))
  const value = row && parsed(utf8(row.read_to))
  if (!isObject(value)) return undefined
  return new Map(Object.entries(value).map(([shard, next]) => [Number(shard), Number(next)]))
}
