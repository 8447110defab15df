/** What a policy reads of a request's body, and what of that the record keeps. */

import { type Exact, exactText, hasDecimals, isExactObject, roundedJson } from './exact.ts'
import type { RequestBody } from './facts.ts'
import { type Json, canonicalString as quoted } from './json.ts'
import type { InputPath } from './policy.ts'

type Members = { readonly [name: string]: Json }

/** Members of the input's top. */
export const judgedBody = ({ parsed, truncated }: RequestBody): Members => ({
  parsed_body: roundedJson(parsed),
  truncated_body: truncated,
})

/** Members of `attributes.request.http`. */
export function httpBody(body: RequestBody): Members {
  if (body.text !== undefined && body.text !== '') return { body: body.text, ...sizeOf(body) }
  return body.raw === undefined ? sizeOf(body) : { rawBody: body.raw, ...sizeOf(body) }
}

/** As protojson writes an int64: text, and left out where it is 0. */
export const sizeOf = ({ size }: RequestBody): Members => (size === 0 ? {} : { size: String(size) })

/** The same members as JSON text, in which every number has the value it was sent with. */
export const bodyText = ({ parsed, truncated }: RequestBody): string =>
  `,"parsed_body":${exactText(parsed)},"truncated_body":${truncated}`

export function httpBodyText(body: RequestBody): string {
  let text = ''
  if (body.text !== undefined && body.text !== '') text += `,"body":${quoted(body.text)}`
  else if (body.raw !== undefined) text += `,"rawBody":${quoted(body.raw)}`
  return body.size === 0 ? text : `${text},"size":"${body.size}"`
}

/** Longest member that a record keeps, and all of them together, in characters of JSON. */
const maxMember = 2048
export const maxRecordedBody = 8192
/** Arrays and objects within each other in a member that a record keeps. */
const maxMemberDepth = 8

/**
 * `parsed_body`: the named members alone, where no path names all of it; left out where there are none of them, null where nothing was parsed. In
 * its place stands `parsed_body_text`, JSON text, where a number in it is one that JSON's readers would round.
 * `parsed_body_left_out`: named members that are too long, or too deep.
 */
export function recordedBody({ parsed, truncated }: RequestBody, paths: readonly InputPath[]): Members {
  const { kept, leftOut } = pickMembers(parsed, paths)
  return {
    ...(kept === undefined
      ? undefined
      : hasDecimals(kept)
        ? { parsed_body_text: exactText(kept) }
        : { parsed_body: roundedJson(kept) }),
    ...(leftOut.length === 0 ? undefined : { parsed_body_left_out: leftOut }),
    truncated_body: truncated,
  }
}

type Picked = { [name: string]: Exact }

/** What a record keeps of the members that are named, within its room, and those that are too long or too deep for it. */
export function pickMembers(
  parsed: Exact,
  paths: readonly InputPath[],
): { readonly kept: Exact | undefined; readonly leftOut: readonly InputPath[] } {
  if (parsed === null) return { kept: null, leftOut: [] }
  const kept: Picked = Object.create(null)
  const leftOut: InputPath[] = []
  let room = maxRecordedBody
  for (const path of paths) {
    if (paths.some((other) => other.length < path.length && isWithin(path, other))) continue // Part of what is kept.
    const value = memberAt(parsed, path)
    if (value === undefined) continue
    const length = depthWithin(value, maxMemberDepth) ? exactText(value).length : Number.POSITIVE_INFINITY
    if (length > Math.min(maxMember, room)) {
      leftOut.push(path)
      continue
    }
    if (path.length === 0) return { kept: value, leftOut: [] }
    room -= length
    put(kept, path, value)
  }
  return { kept: Object.keys(kept).length === 0 ? undefined : kept, leftOut }
}

/** Whether what stands at `path` is at or below `outer`. */
export const isWithin = (path: InputPath, outer: InputPath): boolean =>
  outer.length <= path.length && outer.every((step, i) => step === path[i])

function memberAt(value: Exact, path: InputPath): Exact | undefined {
  let here: Exact | undefined = value
  for (const step of path) {
    if (!isExactObject(here) || !Object.hasOwn(here, step)) return undefined
    here = here[step]
  }
  return here
}

function put(into: Picked, path: InputPath, value: Exact): void {
  let here = into
  for (const step of path.slice(0, -1)) here = (here[step] ??= Object.create(null) as Picked) as Picked
  here[path.at(-1)!] = value
}

const depthWithin = (value: Exact, depth: number): boolean =>
  typeof value !== 'object' ||
  value === null ||
  (depth > 0 && Object.values(value).every((member) => member === undefined || depthWithin(member, depth - 1)))
