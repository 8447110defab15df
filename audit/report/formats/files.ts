/** All files of a report but its signature, by their path. The same report gives the same bytes. */

import { toHex, utf8 } from '../../../core/bytes.ts'
import type { ComplianceReport } from '../../../core/compliance.ts'
import type { Sha256 } from '../../../core/ports.ts'
import { csvFiles } from './csv.ts'
import { documentJson, reportJson } from './json.ts'
import { complianceFindings } from './ocsf.ts'
import { assessmentResults, componentDefinition, planOfAction } from './oscal.ts'
import { compliancePage } from './page.ts'

export type ReportFiles = ReadonlyMap<string, Uint8Array>

export function reportFiles(report: ComplianceReport, sha256: Sha256): ReportFiles {
  const plan = planOfAction(report, sha256)
  const files = new Map<string, string>([
    ['report.json', reportJson(report)],
    ['report.html', compliancePage(report)],
    ['assessment-results.json', documentJson(assessmentResults(report, sha256))],
    ['component-definition.json', documentJson(componentDefinition(report, sha256))],
    ...(plan === undefined ? [] : [['poam.json', documentJson(plan)] as const]),
    [
      'ocsf.ndjson',
      complianceFindings(report)
        .map((one) => `${JSON.stringify(one)}\n`)
        .join(''),
    ],
    ...[...csvFiles(report)].map(([name, text]) => [`csv/${name}`, text] as const),
  ])
  return new Map([...files].map(([path, text]) => [path, utf8(text)]))
}

/** What is signed (C2SP signed-note): a first line, and the SHA-256 of each file as `sha256sum` writes it. */
export const manifestText = (files: ReportFiles, sha256: Sha256): string =>
  `${manifestTitle}\n${sumsText(files, sha256)}`

/** First line of a report's note. */
export const manifestTitle = 'writ compliance report v1'

/** List of the files of the evidence, itself a signed file: a note would grow too long with them. */
export const evidenceSums = 'evidence/SHA256SUMS'

/** SHA-256 of each file as `sha256sum` writes it, by path. */
export const sumsText = (files: ReportFiles, sha256: Sha256): string =>
  [...files]
    .map(([path, bytes]) => `${toHex(sha256(bytes))}  ${path}\n`)
    .sort((a, b) => (a.slice(66) < b.slice(66) ? -1 : 1))
    .join('')
