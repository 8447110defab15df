/** `writ policy suggest`: the edges that would have been enough for what the log shows, and the grants that nobody used. */

import { Command, InvalidArgumentError } from 'commander'
import { parseMoment } from '../audit/query/moment.ts'
import { Grants } from '../audit/replay/grants.ts'
import { type Suggestion, suggest } from '../audit/replay/suggest.ts'
import { formatSuggestion } from '../audit/replay/suggest-format.ts'
import { number } from './options.ts'
import { policyData } from './wire/policy-data-file.ts'
import { recordedDecisions } from './wire/recorded.ts'

interface SuggestFlags {
  readonly since: string
  readonly state: string
  readonly database?: string
  readonly bundleName?: string
  readonly policies: string
  readonly data?: string
  readonly key: string
  readonly trustDomain?: string
  readonly values: number
  readonly names: number
  readonly json?: boolean
}

export const suggestCommand = (): Command =>
  new Command('suggest')
    .description('print the edges that cover what was really used, and the grants that nobody used')
    .option('--since <time>', 'not before: 24h, 30d or an RFC 3339 time', '30d')
    .option('--state <dir>', "the process's state folder", '.writ')
    .option('--database <url>', 'read this PostgreSQL instead')
    .option('--bundle-name <name>', 'count only what this bundle decided, and compare with its data')
    .option('--policies <dir>', 'folder of policies, for the data of the bundle', 'policies')
    .option('--data <file>', "a policy's data, JSON or YAML, to compare with instead")
    .option('--key <name>', 'name that the data has in the output', keyName, 'mesh')
    .option('--trust-domain <name>', 'trust domain of the edges (default: that of most targets)')
    .option('--values <n>', 'distinct values at one place of a path, such as numbers, that stay apart', number, 8)
    .option('--names <n>', 'distinct names at one place of a path that stay apart', number, 64)
    .option('--json', 'print JSON, with counts and times')
    .addHelpText(
      'after',
      `
What it prints is data.yaml for the starter edge-list. More distinct values at one place than stay apart make it {}.
Records show methods and paths: what a policy asks for beside these, such as headers, no edge says.`,
    )
    .action(run)

function keyName(text: string): string {
  if (/^[A-Za-z_][A-Za-z0-9_]{0,63}$/.test(text)) return text
  throw new InvalidArgumentError('takes a name of letters, digits and underscores')
}

async function run(flags: SuggestFlags): Promise<void> {
  const since = new Date(parseMoment(flags.since, Date.now(), 'since')).toISOString()
  const data = await policyData(flags)
  const asked: readonly [string, string][] = [
    ['since', since],
    ['direction', 'inbound'],
  ]
  const found = await suggest(recordedDecisions(asked, flags), {
    values: flags.values,
    names: flags.names,
    ...(flags.bundleName !== undefined && { bundle: flags.bundleName }),
    ...(flags.trustDomain !== undefined && { trustDomain: flags.trustDomain }),
    ...(data !== undefined && { grants: new Grants(data) }),
  })
  process.stdout.write(
    flags.json
      ? jsonOf(found, flags.key, since)
      : formatSuggestion(found, flags.key, since.slice(0, 16).replace('T', ' ')),
  )
}

function jsonOf(found: Suggestion, key: string, since: string): string {
  const edges = found.edges.map(({ from, to, method, path }) => ({ from, to, method, path }))
  const data = { [key]: { trust_domain: found.trustDomain, edges } }
  return `${JSON.stringify({ data, since, ...found }, null, 2)}\n`
}
