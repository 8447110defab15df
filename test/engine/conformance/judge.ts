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
    if (exception !== undefined) return { one, outcome: 'excepted', reason: exception }
    const wrong = judge(one, folder, host, nowNs)
    return { one, outcome: wrong === undefined ? 'passed' : 'failed', reason: wrong ?? '' }
  })
}

/** What is wrong with the answer; undefined where it is right. */
export function judge(one: Case, folder: string, host: BuiltinHost, nowNs: bigint): string | undefined {
  if (one.uncompiled !== undefined) return `not compiled: ${one.uncompiled}`
  const wasm = prepareModule(new Uint8Array(gunzipSync(readFileSync(join(folder, `${one.number}.wasm.gz`)))))
  let answer: ExactAnswer
  try {
    const module = new WebAssembly.Module(wasm as Uint8Array<ArrayBuffer>)
    const instance = openInstance(
      module,
      utf8(one.data ?? '{}'),
      { maxMemoryBytes: 256 * 1024 ** 2, maxWork: 10_000_000 },
      host,
    )
    const input = one.input === undefined ? undefined : utf8(one.input)
    answer = instance.askExactly(instance.entrypoints[0]!, input, { nowNs })
  } catch (thrown) {
    return messageOf(thrown)
  }
  return wrongWith(one, answer)
}

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
