/** Where a request goes under another path or host (Gateway API HTTPURLRewriteFilter, HTTPRequestRedirectFilter). */

import type { RequestHead } from '../../../core/facts.ts'
import type { PathChange, Redirect, Rewrite } from '../../../core/filters.ts'
import type { Target } from '../../exchange.ts'
import { hostOf, portOf } from '../authority.ts'
import { bareOf } from '../match.ts'

/** `prefix`: the one that the route matched. */
export const rewritten = (head: RequestHead, prefix: string, { host, path }: Rewrite): Target => ({
  authority: host ?? head.authority,
  path: path ? changed(head.path, prefix, path) : head.path,
})

/** Both are in normal form, and so is what they come to. */
function changed(path: string, prefix: string, { type, value }: PathChange): string {
  if (type === 'full') return value
  return `${bareOf(value)}${path.slice(bareOf(prefix).length)}` || '/'
}

/** An absolute URL. Without a scheme of its own the port stays, unless one is named. */
export function locationOf(head: RequestHead, prefix: string, { scheme, host, port, path }: Redirect): string {
  const to = scheme ?? head.scheme
  const wanted = port ?? (scheme === undefined ? portOf(head.authority) : undefined)
  const shown = wanted === undefined || wanted === (to === 'https' ? 443 : 80) ? '' : `:${wanted}`
  const query = head.query === undefined ? '' : `?${head.query}`
  return `${to}://${host ?? hostOf(head.authority)}${shown}${path ? changed(head.path, prefix, path) : head.path}${query}`
}
