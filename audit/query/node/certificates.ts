/**
 * Certificates in use: how old they were, how long they still had, and who used one. Sums do not name certificates, so
 * those at the first and last call of each hour, caller and operation are read; what they say of themselves stands in
 * their records.
 */

import { sql } from 'drizzle-orm'
import { isObject, type Json } from '../../../core/json.ts'
import { parseEvent } from '../../../core/record.ts'
import { readLeaves } from '../../store/leaves.ts'
import { type Db, records } from '../../store/schema.ts'
import type { Asked } from '../questions.ts'
import { shardsOf } from './find.ts'
import { type Found, type Row, rowsFrom, time } from './sql.ts'

/** Certificates that are looked at, each in the first and the last of its records that were read. */
const maxSerials = 1000
const leavesAtOnce = 250
/** A certificate that is in use was issued so long before at most, in milliseconds. */
const issuedBeforeMs = 7 * 86_400_000

export async function certificates(db: Db, { fromMs, toMs, limit }: Asked): Promise<Found> {
  const uses = await rowsFrom(
    db,
    sql`select serial, min(caller) as caller, count(distinct caller)::integer as callers,
        count(distinct source_address)::integer as addresses, max(at) as last_at,
        (array_agg(shard order by at desc))[1] as shard, (array_agg(index order by at desc))[1] as index,
        count(*)::integer as read
      from writ_serials(${time(fromMs)}, ${time(toMs)}) group by serial order by max(at) desc limit ${maxSerials + 1}`,
  )
  const looked = uses.slice(0, maxSerials)
  const lives = await livesOf(db, looked)
  const issued = await issuedSerials(db, fromMs - issuedBeforeMs, toMs)
  const rows = looked.map((use) => {
    const life = lives.get(`${use['shard']}/${use['index']}`)
    return {
      ...use,
      ...life,
      issued: issued === undefined ? 'unknown' : issued.has(String(use['serial'])) ? 'yes' : 'no',
    }
  })
  const shared = rows.filter((row) => Number((row as Row)['callers']) > 1).length
  const notes = ['Read at the first and the last call of each hour, caller, operation and verdict: not at every call.']
  if (uses.length > maxSerials) notes.push(`Only the newest ${maxSerials} certificates were looked at.`)
  if (shared > 0) notes.push(`${shared} serials were used in more than one name.`)
  // Those with the least life left first: whoever renews too late stands on top.
  rows.sort((a, b) => left(a) - left(b))
  return { rows: rows.slice(0, limit + 1), notes }
}

const left = (row: Row): number => (typeof row['remaining'] === 'number' ? row['remaining'] : Number.POSITIVE_INFINITY)

interface Life {
  /** Seconds. */
  readonly oldest: number
  readonly remaining: number
  readonly lifetime: number
}

/** How old each was at its last use, and what it had left then. */
async function livesOf(db: Db, uses: readonly Row[]): Promise<ReadonlyMap<string, Life>> {
  const lives = new Map<string, Life>()
  const byShard = new Map<number, number[]>()
  for (const { shard, index } of uses) {
    const list = byShard.get(Number(shard)) ?? []
    list.push(Number(index))
    byShard.set(Number(shard), list)
  }
  for (const [shard, indexes] of byShard) {
    for (let from = 0; from < indexes.length; from += leavesAtOnce) {
      for (const leaf of await readLeaves(db, shard, indexes.slice(from, from + leavesAtOnce))) {
        const life = lifeOf(leaf.bytes)
        if (life) lives.set(`${shard}/${leaf.index}`, life)
      }
    }
  }
  return lives
}

function lifeOf(bytes: Uint8Array): Life | undefined {
  const read = parseEvent(bytes)
  if (!('event' in read)) return undefined
  const { peer } = read.event as unknown as { readonly peer?: Json }
  if (!isObject(peer)) return undefined
  const [from, to] = [Date.parse(String(peer['not_before'])), Date.parse(String(peer['not_after']))]
  const at = Date.parse(read.event.timestamp)
  if (Number.isNaN(from) || Number.isNaN(to)) return undefined
  return { oldest: (at - from) / 1000, remaining: (to - at) / 1000, lifetime: (to - from) / 1000 }
}

/** Issuance as the log has it; undefined where it has none, as with certificates of another issuer. */
async function issuedSerials(db: Db, sinceMs: number, untilMs: number): Promise<ReadonlySet<string> | undefined> {
  const serials = new Set<string>()
  for (const event of await issuances(db, sinceMs, untilMs))
    if (typeof event['serial'] === 'string') serials.add(event['serial'])
  return serials.size > 0 ? serials : undefined
}

export type Members = { readonly [member: string]: Json | undefined }

/** What control recorded of identities, newest first and at most so many. */
export async function issuances(
  db: Db,
  sinceMs: number,
  untilMs: number,
  most: number = 10_000,
): Promise<readonly (Members & { shard: number; index: number })[]> {
  const found: (Members & { shard: number; index: number })[] = []
  for (const shard of await shardsOf(db)) {
    const rows = await rowsFrom(
      db,
      sql`select ${records.index} as index from ${records} where ${records.shard} = ${shard} and ${records.kind} = 'issuance'
        and ${records.at} >= ${time(sinceMs)} and ${records.at} < ${time(untilMs)}
        order by ${records.index} desc limit ${most}`,
    )
    const indexes = rows.map(({ index }) => Number(index))
    for (let from = 0; from < indexes.length; from += leavesAtOnce) {
      for (const leaf of await readLeaves(db, shard, indexes.slice(from, from + leavesAtOnce))) {
        const read = parseEvent(leaf.bytes)
        if ('event' in read) found.push({ ...(read.event as unknown as Members), shard, index: leaf.index })
      }
    }
  }
  return found
}
