/** `writ audit query` asks the log, `verify` proves it, `prove` and `bundle` hand out proofs of single records. */

import { Command } from 'commander'

/** Each file is read only when one of its commands is asked for: verifying takes nothing of what answers questions. */
const parts: readonly (readonly [names: readonly string[], read: () => Promise<readonly Command[]>])[] = [
  [['query'], async () => [(await import('./audit-query.ts')).queryCommand()]],
  [['ask'], async () => [(await import('./audit-ask.ts')).askCommand()]],
  [
    ['export', 'tail'],
    async () => {
      const { exportCommand, tailCommand } = await import('./audit-export.ts')
      return [exportCommand(), tailCommand()]
    },
  ],
  [['save', 'run', 'list', 'remove'], async () => (await import('./audit-saved.ts')).savedCommands()],
  [
    ['who', 'reach'],
    async () => {
      const { reachCommand, whoCommand } = await import('./audit-identity.ts')
      return [whoCommand(), reachCommand()]
    },
  ],
  [['verify'], async () => [(await import('./audit-verify.ts')).verifyCommand()]],
  [
    ['prove', 'bundle'],
    async () => {
      const { bundleCommand, proveCommand } = await import('./audit-prove.ts')
      return [proveCommand(), bundleCommand()]
    },
  ],
  [['grants'], async () => [(await import('./audit-grants.ts')).grantsCommand()]],
  [
    ['backup', 'restore', 'new-log'],
    async () => {
      const { backupCommand, newLogCommand, restoreCommand } = await import('./audit-keep.ts')
      return [backupCommand(), restoreCommand(), newLogCommand()]
    },
  ],
  [
    ['hold', 'retain', 'archive'],
    async () => {
      const { archiveCommand, holdCommand, retainCommand } = await import('./audit-retain.ts')
      return [holdCommand(), retainCommand(), archiveCommand()]
    },
  ],
  [['status'], async () => [(await import('./audit-status.ts')).auditStatusCommand()]],
  [['serve'], async () => [(await import('./audit-serve.ts')).serveCommand()]],
  [
    ['findings', 'acknowledge'],
    async () => {
      const { acknowledgeCommand, findingsCommand } = await import('./audit-findings.ts')
      return [findingsCommand(), acknowledgeCommand()]
    },
  ],
  [
    ['disclose', 'subject', 'erase'],
    async () => {
      const { discloseCommand, eraseCommand, subjectCommand } = await import('./audit-personal.ts')
      return [discloseCommand(), subjectCommand(), eraseCommand()]
    },
  ],
]

/** With all its commands, or with those of the file that has the one that is named. */
export async function auditCommand(named = ''): Promise<Command> {
  const audit = new Command('audit').description('ask the log who reached what, and verify that nobody changed it')
  const wanted = parts.filter(([names]) => names.includes(named))
  for (const [, read] of wanted.length > 0 ? wanted : parts)
    for (const command of await read()) audit.addCommand(command)
  return audit
}
