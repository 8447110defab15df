/** The text by which requests are told apart: of a header, of a cookie, or who calls. */

import type { RequestHead } from '../../core/facts.ts'
import type { KeyPlace } from '../../core/traffic.ts'
import { fieldOf } from '../exchange.ts'

/** Undefined where the request does not have it. `caller`: who asks, as far as it is known. */
export function keyAt(place: KeyPlace, head: RequestHead, caller: string | undefined): string | undefined {
  switch (place.kind) {
    case 'caller':
      return caller
    case 'header':
      return fieldOf(head, place.name)
    case 'cookie':
      return cookieOf(fieldOf(head, 'cookie'), place.name)
  }
}

/** The first of that name (RFC 6265 section 5.4). */
function cookieOf(field: string | undefined, name: string): string | undefined {
  for (const pair of field?.split(/; ?|, /) ?? []) {
    if (pair.startsWith(`${name}=`)) return pair.slice(name.length + 1)
  }
  return undefined
}
