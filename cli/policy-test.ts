/** `writ policy test`: runs a policy's Rego tests, tells what they cover, and makes tests of what was decided. */

import { writeFile } from 'node:fs/promises'
import { basename, join, resolve } from 'node:path'
import { Command, InvalidArgumentError } from 'commander'
import { WritError } from '../core/fault.ts'
import { type Json, parseJson } from '../core/json.ts'
import { type Coverage, rangesText } from '../engine/coverage.ts'
import { policyFoldersIn } from '../engine/node/build.ts'
import { coverageOf, runTests } from '../engine/node/test.ts'
import { repeated } from './options.ts'
import { compilerHelp, openCompiler } from './policy/compiler.ts'
import { junitXml, type Suite } from './policy/junit.ts'
import { type RecordedTestFlags, writeRecordedTest } from './policy/recorded-test.ts'
import { watchPolicies } from './policy/watch.ts'

interface TestFlags extends RecordedTestFlags {
  readonly verbose?: boolean
  readonly run?: string
  readonly coverage?: boolean
  readonly threshold?: number
  readonly junit?: string
  readonly json?: boolean
  readonly watch?: boolean
  readonly from?: string
}

export const testCommand = (): Command =>
  new Command('test')
    .argument('[dir]', 'a policy, or a folder of policies', 'policies')
    .description('run the *_test.rego files of each policy; or, with --from, make a test of a recorded decision')
    .option('-v, --verbose', 'name each test')
    .option('--run <regex>', 'only tests whose name matches')
    .option('--coverage', 'tell which lines of the rules the tests went through')
    .option('--threshold <percent>', 'with the coverage, exit 1 where it is less for a policy', percent)
    .option('--junit <file>', "also write the results as JUnit's XML, for CI")
    .option('--json', 'print the reports as JSON')
    .option('--watch', 'run them again whenever a source changes, until it is stopped')
    .option('--from <id>', 'write a test that asserts what a recorded decision was, instead of running any')
    .option('--state <dir>', 'with --from: the state folder of the process', '.writ')
    .option('--database <url>', 'with --from: read this PostgreSQL instead')
    .option('--out <file>', 'with --from: the file that it is written to, or added to (default: recorded_test.rego)')
    .option(
      '--assume-kept <fact>',
      'with --from: query, headers, a header, or claims.sub that was not sent where the record lacks it',
      repeated,
      [],
    )
    .addHelpText('after', `\nExits 2 where a test fails, as opa does.${compilerHelp}`)
    .action(test)

function percent(text: string): number {
  const value = Number(text)
  if (text.trim() === '' || !(value >= 0 && value <= 100))
    throw new InvalidArgumentError('takes a number from 0 to 100')
  return value
}

async function test(dir: string, flags: TestFlags): Promise<void> {
  if (flags.from !== undefined) return writeRecordedTest(flags.from, dir, flags)
  if (!flags.watch) {
    process.exitCode = await runAll(dir, flags)
    return
  }
  if (flags.json)
    throw new WritError('usage', '--watch prints lines for people, not --json', { cure: 'leave one of them out' })
  await watchPolicies(dir, async () => void (await runAll(dir, flags)))
}

interface Report {
  readonly policy: string
  readonly code: number
  readonly results: unknown
  readonly coverage?: Coverage | null
}

/** The exit code. */
async function runAll(dir: string, flags: TestFlags): Promise<number> {
  const wanted = flags.coverage === true || flags.threshold !== undefined
  const opa = await openCompiler()
  const run = { opa, ...(flags.verbose && { verbose: true }), ...(flags.run !== undefined && { only: flags.run }) }
  const reports: Report[] = []
  const suites: Suite[] = []
  const folders = await policyFoldersIn(dir)
  for (const folder of folders) {
    const policy = basename(resolve(folder))
    if (!flags.json && folders.length > 1) process.stdout.write(`${folder}\n`)
    const { code, stdout, stderr } = await runTests(folder, run, flags.json ? 'json' : 'pretty')
    if (!flags.json) process.stdout.write(stdout)
    process.stderr.write(stderr)
    const coverage = wanted && code === 0 ? await coverageOf(folder, run) : undefined
    const results = flags.json ? (parseJson(stdout) ?? stdout) : undefined
    reports.push({ policy, code, results, ...(wanted && { coverage: coverage ?? null }) })
    if (wanted && !flags.json) process.stdout.write(coverageText(folder, coverage, flags.threshold))
    if (flags.junit !== undefined) suites.push(await suiteOf(folder, policy, run))
  }
  if (flags.json) process.stdout.write(`${JSON.stringify(reports, null, 2)}\n`)
  if (flags.junit !== undefined) await writeFile(flags.junit, junitXml(suites))
  const failed = reports.find(({ code }) => code !== 0)
  if (failed) return failed.code
  return reports.some(({ coverage }) => isBelow(coverage ?? undefined, flags.threshold)) ? 1 : 0
}

const isBelow = (coverage: Coverage | undefined, threshold: number | undefined): boolean =>
  threshold !== undefined && (coverage === undefined || coverage.percent < threshold)

async function suiteOf(folder: string, policy: string, run: Parameters<typeof runTests>[1]): Promise<Suite> {
  const { stdout, stderr } = await runTests(folder, { ...run, verbose: false }, 'json')
  const results: Json | undefined = parseJson(stdout)
  return { name: policy, results, complaint: `${stderr}${stdout}` }
}

function coverageText(folder: string, coverage: Coverage | undefined, threshold: number | undefined): string {
  if (!coverage) return 'coverage  not measured, for a test fails\n'
  const lines = coverage.files.map(({ file, percent, uncovered }) => {
    const missed = uncovered.length > 0 ? `  not covered: ${rangesText(uncovered)}` : ''
    return `${percentText(percent)}  ${join(folder, file)}${missed}`
  })
  const less = isBelow(coverage, threshold) ? `, which is less than ${threshold} %` : ''
  return `${lines.join('\n')}\ncoverage  ${percentText(coverage.percent).trim()}${less}\n`
}

/** Rounded down, so that what is shown as 100 % is all. */
const percentText = (percent: number): string => `${(Math.floor(percent * 10) / 10).toFixed(1).padStart(5)} %`
