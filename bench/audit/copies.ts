/**
 * Copies of a piece of the ledger, each later than the one before: the same edges at other times, by new runs with new
 * ids, under later revisions and other certificates. By SQL, for ten million rows in minutes; that the tables come out
 * as the auditor's own functions would have made them is held by test/bench/fill.test.ts.
 */

import { createHash } from 'node:crypto'
import { Dictionaries, type Entry, shapeColumns } from '../../audit/store/dictionary.ts'
import { sql } from '../../audit/store/drizzle.ts'
import type { Db } from '../../audit/store/schema.ts'
import { rowsOf } from '../../audit/store/sql.ts'

/** What is other in the copy of that number: a piece is so many leaves, and so long. */
export interface Shift {
  readonly copy: number
  readonly leaves: number
  readonly ms: number
}

const revisionMs = 3 * 86_400_000

export const shiftedEpoch = (epoch: string, { copy }: Shift): string =>
  createHash('md5').update(`${epoch}${copy}`).digest('hex').slice(0, 24)
export const shiftedRevision = (revision: string, { copy, ms }: Shift): string =>
  `${revision}.${Math.floor((copy * ms) / revisionMs)}`
/** Certificates are renewed from piece to piece. */
export const shiftedSerial = (serial: string, { copy }: Shift): string =>
  `${copy.toString(16).padStart(6, '0')}${serial.slice(6)}`
export const shiftedId = (id: string, { copy }: Shift): string => createHash('md5').update(`${id}${copy}`).digest('hex')

const kept = ['rows', 'ends', 'spans', 'batches', 'epochs', 'announced', 'others'] as const

/** Keeps what is in the tables now, of which copies are made. In a session of its own: they are temporary. */
export async function keepPiece(tx: Db): Promise<void> {
  for (const table of kept) await tx.execute(sql.raw(`create temp table piece_${table} as select * from ${table}`))
  await tx.execute(sql.raw('analyze piece_rows'))
}

/** In one transaction, on the session that kept the piece. */
export async function copyPiece(tx: Db, shift: Shift): Promise<void> {
  const { copy, leaves, ms } = shift
  const words = new Dictionaries()
  await map(tx, words.runs, 'runs', ['epoch', 'producer'], words, ([epoch, producer]) => [
    shiftedEpoch(String(epoch), shift),
    producer!,
  ])
  await map(tx, words.shapes, 'shapes', shapeColumns, words, (shape) =>
    shape.map((value, i) =>
      shapeColumns[i] === 'revision' && typeof value === 'string' ? shiftedRevision(value, shift) : value,
    ),
  )
  await map(tx, words.peers, 'peers', ['serial', 'source_address'], words, ([serial, address]) => [
    typeof serial === 'string' ? shiftedSerial(serial, shift) : serial!,
    address!,
  ])
  const later = (column: string): string => `${column} + interval '${ms * copy} milliseconds'`
  const further = (column: string): string => `${column} + ${leaves * copy}::bigint`
  const id = (column: string): string =>
    `'\\x01'::bytea || decode(md5(encode(substr(r.${column}, 2), 'hex') || ${copy}), 'hex')`
  for (const statement of [
    `insert into batches select shard, ${further('first')}, ${further('last')}, ${later('first_at')}, ${later('last_at')}
      from piece_batches`,
    `insert into rows select ${later('r.at')}, ${further('r.index')}, r.seq, r.shard, u.new, s.new, r.caller, p.new,
        ${id('request')}, ${id('trace')}, r.path, r.reasons
      from piece_rows r join map_runs u on u.old = r.run join map_shapes s on s.old = r.shape
        left join map_peers p on p.old = r.peer order by r.index`,
    `insert into ends select ${later('e.at')}, ${further('e.index')}, e.bucket, e.shard, u.new, e.seqs, e.codes, e.statuses,
        e.requests, e.responses, e.durations, e.upstreams, e.tried
      from piece_ends e join map_runs u on u.old = e.run order by e.index`,
    `insert into spans select u.new, s.first_seq, s.last_seq, s.shard, ${further('s.first')}, ${further('s.last')},
        ${later('s.first_at')}, ${later('s.last_at')} from piece_spans s join map_runs u on u.old = s.run`,
    `insert into epochs select substr(md5(epoch || ${copy}), 1, 24), producer, shard, next_seq, last_hash, attested_seq,
        final, ${later('started_at')}, ${later('last_at')} from piece_epochs`,
    `insert into announced select substr(md5(epoch || ${copy}), 1, 24), seq, shard, ${further('index')} from piece_announced`,
    `insert into others select shard, kind, ${further('index')}, ${later('at')} from piece_others`,
  ]) {
    await tx.execute(sql.raw(statement))
  }
}

/** New entries of a dictionary for those of the piece, and which stands for which. */
async function map(
  tx: Db,
  dictionary: Dictionaries['runs'],
  table: 'runs' | 'shapes' | 'peers',
  columns: readonly string[],
  words: Dictionaries,
  shifted: (entry: Entry) => Entry,
): Promise<void> {
  const column = { runs: 'run', shapes: 'shape', peers: 'peer' }[table]
  const old = await rowsOf<Record<string, unknown>>(
    tx.execute(
      sql.raw(`select id, ${columns.join(', ')} from ${table} where id in (select ${column} from piece_rows)`),
    ),
  )
  words.begin()
  for (const row of old) dictionary.want(String(row['id']), () => shifted(columns.map((name) => row[name]) as Entry))
  await dictionary.learn(tx)
  const pairs = JSON.stringify(old.map(({ id }) => [id, dictionary.id(String(id))]))
  await tx.execute(sql.raw(`drop table if exists map_${table}`))
  await tx.execute(
    sql`create temp table ${sql.raw(`map_${table}`)} as
      select (pair->>0)::integer as old, (pair->>1)::integer as new from json_array_elements(${sql.raw(`'${pairs}'`)}::json) as pair`,
  )
  await tx.execute(sql.raw(`analyze map_${table}`))
}
