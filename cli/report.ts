/** `writ report`: what the log shows, check by check, as a folder to hand over. */

import { Command } from 'commander'
import { number } from './options.ts'
import { attestCommand, declareCommand } from './report-attest.ts'
import { explainCheckCommand, frameworksCommand, withFolders } from './report-explain.ts'
import type { FrameworkOptions } from './report-framework.ts'
import { grantCommand, grantsOfAuditorsCommand, revokeCommand } from './report-grant.ts'
import { scheduleCommand, statusOfChecksCommand } from './report-status.ts'
import { verifyReportCommand } from './report-verify.ts'

export function reportCommand(): Command {
  const command = new Command('report')
    .description('verify the log and measure it: a folder with a page, numbers and proofs')
    .argument('[framework]', 'what to report on: `writ report frameworks` lists them; all: every check', 'all')
    .option('--from <time>', 'not before: 7d or an RFC 3339 time (default: the beginning)')
    .option('--to <time>', 'only before: likewise (default: now)')
    .option('--out <dir>', 'folder, which is not there yet (default: report-FRAMEWORK)')
    .option('--json', 'print the numbers as JSON')
    .option('--state <dir>', "the process's state folder", '.writ')
    .option('--log <dir>', 'folder of the log (default: log in the state folder)')
    .option('--key <key>', 'verifier key, or a file that holds it (default: signer/log.pub in the state folder)')
    .option(
      '--policy <file>',
      'witnesses that must have cosigned (C2SP tlog-policy); each checkpoint is held against it',
    )
    .option('--witness <key...>', 'instead: keys, or files that hold them, of witnesses that all must have cosigned')
    .option('--scope <scope>', 'whom it is about: a declared scope, or service=, namespace=, zone=, workload=')
    .option('--declared <file>', 'inventory, zones, approvals, readers, exceptions: docs/COMPLIANCE.md shows one')
    .option('--previous <report>', 'say what changed since this report')
    .option('--at <report>', 'at the checkpoint of this report, or of this signed note, not the newest')
    .option('--seed <hex>', 'draw samples by these 16 hex digits (default: made from the signed roots)')
    .option('--sign-key <file>', 'Ed25519 key that signs it (default: report.key in the state folder)')
    .option('--by <name>', 'who makes it, as the log keeps it (default: the user of this machine)')
    .option('--fresh', 'of a framework: read and verify all of the log again, whatever earlier reports kept of it')
    .option('--threads <n>', 'threads that read the log, one a core and at most 8 (1: none but the first)', number)
    .option('--evidence', 'add a folder with the proof of each sampled record, and programs that check it')
    .option('--pdf', 'print the page as PDF too, by the Chromium or Chrome of this machine')
  withFolders(command)
  const subs = [
    explainCheckCommand(),
    frameworksCommand(),
    statusOfChecksCommand(),
    scheduleCommand(),
    attestCommand(),
    declareCommand(),
  ]
  subs.push(verifyReportCommand(), grantCommand(), grantsOfAuditorsCommand(), revokeCommand())
  for (const sub of subs) command.addCommand(sub)
  return command.action(async (framework: string, options: FrameworkOptions) => {
    const { reportOn } = await import('./report-framework.ts')
    return reportOn(framework, options)
  })
}
