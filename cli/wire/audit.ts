/** The log of this process as verification and reports take it. */

import { writeFile } from 'node:fs/promises'
import { parseVerifierKey } from '../../audit/log/note.ts'
import { type LogPlace, reportPlace, verifyPlace } from '../../audit/node/examine.ts'
import { formatHtml } from '../../audit/report/html.ts'
import type { Report } from '../../audit/report/report.ts'
import type { Db } from '../../audit/store/schema.ts'
import type { Verification } from '../../audit/verify/verify.ts'
import { verifyHead } from '../../ca/node/heads.ts'
import { WritError } from '../../core/fault.ts'
import { sha256 } from './machine.ts'

export function logPlace(dir: string, verifierKey: string): LogPlace
export function logPlace(dir: string, verifierKey: string, db: Db): LogPlace & { readonly db: Db }
export function logPlace(dir: string, verifierKey: string, db?: Db): LogPlace {
  const key = parseVerifierKey(sha256, verifierKey)
  if (!key) throw new WritError('usage', `${verifierKey} is no verifier key`, { cure: 'give the content of log.pub' })
  return { dir, key, verifyHead, sha256, ...(db && { db }) }
}

export const verifyFolder = async (dir: string, verifierKey: string): Promise<Verification> =>
  (await verifyPlace(logPlace(dir, verifierKey))).verification

/** Verifies and measures the log in one pass, and writes what was found as HTML and JSON. */
export async function writeReports(place: LogPlace, html: string, json: string): Promise<Report> {
  const report = await reportPlace(place, { range: {} })
  await writeFile(html, formatHtml(report))
  await writeFile(json, `${JSON.stringify(report, null, 2)}\n`)
  return report
}
