/** What of a body a policy may read, and what of that a record does not show. */

import { type Exact, isExactObject } from '../../core/exact.ts'
import { isWithin } from '../../core/input-body.ts'
import type { InputPath } from '../../core/policy.ts'

export interface BodyReads {
  readonly body?: readonly InputPath[]
  readonly bodyText?: boolean
}

export interface RecordedBody {
  /** The members that were kept; undefined where none of them were in the body, or none are kept. */
  readonly parsed: Exact | undefined
  /** Members that were to be kept and were too long for it. */
  readonly leftOut: readonly InputPath[]
  /** Whether there was no body at all. */
  readonly empty: boolean
}

const parsedBody = ['parsed_body']
const http = ['attributes', 'request', 'http']
const asItCame = [
  [...http, 'body'],
  [...http, 'rawBody'],
]

export function bodyReads(paths: readonly InputPath[]): BodyReads {
  const body = paths.flatMap((path) =>
    isWithin(path, parsedBody) ? [path.slice(1)] : isWithin(parsedBody, path) ? [[]] : [],
  )
  const bodyText = paths.some((path) => asItCame.some((place) => isWithin(place, path) || isWithin(path, place)))
  return { ...(body.length > 0 && { body }), ...(bodyText && { bodyText }) }
}

export function bodyLacks(reads: BodyReads, shown: RecordedBody, kept: BodyReads): string[] {
  if (shown.empty) return []
  const lacks = (reads.body ?? []).flatMap((path) => {
    if (isKnown(shown.parsed, path)) return []
    const cut = shown.leftOut.some((other) => isWithin(other, path) || isWithin(path, other))
    if (!cut && kept.body?.some((outer) => isWithin(path, outer))) return []
    return [path.length === 0 ? 'body' : `body member ${path.join('.')}`]
  })
  return reads.bodyText ? [...lacks, 'body text'] : lacks
}

/** An object may be what is left of a larger one. Anything else is whole, and has no members that could be missing. */
export function isKnown(parsed: Exact | undefined, path: InputPath): boolean {
  let here = parsed
  for (const step of path) {
    if (!isExactObject(here)) break
    here = Object.hasOwn(here, step) ? here[step] : undefined
  }
  return here !== undefined && !isExactObject(here)
}
