/** What the bank shows on a terminal. */

import pc from 'picocolors'
import type { Report } from '../../audit/report/report.ts'
import type { Verification } from '../../audit/verify/verify.ts'
import type { ConsoleDecision } from '../../console/data.ts'
import type { RunningBank } from './running.ts'
import type { Seen } from './traffic.ts'

/** Who called whom, allowed or denied and why; where the log stands; what to try next. */
export async function printBank({ up, bank }: RunningBank, state: string): Promise<void> {
  const page = await up.page()
  const lines = ['', pc.bold('A bank runs under Writ. Its last calls, each judged before it passed:'), '']
  for (const decision of page.latest.slice(0, 12).toReversed()) lines.push(decisionLine(decision))
  const { checkpoint } = page
  if (checkpoint) {
    lines.push(
      '',
      `${pc.bold('checkpoint')}  ${checkpoint.origin}, ${checkpoint.size} entries, root ${checkpoint.root}`,
    )
  }
  lines.push(
    `${pc.bold('page')}        ${pc.cyan(up.pageUrl)}`,
    '',
    pc.bold('Try, in another terminal:'),
    `  curl '${bank.urls.storefront}/try?service=orders&method=DELETE&path=/orders/1'   ${pc.dim('# refused: no edge allows it')}`,
    `  npm run writ -- audit query --state ${state} --verdict deny --limit 5`,
    `  npm run writ -- audit verify --log ${state}/log --key ${state}/signer/log.pub`,
    `  npm run writ -- report --state ${state} --out report.html`,
    `  npm run tour                                  ${pc.dim('# a denial, why, one line of Rego, a byte tampered with')}`,
    '',
    pc.dim('Stop with Ctrl-C.'),
    '',
  )
  process.stdout.write(`${lines.join('\n')}\n`)
}

export function decisionLine(decision: ConsoleDecision): string {
  const verdict = decision.verdict === 'allow' ? pc.green('allow') : pc.red(decision.verdict.padEnd(5))
  const caller = last(decision.caller) || 'unknown'
  const call = `${caller.padStart(10)} → ${last(decision.target).padEnd(7)} ${decision.method.padEnd(6)} ${decision.path}`
  const why = decision.reasons.join('; ') || decision.code
  return `  ${decision.at.slice(11, 19)} ${call.padEnd(48)} ${verdict}  ${pc.dim(why)}`
}

const last = (id: string): string => id.slice(id.lastIndexOf('/') + 1)

export function printProgress(done: number, of: number): void {
  if (!process.stderr.isTTY) return
  process.stderr.write(`\r${done} of ${of} visits${done === of ? '\n' : ''}`)
}

export interface Summary {
  readonly seen: Seen
  readonly counts: { readonly allowed: number; readonly denied: number; readonly faults: number }
  readonly verification: Verification
  readonly report: Report
  readonly html: string
}

/** Prints what was counted on both sides, and gives what does not add up. */
export function printSummary({ seen, counts, verification, report, html }: Summary): readonly string[] {
  const failed = [...seen.surprises.slice(0, 5)]
  const compare = (name: string, callers: number, log: number): string => {
    if (callers !== log) failed.push(`${name}: callers saw ${callers}, the log holds ${log}`)
    const mark = callers === log ? pc.green('=') : pc.red('≠')
    return `  ${name.padEnd(10)} callers saw ${String(callers).padStart(6)} ${mark} ${String(log).padStart(6)} in the log`
  }
  const lines = [
    '',
    pc.bold(`${seen.visits} visits to the bank`),
    compare('allowed', seen.allowed, counts.allowed),
    compare('denied', seen.denied, counts.denied),
    compare('faults', 0, counts.faults),
  ]
  for (const shard of verification.shards) {
    lines.push(`  log        ${shard.origin}, ${shard.size} entries, root ${shard.root.slice(0, 16)}…`)
  }
  for (const finding of verification.findings) {
    lines.push(`  ${finding.level.padEnd(8)}   ${finding.what}`)
  }
  if (!verification.ok) failed.push(`the log does not verify: ${verification.broken} findings`)
  lines.push(`  verify     ${verification.ok ? pc.green('holds') : pc.red('BROKEN')}`)
  for (const check of report.checks) {
    lines.push(`  ${check.id}        ${check.verdict.padEnd(17)} ${check.title}`)
    if (check.verdict === 'fail') failed.push(`check ${check.id} fails`)
  }
  lines.push(`  report     ${html}`, '')
  process.stdout.write(`${lines.join('\n')}\n`)
  return failed
}
