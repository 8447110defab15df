/** Decision logs as OPA uploads them: a JSON array of events, each read on its own, so that a bad one spoils no other. */

import { toHex, utf8 } from '../core/bytes.ts'
import { type Exact, exactText, hasDecimals, isExactObject, readExact } from '../core/exact.ts'
import { canonicalJson, type Json } from '../core/json.ts'
import type { Sha256 } from '../core/ports.ts'
import type { OpaDecisionBody } from '../core/record.ts'
import type { SpiffeId } from '../core/spiffe.ts'

/** Members of an event, and what they may be called: OPA's own have fewer and shorter names. */
const maxMembers = 64
const memberName = /^[A-Za-z0-9_.-]{1,64}$/
const maxDecisionId = 256
/** Longest event as canonical JSON, in bytes: a leaf of the log has a 16-bit length, and its other members need some. */
const maxEventBytes = 56_000
/** Characters that are kept of what is no event: escaped they are six bytes each at most. */
const maxMalformed = 8192

export type Split =
  | { readonly ok: true; readonly items: readonly string[] }
  | { readonly ok: false; readonly why: string }

/** The items of a JSON array as they are written. What an item holds is not looked into, but that its brackets close. */
export function splitArray(text: string): Split {
  let at = skipSpace(text, 0)
  if (text[at] !== '[') return { ok: false, why: 'it is no JSON array' }
  const items: string[] = []
  let from = ++at
  let depth = 0
  for (; at < text.length; at++) {
    const char = text[at]
    if (char === '"') {
      at = endOfString(text, at)
    } else if (char === '[' || char === '{') {
      depth++
    } else if (depth > 0) {
      if (char === ']' || char === '}') depth--
    } else if (char === ',') {
      items.push(text.slice(from, at))
      from = at + 1
    } else if (char === ']' || char === '}') {
      break
    }
  }
  if (text[at] !== ']') return { ok: false, why: 'the JSON array does not end' }
  if (skipSpace(text, at + 1) < text.length) return { ok: false, why: 'something follows the JSON array' }
  const last = text.slice(from, at)
  if (items.length > 0 || skipSpace(last, 0) < last.length) items.push(last)
  return { ok: true, items }
}

/** RFC 8259 section 2. */
function skipSpace(text: string, from: number): number {
  let at = from
  while (text[at] === ' ' || text[at] === '\n' || text[at] === '\r' || text[at] === '\t') at++
  return at
}

/** Of the closing quote, or past the end where there is none. */
function endOfString(text: string, from: number): number {
  let at = from + 1
  while (at < text.length && text[at] !== '"') at += text[at] === '\\' ? 2 : 1
  return at
}

export interface OpaEvent {
  readonly decision_id: string
  readonly [member: string]: Exact | undefined
}

export type OpaEventRead =
  | { readonly ok: true; readonly event: OpaEvent }
  | { readonly ok: false; readonly why: string }

/** What every event of OPA has is asked for; all else is for readers to look at. */
export function readOpaEvent(text: string): OpaEventRead {
  const read = readExact(text)
  if (!read.ok) return { ok: false, why: read.wrong }
  const event = read.value
  if (!isExactObject(event)) return { ok: false, why: 'it is no object' }
  const names = Object.keys(event)
  if (names.length > maxMembers) return { ok: false, why: `it has more than ${maxMembers} members` }
  if (!names.every((name) => memberName.test(name))) return { ok: false, why: 'it has a member of an odd name' }
  const { decision_id: id, timestamp } = event
  if (typeof id !== 'string' || id === '' || id.length > maxDecisionId)
    return { ok: false, why: 'it has no decision_id' }
  if (typeof timestamp !== 'string' || !time.test(timestamp))
    return { ok: false, why: 'it has no timestamp of RFC 3339' }
  return { ok: true, event: event as OpaEvent }
}

const time = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)$/

/** The record of an event. The longest members are kept as digests, one after the other, until it fits. */
export function bodyOf(workload: SpiffeId, event: OpaEvent, sha256: Sha256): OpaDecisionBody {
  const kept: { [member: string]: Json } = Object.create(null)
  const keptAs: { [member: string]: 'digest' | 'text' } = Object.create(null)
  const sizes = new Map<string, number>()
  let size = 2
  for (const [name, value] of Object.entries(event)) {
    if (value === undefined) continue
    const exact = !hasDecimals(value)
    kept[name] = exact ? (value as Json) : exactText(value)
    if (!exact) keptAs[name] = 'text'
    const length = utf8(canonicalJson(kept[name])).length
    sizes.set(name, length)
    size += length + utf8(canonicalJson(name)).length + 2
  }
  const longestFirst = [...sizes].filter(([name]) => name !== 'decision_id').sort(([, a], [, b]) => b - a)
  for (const [name, length] of longestFirst) {
    if (size <= maxEventBytes) break
    const bytes = utf8(exactText(event[name]!))
    kept[name] = { sha256: toHex(sha256(bytes)), bytes: bytes.length }
    keptAs[name] = 'digest'
    size += utf8(canonicalJson(kept[name])).length - length
  }
  return {
    kind: 'opa_decision',
    workload,
    event: kept,
    ...(Object.keys(keptAs).length > 0 && { kept_as: keptAs }),
  }
}

/** What is no event is evidence too. */
export function malformedBody(workload: SpiffeId, text: string, why: string, sha256: Sha256): OpaDecisionBody {
  const bytes = utf8(text)
  return {
    kind: 'opa_decision',
    workload,
    malformed: {
      why,
      sha256: toHex(sha256(bytes)),
      bytes: bytes.length,
      text: text.slice(0, maxMalformed).toWellFormed(),
    },
  }
}
