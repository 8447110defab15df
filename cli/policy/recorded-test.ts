/** Turns a recorded decision into a Rego test that asserts it. */

import { appendFile, readFile, writeFile } from 'node:fs/promises'
import { basename, join, resolve } from 'node:path'
import type { RecordedToken } from '../../audit/replay/claim-reads.ts'
import { lacking } from '../../audit/replay/reads.ts'
import { recall } from '../../audit/replay/recorded.ts'
import type { RequestFacts } from '../../core/facts.ts'
import { WritError } from '../../core/fault.ts'
import { policyInput } from '../../core/input.ts'
import { canonicalJson, isObject, type Json, parseJson } from '../../core/json.ts'
import { policyFoldersIn } from '../../engine/node/build.ts'
import type { Opa } from '../../engine/node/opa.ts'
import { type Found, findDecision } from '../explain/find.ts'
import { openCandidate } from '../wire/candidate.ts'
import { keptOf } from '../wire/kept.ts'
import { refOf, sourceFlags } from '../wire/opa.ts'
import { openCompiler } from './compiler.ts'

export interface RecordedTestFlags {
  readonly state: string
  readonly database?: string
  readonly out?: string
  readonly assumeKept: readonly string[]
}

interface Decided {
  readonly id: string
  readonly bundle: string
  readonly revision: string
  readonly entrypoint: string
  readonly allowed: boolean
  readonly reasons: readonly string[]
  readonly facts: RequestFacts
  readonly showsQuery: boolean
  readonly token: RecordedToken | undefined
}

/** Writes nothing unless the record holds every fact that the policy may have decided by. */
export async function writeRecordedTest(id: string, dir: string, flags: RecordedTestFlags): Promise<void> {
  const decided = decidedIn(id, await findDecision(id, flags))
  const folder = await folderOf(dir, decided.bundle)
  const candidate = await openCandidate(folder, { entrypoints: [decided.entrypoint], name: decided.bundle })
  const marked = await openCandidate(folder, { entrypoints: [], name: decided.bundle }).catch(() => undefined)
  refuseLacking(decided, folder, candidate, flags)
  const same = [candidate.ref.revision, marked?.ref.revision].includes(decided.revision)

  const opa = await openCompiler()
  const answer = await answerNow(opa, folder, decided)
  const holds = allowedIn(answer) === decided.allowed
  if (same && !holds) {
    throw new WritError('not_found', `asked again, revision ${decided.revision} decides otherwise than was recorded`, {
      cure: 'a fact decided that was not kept: keep it, with `record` in the binding, and take a later decision',
    })
  }
  const file = flags.out ?? join(folder, 'recorded_test.rego')
  const name = `test_${id.slice(0, 8)}_${id.slice(id.indexOf('-') + 1)}`
  await add(opa, folder, file, decided.entrypoint, name, testText(name, decided, answer, same))
  process.stdout.write(
    `${file}  ${name}: ${decided.allowed ? 'allow' : 'deny'}, as revision ${decided.revision} decided\n`,
  )
  if (!same) process.stdout.write(otherRevision(folder, candidate.ref.revision, holds))
}

const otherRevision = (folder: string, revision: string, holds: boolean): string =>
  `note: ${folder} is at revision ${revision}, ${holds ? 'which decides alike' : 'which decides otherwise: the test fails there'}\n`

function decidedIn(id: string, { event, row }: Found): Decided {
  const refused = (why: string, cure: string): WritError =>
    new WritError('not_found', `no test can be made of ${id}: ${why}`, { cure })
  if (row.direction !== 'inbound')
    throw refused('an outbound listener judges nothing', 'take the id of the inbound decision')
  if (row.by !== 'policy' || row.bundle === null || row.revision === null || typeof event.path !== 'string') {
    throw refused(`the proxy decided it (${row.code}), and no policy was asked`, 'take a decision that a policy made')
  }
  if (row.verdict !== 'allow' && row.verdict !== 'deny') {
    throw refused(
      `it was a fault (${row.code}): no policy gave an answer`,
      'take a decision that was an allow or a deny',
    )
  }
  const recalled = recall(event)
  if (recalled.kind === 'oversize') throw refused('its input was too long for a record', 'take another decision')
  if (recalled.kind === 'unreadable')
    throw refused(`the record cannot be read at ${recalled.member}`, 'take another decision')
  return {
    ...{ id, bundle: row.bundle, revision: row.revision, entrypoint: event.path },
    ...{ allowed: row.verdict === 'allow', reasons: row.reasons },
    ...{ facts: recalled.facts, showsQuery: recalled.showsQuery, token: recalled.token },
  }
}

/** The folder of that bundle's sources. A policy may be named itself, or the folder above it. */
async function folderOf(dir: string, bundle: string): Promise<string> {
  const found = (await policyFoldersIn(dir)).find((folder) => basename(resolve(folder)) === bundle)
  if (found !== undefined) return found
  throw new WritError('not_found', `there is no policy ${bundle} in ${dir}, which decided this`, {
    cure: 'name the folder above its sources',
  })
}

type Candidate = Awaited<ReturnType<typeof openCandidate>>

function refuseLacking(
  { id, entrypoint, facts, showsQuery, token }: Decided,
  folder: string,
  candidate: Candidate,
  flags: RecordedTestFlags,
): void {
  const lacks = lacking(candidate.reads(entrypoint), { head: facts.head, showsQuery, token }, keptOf(flags.assumeKept))
  const [builtin] = candidate.worldly
  if (builtin !== undefined) {
    throw new WritError(
      'not_found',
      `no test can be made of ${id}: the policy calls ${builtin}, whose answer no record holds`,
      {
        cure: 'write the test by hand, with what it answers given by `with`',
      },
    )
  }
  if (lacks.length === 0) return
  throw new WritError(
    'not_found',
    `no test can be made of ${id}: ${folder} may read what the record lacks: ${lacks.join(', ')}`,
    {
      cure: 'keep it, with `record` in the binding; or say that it was not sent: --assume-kept',
    },
  )
}

/** What the sources answer at the time that was seen then; undefined where they have no answer. */
async function answerNow(opa: Opa, cwd: string, { entrypoint, facts }: Decided): Promise<Json | undefined> {
  const query = `${refOf(entrypoint)} with time.now_ns as ${facts.atNs}`
  const args = ['eval', ...sourceFlags, '--stdin-input', '--format=json', query]
  const { code, stdout, stderr } = await opa.run(args, { cwd, input: canonicalJson(policyInput(facts)) })
  if (code !== 0) throw new WritError('policy_invalid', `opa eval: ${(stderr || stdout).trim().slice(0, 2048)}`)
  const [first] = listOf(
    isObject(parseJson(stdout)) ? (parseJson(stdout) as { readonly result?: Json }).result : undefined,
  )
  const [expression] = listOf(isObject(first) ? first['expressions'] : undefined)
  return isObject(expression) ? expression['value'] : undefined
}

const listOf = (value: Json | undefined): readonly Json[] => (Array.isArray(value) ? (value as readonly Json[]) : [])

function allowedIn(answer: Json | undefined): boolean | undefined {
  const value = isObject(answer) ? (answer['allowed'] ?? answer['allow']) : answer
  return typeof value === 'boolean' ? value : undefined
}

/** Reasons are asserted where those that are given now are those that were recorded, which cuts long ones. */
function testText(name: string, decided: Decided, answer: Json | undefined, same: boolean): string {
  const { id, entrypoint, allowed, reasons, facts, revision } = decided
  const member = isObject(answer) ? ('allowed' in answer ? '.allowed' : '.allow') : ''
  const given = isObject(answer) ? answer['reasons'] : undefined
  const wording = same && reasons.length > 0 && canonicalJson(given ?? null) === canonicalJson([...reasons])
  const lines = [
    `# ${id}, as revision ${revision} decided it.`,
    `${name} if {`,
    `answer := ${readable(entrypoint)} with input as ${JSON.stringify(policyInput(facts), null, '\t')}`,
    `with time.now_ns as ${facts.atNs}`,
    `answer${member} == ${allowed}`,
    ...(wording ? [`answer.reasons == ${JSON.stringify(reasons)}`] : []),
    '}',
  ]
  return `${lines.join('\n')}\n`
}

/** With dots where its steps are plain names. */
const readable = (entrypoint: string): string =>
  /^\w+(\/[A-Za-z_]\w*)*$/.test(entrypoint) ? `data.${entrypoint.replaceAll('/', '.')}` : refOf(entrypoint)

async function add(opa: Opa, cwd: string, file: string, entrypoint: string, name: string, text: string): Promise<void> {
  const before = await readFile(file, 'utf8').catch((cause: NodeJS.ErrnoException) => {
    if (cause.code === 'ENOENT') return undefined
    throw cause
  })
  if (before?.includes(`${name} if`)) {
    throw new WritError('usage', `${file} has ${name} already`, { cure: 'nothing is to be done' })
  }
  const head = `package ${entrypoint.split('/').slice(0, -1).map(word).join('.')}_recorded_test\n`
  const { code, stdout, stderr } = await opa.run(['fmt'], { cwd, input: `${head}\n${text}` })
  if (code !== 0) throw new WritError('internal', `the test that was made does not parse: ${stderr.slice(0, 1024)}`)
  if (before === undefined) await writeFile(file, stdout)
  else await appendFile(file, `${before.endsWith('\n') ? '' : '\n'}\n${stdout.slice(stdout.indexOf('#'))}`)
}

const word = (step: string): string => step.replace(/\W/g, '_')
