/** Does the engine answer one of OPA's cases as OPA's own Wasm host must? */

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { utf8 } from '../../../core/bytes.ts'
import { messageOf } from '../../../core/fault.ts'
import type { BuiltinHost } from '../../../engine/builtins/builtin.ts'
import { type ExactAnswer, openInstance } from '../../../engine/instance.ts'
import { prepareModule } from '../../../engine/module.ts'
import {
  compareValues,
  equalValues,
  formatJson,
  formatValue,
  isArray,
  objectOf,
  parseValue,
  RegoObject,
  setOf,
  type Value,
} from '../../../engine/value.ts'
import { exceptions } from './exceptions.ts'
import { narrowInput } from './narrow.ts'

/** A line of cases.ndjson, as cases/main.go writes it. */
export interface Case {
  readonly number: number
  readonly folder: string
  readonly note: string
  readonly data?: string
  readonly input?: string
  readonly wantResult?: string
  readonly wantDefined?: boolean
  readonly wantError?: string
  readonly strict?: boolean
  readonly sort?: boolean
  readonly uncompiled?: string
}

export interface Judged {
  readonly one: Case
  readonly outcome: 'passed' | 'failed' | 'excepted'
  /** Why it failed or is not counted. */
  readonly reason: string
  /** Whether it was asked a second time, with what its plan reads of its input alone. */
  readonly narrowed: boolean
}

export const readCases = (folder: string): readonly Case[] =>
  readFileSync(join(folder, 'cases.ndjson'), 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Case)

/** All cases of a folder in order, those that are excepted unasked. */
export function judgeAll(cases: readonly Case[], folder: string, host: BuiltinHost): readonly Judged[] {
  const nowNs = BigInt(Date.now()) * 1_000_000n
  return cases.map((one) => {
    const exception = Object.hasOwn(exceptions, one.note) ? exceptions[one.note] : undefined
    if (exception !== undefined) return { one, outcome: 'excepted', reason: exception, narrowed: false }
    const { wrong, narrowed } = judge(one, folder, host, nowNs)
    return { one, outcome: wrong === undefined ? 'passed' : 'failed', reason: wrong ?? '', narrowed }
  })
}

/** What is wrong with the answer; undefined where it is right. */
function judge(
  one: Case,
  folder: string,
  host: BuiltinHost,
  nowNs: bigint,
): { readonly wrong: string | undefined; readonly narrowed: boolean } {
  if (one.uncompiled !== undefined) return { wrong: `not compiled: ${one.uncompiled}`, narrowed: false }
  const wasm = prepareModule(new Uint8Array(gunzipSync(readFileSync(join(folder, `${one.number}.wasm.gz`)))))
  try {
    const module = new WebAssembly.Module(wasm as Uint8Array<ArrayBuffer>)
    const instance = openInstance(
      module,
      utf8(one.data ?? '{}'),
      { maxMemoryBytes: 256 * 1024 ** 2, maxWork: 10_000_000 },
      host,
    )
    const ask = (input: Uint8Array | undefined): ExactAnswer =>
      instance.askExactly(instance.entrypoints[0]!, input, { nowNs, seed: utf8(one.note) })
    const answer = ask(one.input === undefined ? undefined : utf8(one.input))
    const narrow = narrowInput(one, folder)
    const wrong = wrongWith(one, answer) ?? (narrow && unlike(answer, ask(narrow)))
    return { wrong, narrowed: narrow !== undefined }
  } catch (thrown) {
    return { wrong: messageOf(thrown), narrowed: false }
  }
}

/** What its plan does not read cannot change an answer. */
function unlike(whole: ExactAnswer, narrow: ExactAnswer): string | undefined {
  const [one, other] = [textOf(whole), textOf(narrow)]
  return one === other ? undefined : `${other} where the input is what its plan reads, ${one} with all of it`
}

const textOf = (answer: ExactAnswer): string =>
  answer.kind === 'results' ? formatValue(setOf([...answer.results])) : `${answer.kind}: ${answer.detail}`

/** What internal/wasm/sdk/test/e2e of OPA asserts. */
function wrongWith(one: Case, answer: ExactAnswer): string | undefined {
  const failed = answer.kind === 'results' ? undefined : answer.detail
  const results = answer.kind === 'results' ? answer.results : []
  if (one.wantDefined !== undefined) {
    const defined = results.length > 0
    return failed ?? (defined === one.wantDefined ? undefined : `defined: ${defined}`)
  }
  if (one.wantResult !== undefined) return failed ?? differing(one.wantResult, results, one.sort === true)
  if (one.strict) return failed ?? (results.length === 0 ? undefined : `an answer: ${formatValue(results)}`)
  return failed?.includes('conflict') ? undefined : (failed ?? 'no error')
}

function differing(wanted: string, results: readonly Value[], sort: boolean): string | undefined {
  const want = setOf(parseValue(wanted) as readonly Value[])
  const got = setOf((parseValue(formatJson(results)) as readonly Value[]).map((one) => (sort ? sorted(one) : one)))
  return equalValues(want, got) ? undefined : `expected ${formatValue(want)} but got ${formatValue(got)}`
}

/** With each binding that is an array in order. */
function sorted(bindings: Value): Value {
  if (!(bindings instanceof RegoObject)) return bindings
  return objectOf(
    bindings.entries.map(([name, value]) => [name, isArray(value) ? [...value].sort(compareValues) : value]),
  )
}
