/** `writ report`: what the log shows, check by check, as a page to hand over. */

import { writeFile } from 'node:fs/promises'
import { Command } from 'commander'
import { parseMoment } from '../audit/query/moment.ts'
import { formatHtml } from '../audit/report/html.ts'
import type { Report } from '../audit/report/report.ts'
import { askRunning } from './ask.ts'
import { attestCommand } from './report-attest.ts'
import { explainCheckCommand, frameworksCommand, withFolders } from './report-explain.ts'
import type { FrameworkOptions } from './report-framework.ts'

interface ReportOptions extends Omit<FrameworkOptions, 'json'> {
  readonly json?: string | boolean
}

export function reportCommand(): Command {
  const command = new Command('report')
    .description(
      'verify the log and measure it: one page, or a folder of files for a framework, with numbers and proofs',
    )
    .argument('[framework]', 'what to report on: `writ report frameworks` lists them (default: six checks on one page)')
    .option('--from <time>', 'not before: 7d or an RFC 3339 time (default: the beginning)')
    .option('--to <time>', 'only before: likewise (default: the end)')
    .option('--out <path>', 'file of the page, or folder for a framework (default: writ-report.html, report-FRAMEWORK)')
    .option('--json [file]', 'write the numbers here as JSON; for a framework: print them')
    .option('--state <dir>', "the process's state folder", '.writ')
    .option('--log <dir>', 'folder of the log (default: log in the state folder)')
    .option('--key <key>', 'verifier key, or a file that holds it (default: signer/log.pub in the state folder)')
    .option(
      '--policy <file>',
      'witnesses that must have cosigned (C2SP tlog-policy); each checkpoint is held against it',
    )
    .option('--witness <key...>', 'instead: keys, or files that hold them, of witnesses that all must have cosigned')
    .option('--database [url]', 'compare every row with its leaf: of this PostgreSQL, or of the embedded store')
    .option('--scope <scope>', 'of a framework: a declared scope, or service=, namespace=, zone=, workload=')
    .option('--declared <file>', 'inventory, zones, approvals, readers, exceptions: docs/COMPLIANCE.md shows one')
    .option('--previous <report>', 'say what changed since this report')
    .option('--at <report>', 'at the checkpoint of this report, or of this signed note, not the newest')
    .option('--seed <hex>', 'draw samples by these 16 hex digits (default: made from the signed roots)')
    .option('--sign-key <file>', 'Ed25519 key that signs it (default: report.key in the state folder)')
    .option('--by <name>', 'who makes it, as the log keeps it (default: the user of this machine)')
    .option('--fresh', 'of a framework: read and verify all of the log again, whatever earlier reports kept of it')
    .option('--evidence', 'add a folder with the proof of each sampled record, and programs that check it')
    .option('--pdf', 'print the page as PDF too, by the Chromium or Chrome of this machine')
  withFolders(command)
  for (const sub of [explainCheckCommand(), frameworksCommand(), attestCommand()]) command.addCommand(sub)
  return command.action(async (framework: string | undefined, options: ReportOptions) => {
    if (framework !== undefined) {
      const { reportOn } = await import('./report-framework.ts')
      return reportOn(framework, options)
    }
    const nowMs = Date.now()
    const fromMs = options.from === undefined ? undefined : parseMoment(options.from, nowMs, '--from')
    const toMs = options.to === undefined ? undefined : parseMoment(options.to, nowMs, '--to')
    const report = await reportOf(options, fromMs, toMs)
    const out = options.out ?? 'writ-report.html'
    await writeFile(out, formatHtml(report))
    if (typeof options.json === 'string') await writeFile(options.json, `${JSON.stringify(report, null, 2)}\n`)
    process.stdout.write(summaryOf(report, out))
    if (!report.verification.ok) process.exitCode = 1
  })
}

/** Where a process runs that holds the store, it makes the report, and holds its tables against the log. */
async function reportOf(options: ReportOptions, fromMs: number | undefined, toMs: number | undefined): Promise<Report> {
  const asksWitnesses = options.policy !== undefined || (options.witness ?? []).length > 0
  const own =
    !asksWitnesses && options.log === undefined && options.key === undefined && typeof options.database !== 'string'
  if (own) {
    const query = new URLSearchParams()
    if (fromMs !== undefined) query.set('from', new Date(fromMs).toISOString())
    if (toMs !== undefined) query.set('to', new Date(toMs).toISOString())
    const report = await askRunning(options.state, `/v1/report?${query}`)
    if (report !== undefined) return report as unknown as Report
  }
  const [{ openPlace }, { reportPlace }] = await Promise.all([import('./place.ts'), import('../audit/node/examine.ts')])
  const { place, store } = await openPlace(options)
  try {
    const range = { ...(fromMs !== undefined && { fromMs }), ...(toMs !== undefined && { toMs }) }
    return await reportPlace(place, { range })
  } finally {
    await store?.close()
  }
}

function summaryOf(report: Report, out: string): string {
  const lines = report.checks.map(
    ({ id, verdict, title, finding }) => `${id}  ${verdict.padEnd(17)}  ${title}\n     ${finding}`,
  )
  return `${lines.join('\n')}\n${report.summary}; ${out}\n`
}
