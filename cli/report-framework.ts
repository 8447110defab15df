/** `writ report FRAMEWORK`: one gathering, and all its files in a folder that is signed. */

import { existsSync } from 'node:fs'
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { formatVerifierKey, noteKey, signNote } from '../audit/log/note.ts'
import { parseMoment } from '../audit/query/moment.ts'
import type { ReportWork } from '../audit/report/compliance.ts'
import type { Declared } from '../audit/report/files/declared.ts'
import { manifestText, type ReportFiles, reportFiles } from '../audit/report/formats/files.ts'
import { everything } from '../audit/report/gather/scope.ts'
import type { KeptSums } from '../audit/report/kept.ts'
import { declaredIn, readCatalogue } from '../audit/report/node/catalogue.ts'
import type { Pin } from '../audit/report/pinned.ts'
import { toHex } from '../core/bytes.ts'
import type { ComplianceReport, ComplianceScope, Framework } from '../core/compliance.ts'
import { complianceVersion } from '../core/compliance.ts'
import { messageOf, WritError } from '../core/fault.ts'
import { openPlace, type PlaceOptions } from './place.ts'
import { tellOfReport } from './report-entry.ts'
import { sha256 } from './wire/machine.ts'

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
  readonly json?: string | boolean
}

export async function reportOn(name: string, options: FrameworkOptions): Promise<void> {
  const nowMs = Date.now()
  if (options.from === undefined || options.to === undefined) {
    throw new WritError('usage', 'a report on a framework is for a time', { cure: 'give it with --from and --to' })
  }
  if (options.seed !== undefined && !/^[0-9a-f]{16}$/.test(options.seed)) {
    throw new WritError('usage', `--seed: ${options.seed} is not 16 hex digits`)
  }
  const fromMs = parseMoment(options.from, nowMs, '--from')
  const toMs = parseMoment(options.to, nowMs, '--to')
  if (toMs <= fromMs) throw new WritError('usage', '--to is not after --from')
  const { checks, frameworks } = await readCatalogue(options)
  const framework = frameworkNamed(name, frameworks)
  const declared = await declaredIn(options.declared)
  const previous = options.previous === undefined ? undefined : await readReport(options.previous)
  const pins = options.at === undefined ? undefined : await readPins(options.at)
  const [{ openCheckRules }, { compliancePlace }] = await Promise.all([
    import('./wire/compliance.ts'),
    import('../audit/report/node/place.ts'),
  ])
  const { judge, rules } = await openCheckRules(options.checks)
  const { place } = await openPlace({ ...options, database: false })
  const { report, work } = await compliancePlace(
    place,
    judge,
    {
      ...{ framework, checks, declared, scope: scopeOf(options.scope, declared), fromMs, toMs, rules },
      ...(previous && { previous }),
      ...(pins && { pins }),
      ...(options.seed !== undefined && { seed: options.seed }),
    },
    options.fresh ? undefined : await sumsOf(options),
  )
  const out = options.out ?? `report-${framework.id}`
  if ((await readdir(out).catch(() => [])).length > 0) {
    throw new WritError('usage', `${out} is not empty`, { cure: 'name a folder that is not there yet with --out' })
  }
  const files = reportFiles(report, sha256)
  await writeAll(out, files)
  if (options.evidence) {
    const { reportEvidence } = await import('../audit/report/node/evidence.ts')
    const policy = options.policy === undefined ? undefined : await readFile(options.policy, 'utf8')
    await writeAll(join(out, 'evidence'), await reportEvidence(report, place, policy))
  }
  if (options.pdf) await (await import('./report-pdf.ts')).printPdf(join(out, 'report.html'), join(out, 'report.pdf'))
  const signer = await signedBy(out, files, report, options)
  const digest = toHex(sha256(files.get('report.json')!))
  const entry = signer && (await tellOfReport(options.state, report, digest, signer, options.by))
  if (options.json) process.stdout.write(Buffer.from(files.get('report.json')!))
  else process.stdout.write(summaryOf(report, out, { signer, digest, entry }))
  process.stderr.write(workText(work))
  if (!report.verified.ok) process.exitCode = 1
}

/** Sums of earlier reports lie in the state folder. Without one, or under a key of somebody else, everything is read. */
async function sumsOf({ state, signKey }: FrameworkOptions): Promise<KeptSums | undefined> {
  if (!existsSync(state)) return undefined
  const [{ openKeyFile }, { openKept }] = await Promise.all([
    import('../audit/node/keyfile.ts'),
    import('../audit/report/node/kept.ts'),
  ])
  return openKept(join(state, 'report-sums'), await openKeyFile(signKey ?? join(state, 'report.key')))
}

export function frameworkNamed(name: string, frameworks: readonly Framework[]): Framework {
  const found = frameworks.find(({ id }) => id === name)
  if (found) return found
  throw new WritError('usage', `there is no framework ${name}`, {
    cure: `there are ${frameworks.map(({ id }) => id).join(', ')}; more come with --frameworks DIR`,
  })
}

/** The name of a declared scope, or `namespace=shop` and its like, several of them after commas. */
export function scopeOf(text: string | undefined, declared: Declared): ComplianceScope {
  if (text === undefined) return everything
  const named = declared.scopes.find(({ name }) => name === text)
  if (named) return named
  const lists = {
    services: [] as string[],
    namespaces: [] as string[],
    zones: [] as string[],
    workloads: [] as string[],
  }
  for (const part of text.split(',')) {
    const [, kind, value] = /^(service|namespace|zone|workload)=(.+)$/.exec(part) ?? []
    if (kind === undefined || value === undefined) {
      const known = declared.scopes.map(({ name }) => name).join(', ') || 'none'
      throw new WritError('usage', `--scope: ${part} is neither a declared scope nor kind=name`, {
        cure: `declared are ${known}; kinds are service, namespace, zone and workload`,
      })
    }
    lists[`${kind}s` as keyof typeof lists].push(value)
  }
  return { name: text, ...lists }
}

async function readReport(path: string): Promise<ComplianceReport> {
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

async function writeAll(dir: string, files: ReportFiles): Promise<void> {
  for (const [path, bytes] of files) {
    const target = join(dir, path)
    await mkdir(dirname(target), { recursive: true })
    await writeFile(target, bytes)
  }
}

/** `report.note`: with a key of the state folder, which is made when it is not there, or one that is named. */
async function signedBy(
  out: string,
  files: ReportFiles,
  { checkpoints }: ComplianceReport,
  { state, signKey }: FrameworkOptions,
): Promise<string | undefined> {
  if (signKey === undefined && !existsSync(state)) return undefined
  const { openKeyFile } = await import('../audit/node/keyfile.ts')
  const secret = await openKeyFile(signKey ?? join(state, 'report.key'))
  const domain = checkpoints[0]?.origin.split('/')[0] ?? 'unknown'
  const key = noteKey(sha256, `${domain}/reports`, secret.publicKey)
  if (!key) throw new WritError('usage', `${domain}/reports is no name of a key`)
  await writeFile(join(out, 'report.note'), await signNote(manifestText(files, sha256), key, secret.sign))
  const verifier = formatVerifierKey(key)
  await writeFile(join(out, 'report.pub'), `${verifier}\n`)
  return verifier
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
