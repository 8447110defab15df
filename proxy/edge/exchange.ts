/** A fetch event as an exchange: what is refused becomes a Response, what is allowed goes to the guarded handler. */

import type { HeadFault, RequestHead } from '../../core/facts.ts'
import type { Peer } from '../../core/identity.ts'
import type { Outcome, OutcomeCode } from '../../core/outcome.ts'
import type { Exchange, Onward, Refusal } from '../exchange.ts'
import { normalisePath, queryFault } from '../flow/normalise.ts'
import { upstreamProblem } from '../flow/problem.ts'

/** The code that is guarded: a Worker's fetch handler, a Hono app's `fetch`, anything of this shape. */
export type Handler = (request: Request) => Response | Promise<Response>

export interface FetchExchange extends Exchange {
  /** What the platform sends to the caller. */
  readonly response: Promise<Response>
}

export function fetchExchange(request: Request, handler: Handler, peer: Peer, nowMs: () => number): FetchExchange {
  const head = readHead(request)
  const startedMs = nowMs()
  const { promise: response, resolve } = Promise.withResolvers<Response>()
  const outcome = (code: OutcomeCode, status: number): Outcome => ({
    code,
    status,
    // The runtime streams bodies by itself and does not count them for us.
    requestBytes: 0,
    responseBytes: 0,
    durationUs: Math.max(0, Math.round((nowMs() - startedMs) * 1000)),
    upstream: 'handler',
  })
  const answer = (refusal: Refusal): void =>
    resolve(new Response(refusal.body, { status: refusal.status, headers: refusal.headers }))

  return {
    peer,
    head,
    local: { address: '', port: 0 },
    response,
    async refuse(refusal) {
      answer(refusal)
      return outcome('refused', refusal.status)
    },
    async forward(onward) {
      try {
        const given = await handler(forwarded(request, head as RequestHead, onward))
        const headers = new Headers(given.headers)
        for (const [name, value] of Object.entries(onward.setResponseHeaders)) headers.set(name, value)
        resolve(new Response(given.body, { status: given.status, statusText: given.statusText, headers }))
        return outcome('completed', given.status)
      } catch {
        const failed = upstreamProblem('upstream_reset', {
          requestId: onward.setHeaders['x-request-id'] ?? '',
          decisionId: onward.setResponseHeaders['x-writ-decision'],
        })
        answer(failed)
        return outcome('upstream_reset', failed.status)
      }
    },
  }
}

/** The runtime has parsed the request; its path is brought into the same one form as at every other listener. */
function readHead(request: Request): RequestHead | HeadFault {
  const url = new URL(request.url)
  const normal = normalisePath(url.pathname)
  if ('wrong' in normal) return { code: 'bad_request', detail: normal.wrong }
  const query = url.search === '' ? undefined : url.search.slice(1)
  const wrong = query === undefined ? undefined : queryFault(query)
  if (wrong) return { code: 'bad_request', detail: wrong }
  if (request.method === 'CONNECT' || request.method === 'TRACE' || request.headers.has('upgrade')) {
    return { code: 'method_unsupported', detail: 'only plain requests are guarded here' }
  }
  return {
    method: request.method,
    authority: url.host,
    path: normal.path,
    query,
    headers: Object.fromEntries(request.headers),
    protocol: 'HTTP/1.1',
    scheme: url.protocol === 'https:' ? 'https' : 'http',
  }
}

/** What was judged is what the handler sees. */
function forwarded(request: Request, head: RequestHead, onward: Onward): Request {
  const url = new URL(request.url)
  url.pathname = head.path
  const headers = new Headers(request.headers)
  for (const name of onward.removeHeaders) headers.delete(name)
  for (const [name, value] of Object.entries(onward.setHeaders)) headers.set(name, value)
  return new Request(url, new Request(request, { headers }))
}
