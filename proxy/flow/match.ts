/** Whether a request is one of a route's (Gateway API HTTPRouteMatch). */

import type { RequestHead } from '../../core/facts.ts'
import type { RouteMatch } from '../../core/snapshot.ts'
import { fieldOf } from '../exchange.ts'

export function matches(match: RouteMatch, head: RequestHead): boolean {
  if (match.method !== undefined && match.method !== head.method) return false
  if (match.path.type === 'exact' ? head.path !== match.path.value : !underPrefix(head.path, match.path.value)) {
    return false
  }
  for (const name in match.headers) {
    if (fieldOf(head, name) !== match.headers[name]) return false
  }
  return true
}

/** By whole segments: `/a` holds `/a` and `/a/b`, not `/ab`; a slash at the prefix's end means nothing. */
function underPrefix(path: string, prefix: string): boolean {
  const bare = prefix.endsWith('/') ? prefix.slice(0, -1) : prefix
  return path.startsWith(bare) && (path.length === bare.length || path.charCodeAt(bare.length) === 47)
}
