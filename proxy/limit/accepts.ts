/** Which requests a listener and its routes take by what they are: by method, and by the length of their body. */

import type { Decision } from '../../core/decision.ts'
import type { HeadFault, RequestHead } from '../../core/facts.ts'
import type { Accepts, ListenerLimits } from '../../core/snapshot.ts'
import { fieldOf, isHead } from '../exchange.ts'
import type { FindRoute } from '../flow/route.ts'
import { routeIndex } from '../flow/route-index.ts'

export interface Acceptance {
  /** Why a request is refused by its head: its method, or the length that it says. */
  refused(head: RequestHead): Decision | undefined
  /** Most bytes of its body. Undefined where it may have any. */
  bodyBytes(head: RequestHead): number | undefined
}

/** Undefined where everything is taken. */
export function acceptanceOf({ accepts, routes = [] }: ListenerLimits): Acceptance | undefined {
  if (!accepts && routes.every((route) => !route.accepts)) return undefined
  const ofRoutes = routeIndex(routes)
  const both = (head: RequestHead): readonly Accepts[] => {
    const own = ofRoutes(head)?.accepts
    return [...(accepts ? [accepts] : []), ...(own ? [own] : [])]
  }
  return {
    refused(head) {
      for (const { methods, bodyBytes } of both(head)) {
        if (methods && !methods.includes(head.method)) return methodRefused(head.method, methods)
        const length = Number(fieldOf(head, 'content-length') ?? 0)
        if (bodyBytes !== undefined && length > bodyBytes) return bodyRefused(bodyBytes)
      }
      return undefined
    },
    bodyBytes(head) {
      const all = both(head).flatMap(({ bodyBytes }) => bodyBytes ?? [])
      return all.length === 0 ? undefined : Math.min(...all)
    },
  }
}

/** What finds a place says how long a body may be that goes there; whoever passes it on counts. */
export const bounded =
  (find: FindRoute, { bodyBytes }: Acceptance): FindRoute =>
  (head: RequestHead | HeadFault, caller) => {
    const found = find(head, caller)
    const most = found && isHead(head) ? bodyBytes(head) : undefined
    return found && most !== undefined ? { ...found, bodyBytes: most } : found
  }

/** RFC 9110 section 15.5.6: the answer says which methods there are. */
const methodRefused = (method: string, methods: readonly string[]): Decision => ({
  verdict: 'deny',
  code: 'method_refused',
  from: { by: 'proxy' },
  reasons: [`${method} is none of ${methods.join(', ')}`],
  answer: { headers: { allow: methods.join(', ') } },
})

const bodyRefused = (bodyBytes: number): Decision => ({
  verdict: 'deny',
  code: 'body_too_large',
  from: { by: 'proxy' },
  reasons: [`the body has more than ${bodyBytes} bytes`],
})
