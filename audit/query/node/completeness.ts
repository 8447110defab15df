/** What the log cannot show, or shows late: gaps, counts without sources, tails without a head, clocks that are off. */

import { isObject, type Json } from '../../../core/json.ts'
import { parseEvent } from '../../../core/record.ts'
import { sql } from '../../store/drizzle.ts'
import { readLeaves } from '../../store/leaves.ts'
import type { Db } from '../../store/schema.ts'
import { spanText } from '../answer-format.ts'
import type { Asked } from '../questions.ts'
import { isoTime, shardsOf } from './find.ts'
import { placed } from './placed.ts'
import { type Found, type Row, rowsFrom, time } from './sql.ts'

/** Leaves without decisions that are read, newest first. */
const maxLeaves = 5000
const leavesAtOnce = 250
/** Checkpoints whose last record is compared with their time. */
const maxCheckpoints = 200
/** A record that is later than its checkpoint by more has a wrong time, in seconds. */
const skewS = 1
/** One that is that much earlier came late. */
const lateS = 60
/** A head is signed each second; a tail that is older is one that nobody vouched for. */
const tailS = 60

export async function completeness(db: Db, { fromMs, toMs, limit }: Asked): Promise<Found> {
  const [gaps, lost, tails, clocks, counted] = [
    await gapRows(db, fromMs, toMs),
    await lostRows(db, fromMs, toMs),
    await tailRows(db, fromMs, toMs),
    await clockRows(db, fromMs, toMs),
    await countedRows(db, fromMs, toMs),
  ]
  const rows = [...gaps, ...lost, ...tails, ...counted.rows, ...clocks]
  const missing = gaps.filter(({ what }) => what === 'gap').reduce((sum, { count }) => sum + count, 0)
  const notes = [`${missing.toLocaleString('en-US')} numbers are missing in open gaps.`]
  notes.push('Times are compared at one record of each checkpoint: a clock that is off now and then may not show.')
  if (counted.cut) notes.push(`Only the newest ${maxLeaves.toLocaleString('en-US')} counts of refusals were read.`)
  return { rows: rows.slice(0, limit + 1), notes, ok: missing === 0 && !lost.some(({ what }) => what === 'spool lost') }
}

interface Line extends Row {
  readonly what: string
  readonly count: number
}

async function gapRows(db: Db, fromMs: number, toMs: number): Promise<readonly Line[]> {
  const rows = await rowsFrom(
    db,
    sql`select g.*, o.at from writ_gaps g left join others o on o.shard = g.shard and o.kind = 'gap'
        and o.index = coalesce(g.closed_index, g.opened_index)
      where g.closed_index is null or (o.at >= ${time(fromMs)} and o.at < ${time(toMs)})
      order by g.closed_index is not null, g.opened_index desc limit 1001`,
  )
  return rows.map((row) => {
    const open = row['closed_index'] === null
    return {
      what: open ? 'gap' : 'late',
      producer: row['producer'],
      count: Number(row['numbers']),
      detail: `${row['epoch']} ${row['first']} to ${row['last']} ${open ? 'did not arrive' : 'arrived later'}`,
      at: row['at'] === null || row['at'] === undefined ? null : isoTime(String(row['at'])),
      shard: row['shard'],
      index: Number(open ? row['opened_index'] : row['closed_index']),
    }
  })
}

/** Runs whose spool did not come back; how many records it held is unknown. */
async function lostRows(db: Db, fromMs: number, toMs: number): Promise<readonly Line[]> {
  const rows = await rowsFrom(
    db,
    sql`select l.*, e.producer, e.last_at from lost_spools l join epochs e on e.epoch = l.epoch
      where l.closed_index is null or (e.last_at >= ${time(fromMs)} and e.last_at < ${time(toMs)})
      order by l.closed_index is not null, l.opened_index desc limit 1001`,
  )
  return rows.map((row) => {
    const open = row['closed_index'] === null
    return {
      what: open ? 'spool lost' : 'spool returned',
      producer: row['producer'],
      count: 1,
      detail: `${row['epoch']} did not end${open ? `: what it made after ${Number(row['next_seq']) - 1} did not arrive` : ', and came back later'}`,
      at: isoTime(String(row['last_at'])),
      shard: row['shard'],
      index: Number(open ? row['opened_index'] : row['closed_index']),
    }
  })
}

async function tailRows(db: Db, fromMs: number, toMs: number): Promise<readonly Line[]> {
  const rows = await rowsFrom(
    db,
    sql`select * from writ_producers where unattested > 0 and last_at >= ${time(fromMs)}
      and last_at < ${time(toMs - tailS * 1000)} order by last_at desc limit 1001`,
  )
  return rows.map((row) => ({
    what: 'no head',
    producer: row['producer'],
    count: Number(row['unattested']),
    detail: `the last records of ${row['epoch']}, which no signed head covers`,
    at: isoTime(String(row['last_at'])),
  }))
}

async function clockRows(db: Db, fromMs: number, toMs: number): Promise<readonly Line[]> {
  const signed = await rowsFrom(
    db,
    sql`select c.shard, c.size - 1 as index, c.at from unnest(${shardList(await shardsOf(db))}) as s(shard)
      cross join lateral (
        select * from checkpoints c where c.shard = s.shard and c.at >= ${time(fromMs)} and c.at < ${time(toMs)}
        order by c.size desc limit ${maxCheckpoints}
      ) c
      order by c.at desc limit ${maxCheckpoints}`,
  )
  const records = await placed(db, signed)
  const byProducer = new Map<string, { readonly off: number; readonly at: string; readonly row: Row }[]>()
  for (const row of signed) {
    const record = records.get(`${row['shard']}/${row['index']}`)
    if (!record) continue
    const at = isoTime(String(row['at']))
    const off = (Date.parse(at) - Date.parse(isoTime(record.at))) / 1000
    const list = byProducer.get(record.producer) ?? []
    list.push({ off, at, row })
    byProducer.set(record.producer, list)
  }
  return [...byProducer].flatMap(([producer, list]): Line[] => {
    const least = list.reduce((a, b) => (b.off < a.off ? b : a))
    const most = list.reduce((a, b) => (b.off > a.off ? b : a)).off
    const at = list.reduce((a, b) => (b.at > a.at ? b : a)).at
    const common = { producer, at, shard: least.row['shard'] }
    const lines: Line[] = []
    if (least.off < -skewS) {
      const detail = `a record is ${spanText(-least.off)} later than the checkpoint over it`
      lines.push({ what: 'clock ahead', count: 1, detail, ...common, index: Number(least.row['index']) })
    }
    if (most > lateS) {
      const detail = `a record is ${spanText(most)} older than the first checkpoint over it`
      lines.push({ what: 'late or behind', count: 1, detail, ...common, index: null, record: null })
    }
    return lines
  })
}

const shardList = (shards: readonly number[]) => sql`${`{${shards.join(',')}}`}::integer[]`

/** Refusals whose sources did not fit the quota, and records that a producer says it did not write. */
async function countedRows(
  db: Db,
  fromMs: number,
  toMs: number,
): Promise<{ readonly rows: readonly Line[]; readonly cut: boolean }> {
  const sums = new Map<string, { others: number; at: string; shard: number; index: number }>()
  let read = 0
  for (const shard of await shardsOf(db)) {
    const found = await rowsFrom(
      db,
      sql`select index from others where shard = ${shard} and kind = 'refusals' and at >= ${time(fromMs)}
        and at < ${time(toMs)} order by index desc limit ${maxLeaves - read}`,
    )
    read += found.length
    const indexes = found.map(({ index }) => Number(index))
    for (let from = 0; from < indexes.length; from += leavesAtOnce) {
      for (const leaf of await readLeaves(db, shard, indexes.slice(from, from + leavesAtOnce))) {
        const event = parseEvent(leaf.bytes)
        const body = ('event' in event ? event.event : {}) as unknown as Json
        const others = isObject(body) ? Number(body['others'] ?? 0) : 0
        if (!isObject(body) || !(others > 0)) continue
        const producer = String(body['producer'])
        const sum = sums.get(producer) ?? { others: 0, at: String(body['timestamp']), shard, index: leaf.index }
        sum.others += others
        sums.set(producer, sum)
      }
    }
  }
  const detail = 'refused strangers whose sources were too many to be named'
  const rows = [...sums].map(([producer, { others, ...sum }]) => ({
    what: 'without source',
    producer,
    count: others,
    detail,
    ...sum,
  }))
  return { rows, cut: read >= maxLeaves }
}
