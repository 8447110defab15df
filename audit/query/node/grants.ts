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
import { type Cursor, readCursor } from '../ask.ts'
import type { Asked } from '../questions.ts'
import { findDecisions, isoTime } from './find.ts'
import { placed } from './placed.ts'
import { type Found, rowsFrom, time } from './sql.ts'

/** Records that are read at most, of all edges together, and at once. */
const maxRead = 2000
const pageRows = 200

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
  const last = await placed(db, edges)
  for (const edge of edges) {
    const record = last.get(`${edge['shard']}/${edge['index']}`)
    if (record) see(grants, edge as unknown as Edge, record.path, isoTime(record.at))
  }
  const partly = await readOpen(db, grants, edges as readonly unknown[] as readonly Edge[], fromMs, toMs)
  const list = grants.list()
  const unused = list.filter(({ count }) => count === 0)
  const notes = [
    `${unused.length} of ${list.length} grants were not used.`,
    ...(partly > 0
      ? [
          `Of ${partly} edges only the newest decisions were read, and the last: an older use by another path is not seen.`,
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

/**
 * Reads decisions of the edges that a grant without a use could be of, a page of each in turn, until all were seen or
 * enough were read; gives how many edges were not read to their end.
 */
async function readOpen(db: Db, grants: Grants, edges: readonly Edge[], fromMs: number, toMs: number): Promise<number> {
  const cursors = new Map<Edge, Cursor | undefined>(edges.map((edge) => [edge, undefined]))
  const paths = new Set<string>()
  for (let read = 0; read < maxRead; ) {
    const open = [...cursors].filter(([edge]) => isOpen(grants, edge))
    if (open.length === 0) return 0
    for (const [edge, cursor] of open) {
      if (read >= maxRead) break
      const { caller, target, method } = edge
      const page = await findDecisions(db, {
        ...{ caller, target, method, verdict: 'allow', direction: 'inbound', fromMs, toMs, limit: pageRows },
        ...(cursor && { cursor }),
      })
      read += pageRows
      for (const { path, time: at } of page.rows) {
        const one = JSON.stringify([caller, target, method, path])
        if (!paths.has(one)) see(grants, edge, path, at)
        paths.add(one)
      }
      if (page.next === null) cursors.delete(edge)
      else cursors.set(edge, readCursor(page.next))
    }
  }
  return [...cursors.keys()].filter((edge) => isOpen(grants, edge)).length
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
