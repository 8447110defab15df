/** What the bank shows on a terminal. */

import pc from 'picocolors'
import type { Verification } from '../../audit/verify/verify.ts'
import type { ConsoleDecision } from '../../console/data.ts'
import type { ComplianceReport } from '../../core/compliance.ts'
import type { RunningBank } from './running.ts'
import { type Seen, tryPath } from './traffic.ts'
import { columnsOf, wrap } from './wrap.ts'

/** Who called whom, allowed or denied and why; where the log stands; what to try next. */
export async function printBank({ up, bank }: RunningBank, state: string): Promise<void> {
  const page = await up.page()
  const width = columnsOf(process.stdout)
  const { checkpoint } = page
  const tries = [
    [
      'refused: no edge of the policy allows it',
      `curl '${bank.urls.storefront}${tryPath('orders', 'DELETE', '/orders/1')}'`,
    ],
    ['the last refusals, from the log', `npm run writ -- audit query --state ${state} --verdict deny --limit 5`],
    ['the log, proven from its files and a key', `npm run writ -- audit verify --state ${state}`],
    ['the compliance report', `npm run writ -- report --state ${state} --out report`],
    ['a denial, why, one line of Rego, a byte tampered with', 'npm run tour'],
  ] as const
  say([
    '',
    pc.bold('A bank runs under Writ. Its last calls, each judged before it passed:'),
    '',
    ...inOrder(page.latest.slice(0, 12)).map((decision) => decisionLine(decision, width)),
    '',
    pc.bold('Everything above and below, live:'),
    `  ${pc.cyan(up.pageUrl)}`,
    '',
    ...(checkpoint
      ? [
          pc.bold('The log so far, as its last checkpoint signs it:'),
          `  ${checkpoint.origin}, ${checkpoint.size} entries`,
        ]
      : []),
    ...(checkpoint ? [`  root ${checkpoint.root}`, ''] : []),
    pc.bold('Try, in another terminal:'),
    ...tries.flatMap(([what, command]) => [pc.dim(`  # ${what}`), `  ${command}`]),
    '',
    pc.dim('Stop with Ctrl-C.'),
    '',
  ])
}

/** As they were made: sidecars hand their records over in turns, so the log has each one's in order, not all of them. */
export const inOrder = (decisions: readonly ConsoleDecision[]): readonly ConsoleDecision[] =>
  decisions.toSorted((a, b) => (a.at < b.at ? -1 : 1))

/** One decision on a line; why it was refused goes below where the line is too short for both. */
export function decisionLine(decision: ConsoleDecision, width: number): string {
  const { verdict, method, path } = decision
  const caller = last(decision.caller) || 'unknown'
  const call = `${caller.padStart(10)} → ${last(decision.target).padEnd(7)} ${method.padEnd(6)} ${path}`.padEnd(44)
  const line = `  ${decision.at.slice(11, 19)} ${call} ${paint(verdict)(verdict)}`
  if (verdict === 'allow') return line
  const why = decision.reasons.join('; ') || decision.code
  // 2 for the margin, 8 for the time, spaces, the call and the verdict: what stands there without its colours.
  const taken = 12 + call.length + verdict.length
  if (taken + 2 + why.length <= width) return `${line}  ${pc.dim(why)}`
  return `${line}\n${pc.dim(wrap(why, width, 11))}`
}

const paint = (verdict: ConsoleDecision['verdict']): ((text: string) => string) =>
  verdict === 'allow' ? pc.green : verdict === 'deny' ? pc.red : pc.yellow

/** Every row of the summary begins alike. */
const row = (name: string, text: string): string => `  ${name.padEnd(10)} ${text}`

const say = (lines: readonly string[]): void => void process.stdout.write(`${lines.join('\n')}\n`)

const last = (id: string): string => id.slice(id.lastIndexOf('/') + 1)

export function printProgress(done: number, of: number): void {
  if (!process.stderr.isTTY) return
  process.stderr.write(`\r${done} of ${of} visits${done === of ? '\n' : ''}`)
}

export interface Summary {
  readonly seen: Seen
  readonly counts: { readonly allowed: number; readonly denied: number; readonly faults: number }
  readonly verification: Verification
  readonly report: ComplianceReport
  readonly html: string
}

/** Prints what was counted on both sides, and gives what does not add up. */
export function printSummary({ seen, counts, verification, report, html }: Summary): readonly string[] {
  const failed = [...seen.surprises.slice(0, 5)]
  const compare = (name: string, callers: number, log: number): string => {
    if (callers !== log) failed.push(`${name}: callers saw ${callers}, the log holds ${log}`)
    const mark = callers === log ? pc.green('=') : pc.red('≠')
    return row(name, `callers saw ${String(callers).padStart(6)} ${mark} ${String(log).padStart(6)} in the log`)
  }
  const lines = [
    '',
    pc.bold(`${seen.visits} visits to the bank`),
    compare('allowed', seen.allowed, counts.allowed),
    compare('denied', seen.denied, counts.denied),
    compare('faults', 0, counts.faults),
  ]
  for (const shard of verification.shards) {
    lines.push(row('log', `${shard.origin}, ${shard.size} entries, root ${shard.root.slice(0, 16)}…`))
  }
  for (const finding of verification.findings) lines.push(row(finding.level, finding.what))
  if (!verification.ok) failed.push(`the log does not verify: ${verification.broken} findings`)
  lines.push(row('verify', verification.ok ? pc.green('holds') : pc.red('BROKEN')))
  for (const { id, verdict, title, finding } of report.checks) {
    lines.push(row(id, `${verdict.padEnd(17)} ${title}`))
    if (verdict === 'fail') failed.push(`check ${id} fails: ${finding}`)
  }
  say([...lines, row('report', html), ''])
  return failed
}
