/** What a running process answers about its log: questions, sums, one record with its proof, reports, checkpoints. */

import { Hono } from 'hono'
import { leafHash } from '../../audit/log/merkle.ts'
import { formatVerifierKey } from '../../audit/log/note.ts'
import { formatReceipt } from '../../audit/log/receipt.ts'
import type { LogPlace } from '../../audit/node/examine.ts'
import { sourcesIn } from '../../audit/node/logfolder.ts'
import { maxLimit, readQuestion } from '../../audit/query/ask.ts'
import { parseMoment } from '../../audit/query/moment.ts'
import { counts, edges } from '../../audit/query/node/edges.ts'
import { findDecisions, latest } from '../../audit/query/node/find.ts'
import { findLeaf } from '../../audit/query/node/leaf.ts'
import { decisionLeaves } from '../../audit/query/node/leaves.ts'
import { compliancePage } from '../../audit/report/formats/page.ts'
import { fromUtf8, toHex } from '../../core/bytes.ts'
import type { ComplianceReport } from '../../core/compliance.ts'
import { WritError } from '../../core/fault.ts'
import type { FindReceipt } from '../../core/ports.ts'
import { parseDecisionId } from '../../core/record.ts'
import { pairsOf, readingRoutes } from './audit-reading.ts'
import type { DoorApp, DoorEnv } from './http.ts'

/** Default: every check, everybody, from the first entry to now. Times in milliseconds since 1970. */
export type MakeReport = (question: {
  readonly framework?: string | undefined
  readonly scope?: string | undefined
  readonly fromMs?: number | undefined
  readonly toMs?: number | undefined
}) => Promise<ComplianceReport>

export interface AuditDeps {
  /** The log folder, its key, and the store's tables. */
  readonly place: LogPlace & { readonly db: NonNullable<LogPlace['db']> }
  readonly findReceipt: FindReceipt
  readonly report: MakeReport
  readonly nowMs: () => number
  /** Who asks, as it is kept of saved questions. Default `operator`. */
  readonly actor?: string
}

const quarterHourMs = 900_000

export function auditRoutes({ place, findReceipt, report, nowMs, actor = 'operator' }: AuditDeps): DoorApp {
  const app: DoorApp = new Hono<DoorEnv>()
  app.route('/', readingRoutes({ db: place.db, actor, nowMs }))
  const { db } = place
  let reporting = false

  app.get('/v1/audit/latest', async (c) => {
    const { limit } = readQuestion(pairsOf(c.req.url), nowMs())
    return c.json({ rows: await latest(db, Math.min(limit ?? 50, maxLimit)) })
  })

  // Leaves as they are in the log, a line each; the last line says where to read on, and its lack that something was cut.
  app.get('/v1/audit/decisions', async (c) => {
    const { leaves, next } = await decisionLeaves(db, readQuestion(pairsOf(c.req.url), nowMs()))
    const lines = [...leaves.map(({ bytes }) => fromUtf8(bytes)), JSON.stringify({ next })]
    return c.body(`${lines.join('\n')}\n`, 200, { 'content-type': 'application/x-ndjson' })
  })

  app.get('/v1/audit/edges', async (c) => {
    const now = nowMs()
    const { fromMs = now - quarterHourMs, toMs = now } = readQuestion(pairsOf(c.req.url), now)
    return c.json({ fromMs, toMs, edges: await edges(db, fromMs, toMs), counts: await counts(db, fromMs) })
  })

  app.get('/v1/audit/record/:id', async (c) => {
    const id = c.req.param('id')
    const parsed = parseDecisionId(id)
    const leaf = parsed && (await findLeaf(db, parsed))
    if (!parsed || !leaf) {
      throw new WritError('not_found', `no record ${id} in this log`, {
        cure: 'ids are printed by `writ audit query`; a new record takes a moment to arrive',
      })
    }
    const { rows } = await findDecisions(db, { id, limit: 1 })
    const receipt = await findReceipt(parsed)
    return c.json({
      row: rows[0] ?? null,
      shard: leaf.shard,
      index: leaf.index,
      hash: toHex(leafHash(place.sha256, leaf.bytes)),
      event: JSON.parse(fromUtf8(leaf.bytes)),
      receipt: receipt ? { index: receipt.index, path: receipt.path.map(toHex), note: receipt.note } : null,
    })
  })

  app.get('/v1/audit/record/:id/proof', async (c) => {
    const id = c.req.param('id')
    const parsed = parseDecisionId(id)
    const receipt = parsed && (await findReceipt(parsed))
    if (!receipt) {
      throw new WritError('not_found', `no checkpoint covers a record ${id}`, {
        cure: 'one is signed each second; ids are printed by `writ audit query`',
      })
    }
    return c.body(formatReceipt(receipt), 200, { 'content-type': 'text/plain; charset=utf-8' })
  })

  app.get('/v1/report', async (c) => {
    const query = new Map(pairsOf(c.req.url))
    const unknown = [...query.keys()].find((name) => !['framework', 'scope', 'from', 'to', 'format'].includes(name))
    if (unknown !== undefined) throw new WritError('usage', `${unknown} is not something a report takes`)
    const now = nowMs()
    const momentOf = (name: string) => (query.has(name) ? parseMoment(query.get(name)!, now, name) : undefined)
    const fromMs = momentOf('from')
    const toMs = momentOf('to')
    // One at a time: each reads the whole log.
    if (reporting)
      throw new WritError('unavailable', 'a report is being made already', { cure: 'try again in a moment' })
    reporting = true
    try {
      const made = await report({ framework: query.get('framework'), scope: query.get('scope'), fromMs, toMs })
      return query.get('format') === 'html' ? c.html(compliancePage(made)) : c.json(made)
    } finally {
      reporting = false
    }
  })

  app.get('/v1/checkpoint', async (c) => {
    const shards = await sourcesIn(place.dir)
    const checkpoints = await Promise.all(
      shards.map(async ({ shard, read }) => {
        const note = await read('checkpoint')
        return note ? { shard, note: fromUtf8(note) } : undefined
      }),
    )
    return c.json({ verifierKey: formatVerifierKey(place.key), checkpoints: checkpoints.filter(Boolean) })
  })

  return app
}
