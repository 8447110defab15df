/**
 * Grants of a policy's data that nobody used. Sums say who called what by which method, and that is enough for most;
 * where grants differ by path alone, records are read, newest first, until each was seen or enough were read.
 */

import { sql } from 'drizzle-orm'
import { WritError } from '../../../core/fault.ts'
import { parsePath } from '../../../core/input.ts'
import type { Json } from '../../../core/json.ts'
import { Grants, type GrantUse } from '../../replay/grants.ts'
import type { Db } from '../../store/schema.ts'
import { type Cursor, maxLimit, readCursor } from '../ask.ts'
import type { Asked } from '../questions.ts'
import { findDecisions } from './find.ts'
import { unusedRules } from './rules.ts'
import { type Found, rowsFrom, time } from './sql.ts'

/** Records of one edge that are read at most. */
const maxRead = 20_000

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
  let [partly, pathless] = [0, 0]
  for (const edge of edges) {
    const seen = await seeEdge(db, grants, edge, asked)
    if (!seen.whole) partly++
    pathless += seen.pathless
  }
  const list = grants.list(caller)
  const unused = list.filter(({ count }) => count === 0)
  const notes = [
    `${unused.length} of ${list.length} grants were not used${caller === undefined ? '' : ` by ${caller}`}.`,
    ...(partly > 0
      ? [
          `Of ${partly} edges only the newest ${maxRead.toLocaleString('en-US')} decisions were read: an older use is not seen.`,
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

interface Edge {
  readonly caller: string
  readonly target: string
  readonly method: string
}

/** `whole` where everything that was allowed on this edge was looked at, or nothing more was to be found. */
async function seeEdge(
  db: Db,
  grants: Grants,
  edge: Edge,
  { bundle, fromMs, toMs }: Pick<Asked, 'bundle' | 'fromMs' | 'toMs'>,
): Promise<{ readonly whole: boolean; readonly pathless: number }> {
  const { caller: from, target: to, method } = edge
  const paths = new Set<string>()
  let pathless = 0
  const allUsed = (): boolean => grants.list().every(({ count }) => count > 0)
  let cursor: Cursor | undefined
  for (let read = 0; read < maxRead; read += maxLimit) {
    if (allUsed()) return { whole: true, pathless }
    const page = await findDecisions(db, {
      ...{ caller: from, target: to, method, verdict: 'allow', direction: 'inbound', fromMs, toMs, limit: maxLimit },
      ...(bundle !== undefined && { bundle }),
      ...(cursor && { cursor }),
    })
    for (const { path, time: at } of page.rows) {
      if (path === null) pathless++
      if (path === null || paths.has(path)) continue
      paths.add(path)
      grants.saw({ from, to, method, steps: parsePath(path), time: at })
    }
    if (page.next === null) return { whole: true, pathless }
    cursor = readCursor(page.next)
  }
  return { whole: allUsed(), pathless }
}

const isNamed = (id: string, name: string): boolean => id === name || id.endsWith(`/${name}`)

const rowOf = ({ text, at, last }: GrantUse) => ({
  grant: text,
  use: 'never',
  at: `data.${at}`,
  decisions: 0,
  last_at: last,
})
