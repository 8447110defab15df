/** Reports of this process's making: what is asked for becomes a report, a report becomes a folder of signed files. */

import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { formatVerifierKey, noteKey, signNote } from '../../audit/log/note.ts'
import type { LogPlace } from '../../audit/node/examine.ts'
import { openKeyFile } from '../../audit/node/keyfile.ts'
import type { ReportWork } from '../../audit/report/compliance.ts'
import type { Declared } from '../../audit/report/files/declared.ts'
import { evidenceSums, manifestText, type ReportFiles, reportFiles } from '../../audit/report/formats/files.ts'
import { everything } from '../../audit/report/gather/scope.ts'
import type { KeptSums } from '../../audit/report/kept.ts'
import { type Catalogue, declaredIn, readCatalogue } from '../../audit/report/node/catalogue.ts'
import { reportEvidence } from '../../audit/report/node/evidence.ts'
import { openKept } from '../../audit/report/node/kept.ts'
import { beganMs, compliancePlace } from '../../audit/report/node/place.ts'
import type { Pin } from '../../audit/report/pinned.ts'
import { toHex } from '../../core/bytes.ts'
import type { ComplianceReport, ComplianceScope, Framework } from '../../core/compliance.ts'
import { WritError } from '../../core/fault.ts'
import type { ReportBody } from '../../core/record.ts'
import { type CheckRules, openCheckRules } from './compliance.ts'
import { sha256 } from './machine.ts'

/** Where the reports of a process take their words from. Default: those that come with this package, nothing declared. */
export interface ReportSources {
  readonly checks?: string | undefined
  readonly frameworks?: string | undefined
  readonly declared?: string | undefined
}

export interface ReportQuestion {
  /** Default `all`: every check. */
  readonly framework?: string | undefined
  /** As `scopeOf` reads it. Default everything. */
  readonly scope?: string | ComplianceScope | undefined
  /** Milliseconds since 1970. Default: from the first entry there is, to now. */
  readonly fromMs?: number | undefined
  readonly toMs?: number | undefined
  readonly pins?: readonly Pin[] | undefined
  readonly seed?: string | undefined
  readonly previous?: ComplianceReport | undefined
  /** Told how much of the log was read. */
  readonly onWork?: (work: ReportWork) => void
}

export interface Reporter {
  make(place: LogPlace, question: ReportQuestion): Promise<ComplianceReport>
  /** As the file says it now. */
  declared(): Promise<Declared>
}

/**
 * What is read and compiled, is so once; the declared file is read anew for each report. What earlier reports left in `sums` is
 * not read again.
 */
export function reporterOf(sources: ReportSources, nowMs: () => number, sums?: () => Promise<KeptSums>): Reporter {
  let opened: Promise<[Catalogue, CheckRules]> | undefined
  const { checks, frameworks } = sources
  const open = (): Promise<[Catalogue, CheckRules]> =>
    Promise.all([
      readCatalogue({ ...(checks !== undefined && { checks }), ...(frameworks !== undefined && { frameworks }) }),
      openCheckRules(checks),
    ])
  return {
    declared: () => declaredIn(sources.declared),
    async make(place, { framework = 'all', scope, fromMs, toMs = nowMs(), pins, seed, previous, onWork }) {
      opened ??= open().catch((thrown: unknown) => {
        opened = undefined
        throw thrown
      })
      const [catalogue, { judge, rules }] = await opened
      const declared = await declaredIn(sources.declared)
      const named = frameworkNamed(framework, catalogue.frameworks)
      const settings = {
        ...{
          framework: named,
          checks: catalogue.checks,
          declared,
          scope: typeof scope === 'object' ? scope : scopeOf(scope, declared),
          rules,
        },
        ...{ fromMs: fromMs ?? Math.min(await beganMs(place), toMs - 1), toMs },
        ...(pins && { pins }),
        ...(seed !== undefined && { seed }),
        ...(previous && { previous }),
      }
      const { report, work } = await compliancePlace(place, judge, settings, await sums?.())
      onWork?.(work)
      return report
    },
  }
}

/** Sums of earlier reports lie in the state folder; what another key has signed is not believed. */
export const sumsIn = async (state: string, signKey: string): Promise<KeptSums> =>
  openKept(join(state, 'report-sums'), await openKeyFile(signKey))

export interface WrittenReport {
  /** SHA-256 of `report.json`, lower-case hex. */
  readonly digest: string
  /** Verifier key of `report.note`; undefined where nobody signs. */
  readonly signer: string | undefined
}

export interface WriteOptions {
  /** Folder, made where it is not there. */
  readonly out: string
  /** File of the Ed25519 key that signs, made where it is not there. Default: not signed. */
  readonly signKey?: string | undefined
  /** Adds the folder of evidence, with the text of a witness policy where there is one. */
  readonly evidence?: { readonly policy?: string | undefined } | undefined
  readonly pdf?: boolean | undefined
  /** Paths that are written, `report.json` always. Default all. */
  readonly keeps?: ((path: string) => boolean) | undefined
}

export async function writeReport(
  report: ComplianceReport,
  place: LogPlace,
  { out, signKey, evidence, pdf, keeps = () => true }: WriteOptions,
): Promise<WrittenReport> {
  const files = new Map(
    [...reportFiles(report, sha256)].filter(([path]) => path === 'report.json' || keeps(path)),
  ) as ReportFiles
  await writeAll(out, files)
  const signed = new Map(files)
  if (evidence) {
    const proofs = await reportEvidence(report, place, evidence.policy)
    await writeAll(join(out, 'evidence'), proofs)
    signed.set(evidenceSums, proofs.get('SHA256SUMS')!)
  }
  if (pdf) {
    await (await import('../report-pdf.ts')).printPdf(join(out, 'report.html'), join(out, 'report.pdf'))
    signed.set('report.pdf', await readFile(join(out, 'report.pdf')))
  }
  const signer = signKey === undefined ? undefined : await signAs(signKey, out, signed, report)
  return { digest: toHex(sha256(files.get('report.json')!)), signer }
}

async function writeAll(dir: string, files: ReportFiles): Promise<void> {
  for (const [path, bytes] of files) {
    const target = join(dir, path)
    await mkdir(dirname(target), { recursive: true })
    await writeFile(target, bytes)
  }
}

async function signAs(file: string, out: string, files: ReportFiles, report: ComplianceReport): Promise<string> {
  const secret = await openKeyFile(file)
  const domain = report.checkpoints[0]?.origin.split('/')[0] ?? 'unknown'
  const key = noteKey(sha256, `${domain}/reports`, secret.publicKey)
  if (!key) throw new WritError('usage', `${domain}/reports is no name of a key`)
  await writeFile(join(out, 'report.note'), await signNote(manifestText(files, sha256), key, secret.sign))
  const verifier = formatVerifierKey(key)
  await writeFile(join(out, 'report.pub'), `${verifier}\n`)
  return verifier
}

/** What the log keeps of a report (`report`), but for who acted. */
export const entryOf = (
  report: ComplianceReport,
  { digest, signer }: WrittenReport,
  by: string,
): Omit<ReportBody, 'kind' | 'actor'> => ({
  ...{ framework: report.framework.id, mapping: report.framework.version, scope: report.scope.name },
  ...{ from: report.from, to: report.to, sha256: digest, signer: signer!, summary: report.summary, by },
  checkpoints: report.checkpoints.map(({ origin, size, root }) => ({ origin, size, root })),
  verdicts: Object.fromEntries(report.checks.map(({ id, verdict }) => [id, verdict])),
})

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
