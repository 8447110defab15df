/** `writ policy bench`: how long a policy takes over one described request. */

import { readFile, stat } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { Command } from 'commander'
import type { RequestFacts } from '../core/facts.ts'
import { messageOf, WritError } from '../core/fault.ts'
import { policyInput } from '../core/input.ts'
import { canonicalJson, isObject, parseJson } from '../core/json.ts'
import type { PolicyUse } from '../core/policy.ts'
import { makeDecide } from '../engine/decide.ts'
import { bundleFile } from '../engine/node/open.ts'
import type { Policy } from '../engine/policy.ts'
import { number } from './options.ts'
import { compilerHelp, openCompiler } from './policy/compiler.ts'
import { type Measured, measure } from './policy/measure.ts'
import { entrypointOf, openNamed } from './wire/named-policy.ts'
import { refOf, sourceFlags } from './wire/opa.ts'

interface BenchFlags {
  readonly file: string
  readonly bundle?: string
  readonly bundleName?: string
  readonly entrypoint?: string
  readonly runs: number
  readonly runMs: number
  readonly opa?: boolean
  readonly json?: boolean
}

export const benchCommand = (): Command =>
  new Command('bench')
    .argument('[dir]', 'a policy, or a folder of policies', 'policies')
    .description('time how long a policy takes over one described request')
    .requiredOption('-f, --file <file>', 'the request, as for `writ policy eval`')
    .option('--bundle <file>', 'a bundle file')
    .option('--bundle-name <name>', 'which policy of the folder (default: the only one)')
    .option('--entrypoint <rule>', 'the rule to ask, such as writ/authz/result (default: the only one)')
    .option('--runs <count>', 'how many runs the median is taken of', number, 10)
    .option('--run-ms <ms>', 'how long a run takes, in milliseconds', number, 200)
    .option('--opa', 'time the sources with `opa bench` too')
    .option('--json', 'print JSON, with every run')
    .addHelpText(
      'after',
      `\nTimes are of one core, from the facts of a request to the decision, without network and record.${compilerHelp}`,
    )
    .action(bench)

interface Benched extends Measured {
  readonly policy: string
  readonly revision: string
  readonly entrypoint: string
  readonly verdict: string
  readonly perSecond: number
  /** Of `opa bench`. */
  readonly opa?: { readonly us: number; readonly decisions: number }
}

async function bench(dir: string, flags: BenchFlags): Promise<void> {
  const { policy, folder } = await policyOf(dir, flags)
  const entrypoint = entrypointOf(policy, flags.entrypoint)
  const use = { bundle: policy.ref.bundle, entrypoint, recordHeaders: [], recordQuery: false }
  const { facts, verdict } = await described(flags.file, policy, use)
  const singles = 10_000
  const progress = process.stderr.isTTY
    ? (done: number) => void process.stderr.write(`\rrun ${done} of ${flags.runs}`)
    : undefined
  const measured = measure(asking(policy, facts, use), {
    ...{ runs: flags.runs, runMs: flags.runMs, singles, now: () => performance.now() },
    ...(progress && { onRun: progress }),
  })
  if (progress) process.stderr.write('\r\x1b[K')
  const opa = flags.opa ? await opaBench(folder, entrypoint, facts) : undefined
  const { bundle, revision } = policy.ref
  const perSecond = Math.round(1e6 / measured.medianUs)
  const benched = { policy: bundle, revision, entrypoint, verdict, ...measured, perSecond, ...(opa && { opa }) }
  process.stdout.write(flags.json ? `${JSON.stringify(benched, null, 2)}\n` : textOf(benched))
}

async function policyOf(dir: string, { bundle, bundleName }: BenchFlags): Promise<{ policy: Policy; folder: string }> {
  const own = join(dir, bundleFile)
  const isPolicy =
    bundle === undefined &&
    (await stat(own).then(
      () => true,
      () => false,
    ))
  const named = bundleName === undefined ? {} : { bundleName }
  const file = bundle ?? (isPolicy ? own : undefined)
  const policy = await openNamed({ policies: dir, ...named, ...(file === undefined ? {} : { bundle: file }) })
  return { policy, folder: isPolicy ? dir : join(dir, policy.ref.bundle) }
}

async function described(file: string, policy: Policy, use: PolicyUse) {
  const text = await readFile(file, 'utf8').catch((cause: unknown) => {
    const cure = 'give a file that describes one request with -f'
    throw new WritError('not_found', `${file} cannot be read: ${messageOf(cause)}`, { cure, cause })
  })
  const { judgeDescribed } = await import('./wire/request.ts')
  const { facts, decision } = await judgeDescribed(text, file, use, makeDecide({ get: () => policy }), Date.now())
  if (decision.from.by === 'proxy') {
    throw new WritError(
      'usage',
      `the proxy refuses this request itself (${decision.code}): there is no policy to time`,
      {
        cure: 'describe one that reaches the policy',
      },
    )
  }
  return { facts, verdict: `${decision.verdict} ${decision.code}` }
}

/** No two requests are the same: each has an id of its own. */
function asking(policy: Policy, facts: RequestFacts, use: PolicyUse): (i: number) => void {
  const decide = makeDecide({ get: () => policy })
  return (i) => void decide({ ...facts, requestId: i.toString(16).padStart(16, '0') }, use)
}

async function opaBench(cwd: string, entrypoint: string, facts: RequestFacts): Promise<NonNullable<Benched['opa']>> {
  const opa = await openCompiler()
  const args = ['bench', ...sourceFlags, '--stdin-input', '--metrics=false', '-f', 'json', refOf(entrypoint)]
  const { code, stdout, stderr } = await opa.run(args, { cwd, input: canonicalJson(policyInput(facts)) })
  const answer = parseJson(stdout)
  const { N: decisions, T: ns } = isObject(answer) ? answer : {}
  if (code !== 0 || typeof decisions !== 'number' || typeof ns !== 'number' || decisions < 1) {
    throw new WritError('policy_invalid', `opa bench in ${resolve(cwd)}: ${(stderr || stdout).trim().slice(0, 2048)}`)
  }
  return { us: ns / decisions / 1000, decisions }
}

function textOf({
  policy,
  revision,
  entrypoint,
  verdict,
  each,
  runs,
  medianUs,
  p99Us,
  singles,
  perSecond,
  opa,
}: Benched): string {
  const spread = `${us(runs[0]!)} to ${us(runs.at(-1)!)} µs by run`
  const lines = [
    `${policy} revision ${revision}, ${entrypoint}: ${verdict}`,
    `runs      ${runs.length} of ${each.toLocaleString('en-US')} decisions each, after two to warm up`,
    `decision  ${us(medianUs)} µs, the median of the runs; ${spread}`,
    `slow      ${us(p99Us)} µs, the 99th percentile of ${singles.toLocaleString('en-US')} timed one by one`,
    `rate      ${perSecond.toLocaleString('en-US')} decisions a second on one core`,
  ]
  if (opa) {
    const times = opa.us / medianUs
    const than = times >= 1 ? `${times.toFixed(1)} times as long` : `${(100 * times).toFixed(0)} % of that`
    lines.push(`opa       ${us(opa.us)} µs by opa bench, one run of ${opa.decisions.toLocaleString('en-US')}: ${than}`)
  }
  return `${lines.join('\n')}\n`
}

const us = (value: number): string => value.toFixed(value < 10 ? 2 : 1)
