/** What the record of an OPA's decision says, for a row. Its members were written by others and may be of any type. */

import { isObject, type Json } from '../../core/json.ts'
import { parseEvent } from '../../core/record.ts'
import type { Told } from './answer.ts'

/** Longest value that a row holds, in characters of JSON: a page has a thousand rows. The record has all of it. */
const maxValue = 4096

export function toldBy(leaf: Uint8Array): Told {
  const read = parseEvent(leaf)
  const body = ('event' in read ? read.event : {}) as unknown as Members
  const told = isObject(body['event']) ? body['event'] : {}
  const malformed = isObject(body['malformed']) ? textOf(body['malformed']['why']) : null
  return {
    decisionId: textOf(told['decision_id']),
    at: textOf(told['timestamp']),
    labels: shown(told['labels']),
    result: shown(told['result']),
    error: shown(told['error']),
    requestedBy: textOf(told['requested_by']),
    keptAs: shown(body['kept_as']),
    malformed,
    repeats: body['repeats'] === true,
  }
}

type Members = { readonly [member: string]: Json | undefined }

const textOf = (value: Json | undefined): string | null => (typeof value === 'string' ? value.slice(0, maxValue) : null)

function shown(value: Json | undefined): Json {
  if (value === undefined) return null
  const text = JSON.stringify(value)
  return text.length <= maxValue ? value : `${text.slice(0, maxValue)}\u2026`
}
