/** Everything that an edge function needs from its configuration, put together. */

import { makeJwtIdentify } from '../../ca/jwt.ts'
import { readTrust } from '../../ca/wire.ts'
import { messageOf, WritError } from '../../core/fault.ts'
import type { Json } from '../../core/json.ts'
import type { HttpAllowance, PolicyRef, PolicyTrial, PolicyUse } from '../../core/policy.ts'
import type { NowNs } from '../../core/ports.ts'
import { parseSpiffeId, type SpiffeId, spiffeId, trustDomainOf } from '../../core/spiffe.ts'
import {
  askingHost,
  fetchTransport,
  makeDecide,
  makeLogRules,
  makePolicies,
  openPolicy,
  parseReads,
  type Reads,
} from '../../engine/index.ts'
import { type CollectorOptions, collectorSink } from './collector.ts'
import type { Handler } from './exchange.ts'
import { type Guarded, type GuardOptions, guard } from './guard.ts'
import { type EdgeTokens, edgeAuthenticate, tokenUseOf } from './tokens.ts'

export interface EdgeOptions extends Pick<GuardOptions, 'listener' | 'service' | 'address'> {
  /** SPIFFE id of the function, as its Workload document has it. Callers ask for tokens with it as the audience. */
  readonly workload: string
  /** What `writ policy build --edge` wrote. */
  readonly policy: EdgePolicy
  /** Rule to ask, as OPA writes entry points: `writ/authz/result`. */
  readonly entrypoint: string
  /** Whom the policy may ask by `http.send`: beginnings of URLs. Default nobody, and such a policy is not opened. */
  readonly http?: Partial<HttpAllowance> & Pick<HttpAllowance, 'allow'>
  /** What becomes of requests that the policy cannot judge. Default `refuse`. */
  readonly onFault?: PolicyUse['onFault']
  /** A policy that is tried out beside it, and changes no answer; percent of the requests, default 100. Default none. */
  readonly shadow?: { readonly policy: EdgePolicy; readonly entrypoint?: string; readonly percent?: number }
  /** How much of a body is read before the request is judged, in bytes. Default 0: the policy sees no body. */
  readonly bodyBytes?: number
  /** Whose tokens are taken beside the caller's own, and judged before the policy is asked. Default nobody's. */
  readonly tokens?: EdgeTokens
  /** Facts that records keep. Default neither headers nor the query, and nothing of the body. */
  readonly record?: Partial<Pick<PolicyUse, 'recordHeaders' | 'recordQuery' | 'recordBody' | 'recordClaims'>>
  /** Whether a refused caller reads the policy's reasons. Default false. */
  readonly explain?: boolean
  /** One trust bundle for each trust domain whose callers are taken: content of the `trust.json` of `writ svid`. */
  readonly trust: readonly unknown[]
  readonly collector: Omit<CollectorOptions, 'producer'>
}

export interface EdgePolicy {
  readonly module: WebAssembly.Module
  readonly data: unknown
  readonly ref: PolicyRef
  /** What it reads of its input (reads.json). Default all of it, and then no decision is remembered. */
  readonly reads?: unknown
}

function readsOf(reads: unknown): { readonly reads?: Reads } {
  if (reads === undefined || reads === null) return {}
  try {
    return { reads: parseReads(reads as Json) }
  } catch (thrown) {
    throw new WritError('policy_invalid', `reads.json: ${messageOf(thrown)}`, { cause: thrown })
  }
}

/** Throws `config_invalid` or `policy_invalid`: a function that is set up wrongly answers nobody. */
export function openEdge(handler: Handler, options: EdgeOptions): Guarded {
  const workload = workloadOf(options.workload)
  const now: NowNs = () => BigInt(Date.now()) * 1_000_000n
  const { ref } = options.policy
  const trial = trialOf(workload, options)
  const policies = makePolicies()
  const host = options.http && { host: askingHost }
  for (const { module, data, ref, reads } of [options.policy, ...(options.shadow ? [options.shadow.policy] : [])]) {
    policies.put(openPolicy({ module, data: data as Json, ref, now, ...host, ...readsOf(reads) }))
  }
  const bundles = new Map(options.trust.map(trustOf).map((bundle) => [bundle.trustDomain, bundle]))

  return guard(handler, {
    ...options,
    workload,
    policy: {
      bundle: ref.bundle,
      entrypoint: options.entrypoint,
      recordHeaders: options.record?.recordHeaders ?? [],
      recordQuery: options.record?.recordQuery ?? false,
      recordBody: options.record?.recordBody ?? [],
      recordClaims: options.record?.recordClaims ?? [],
      ...(options.tokens && { tokens: tokenUseOf(options.tokens) }),
      bodyBytes: options.bodyBytes ?? 0,
      ...(options.onFault && { onFault: options.onFault }),
      ...(trial && { trial }),
      ...(options.http && {
        http: { timeoutMs: 2000, maxBytes: 64 * 1024, privateAddresses: false, ...options.http },
      }),
      explain: options.explain ?? false,
    },
    identify: makeJwtIdentify({ keysOf: (domain) => bundles.get(domain)?.jwtKeys, audience: workload }),
    ...(options.tokens && { authenticate: edgeAuthenticate() }),
    decide: makeDecide(policies, { http: fetchTransport }),
    logRules: makeLogRules(policies),
    sink: collectorSink({ ...options.collector, producer: spiffeId(trustDomainOf(workload), '/writ/control')! }),
    now,
  })
}

function trialOf(workload: SpiffeId, { policy, entrypoint, shadow }: EdgeOptions): PolicyTrial | undefined {
  if (!shadow) return undefined
  const { bundle } = shadow.policy.ref
  if (bundle === policy.ref.bundle) {
    throw new WritError('config_invalid', `the shadow's bundle has the name of the one in force, ${bundle}`, {
      cure: 'build it from a folder of another name',
    })
  }
  const name = workload.slice(workload.lastIndexOf('/') + 1)
  const { percent = 100 } = shadow
  return { name, mode: 'shadow', bundle, entrypoint: shadow.entrypoint ?? entrypoint, percent }
}

function workloadOf(text: string): SpiffeId {
  const id = parseSpiffeId(text)
  if (id) return id
  throw new WritError('config_invalid', `${text} is no SPIFFE id of a workload`, {
    cure: 'give the id of its Workload document, as in spiffe://bank.example/edge-fn',
  })
}

function trustOf(value: unknown): NonNullable<ReturnType<typeof readTrust>> {
  const bundle = readTrust(value)
  if (bundle?.jwtKeys?.length) return bundle
  throw new WritError('config_invalid', 'a trust bundle without a key for tokens, or none at all', {
    cure: 'give the content of the trust.json that `writ svid` writes',
  })
}
