/** A fetch event as an exchange: what is refused becomes a Response, what is allowed goes to the guarded handler. */

import type { HeadFault, RequestHead } from '../../core/facts.ts'
import type { Peer } from '../../core/identity.ts'
import type { Outcome, OutcomeCode } from '../../core/outcome.ts'
import type { Exchange, Onward, Refusal } from '../exchange.ts'
import { normalisePath, queryFault } from '../flow/normalise.ts'
import { upstreamProblem } from '../flow/problem.ts'
import { limitDefaults } from '../limits.ts'
import { type ReadAhead, readAhead } from './body.ts'

/** The code that is guarded: a Worker's fetch handler, a Hono app's `fetch`, anything of this shape. */
export type Handler = (request: Request) => Response | Promise<Response>

export interface FetchExchange extends Exchange {
  /** What the platform sends to the caller. */
  readonly response: Promise<Response>
}

export function fetchExchange(request: Request, handler: Handler, peer: Peer, nowMs: () => number): FetchExchange {
  const head = readHead(request)
  const startedMs = nowMs()
  let body: ReadAhead['body'] | undefined
  const { promise: response, resolve } = Promise.withResolvers<Response>()
  /**
   * `completed` means here that the handler has answered: bodies are streamed by the runtime, which neither counts them
   * for us nor says how they ended. Counting them ourselves would take every byte through JavaScript.
   */
  const outcome = (code: OutcomeCode, status: number): Outcome => ({
    code,
    status,
    requestBytes: 0,
    responseBytes: 0,
    durationUs: Math.max(0, Math.round((nowMs() - startedMs) * 1000)),
    upstream: 'handler',
  })

  return {
    peer,
    head,
    local: { address: '', port: 0 },
    response,
    async readBody(maxBytes) {
      const ahead = await readAhead(request, maxBytes, limitDefaults.bodyMs)
      body = ahead.body
      return ahead.read
    },
    async refuse(refusal) {
      resolve(responseOf(refusal))
      return outcome('refused', refusal.status)
    },
    async forward(onward) {
      try {
        const given = await handler(forwarded(request, head as RequestHead, onward, body))
        const headers = new Headers(given.headers)
        for (const [name, value] of Object.entries(onward.setResponseHeaders)) headers.set(name, value)
        resolve(new Response(given.body, { status: given.status, statusText: given.statusText, headers }))
        return outcome('completed', given.status)
      } catch {
        // What was thrown may hold anything, so the caller learns that it happened and where the record is.
        const failed = upstreamProblem('upstream_reset', {
          requestId: onward.setHeaders['x-request-id'] ?? '',
          decisionId: onward.setResponseHeaders['x-writ-decision'],
        })
        resolve(responseOf(failed))
        return outcome('upstream_reset', failed.status)
      }
    },
  }
}

export const responseOf = ({ status, headers, body }: Refusal): Response => new Response(body, { status, headers })

/** The runtime has parsed the request; its path is brought into the same one form as at every other listener. */
function readHead(request: Request): RequestHead | HeadFault {
  const url = new URL(request.url)
  const fields = readFields(request)
  if ('code' in fields) return fields
  const { headers } = fields
  if (request.method === 'CONNECT' || request.method === 'TRACE' || Object.hasOwn(headers, 'upgrade')) {
    return { code: 'method_unsupported', detail: 'only plain requests are guarded here' }
  }
  const normal = normalisePath(url.pathname)
  if ('wrong' in normal) return bad(normal.wrong)
  const query = url.search === '' ? undefined : url.search.slice(1)
  const wrong = query === undefined ? undefined : queryFault(query)
  if (wrong) return bad(wrong)
  if (!isHostOf(url, headers['host'])) return bad('a host that is not the one of the address')
  return {
    method: request.method,
    authority: url.host,
    path: normal.path,
    query,
    headers,
    protocol: 'HTTP/1.1',
    scheme: url.protocol === 'https:' ? 'https' : 'http',
  }
}

const bad = (detail: string): HeadFault => ({ code: 'bad_request', detail })

/** Within the bounds of every other listener, so that the same request gets the same answer. */
function readFields(request: Request): { readonly headers: Readonly<Record<string, string>> } | HeadFault {
  const { headBytes, headFields } = limitDefaults
  const fields = new Map<string, string>()
  let bytes = request.url.length
  let count = 0
  for (const [name, value] of request.headers) {
    bytes += name.length + value.length + 4
    count++
    const before = fields.get(name) // Only set-cookie comes more than once.
    fields.set(name, before === undefined ? value : `${before}, ${value}`)
  }
  if (bytes > headBytes) return { code: 'head_too_large', detail: `a head of more than ${headBytes} bytes` }
  if (count > headFields) return { code: 'head_too_large', detail: `a head of more than ${headFields} fields` }
  return { headers: Object.fromEntries(fields) }
}

/** A handler may read either, so they must not differ (RFC 9112 section 3.2.2). A default port need not be written. */
function isHostOf(url: URL, host: string | undefined): boolean {
  if (host === undefined) return true
  const lower = host.toLowerCase()
  return lower === url.host || lower === `${url.hostname}:${url.protocol === 'https:' ? 443 : 80}`
}

/** What was judged is what the handler sees: the same path, the same fields, and the body as it streams in. */
function forwarded(
  request: Request,
  head: RequestHead,
  onward: Onward,
  readBody: ReadAhead['body'] | undefined,
): Request {
  const url = new URL(request.url)
  url.pathname = head.path
  url.hash = '' // Judged by nobody.
  const headers = new Headers(head.headers)
  for (const name of onward.removeHeaders) headers.delete(name)
  for (const [name, value] of Object.entries(onward.setHeaders)) headers.set(name, value)
  // Member by member: what some platforms give is a Request by its members alone, which the constructor does not take.
  const { method, redirect, signal } = request
  const body = readBody === undefined ? request.body : readBody
  const init = { method, headers, body, redirect, signal, duplex: 'half', ...ofWorkers(request) }
  return new Request(url, init)
}

/** What Workers tell of a connection, which handlers there expect to find. */
function ofWorkers(request: object): object | undefined {
  return 'cf' in request && request.cf !== undefined ? { cf: request.cf } : undefined
}
