/**
 * Grants of a policy's data that nobody used. Sums say who called what by which method, and that is enough for most;
 * where grants differ by path alone, the paths of records are read, newest first, until each grant had its use or enough
 * was read.
 */

import { WritError } from '../../../core/fault.ts'
import { parsePath } from '../../../core/input.ts'
import type { Json } from '../../../core/json.ts'
import { isNamed } from '../../../core/spiffe.ts'
import { Grants, type GrantUse } from '../../replay/grants.ts'
import { sql } from '../../store/drizzle.ts'
import type { Db } from '../../store/schema.ts'
import type { Asked } from '../questions.ts'
import { isoTime, shardsOf } from './find.ts'
import { placed } from './placed.ts'
import { unusedRules } from './rules.ts'
import { type Found, rowsFrom, time } from './sql.ts'
import { timesOf, windowOf } from './windows.ts'

/** Leaves among which uses are looked for, the newest; at first so many together, then twice as many, and no more than this. */
const maxLeaves = 1_000_000
const firstWidth = 65_536
const widest = 262_144
/** Paths of open edges that are taken in at once. */
const maxPaths = 50_000

/** Grants of the data, and, of one caller or for rules that are named, rules that stand in reasons. */
export async function unusedGrants(db: Db, asked: Asked, data: Json | undefined): Promise<Found> {
  const { caller, rules } = asked
  const byRule = caller !== undefined || rules !== undefined
  if (data === undefined && !byRule) {
    throw new WritError('usage', 'this question needs the data of a policy, or rules by name', {
      cure: 'name the policy with --policies DIR and --bundle NAME, or give its data with --data FILE, or rules with --rule',
    })
  }
  const grants = new Grants(data ?? null)
  const ofRules = byRule ? await unusedRules(db, asked) : { rows: [], notes: [] }
  if (grants.size > 0) {
    const ofData = await unusedOf(db, asked, grants)
    return { rows: [...ofData.rows, ...ofRules.rows], notes: [...(ofData.notes ?? []), ...(ofRules.notes ?? [])] }
  }
  if (!byRule) {
    throw new WritError('not_found', 'the data of this policy grants nothing that Writ can read', {
      cure: 'edges and roles are read, as `writ policy init` makes them',
    })
  }
  return ofRules
}

async function unusedOf(db: Db, asked: Asked, grants: Grants): Promise<Found> {
  const { bundle, caller, fromMs, toMs } = asked
  const all = await rowsFrom(
    db,
    sql`select * from writ_used_edges(${time(fromMs)}, ${time(toMs)}) ${bundle === undefined ? sql`` : sql`where bundle = ${bundle}`}`,
  )
  const edges = (all as unknown as readonly Edge[]).filter(
    (edge) => caller === undefined || isNamed(edge.caller, caller),
  )
  const last = await placed(db, edges)
  for (const edge of edges) {
    const record = last.get(`${edge.shard}/${edge.index}`)
    if (record) see(grants, edge, record.path, isoTime(record.at))
  }
  const { partly, pathless } = await readOpen(db, grants, edges, asked)
  const list = grants.list(caller)
  const unused = list.filter(({ count }) => count === 0)
  const notes = [
    `${unused.length} of ${list.length} grants were not used${caller === undefined ? '' : ` by ${caller}`}.`,
    ...(partly > 0
      ? [
          `Of ${partly} edges only the newest decisions were read, and the last: an older use by another path is not seen.`,
        ]
      : []),
    ...(pathless > 0
      ? [
          `Of ${pathless.toLocaleString('en-US')} decisions the path is not in the record: what is shown may have been used by them.`,
        ]
      : []),
    'Edges that would have been enough for what was used: writ policy suggest --help',
  ]
  return { rows: unused.map(rowOf), notes }
}

type Edge = {
  readonly caller: string
  readonly target: string
  readonly method: string
  /** Where the last of its decisions is. */
  readonly shard: number
  readonly index: string
}

/**
 * Reads decisions of the edges that a grant without a use could be of, newest first and of all of them together, until each
 * grant had its use or enough was read. Gives how many edges were not read to their end, and how many decisions have no path.
 */
async function readOpen(
  db: Db,
  grants: Grants,
  edges: readonly Edge[],
  asked: Pick<Asked, 'bundle' | 'fromMs' | 'toMs'>,
): Promise<{ readonly partly: number; readonly pathless: number }> {
  // By whatever policy it was allowed.
  const once = [
    ...new Map(edges.map((edge) => [JSON.stringify([edge.caller, edge.target, edge.method]), edge])).values(),
  ]
  let [left, pathless] = [maxLeaves, 0]
  for (const shard of await shardsOf(db)) {
    const { low, high } = await windowOf(db, shard, asked, undefined)
    for (let [top, width] = [high, firstWidth]; top > low; width = Math.min(2 * width, widest)) {
      const open = once.filter((edge) => isOpen(grants, edge))
      if (open.length === 0) return { partly: 0, pathless }
      const bottom = Math.max(low, top - Math.min(width, left))
      const paths = left > 0 ? await pathsIn(db, shard, { first: bottom, last: top - 1 }, open, asked) : undefined
      if (!paths || paths.length > maxPaths) return { partly: open.length, pathless }
      for (const { edge, path, count, at } of paths) {
        if (path === null) pathless += count
        see(grants, edge, path, at)
      }
      left -= top - bottom
      top = bottom
    }
  }
  return { partly: 0, pathless }
}

/** What of some edges was asked for within those indexes: each path once, with its last use. At most one more than `maxPaths`. */
async function pathsIn(
  db: Db,
  shard: number,
  { first, last }: { readonly first: number; readonly last: number },
  open: readonly Edge[],
  { bundle, fromMs, toMs }: Pick<Asked, 'bundle' | 'fromMs' | 'toMs'>,
): Promise<
  readonly { readonly edge: Edge; readonly path: string | null; readonly count: number; readonly at: string }[]
> {
  const times = await timesOf(db, shard, first, last)
  if (!times) return []
  const [from, to, until] = [Math.max(times.fromMs, fromMs), times.toMs, toMs].map((ms) => time(ms))
  const wanted = JSON.stringify(open.map(({ caller, target, method }, edge) => ({ edge, caller, target, method })))
  // Shapes and callers first, and each by its number: rows are many, and all that is asked of one is whether it is of these.
  const rows = await rowsFrom(
    db,
    sql`with wanted as materialized (
        select w.edge, s.id as shape, n.id as caller
        from json_to_recordset(${wanted}::json) as w(edge integer, caller text, target text, method text)
          join shapes s on s.kind = 'decision' and s.verdict = 'allow' and s.direction = 'inbound'
            and s.enforced is not false and coalesce(s.target, '') = w.target and coalesce(s.method, '') = w.method
            ${bundle === undefined ? sql`` : sql`and s.bundle = ${bundle}`}
          join names n on n.name = w.caller
      )
      select w.edge, r.path, count(*)::integer as count, max(r.at)::timestamptz as at
      from rows r join wanted w on w.shape = r.shape and w.caller = r.caller
      where r.shard = ${shard} and r.index between ${first} and ${last}
        and r.at >= ${from} and r.at <= ${to} and r.at < ${until}
      group by 1, 2 limit ${maxPaths + 1}`,
  )
  return rows.map(({ edge, path, count, at }) => ({
    ...{ edge: open[Number(edge)]!, path: path as string | null, count: Number(count), at: isoTime(String(at)) },
  }))
}

const isOpen = (grants: Grants, { caller: from, target: to, method }: Edge): boolean =>
  grants.isOpen({ from, to, method })

function see(grants: Grants, { caller: from, target: to, method }: Edge, path: string | null, at: string): void {
  if (path !== null) grants.saw({ from, to, method, steps: parsePath(path), time: at })
}

const rowOf = ({ text, at, last }: GrantUse) => ({
  grant: text,
  use: 'never',
  at: `data.${at}`,
  decisions: 0,
  last_at: last,
})
