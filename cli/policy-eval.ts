/** `writ policy eval`: asks a policy about one request that nobody has sent, as a proxy would. */

import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Command } from 'commander'
import { allowanceOf } from '../control/mesh/http.ts'
import { type Decision, statusOf } from '../core/decision.ts'
import { messageOf, WritError } from '../core/fault.ts'
import { policyInput } from '../core/input.ts'
import { wrongUrl } from '../engine/bundle-url.ts'
import { makeDecide } from '../engine/decide.ts'
import { askingHost } from '../engine/http-send.ts'
import { openHttpTransport } from '../engine/node/http-transport.ts'
import type { Policy } from '../engine/policy.ts'
import { repeated } from './options.ts'
import { type DataFlag, dataFlag, dataHelp, readParts } from './wire/candidate-data.ts'
import { entrypointOf, openNamed } from './wire/named-policy.ts'
import type { Described } from './wire/request.ts'
import { sourcesOf } from './wire/sources.ts'

interface EvalFlags {
  readonly file: string
  readonly bundle?: string
  readonly policies: string
  readonly bundleName?: string
  readonly entrypoint?: string
  readonly data: readonly DataFlag[]
  readonly allowHttp: readonly string[]
  readonly json?: boolean
}

export const evalCommand = (): Command =>
  new Command('eval')
    .description('ask a policy about one described request, through the same path as a proxy')
    .requiredOption(
      '-f, --file <file>',
      'the request: YAML with caller, target, method, path, headers, body, claims and service',
    )
    .option('--bundle <file>', 'a bundle file')
    .option('--policies <dir>', 'folder of policies, each with its bundle in a folder of its own', 'policies')
    .option('--bundle-name <name>', 'which of them (default: the only one)')
    .option('--entrypoint <rule>', 'the rule to ask, such as writ/authz/result (default: the only one)')
    .option('--data <path=file>', dataHelp, dataFlag, [])
    .option('--allow-http <url>', 'what http.send may ask: the beginning of a URL; may repeat', repeated, [])
    .option('--json', 'print JSON, with the input that the policy saw')
    .addHelpText('after', '\nThe exit code is 0 whatever the verdict is; --json has it for scripts.')
    .action(evaluate)

async function evaluate(flags: EvalFlags): Promise<void> {
  const text = await readFile(flags.file, 'utf8').catch((cause: unknown) => {
    throw new WritError('not_found', `${flags.file} cannot be read: ${messageOf(cause)}`, {
      cure: 'give a file that describes one request with -f',
      cause,
    })
  })
  const policy = await openNamed(flags, { host: askingHost, parts: await readParts(flags.data) })
  const entrypoint = entrypointOf(policy, flags.entrypoint)
  const asks = flags.allowHttp.length > 0
  const use = {
    ...{ bundle: policy.ref.bundle, entrypoint, recordHeaders: [], recordQuery: false },
    ...(asks && { http: allowanceOf({ allow: checkedUrls(flags.allowHttp) }) }),
  }
  const decide = makeDecide({ get: () => policy }, asks ? { http: openHttpTransport() } : {})
  const { judgeDescribed } = await import('./wire/request.ts') // Read only now: the other commands of `policy` read no YAML.
  const described = await judgeDescribed(text, flags.file, use, decide, Date.now())
  process.stdout.write(flags.json ? jsonOf(described, entrypoint) : textOf(described, policy, entrypoint))
  if (flags.bundle === undefined) await warnOfEdits(join(flags.policies, policy.ref.bundle), policy, entrypoint)
}

function checkedUrls(urls: readonly string[]): readonly string[] {
  for (const url of urls) {
    const wrong = wrongUrl(url)
    if (wrong) throw new WritError('usage', `--allow-http: ${url} ${wrong}`)
  }
  return urls
}

function textOf({ facts, decision }: Described, { ref }: Policy, entrypoint: string): string {
  const { verdict, code, from, reasons } = decision
  const by =
    from.by === 'proxy' ? 'the proxy, before any policy' : `${ref.bundle} revision ${ref.revision}, ${entrypoint}`
  const lines = [`${verdict} ${code}`, `status   ${statusTextOf(decision)}`, `by       ${by}`]
  for (const reason of reasons) lines.push(`reason   ${reason}`)
  if (verdict === 'allow' && decision.effects) lines.push(`effects  ${JSON.stringify(decision.effects)}`)
  if (facts.head) lines.push(`judged   ${facts.head.method} ${facts.head.path} at ${facts.workload}`)
  return `${lines.join('\n')}\n`
}

const statusOfRefusal = (decision: Decision): number =>
  (decision.verdict === 'deny' ? decision.answer?.status : undefined) ?? statusOf(decision.code)

const statusTextOf = (decision: Decision): string =>
  decision.verdict === 'allow' ? "the workload's own" : String(statusOfRefusal(decision))

function jsonOf({ facts, decision }: Described, entrypoint: string): string {
  const status = decision.verdict === 'allow' ? null : statusOfRefusal(decision)
  return `${JSON.stringify({ ...decision, status, entrypoint, input: policyInput(facts) }, null, 2)}\n`
}

/** Who edits Rego and forgets to build it would wonder at the answer. */
async function warnOfEdits(folder: string, { ref }: Policy, entrypoint: string): Promise<void> {
  const sources = await sourcesOf(folder, ref.revision, entrypoint)
  if (sources.kind !== 'other') return
  process.stderr.write(
    `note: the Rego in ${folder} is not what its bundle was built from; to ask it, run: writ policy build ${folder}\n`,
  )
}
