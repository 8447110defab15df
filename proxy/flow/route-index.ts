/**
 * The first of many routes that matches, without asking each of them: exact paths and prefixes are looked up by their
 * text, and only patterns are asked one after the other. Which one is found is as if all were asked in order.
 */

import type { RequestHead } from '../../core/facts.ts'
import type { RouteMatch } from '../../core/snapshot.ts'
import { type Accepts, bareOf, matcherOf } from './match.ts'

interface Entry<Item> {
  /** Its place in the order of precedence. */
  readonly at: number
  readonly accepts: Accepts
  readonly item: Item
}

const slash = 47

/** `items`: in order of precedence. Throws where a pattern is none of RE2's. */
export function routeIndex<Item extends { readonly match: RouteMatch }>(
  items: readonly Item[],
): (head: RequestHead) => Item | undefined {
  const exact = new Map<string, Entry<Item>[]>()
  const prefixes = new Map<string, Entry<Item>[]>()
  const patterns: Entry<Item>[] = []
  let longest = -1
  for (const [at, item] of items.entries()) {
    const { path } = item.match
    const entry = { at, accepts: matcherOf(item.match), item }
    if (path.type === 'exact') push(exact, path.value, entry)
    else if (path.type === 'regex') patterns.push(entry)
    else {
      const bare = bareOf(path.value)
      push(prefixes, bare, entry)
      longest = Math.max(longest, bare.length)
    }
  }

  /** The longest prefix first, as in Gateway API's order, so that shorter ones are mostly not asked. */
  function ofPrefixes(head: RequestHead, best: Entry<Item> | undefined): Entry<Item> | undefined {
    const { path } = head
    let found = best
    let end = Math.min(path.length, longest)
    while (end >= 0) {
      if (end === path.length || path.charCodeAt(end) === slash) {
        found = earlier(prefixes.get(path.slice(0, end)), head, found)
      }
      end--
    }
    return found
  }

  return (head) => {
    const first = earlier(exact.get(head.path), head, undefined)
    return ofPrefixes(head, earlier(patterns, head, first))?.item
  }
}

/** The first of `entries` that accepts the request and stands before `best`, else that. */
function earlier<Item>(
  entries: readonly Entry<Item>[] | undefined,
  head: RequestHead,
  best: Entry<Item> | undefined,
): Entry<Item> | undefined {
  for (const entry of entries ?? []) {
    if (best && entry.at > best.at) return best
    if (entry.accepts(head)) return entry
  }
  return best
}

function push<Item>(map: Map<string, Entry<Item>[]>, key: string, entry: Entry<Item>): void {
  const known = map.get(key)
  if (known) known.push(entry)
  else map.set(key, [entry])
}
