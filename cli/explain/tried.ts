/** Which lines of a policy's sources a recorded decision came by: the compiler asks them again and tells. */

import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { RequestFacts } from '../../core/facts.ts'
import { messageOf } from '../../core/fault.ts'
import { policyInput } from '../../core/input.ts'
import { canonicalJson, isObject, type Json } from '../../core/json.ts'
import type { PolicyRef } from '../../core/policy.ts'
import { withLibrary } from '../../engine/node/library.ts'
import type { Opa } from '../../engine/node/opa.ts'
import { refOf, runOpa, sourceFlags } from '../wire/opa.ts'
import { sourcesOf } from '../wire/sources.ts'
import { type Line, readTrace } from './trace.ts'
import { type Wanted, wantedOf } from './wanted.ts'

export type TriedLine = Line & { readonly text: string }

export type Retraced =
  | {
      readonly kind: 'lines'
      readonly folder: string
      readonly held: readonly TriedLine[]
      readonly failed: readonly TriedLine[]
      /** What would have had to hold where it did not allow. */
      readonly wanted: readonly Wanted[]
      /** What the compiler's own evaluator answers to what was recorded; undefined where it has no answer. */
      readonly allowed: boolean | undefined
    }
  /** Why there are none, and what it would take. */
  | { readonly kind: 'none'; readonly why: string }

export async function retrace(
  { bundle, revision }: Pick<PolicyRef, 'bundle' | 'revision'>,
  entrypoint: string,
  facts: RequestFacts,
  policies: string,
): Promise<Retraced> {
  // The name comes from a record, and must not lead out of the folder.
  if (!/^[A-Za-z0-9._-]+$/.test(bundle) || /^\.+$/.test(bundle))
    return none(`${JSON.stringify(bundle)} is no name of a folder`)
  const folder = join(policies, bundle)
  const sources = await sourcesOf(folder, revision, entrypoint)
  switch (sources.kind) {
    case 'none':
      return none(`there is no Rego in ${folder}: give the folder above the policy's with --policies`)
    case 'no_compiler':
      return none('it takes opa: on PATH, or named by WRIT_OPA, or as it comes with the package')
    case 'other':
      return none(`the Rego in ${folder} is of revision ${sources.revision}: it takes that of revision ${revision}`)
    case 'same':
      return withLibrary(folder, (whole) => linesOf(sources.opa, folder, whole, entrypoint, facts))
  }
}

/** Without its index OPA tries also those rules that the index would have passed over without a trace. */
export const traceFlags: readonly string[] = [
  ...['eval', ...sourceFlags],
  ...['--stdin-input', '--format=json', '--explain=full', '--disable-indexing'],
]

async function linesOf(
  opa: Opa,
  folder: string,
  /** The same with the library that it imports. */
  whole: string,
  entrypoint: string,
  facts: RequestFacts,
): Promise<Retraced> {
  // The time that the policy saw then.
  const then = `with time.now_ns as ${facts.atNs}`
  const input = policyInput(facts)
  const how = { cwd: whole, input: canonicalJson(input) }
  try {
    const answer = await runOpa(opa, [...traceFlags, `${refOf(entrypoint)} ${then}`], how)
    const explanation = isObject(answer) ? answer['explanation'] : undefined
    const { held, failed } = readTrace(explanation)
    const texts = await textsOf(whole, [...held, ...failed])
    const withText = (line: Line): TriedLine => ({ ...line, text: texts.get(line.file)?.[line.row - 1]?.trim() ?? '' })
    const allowed = allowedIn(answer)
    const ask = (refs: readonly string[]) => valuesOf(opa, refs, then, how)
    const wanted = allowed ? [] : await wantedOf(explanation, { input, ask, lines: (file) => texts.get(file) })
    return { kind: 'lines', folder, held: held.map(withText), failed: failed.map(withText), wanted, allowed }
  } catch (thrown) {
    return none(messageOf(thrown))
  }
}

/** A comprehension holds what there is, and is empty where there is nothing. */
async function valuesOf(
  opa: Opa,
  refs: readonly string[],
  then: string,
  how: { readonly cwd: string; readonly input: string },
): Promise<readonly (Json | undefined)[]> {
  const query = `[${refs.map((ref) => `[x | x := ${ref}]`).join(', ')}] ${then}`
  const answer = await runOpa(opa, ['eval', ...sourceFlags, '--stdin-input', '--format=json', query], how)
  const values = valueIn(answer)
  return refs.map((_, i) => at(at(values, i), 0))
}

async function textsOf(folder: string, lines: readonly Line[]): Promise<ReadonlyMap<string, readonly string[]>> {
  const files = [...new Set(lines.map(({ file }) => file))]
  const texts = await Promise.all(files.map((file) => readFile(join(folder, file), 'utf8').catch(() => '')))
  return new Map(files.map((file, i) => [file, texts[i]!.split('\n')]))
}

function allowedIn(answer: Json): boolean | undefined {
  const value = valueIn(answer)
  const allowed = isObject(value) ? value['allowed'] : value
  return typeof allowed === 'boolean' ? allowed : undefined
}

const valueIn = (answer: Json): Json | undefined => at(at(at(at(at(answer, 'result'), 0), 'expressions'), 0), 'value')

function at(value: Json | undefined, step: string | number): Json | undefined {
  if (typeof step === 'number') return Array.isArray(value) ? (value as readonly Json[])[step] : undefined
  return isObject(value) ? value[step] : undefined
}

const none = (why: string): Retraced => ({ kind: 'none', why })
