/** `writ policy impact`: whom a policy would hurt or let in before it ships, by what the log has seen. */

import { Command, InvalidArgumentError } from 'commander'
import { formatImpact, formatMarkdown } from '../audit/replay/format.ts'
import type { Impact } from '../audit/replay/impact.ts'
import { replay } from '../audit/replay/replay.ts'
import { repeated } from './options.ts'
import { openCandidate } from './wire/candidate.ts'
import { type DataFlag, dataFlag, dataHelp, readParts } from './wire/candidate-data.ts'
import { isOfBody, isOfClaims, keptOf } from './wire/kept.ts'
import { counted } from './wire/progress.ts'
import { recordedPages } from './wire/recorded.ts'

interface ImpactFlags {
  readonly candidate: string
  readonly bundleName?: string
  readonly entrypoint: readonly string[]
  readonly since: string
  readonly state: string
  readonly database?: string
  readonly assumeKept: readonly string[]
  readonly data: readonly DataFlag[]
  readonly json?: boolean
  readonly markdown?: boolean
  readonly failOnFlips?: boolean
}

export const impactCommand = (): Command =>
  new Command('impact')
    .description('replay recorded decisions with another policy, and show which verdicts would change')
    .requiredOption('--candidate <path>', "a policy's folder, which is built, or a bundle file")
    .option('--bundle-name <name>', 'the bundle whose decisions are replayed (default: the name of the folder)')
    .option(
      '-e, --entrypoint <rule>',
      'a rule to compile beside those with `entrypoint: true`; may repeat',
      repeated,
      [],
    )
    .option('--since <time>', 'not before: 24h, 7d or an RFC 3339 time', '7d')
    .option('--state <dir>', "the process's state folder", '.writ')
    .option('--database <url>', 'read this PostgreSQL instead')
    .option(
      '--assume-kept <fact>',
      'query, headers, the name of a header, body, claims, or a member as body.from or claims.sub: what a record lacks of it was not sent; may repeat',
      fact,
      [],
    )
    .option('--data <path=file>', dataHelp, dataFlag, [])
    .option('--json', 'print JSON')
    .option('--markdown', 'print Markdown, for a pull request')
    .option('--fail-on-flips', 'exit 1 unless every decision was replayed, one at least, and no verdict changes')
    .action(impact)

function fact(value: string, before: readonly string[]): readonly string[] {
  if (isOfBody(value) || isOfClaims(value)) return [...before, value]
  if (/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/.test(value)) return [...before, value.toLowerCase()]
  throw new InvalidArgumentError(
    'takes query, headers, the name of a header, body, claims, or a member as body.from or claims.sub',
  )
}

async function impact(flags: ImpactFlags): Promise<void> {
  const candidate = await openCandidate(flags.candidate, {
    entrypoints: flags.entrypoint,
    parts: await readParts(flags.data),
    ...(flags.bundleName !== undefined && { name: flags.bundleName }),
  })
  const asked: readonly [string, string][] = [
    ['since', flags.since],
    ['direction', 'inbound'],
    ['shadow', 'any'],
  ]
  const began = performance.now()
  const pages = counted(recordedPages(asked, flags), 'decisions read')
  const found = await replay(pages, candidate, { kept: keptOf(flags.assumeKept) })
  const seconds = (performance.now() - began) / 1000
  const perSecond = Math.round(found.decisions / seconds)
  if (flags.json) process.stdout.write(`${JSON.stringify({ ...found, seconds, perSecond }, null, 2)}\n`)
  else if (flags.markdown) process.stdout.write(formatMarkdown(found))
  else process.stdout.write(`${formatImpact(found)}\n${speedText(found, seconds, perSecond)}\n`)
  if (!candidate.readsKnown && found.unreplayed.length > 0) process.stderr.write(unknownReads)
  if (flags.failOnFlips && !unchanged(found)) process.exitCode = 1
}

const unknownReads =
  'note: this bundle does not say what it reads: build it with `writ policy build`, or give the folder of its sources\n'

/** A flip in either direction counts: a door opened by mistake is no less than one shut. So does what nobody could tell. */
const unchanged = ({ decisions, replayed, flips }: Impact): boolean =>
  flips === 0 && replayed === decisions && replayed > 0

const speedText = ({ decisions }: Impact, seconds: number, perSecond: number): string =>
  `read and replayed ${decisions.toLocaleString('en-US')} decisions in ${seconds.toFixed(2)} s: ${perSecond.toLocaleString('en-US')} a second`
