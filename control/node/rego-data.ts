/** OPA's Data API over policies that our engine has opened: paths, inputs and answers. */

import { isObject, type Json, parseJson } from '../../core/json.ts'
import type { PolicyRef } from '../../core/policy.ts'
import type { NowNs } from '../../core/ports.ts'
import { formatTime } from '../../core/time.ts'
import type { Policy } from '../../engine/policy.ts'
import type { Exposition } from '../exposition.ts'
import { RegoError } from './rego-error.ts'

export interface DataParts {
  readonly policies: readonly Policy[]
  readonly now: NowNs
  readonly newId: () => string
  readonly numbers: Exposition
  /** Where each decision is kept before it is answered. Default nowhere. */
  readonly keep?: ((event: Json) => Promise<void>) | undefined
  /** Labels of kept decisions. */
  readonly labels: { readonly id: string; readonly version: string }
}

export interface Query {
  /** Without `data`, decoded. */
  readonly path: readonly string[]
  readonly input: Json | undefined
  /** Address and port of who asked. */
  readonly requestedBy: string
  readonly parseNs: bigint
}

export interface Answered {
  readonly result: Json | undefined
  readonly decisionId: string | undefined
  /** That nothing here answers for the path, which OPA would not say. */
  readonly warning: string | undefined
  readonly metrics: { readonly [name: string]: number }
}

interface Found {
  readonly policy: Policy
  readonly entrypoint: string
  /** Steps below the entry point, into what it answers. */
  readonly below: readonly string[]
}

/** Throws `RegoError`, and `audit_unavailable` where the decision cannot be kept. */
export async function answerQuery(query: Query, parts: DataParts): Promise<Answered> {
  const { path, input } = query
  const found = findRule(path, parts.policies)
  const began = process.hrtime.bigint()
  // The time is the clock's, as in OPA, whatever time the input may tell of.
  const answer = found?.policy.evaluate(found.entrypoint, input ?? {}, parts.now())
  const evalNs = process.hrtime.bigint() - began
  const metrics = { timer_rego_input_parse_ns: Number(query.parseNs), timer_rego_query_eval_ns: Number(evalNs) }
  const failed = answer?.ok === false && answer.fault !== 'policy_undefined' ? answer : undefined
  const result = answer?.ok ? valueAt(answer.value, found!.below) : undefined
  const outcome = failed?.fault ?? (found ? (result === undefined ? 'undefined' : 'defined') : 'no_entrypoint')
  parts.numbers.evaluation(found?.policy.ref.bundle ?? '', outcome)

  const decisionId = parts.keep && parts.newId()
  if (decisionId !== undefined) {
    await parts.keep!(
      eventOf(query, parts, { decisionId, ref: found?.policy.ref, result, metrics, error: failed?.detail }),
    )
  }
  if (failed) {
    const errors = [{ code: failed.fault, message: failed.detail }]
    throw new RegoError(500, 'internal_error', 'error(s) occurred while evaluating query', errors)
  }
  const warning = found
    ? undefined
    : `${path.join('/') || '/'} is no entry point: ${entrypointsOf(parts.policies).join(', ')}`
  return { result, decisionId, warning, metrics }
}

/** The longest entry point that begins the path. */
function findRule(path: readonly string[], policies: readonly Policy[]): Found | undefined {
  for (let length = path.length; length > 0; length--) {
    const entrypoint = path.slice(0, length).join('/')
    const policy = policies.find(({ entrypoints }) => entrypoints.includes(entrypoint))
    if (policy) return { policy, entrypoint, below: path.slice(length) }
  }
  return undefined
}

export const entrypointsOf = (policies: readonly Policy[]): readonly string[] =>
  policies.flatMap(({ entrypoints }) => entrypoints).toSorted()

function valueAt(value: Json, steps: readonly string[]): Json | undefined {
  let here: Json | undefined = value
  for (const step of steps) {
    if (Array.isArray(here))
      here = /^(?:0|[1-9]\d{0,8})$/.test(step) ? (here as readonly Json[])[Number(step)] : undefined
    else here = isObject(here) && Object.hasOwn(here, step) ? here[step] : undefined
  }
  return here
}

function eventOf(
  { path, input, requestedBy }: Query,
  { labels, now }: DataParts,
  made: {
    readonly decisionId: string
    readonly ref: PolicyRef | undefined
    readonly result: Json | undefined
    readonly metrics: Answered['metrics']
    readonly error: string | undefined
  },
): Json {
  const { decisionId, ref, result, metrics, error } = made
  return {
    labels,
    decision_id: decisionId,
    bundles: ref ? { [ref.bundle]: { revision: ref.revision, sha256: ref.sha256 } } : {},
    path: path.join('/'),
    input,
    result,
    error: error === undefined ? undefined : { code: 'internal_error', message: error },
    requested_by: requestedBy,
    timestamp: formatTime(now()),
    metrics,
  }
}

/** Steps of a path below `/v1/data`, as OPA reads them. A slash at the end is none. */
export function stepsOf(raw: string): readonly string[] {
  const text = raw.replace(/^\/+|\/+$/g, '')
  if (text === '') return []
  try {
    return text.split('/').map(decodeURIComponent)
  } catch {
    throw new RegoError(400, 'invalid_parameter', 'the path holds a bad escape')
  }
}

/** `{"input": …}`; whatever else stands beside it is passed over, and null is none, as in OPA. */
export function readEnvelope(text: string): Json | undefined {
  if (text.trim() === '') return undefined
  const value = parseJson(text)
  if (!isObject(value)) {
    const why = value === undefined ? 'it is not JSON' : 'it is no object'
    throw new RegoError(400, 'invalid_parameter', `body contains malformed input document: ${why}`)
  }
  return Object.hasOwn(value, 'input') ? (value['input'] ?? undefined) : undefined
}

/** The body is the input. */
export function readBare(text: string): Json | undefined {
  if (text.trim() === '') return undefined
  const value = parseJson(text)
  if (value !== undefined) return value
  const why = 'body contains malformed input document: it is not JSON'
  throw new RegoError(400, 'invalid_parameter', `unexpected parse error for input: ${why}`)
}

export function readParameter(text: string | undefined): Json | undefined {
  if (text === undefined) return undefined
  const value = parseJson(text)
  if (value !== undefined) return value
  throw new RegoError(400, 'invalid_parameter', 'parameter contains malformed input document: it is not JSON')
}
