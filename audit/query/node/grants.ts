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
import { type Found, rowsFrom, time } from './sql.ts'

/** Records of one edge that are read at most. */
const maxRead = 20_000

export async function unusedGrants(db: Db, { bundle, fromMs, toMs }: Asked, data: Json | undefined): Promise<Found> {
  if (data === undefined) {
    throw new WritError('usage', 'this question needs the data of a policy', {
      cure: 'name the policy with --policies DIR and --bundle NAME, or give its data with --data FILE',
    })
  }
  const grants = new Grants(data)
  if (grants.size === 0) {
    throw new WritError('not_found', 'the data of this policy grants nothing that Writ can read', {
      cure: 'edges and roles are read, as `writ policy init` makes them',
    })
  }
  const edges = await rowsFrom(
    db,
    sql`select * from writ_used_edges(${time(fromMs)}, ${time(toMs)}) ${bundle === undefined ? sql`` : sql`where bundle = ${bundle}`}`,
  )
  let partly = 0
  for (const edge of edges) {
    const read = await seeEdge(db, grants, edge as unknown as Edge, fromMs, toMs)
    if (!read) partly++
  }
  const list = grants.list()
  const unused = list.filter(({ count }) => count === 0)
  const notes = [
    `${unused.length} of ${list.length} grants were not used.`,
    ...(partly > 0
      ? [
          `Of ${partly} edges only the newest ${maxRead.toLocaleString('en-US')} decisions were read: an older use is not seen.`,
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

/** True where everything that was allowed on this edge was looked at, or nothing more was to be found. */
async function seeEdge(db: Db, grants: Grants, edge: Edge, fromMs: number, toMs: number): Promise<boolean> {
  const { caller: from, target: to, method } = edge
  const paths = new Set<string>()
  let cursor: Cursor | undefined
  for (let read = 0; read < maxRead; read += maxLimit) {
    if (grants.list().every(({ count }) => count > 0)) return true
    const page = await findDecisions(db, {
      ...{ caller: from, target: to, method, verdict: 'allow', direction: 'inbound', fromMs, toMs, limit: maxLimit },
      ...(cursor && { cursor }),
    })
    for (const { path, time: at } of page.rows) {
      if (path === null || paths.has(path)) continue
      paths.add(path)
      grants.saw({ from, to, method, steps: parsePath(path), time: at })
    }
    if (page.next === null) return true
    cursor = readCursor(page.next)
  }
  return grants.list().every(({ count }) => count > 0)
}

const rowOf = ({ text, at, last }: GrantUse) => ({
  grant: text,
  use: 'never',
  at: `data.${at}`,
  decisions: 0,
  last_at: last,
})
