/** Guards a fetch handler on any runtime: the same `serve`, the same policy bundle, the same records as in a sidecar. */

import type { Evidence, Peer } from '../../core/identity.ts'
import type { PolicyUse } from '../../core/policy.ts'
import type { Authenticate, Decide, Identify, LogRules, NowNs, RandomBytes, RecordSink } from '../../core/ports.ts'
import type { SpiffeId } from '../../core/spiffe.ts'
import { problem } from '../flow/problem.ts'
import type { FindQuarantine } from '../flow/quarantine.ts'
import type { FindRoute } from '../flow/route.ts'
import { makeTrials, type Trials } from '../flow/trial.ts'
import { type Parts, serve } from '../serve.ts'
import { fetchExchange, type Handler, responseOf } from './exchange.ts'

export interface GuardOptions {
  /** The workload that the handler is. */
  readonly workload: SpiffeId
  /** `workload/listener` in records. Default `<last step of the id>/edge`. */
  readonly listener?: string
  /** Name of the service in records and in the policy's input. Default the last step of the id. */
  readonly service?: string
  /** A shadow in it is asked once the response is on its way; a canary is not served here. */
  readonly policy: PolicyUse
  readonly identify: Identify
  /** Judges tokens beside it, where the policy's use takes any. Default nobody can, and then nobody passes. */
  readonly authenticate?: Authenticate
  readonly decide: Decide
  /** Masks records as the policy itself says. Default each is kept as it is. */
  readonly logRules?: LogRules
  /**
   * `flush` is called after each request, and sends on what need not be kept before the answer. `quarantined` knows the
   * callers that are cut off, as far as whoever keeps the records has said so.
   */
  readonly sink: RecordSink & { flush?(): Promise<void>; quarantined?: FindQuarantine }
  readonly now?: NowNs
  readonly random?: RandomBytes
  /** What the caller showed. Default: the bearer token of `Authorization`, as a JWT-SVID. */
  readonly evidence?: (request: Request) => Evidence
  /**
   * The caller's address, where the platform tells it in a way that callers cannot. Default none: headers such as
   * `cf-connecting-ip` are as good as whoever sets them.
   */
  readonly address?: (request: Request) => string
}

/** What a platform gives beside the request; of it, what lets work go on after the response has left. */
export interface RequestContext {
  waitUntil(work: Promise<unknown>): void
}

export type Guarded = (request: Request, context?: RequestContext) => Promise<Response>

/** The handler behind its policy. What comes back is a fetch handler again. */
export function guard(handler: Handler, options: GuardOptions): Guarded {
  const { evidence = bearer, address = () => '', sink } = options
  const parts = partsOf(options)
  const trials = trialsOf(parts)
  const nowMs = (): number => Number(parts.now() / 1_000_000n)

  return async (request, context) => {
    try {
      const peer: Peer = { evidence: evidence(request), address: address(request), port: 0 }
      const exchange = fetchExchange(request, handler, peer, nowMs)
      await serve(exchange, {
        ...parts,
        trials: trials && {
          answered(answered) {
            const asked = trials.answered(answered)
            if (asked) context?.waitUntil(asked)
            return asked
          },
        },
      })
      const flushed = sink.flush?.()
      if (flushed) context?.waitUntil(flushed)
      return await exchange.response
    } catch {
      // Not a part's way of saying no: something is broken, and what is broken lets nobody in.
      return responseOf(problem(503, 'internal', { requestId: '', decisionId: undefined }))
    }
  }
}

/** A shadow only: whether a canary holds is judged over all proxies, and nobody reports from here. */
const trialsOf = ({ policy, decide, logRules, sink, now }: Parts): Trials | undefined =>
  policy?.trial?.mode === 'shadow' ? makeTrials({ decide, logRules, sink, now }) : undefined

function partsOf(options: GuardOptions): Parts {
  const name = options.workload.slice(options.workload.lastIndexOf('/') + 1)
  const service = options.service ?? name
  const found = {
    route: service,
    service,
    endpoint: { address: 'handler', port: 0, identity: undefined },
    timeoutMs: 0,
  }
  const findRoute: FindRoute = () => found
  return {
    direction: 'inbound',
    listener: options.listener ?? `${name}/edge`,
    workload: options.workload,
    policy: options.policy,
    findRoute,
    identify: options.identify,
    authenticate: options.authenticate,
    decide: options.decide,
    logRules: options.logRules,
    quarantined: options.sink.quarantined,
    sink: options.sink,
    now: options.now ?? (() => BigInt(Date.now()) * 1_000_000n),
    random: options.random ?? ((length) => crypto.getRandomValues(new Uint8Array(length))),
  }
}

/** RFC 6750 section 2.1. Whatever follows the scheme is for `identify` to read: two tokens are nobody's. */
function bearer(request: Request): Evidence {
  const token = /^Bearer +(.*)$/is.exec(request.headers.get('authorization') ?? '')?.[1]
  return token === undefined ? { kind: 'none' } : { kind: 'jwt', token }
}
