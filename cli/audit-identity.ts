/** `writ audit who` and `writ audit reach`: what an identity was at a time, and what it reached through others. */

import { Command } from 'commander'
import { parseMoment } from '../audit/query/moment.ts'
import type { CannedAnswer } from '../audit/query/questions.ts'
import { type AskOptions, showAnswer } from './audit-ask.ts'
import { openAuditDoor, pathWith } from './wire/audit-door.ts'

const shown = (command: Command): Command =>
  command
    .option('--prove <dir>', 'write the record of each row, and its proof, to this folder')
    .option('--json', 'print JSON')
    .option('--csv', 'print CSV')
    .option('--log <dir>', 'folder of the log, for --prove (default: log in the state folder)')
    .option('--key <key>', 'verifier key, for --prove (default: signer/log.pub in the state folder)')
    .option('--state <dir>', "the process's state folder", '.writ')
    .option('--database <url>', 'ask this PostgreSQL instead')

async function ask(path: string, options: AskOptions): Promise<void> {
  const door = await openAuditDoor(options)
  try {
    await showAnswer((await door.ask('GET', path)) as unknown as CannedAnswer, options)
  } finally {
    await door.close()
  }
}

export const whoCommand = (): Command =>
  shown(
    new Command('who')
      .description('what a SPIFFE id was at a time: its certificates, and what was shown for them')
      .argument('<id>', 'SPIFFE id, or the end of its path')
      .option('--at <time>', 'when: 15m ago, or an RFC 3339 time (default now)'),
  ).action(async (id: string, options: AskOptions & { readonly at?: string }) => {
    if (options.at !== undefined) parseMoment(options.at, Date.now(), 'at')
    await ask(pathWith('/v1/audit/who', [['id', id], ...(options.at ? [['at', options.at] as const] : [])]), options)
  })

export const reachCommand = (): Command =>
  shown(
    new Command('reach')
      .description('what a SPIFFE id reached in a window, itself and through others, by trace')
      .argument('<id>', 'SPIFFE id, or the end of its path')
      .option('--since <time>', 'not before: 15m, 7d or an RFC 3339 time', '1h')
      .option('--until <time>', 'only before: likewise'),
  ).action(async (id: string, options: AskOptions & { readonly since: string; readonly until?: string }) => {
    parseMoment(options.since, Date.now(), 'since')
    const until = options.until === undefined ? [] : [['until', options.until] as const]
    await ask(pathWith('/v1/audit/reach', [['id', id], ['since', options.since], ...until]), options)
  })
