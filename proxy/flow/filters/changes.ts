/** What a route changes of a request that goes on, and of its answer. Names and values were checked where routes are read. */

import type { RequestHead } from '../../../core/facts.ts'
import type { HeaderChanges } from '../../../core/filters.ts'
import { fieldOf, type Onward } from '../../exchange.ts'
import type { Found } from '../route.ts'
import { corsChanges } from './cors.ts'
import { rewritten } from './target.ts'

export interface Changes {
  /** Of the request. */
  readonly set: Readonly<Record<string, string>>
  readonly remove: readonly string[]
  readonly setOnResponse: Readonly<Record<string, string>>
  readonly onward: Pick<Onward, 'target' | 'addResponseHeaders' | 'removeResponseHeaders' | 'transform' | 'mirrors'>
}

export function changesOf(
  head: RequestHead,
  { filters, prefix, mirrors }: Pick<Found, 'filters' | 'prefix' | 'mirrors'>,
): Changes {
  const { request, response, rewrite, cors, transform } = filters!
  const ofCors = cors && corsChanges(head, cors)
  const add = { ...ofCors?.add, ...response?.add }
  const ofBody = transform?.response === undefined ? undefined : wholeAnswers
  return {
    set: { ...joined(head, request?.add), ...request?.set, ...ofBody?.set },
    remove: [...(request?.remove ?? []), ...(ofBody?.remove ?? [])],
    setOnResponse: { ...response?.set, ...ofCors?.set },
    onward: {
      ...(rewrite && { target: rewritten(head, prefix ?? '/', rewrite) }),
      addResponseHeaders: Object.entries(add),
      removeResponseHeaders: [...(response?.remove ?? []), ...(ofCors?.remove ?? [])],
      ...(transform && { transform }),
      ...(mirrors && { mirrors }),
    },
  }
}

/** A part of a body, or one that is compressed, cannot be patched. */
const wholeAnswers: HeaderChanges = { set: { 'accept-encoding': 'identity' }, remove: ['range', 'if-range'] }

/** As one field with what the caller sent (RFC 9110 section 5.3). */
function joined(head: RequestHead, add: HeaderChanges['add']): Record<string, string> {
  const set: Record<string, string> = {}
  for (const [name, value] of Object.entries(add ?? {})) {
    const before = fieldOf(head, name)
    set[name] = before === undefined ? value : `${before}${name === 'cookie' ? '; ' : ', '}${value}`
  }
  return set
}
