/** The console page over the log of this process. */

import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { Hono } from 'hono'
import { parseCheckpoint } from '../../audit/log/checkpoint.ts'
import { leafHash } from '../../audit/log/merkle.ts'
import { formatReceipt } from '../../audit/log/receipt.ts'
import { tileReader } from '../../audit/node/folder.ts'
import { counts, edges } from '../../audit/query/node/edges.ts'
import { findDecisions } from '../../audit/query/node/find.ts'
import { findLeaf } from '../../audit/query/node/leaf.ts'
import { shownField } from '../../audit/query/sealed.ts'
import { compliancePage } from '../../audit/report/formats/page.ts'
import { checksPage } from '../../console/checks.ts'
import type { ConsoleData, ConsoleRecord } from '../../console/data.ts'
import { mainPage, recordPage } from '../../console/page.ts'
import type { MakeReport } from '../../control/node/audit-routes.ts'
import type { DoorApp, DoorEnv } from '../../control/node/http.ts'
import { fromUtf8, toBase64, toHex } from '../../core/bytes.ts'
import { WritError } from '../../core/fault.ts'
import { originOf } from '../../core/log.ts'
import { parseDecisionId } from '../../core/record.ts'
import type { MeshSnapshot } from '../../core/snapshot.ts'
import type { StatusAnswer } from './compliance-watch.ts'
import type { Log } from './log.ts'
import { sha256 } from './machine.ts'

/** What the edges are counted over, in milliseconds. */
const windowMs = 5 * 60_000

export function pageRoutes(
  log: Log,
  logDir: string,
  report: MakeReport,
  status: () => Promise<StatusAnswer>,
  mesh: () => MeshSnapshot,
  nowMs: () => number,
): DoorApp {
  const app: DoorApp = new Hono<DoorEnv>()
  app.get('/', async (c) => c.html(await mainPage(await pageData(log, mesh(), logDir, nowMs()))))
  app.get('/record/:id', async (c) => c.html(await recordPage(await recordOf(log, c.req.param('id')))))
  app.get('/checks', async (c) => c.html(await checksPage(await status())))
  app.get('/report', async (c) => c.html(compliancePage(await report({}))))
  return app
}

export async function pageData(log: Log, mesh: MeshSnapshot, logDir: string, nowMs: number): Promise<ConsoleData> {
  const { db } = log.store
  const [sums, pairs, answer, checkpoint] = await Promise.all([
    counts(db),
    edges(db, nowMs - windowMs, nowMs),
    findDecisions(db, { limit: 40, direction: 'inbound' }),
    checkpointOf(join(logDir, '0'), originOf(mesh.trustDomain, 0)),
  ])
  return {
    trustDomain: mesh.trustDomain,
    cluster: mesh.cluster,
    at: new Date(nowMs).toISOString(),
    counts: { allow: sums.allowed, deny: sums.denied, fault: sums.faults },
    checkpoint,
    edges: pairs.map((edge) => ({
      ...edge,
      caller: edge.caller ?? '',
      p50Ms: edge.p50Ms ?? undefined,
      p95Ms: edge.p95Ms ?? undefined,
    })),
    latest: answer.rows.map((row) => ({
      id: row.id,
      index: row.index,
      at: row.time,
      caller: row.caller ?? '',
      target: row.target ?? '',
      method: row.method ?? '',
      path: row.path ?? shownField(row, 'path') ?? '',
      verdict: row.verdict,
      code: row.code,
      reasons: row.reasons,
      status: row.status ?? undefined,
      covered: row.covered,
    })),
  }
}

async function checkpointOf(dir: string, origin: string): Promise<ConsoleData['checkpoint']> {
  const note = await tileReader(dir)('checkpoint')
  const checkpoint = note && parseCheckpoint(noteText(fromUtf8(note)))
  if (!checkpoint || checkpoint.origin !== origin) return undefined
  const { mtime } = await stat(join(dir, 'checkpoint'))
  return { origin, size: checkpoint.size, root: toBase64(checkpoint.root), at: mtime.toISOString() }
}

/** A signed note without its signatures (C2SP signed-note). */
const noteText = (note: string): string => note.slice(0, note.indexOf('\n\n') + 1)

async function recordOf(log: Log, id: string): Promise<ConsoleRecord> {
  const parsed = parseDecisionId(id)
  const found = parsed && (await findLeaf(log.store.db, parsed))
  if (!found || !parsed) throw new WritError('not_found', `the log has no record ${id}`)
  const receipt = await log.auditor.findReceipt(parsed)
  return {
    id,
    index: found.index,
    leaf: JSON.stringify(JSON.parse(fromUtf8(found.bytes)), null, 2),
    hash: toHex(leafHash(sha256, found.bytes)),
    proof: receipt && formatReceipt(receipt),
  }
}
