/**
 * Grants of a policy's data that nobody used. Sums say who called what by which method, and that is enough for most;
 * where grants differ by path alone, records are read, newest first, until each was seen or enough were read.
 */

import { WritError } from '../../../core/fault.ts'
import { parsePath } from '../../../core/input.ts'
import type { Json } from '../../../core/json.ts'
import { isNamed } from '../../../core/spiffe.ts'
import { Grants, type GrantUse } from '../../replay/grants.ts'
import { sql } from '../../store/drizzle.ts'
import type { Db } from '../../store/schema.ts'
import { type Cursor, readCursor } from '../ask.ts'
import type { Asked } from '../questions.ts'
import { findDecisions, isoTime } from './find.ts'
import { placed } from './placed.ts'
import { unusedRules } from './rules.ts'
import { type Found, rowsFrom, time } from './sql.ts'

/** Records that are read at most, of all edges together, and at once. */
const maxRead = 2000
const pageRows = 200

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
 * Reads decisions of the edges that a grant without a use could be of, a page of each in turn, until all were seen or
 * enough were read. Gives how many edges were not read to their end, and how many decisions have no path.
 */
async function readOpen(
  db: Db,
  grants: Grants,
  edges: readonly Edge[],
  { bundle, fromMs, toMs }: Pick<Asked, 'bundle' | 'fromMs' | 'toMs'>,
): Promise<{ readonly partly: number; readonly pathless: number }> {
  const cursors = new Map<Edge, Cursor | undefined>(edges.map((edge) => [edge, undefined]))
  const paths = new Set<string>()
  let pathless = 0
  for (let read = 0; read < maxRead; ) {
    const open = [...cursors].filter(([edge]) => isOpen(grants, edge))
    if (open.length === 0) return { partly: 0, pathless }
    for (const [edge, cursor] of open) {
      if (read >= maxRead) break
      const { caller, target, method } = edge
      const page = await findDecisions(db, {
        ...{ caller, target, method, verdict: 'allow', direction: 'inbound', fromMs, toMs, limit: pageRows },
        ...(bundle !== undefined && { bundle }),
        ...(cursor && { cursor }),
      })
      read += pageRows
      for (const { path, time: at } of page.rows) {
        if (path === null) pathless++
        const one = JSON.stringify([caller, target, method, path])
        if (!paths.has(one)) see(grants, edge, path, at)
        paths.add(one)
      }
      if (page.next === null) cursors.delete(edge)
      else cursors.set(edge, readCursor(page.next))
    }
  }
  return { partly: [...cursors.keys()].filter((edge) => isOpen(grants, edge)).length, pathless }
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
