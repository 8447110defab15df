/** `writ report [FRAMEWORK]`: one gathering, and all its files in a folder that is signed. */

import { existsSync } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parseMoment } from '../audit/query/moment.ts'
import type { ReportWork } from '../audit/report/compliance.ts'
import type { Pin } from '../audit/report/pinned.ts'
import { type ComplianceReport, complianceVersion } from '../core/compliance.ts'
import { messageOf, WritError } from '../core/fault.ts'
import { openPlace, type PlaceOptions } from './place.ts'
import { tellOfReport } from './report-entry.ts'
import { countShown } from './wire/progress.ts'

export interface FrameworkOptions extends PlaceOptions {
  readonly from?: string
  readonly to?: string
  readonly scope?: string
  readonly declared?: string
  readonly checks?: string
  readonly frameworks?: string
  readonly at?: string
  readonly previous?: string
  readonly seed?: string
  readonly signKey?: string
  readonly by?: string
  readonly out?: string
  readonly evidence?: boolean
  readonly fresh?: boolean
  readonly pdf?: boolean
  readonly json?: boolean
  readonly threads?: number
}

export async function reportOn(framework: string, options: FrameworkOptions): Promise<void> {
  const nowMs = Date.now()
  if (options.seed !== undefined && !/^[0-9a-f]{16}$/.test(options.seed)) {
    throw new WritError('usage', `--seed: ${options.seed} is not 16 hex digits`)
  }
  const fromMs = options.from === undefined ? undefined : parseMoment(options.from, nowMs, '--from')
  const toMs = options.to === undefined ? nowMs : parseMoment(options.to, nowMs, '--to')
  if (fromMs !== undefined && toMs <= fromMs) throw new WritError('usage', '--to is not after --from')
  const previous = options.previous === undefined ? undefined : await readReport(options.previous)
  const pins = options.at === undefined ? undefined : await readPins(options.at)
  const out = options.out ?? `report-${framework}`
  if ((await readdir(out).catch(() => [])).length > 0) {
    throw new WritError('usage', `${out} is not empty`, { cure: 'name a folder that is not there yet with --out' })
  }
  const [{ reporterOf, sumsIn, writeReport }, { witnessedPins }] = await Promise.all([
    import('./wire/report.ts'),
    import('../audit/report/node/place.ts'),
  ])
  const { place } = await openPlace({ ...options, database: false })
  const at = pins ?? (options.evidence ? await witnessedPins(place) : undefined)
  const { state, signKey = existsSync(state) ? join(state, 'report.key') : undefined } = options
  const sums = options.fresh || !signKey || !existsSync(state) ? undefined : () => sumsIn(state, signKey)
  const { threads } = options
  const shown = countShown('leaves')
  const threaded = { ...place, ...(threads !== undefined && { threads }), onProgress: shown.say }
  const report = await reporterOf(options, () => nowMs, sums)
    .make(threaded, {
      ...{ framework, scope: options.scope, fromMs, toMs, pins: at, seed: options.seed, previous },
      onWork: (work) => {
        shown.end()
        process.stderr.write(workText(work))
      },
    })
    .finally(() => shown.end())
  const policy = options.policy === undefined ? undefined : await readFile(options.policy, 'utf8')
  const written = await writeReport(report, place, {
    ...{ out, signKey, pdf: options.pdf },
    ...(options.evidence && { evidence: { policy } }),
  })
  const entry = written.signer && (await tellOfReport(state, report, written, options.by))
  if (options.json) process.stdout.write(await readFile(join(out, 'report.json')))
  else process.stdout.write(summaryOf(report, out, { ...written, entry }))
  if (!report.verified.ok) process.exitCode = 1
}

export async function readReport(path: string): Promise<ComplianceReport> {
  const file = existsSync(join(path, 'report.json')) ? join(path, 'report.json') : path
  const text = await readFile(file, 'utf8').catch((cause: unknown) => {
    throw new WritError('not_found', `${file} cannot be read: ${messageOf(cause)}`, { cause })
  })
  const value = parsed(text)
  if (typeof value !== 'object' || value === null || !('v' in value) || !('checkpoints' in value)) {
    throw new WritError('usage', `${file} is no report`, { cure: 'name a folder that `writ report` wrote' })
  }
  if (value.v !== complianceVersion) throw new WritError('version', `${file} is of version ${String(value.v)}`)
  return value as ComplianceReport
}

/** Of a report that was made, or a checkpoint of shard 0 as a signed note. */
async function readPins(path: string): Promise<readonly Pin[]> {
  const isReport = existsSync(join(path, 'report.json')) || path.endsWith('.json')
  if (isReport) return (await readReport(path)).checkpoints
  return [{ shard: 0, note: await readFile(path, 'utf8'), stamps: 0 }]
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

const workText = ({ leaves, read, doubt }: ReportWork): string =>
  `${doubt === '' ? '' : `what earlier reports kept was not believed (${doubt}): `}${read} of ${leaves} leaves read\n`

function summaryOf(
  report: ComplianceReport,
  out: string,
  {
    signer,
    digest,
    entry,
  }: { readonly signer: string | undefined; readonly digest: string; readonly entry: string | undefined },
): string {
  const checks = report.checks.map(({ id, verdict, accepted, title, finding }) => {
    return `${id}  ${(accepted ? 'fail, accepted' : verdict).padEnd(17)}  ${title}\n     ${finding}`
  })
  const lines = [
    ...checks,
    `${report.title}: ${report.summary}`,
    ...report.checkpoints.map(({ origin, size }) => `checkpoint ${origin}, ${size} leaves`),
    signer === undefined ? 'not signed: there is no state folder, and no --sign-key' : `signed by ${signer}`,
    entry === undefined ? 'not in the log: no process runs on the state folder' : `in the log as ${entry}`,
    `SHA-256 of report.json ${digest}`,
    out,
  ]
  return `${lines.join('\n')}\n`
}
