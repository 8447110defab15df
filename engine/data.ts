/** Data that is fetched beside a policy's rules: read, put in its place below `data`, and how old it is. */

import type { DecidedBy } from '../core/decision.ts'
import { messageOf, WritError } from '../core/fault.ts'
import { isObject, type Json } from '../core/json.ts'
import type { AgedData, PolicyDataUse, PolicyDataVersion } from '../core/policy.ts'
import type { BundleContent } from './bundle.ts'
import { structureOf } from './structured.ts'
import { toJson } from './value.ts'

/** One version with its value and its place. */
export interface DataPart extends Omit<PolicyDataUse, 'bundle'> {
  /** Left out while there is none yet. */
  readonly value?: Json
}

/** When a version was last known to be the newest, in milliseconds since 1970; undefined where nobody has said so. */
export type AsOf = (version: PolicyDataVersion) => number | undefined

const maxDepth = 64

/** The object that a document holds. `yaml` reads YAML too. Throws `policy_invalid` with what is wrong. */
export function readDocument(bytes: Uint8Array, yaml: boolean): Json {
  let value: Json
  try {
    value = toJson(structureOf({ name: yaml ? 'data.yaml' : 'data.json', bytes }))
  } catch (thrown) {
    throw invalid(`it is no ${yaml ? 'YAML' : 'JSON'}: ${messageOf(thrown)}`, thrown)
  }
  if (!isObject(value)) throw invalid('it is not an object')
  refuseWrong(value, maxDepth)
  return value
}

export const isYaml = (place: string): boolean => /\.ya?ml$/.test(place.split('?')[0]!)

function refuseWrong(value: Json | undefined, depth: number): void {
  if (typeof value === 'number' && Math.abs(value) > Number.MAX_SAFE_INTEGER) {
    throw invalid('it holds a number beyond 2^53, which is not exact; write it as a string')
  }
  if (typeof value === 'string' && !value.isWellFormed()) throw invalid('it holds half a character')
  if (typeof value !== 'object' || value === null) return
  if (depth === 0) throw invalid(`it is nested more than ${maxDepth} deep`)
  for (const one of Object.values(value)) refuseWrong(one, depth - 1)
}

/** A bundle's data with further parts in their places. Throws `policy_invalid` where a place is taken. */
export function withData(
  content: Pick<BundleContent, 'ref' | 'data' | 'entrypoints' | 'roots'>,
  parts: readonly DataPart[],
): Json {
  let data = content.data
  for (const part of parts) {
    const taken = takenBy(content, data, part.path)
    if (taken !== undefined) {
      throw new WritError('policy_invalid', `data ${part.name} of policy ${content.ref.bundle}: ${taken}`, {
        cure: `give its PolicyData another path, or build the bundle without what stands at ${part.path}`,
      })
    }
    if (part.value !== undefined) data = put(data, part.path.split('/'), part.value)
  }
  return data
}

/** What has the place already, or undefined. */
function takenBy(content: Pick<BundleContent, 'entrypoints' | 'roots'>, data: Json, path: string): string | undefined {
  const root = content.roots.find((one) => one !== '' && within(path, one))
  if (root !== undefined) return `${path} is the bundle's own, by its root "${root}"`
  const rule = content.entrypoints.find((one) => within(one, path) || within(path, one))
  if (rule !== undefined) return `${path} overlaps with the rule ${rule}`
  let here: Json | undefined = data
  for (const step of path.split('/')) {
    if (!isObject(here)) return `${path} lies below a value of the bundle`
    if (!Object.hasOwn(here, step)) return undefined
    here = here[step]
  }
  return `the bundle has a value at ${path}`
}

const within = (path: string, of: string): boolean => `${path}/`.startsWith(`${of}/`)

/** A copy with a value in a place that is free. */
function put(data: Json, [step, ...rest]: readonly string[], value: Json): Json {
  if (step === undefined) return value
  const members = new Map(Object.entries(isObject(data) ? data : {}))
  members.set(step, put(members.get(step) ?? {}, rest, value))
  return Object.fromEntries(members) // By entries, so that `__proto__` is a member like any other.
}

/** Who decides, with the age of the data that it decides by; and why that is too old, where it is. */
export function agedBy(
  by: Extract<DecidedBy, { readonly by: 'policy' }>,
  parts: readonly Omit<DataPart, 'value'>[],
  atNs: bigint,
  asOf: AsOf | undefined,
): { readonly from: Extract<DecidedBy, { readonly by: 'policy' }>; readonly stale: string | undefined } {
  const atMs = Number(atNs / 1_000_000n)
  const data: AgedData[] = []
  let stale: string | undefined
  for (const { name, version, maxAgeMs } of parts) {
    if (!version) {
      stale ??= `there is no data ${name} yet`
      continue
    }
    const known = { name, ...version }
    const since = asOf?.(known)
    const ageMs = since === undefined ? undefined : Math.max(0, atMs - since)
    data.push(ageMs === undefined ? known : { ...known, ageS: Math.floor(ageMs / 1000) })
    if (maxAgeMs !== undefined && (ageMs === undefined || ageMs > maxAgeMs)) stale ??= staleText(name, ageMs, maxAgeMs)
  }
  return { from: { ...by, data }, stale }
}

const staleText = (name: string, ageMs: number | undefined, maxAgeMs: number): string =>
  ageMs === undefined
    ? `nobody has said how old data ${name} is, which may be ${maxAgeMs / 1000} s old`
    : `data ${name} is ${Math.floor(ageMs / 1000)} s old, where ${maxAgeMs / 1000} s are the most`

const invalid = (why: string, cause?: unknown): WritError =>
  new WritError('policy_invalid', why, {
    cure: 'Mend the document; the version before stays in force.',
    ...(cause === undefined ? {} : { cause }),
  })
