/** `writ policy trial`: what policies on trial would have decided otherwise, by what the log has seen. */

import { Command } from 'commander'
import { formatTrials, trialDifferences } from '../audit/replay/trials.ts'
import { recordedDecisions } from './wire/recorded.ts'

interface TrialFlags {
  readonly since: string
  readonly state: string
  readonly database?: string
  readonly json?: boolean
}

export const trialCommand = (): Command =>
  new Command('trial')
    .description('show what shadows and canaries would have decided otherwise, or could not tell')
    .argument('[binding]', 'only the trial of this PolicyBinding')
    .option('--since <time>', 'not before: 24h, 7d or an RFC 3339 time', '7d')
    .option('--state <dir>', "the process's state folder", '.writ')
    .option('--database <url>', 'read this PostgreSQL instead')
    .option('--json', 'print JSON')
    .action(trial)

async function trial(binding: string | undefined, flags: TrialFlags): Promise<void> {
  const asked: readonly [string, string][] = [
    ['since', flags.since],
    ['shadow', 'only'],
  ]
  const all = await trialDifferences(recordedDecisions(asked, flags))
  const found = all.filter(({ name }) => binding === undefined || name === binding)
  if (flags.json) process.stdout.write(`${JSON.stringify(found, null, 2)}\n`)
  else if (found.length > 0) process.stdout.write(formatTrials(found))
  else process.stdout.write('no difference is in the log in that time; writ status tells what the trials were asked\n')
}
