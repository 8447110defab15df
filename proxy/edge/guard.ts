/** Guards a fetch handler on any runtime: the same `serve`, the same policy bundle, the same records as in a sidecar. */

import type { Evidence, Peer } from '../../core/identity.ts'
import type { PolicyUse } from '../../core/policy.ts'
import type { Decide, Identify, NowNs, RandomBytes, RecordSink } from '../../core/ports.ts'
import type { SpiffeId } from '../../core/spiffe.ts'
import type { FindRoute } from '../flow/route.ts'
import { serve } from '../serve.ts'
import { fetchExchange, type Handler } from './exchange.ts'

export interface GuardOptions {
  /** The workload that the handler is. */
  readonly workload: SpiffeId
  /** `workload/listener` in records. Default `<last step of the id>/edge`. */
  readonly listener?: string
  /** Name of the service in records and in the policy's input. Default the last step of the id. */
  readonly service?: string
  readonly policy: PolicyUse
  readonly identify: Identify
  readonly decide: Decide
  readonly sink: RecordSink
  readonly now?: NowNs
  readonly random?: RandomBytes
  /** What the caller showed. Default: the bearer token of `Authorization`, as a JWT-SVID. */
  readonly evidence?: (request: Request) => Evidence
  /** The caller's address where the platform tells it. Default `cf-connecting-ip` is not read; empty. */
  readonly address?: (request: Request) => string
}

/** The handler behind its policy. What comes back is a fetch handler again. */
export function guard(handler: Handler, options: GuardOptions): (request: Request) => Promise<Response> {
  const now = options.now ?? (() => BigInt(Date.now()) * 1_000_000n)
  const name = options.workload.slice(options.workload.lastIndexOf('/') + 1)
  const service = options.service ?? name
  const found = {
    route: service,
    service,
    endpoint: { address: 'handler', port: 0, identity: undefined },
    timeoutMs: 0,
  }
  const findRoute: FindRoute = () => found
  const parts = {
    direction: 'inbound' as const,
    listener: options.listener ?? `${name}/edge`,
    workload: options.workload,
    policy: options.policy,
    findRoute,
    identify: options.identify,
    decide: options.decide,
    sink: options.sink,
    now,
    random: options.random ?? ((length: number) => crypto.getRandomValues(new Uint8Array(length))),
  }
  return async (request) => {
    const peer: Peer = {
      evidence: (options.evidence ?? bearer)(request),
      address: options.address?.(request) ?? '',
      port: 0,
    }
    const exchange = fetchExchange(request, handler, peer, () => Number(now() / 1_000_000n))
    await serve(exchange, parts)
    return exchange.response
  }
}

/** RFC 6750 section 2.1. Two tokens are nobody's. */
function bearer(request: Request): Evidence {
  const token = /^Bearer ([A-Za-z0-9._~+/=-]+)$/i.exec(request.headers.get('authorization') ?? '')?.[1]
  return token === undefined ? { kind: 'none' } : { kind: 'jwt', token }
}
