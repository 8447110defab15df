/** `writ audit query` asks the log, `verify` proves it, `prove` and `bundle` hand out proofs of single records. */

import { Command } from 'commander'
import { formatCsv } from '../audit/query/format.ts'
import { formatVerification } from '../audit/verify/format.ts'
import { askCommand } from './audit-ask.ts'
import { chosen, chosenBy, withChoice } from './audit-choice.ts'
import { exportCommand, tailCommand } from './audit-export.ts'
import { acknowledgeCommand, findingsCommand } from './audit-findings.ts'
import { grantsCommand } from './audit-grants.ts'
import { reachCommand, whoCommand } from './audit-identity.ts'
import { backupCommand, newLogCommand, restoreCommand } from './audit-keep.ts'
import { discloseCommand, disclosed, eraseCommand, subjectCommand } from './audit-personal.ts'
import { bundleCommand, proveCommand } from './audit-prove.ts'
import { archiveCommand, holdCommand, retainCommand } from './audit-retain.ts'
import { savedCommands } from './audit-saved.ts'
import { serveCommand } from './audit-serve.ts'
import { auditStatusCommand } from './audit-status.ts'
import { printTable } from './audit-table.ts'
import { number } from './options.ts'
import type { PlaceOptions } from './place.ts'
import { answerTo } from './wire/answer.ts'

export function auditCommand(): Command {
  const audit = new Command('audit').description('ask the log who reached what, and verify that nobody changed it')
  audit.addCommand(queryCommand())
  audit.addCommand(askCommand())
  audit.addCommand(exportCommand())
  audit.addCommand(tailCommand())
  for (const command of savedCommands()) audit.addCommand(command)
  audit.addCommand(whoCommand())
  audit.addCommand(reachCommand())
  audit.addCommand(verifyCommand())
  audit.addCommand(proveCommand())
  audit.addCommand(bundleCommand())
  audit.addCommand(grantsCommand())
  for (const command of [
    backupCommand(),
    restoreCommand(),
    newLogCommand(),
    holdCommand(),
    retainCommand(),
    archiveCommand(),
  ])
    audit.addCommand(command)
  audit.addCommand(auditStatusCommand())
  audit.addCommand(serveCommand())
  audit.addCommand(findingsCommand())
  audit.addCommand(acknowledgeCommand())
  audit.addCommand(discloseCommand())
  audit.addCommand(subjectCommand())
  audit.addCommand(eraseCommand())
  return audit
}

interface QueryOptions {
  readonly state: string
  readonly database?: string
  readonly json?: boolean
  readonly csv?: boolean
  readonly [name: string]: string | boolean | number | readonly string[] | undefined
}

const asked = [...chosenBy, 'requestId', 'id']

function queryCommand(): Command {
  return withChoice(new Command('query').description('find decisions, newest first'))
    .option('--request-id <id>', 'all hops of one call')
    .option('--id <id>', 'one decision')
    .option('--shadow', 'instead, what policies on trial would have decided; `writ policy trial` sums it up')
    .option('--limit <n>', 'rows at most, up to 1000', number, 50)
    .option('--cursor <cursor>', 'go on where the answer before ended')
    .option('--disclose', 'show personal fields whose key is still there; this is recorded')
    .option('--by <name>', 'who asks for them')
    .option('--purpose <text>', 'what for')
    .option('--json', 'print JSON: rows, and the cursor of the next page')
    .option('--csv', 'print CSV')
    .option('--state <dir>', "the process's state folder", '.writ')
    .option('--database <url>', 'ask this PostgreSQL instead')
    .action(async (options: QueryOptions) => {
      const pairs = chosen(options, [...asked, 'limit', 'cursor'])
      if (options['shadow']) pairs.push(['shadow', 'only'])
      const found = await answerTo(pairs, options)
      const answer = options['disclose'] ? { ...found, rows: await disclosed(found.rows, options) } : found
      if (options.json) process.stdout.write(`${JSON.stringify(answer, null, 2)}\n`)
      else if (options.csv) process.stdout.write(formatCsv(answer.rows))
      else printTable(answer)
    })
}

function verifyCommand(): Command {
  return new Command('verify')
    .description('verify the log offline: tree, signatures, chains, gaps; exit 0 whole, 1 broken')
    .option('--log <place>', 'folder, http(s) URL or s3://bucket/prefix of the log (default: log in the state folder)')
    .option('--key <key>', 'verifier key, or a file that holds it (default: signer/log.pub in the state folder)')
    .option('--former-key <key...>', 'the same of logs that were followed by one with another key: `new-log`')
    .option('--policy <file>', 'witnesses that must have cosigned (C2SP tlog-policy); also names the key of the log')
    .option('--witness <key...>', 'instead: keys, or files that hold them, of witnesses that all must have cosigned')
    .option('--checkpoint <file...>', 'checkpoints that the log must extend: from a witness, or that you kept')
    .option('--database [url]', 'compare every row with its leaf: of this PostgreSQL, or of the embedded store')
    .option(
      '--archive <place>',
      'hash every leaf of this archive again, and hold it against the log; a place as with --log',
    )
    .option('--s3-endpoint <url>', 'endpoint of s3:// places (default: AWS_ENDPOINT_URL_S3, then AWS)')
    .option('--s3-region <region>', 'their region (default: AWS_REGION, then us-east-1)')
    .option('--state <dir>', "the process's state folder", '.writ')
    .option('--json', 'print JSON')
    .action(async (options: PlaceOptions & { readonly json?: boolean }) => {
      const [{ openPlace }, { verifyPlace }] = await Promise.all([
        import('./place.ts'),
        import('../audit/node/examine.ts'),
      ])
      const { place, store } = await openPlace(options)
      try {
        const { verification, compared, archived } = await verifyPlace(place)
        const text = options.json
          ? `${JSON.stringify({ ...verification, ...(compared && { compared }), ...(archived && { archived }) }, null, 2)}\n`
          : formatVerification(verification, compared, archived)
        process.stdout.write(text)
        if (!verification.ok) process.exitCode = 1
      } finally {
        await store?.close()
      }
    })
}
