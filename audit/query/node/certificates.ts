/**
 * Certificates in use: how old they were, how long they still had, and who used one. What they say of themselves stands in
 * the records of their issuance, or else in that of their last call.
 */

import { isObject, type Json } from '../../../core/json.ts'
import { parseEvent } from '../../../core/record.ts'
import { sql } from '../../store/drizzle.ts'
import { readLeaves } from '../../store/leaves.ts'
import type { Db } from '../../store/schema.ts'
import type { Asked } from '../questions.ts'
import { isoTime, shardsOf } from './find.ts'
import { type Found, type Row, rowsFrom, time } from './sql.ts'

/** Certificates that are looked at. */
const maxSerials = 1000
const leavesAtOnce = 250
/** Records of issuance that are read, the newest. */
const maxIssued = 4000
/** A certificate that is in use was issued so long before at most, in milliseconds. */
const issuedBeforeMs = 7 * 86_400_000

export async function certificates(db: Db, { fromMs, toMs, limit }: Asked): Promise<Found> {
  const uses = await usesOf(db, fromMs, toMs)
  const looked = uses.slice(0, maxSerials)
  const events = await issuances(db, fromMs - issuedBeforeMs, toMs, maxIssued)
  const issued = bySerial(events)
  const unknown = issued.size === 0 || events.length >= maxIssued
  const lives = await livesOf(
    db,
    looked.filter(({ serial }) => !issued.has(String(serial))),
  )
  const rows = looked.map((use) => {
    const certificate = issued.get(String(use['serial']))
    const life = certificate
      ? lifeOf(certificate, isoTime(String(use['last_at'])))
      : lives.get(`${use['shard']}/${use['index']}`)
    return { ...use, ...life, issued: certificate ? 'yes' : unknown ? 'unknown' : 'no' }
  })
  const shared = rows.filter((row) => Number((row as Row)['callers']) > 1).length
  const notes = ['Of each certificate the last call is looked at, and how old it was then.']
  if (uses.length > maxSerials) notes.push(`Only the newest ${maxSerials} certificates were looked at.`)
  if (shared > 0) notes.push(`${shared} serials were used in more than one name.`)
  // Those with the least life left first: whoever renews too late stands on top.
  rows.sort((a, b) => left(a) - left(b))
  return { rows: rows.slice(0, limit + 1), notes }
}

/**
 * The newest certificates, each with its last call. As `writ_serials`, but summed by numbers before names are looked for: of
 * four weeks there are as many sums as hours of use, and few certificates.
 */
async function usesOf(db: Db, fromMs: number, toMs: number): Promise<readonly Row[]> {
  const [since, until] = [time(fromMs - (fromMs % hourMs)), time(toMs)]
  return rowsFrom(
    db,
    sql`with used as materialized (
        select c.shard, c.caller, c.peer, max(c.at) as at, max(c.index) as index
        from (
          select shard, caller, peer, last_at as at, last_index as index from rollup_peers
          where hour >= ${since} and hour < ${until}
          union all
          select r.shard, r.caller, r.peer, r.at, r.index
          from writ_new_rows() r join shapes s on s.id = r.shape and s.kind = 'decision'
          where r.at >= ${since} and r.at < ${until}
        ) c group by 1, 2, 3
      )
      select p.serial, min(n.name) as caller, count(distinct n.name)::integer as callers,
        count(distinct p.source_address)::integer as addresses, max(u.at) as last_at,
        (array_agg(u.shard order by u.at desc))[1] as shard, (array_agg(u.index order by u.at desc))[1] as index
      from used u join peers p on p.id = u.peer join names n on n.id = u.caller
      where p.serial <> '' and n.name <> ''
      group by p.serial order by max(u.at) desc limit ${maxSerials + 1}`,
  )
}

const hourMs = 3_600_000

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
        const life = lifeIn(leaf.bytes)
        if (life) lives.set(`${shard}/${leaf.index}`, life)
      }
    }
  }
  return lives
}

function lifeIn(bytes: Uint8Array): Life | undefined {
  const read = parseEvent(bytes)
  if (!('event' in read)) return undefined
  const { peer } = read.event as unknown as { readonly peer?: Json }
  return isObject(peer) ? lifeOf(peer, read.event.timestamp) : undefined
}

/** Of what names its times as records of peers and of issuance do. */
function lifeOf(certificate: { readonly [member: string]: Json | undefined }, time: string): Life | undefined {
  const [from, to] = [Date.parse(String(certificate['not_before'])), Date.parse(String(certificate['not_after']))]
  const at = Date.parse(time)
  if (Number.isNaN(from) || Number.isNaN(to)) return undefined
  return { oldest: (at - from) / 1000, remaining: (to - at) / 1000, lifetime: (to - from) / 1000 }
}

/** None where the log has no issuance, as with certificates of another issuer. */
const bySerial = (events: readonly Members[]): ReadonlyMap<string, Members> =>
  new Map(events.flatMap((event) => (typeof event['serial'] === 'string' ? [[event['serial'], event]] : [])))

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
      sql`select index from others where shard = ${shard} and kind = 'issuance'
        and at >= ${time(sinceMs)} and at < ${time(untilMs)} order by index desc limit ${most}`,
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
