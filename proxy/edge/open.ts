/** Everything that an edge function needs from its configuration, put together. */

import { makeJwtIdentify } from '../../ca/jwt.ts'
import { readTrust } from '../../ca/wire.ts'
import { WritError } from '../../core/fault.ts'
import type { Json } from '../../core/json.ts'
import type { PolicyRef, PolicyUse } from '../../core/policy.ts'
import type { NowNs } from '../../core/ports.ts'
import { parseSpiffeId, type SpiffeId, spiffeId, trustDomainOf } from '../../core/spiffe.ts'
import { makeDecide, makePolicies, openPolicy } from '../../engine/index.ts'
import { type CollectorOptions, collectorSink } from './collector.ts'
import type { Handler } from './exchange.ts'
import { type Guarded, type GuardOptions, guard } from './guard.ts'

export interface EdgeOptions extends Pick<GuardOptions, 'listener' | 'service' | 'address'> {
  /** SPIFFE id of the function, as its Workload document has it. Callers ask for tokens with it as the audience. */
  readonly workload: string
  /** What `writ policy build --edge` wrote. */
  readonly policy: { readonly module: WebAssembly.Module; readonly data: unknown; readonly ref: PolicyRef }
  /** Rule to ask, as OPA writes entry points: `writ/authz/result`. */
  readonly entrypoint: string
  /** Facts that records keep. Default neither headers nor the query. */
  readonly record?: Partial<Pick<PolicyUse, 'recordHeaders' | 'recordQuery'>>
  /** Whether a refused caller reads the policy's reasons. Default false. */
  readonly explain?: boolean
  /** One trust bundle for each trust domain whose callers are taken: content of the `trust.json` of `writ svid`. */
  readonly trust: readonly unknown[]
  readonly collector: Omit<CollectorOptions, 'producer'>
}

/** Throws `config_invalid` or `policy_invalid`: a function that is set up wrongly answers nobody. */
export function openEdge(handler: Handler, options: EdgeOptions): Guarded {
  const workload = workloadOf(options.workload)
  const now: NowNs = () => BigInt(Date.now()) * 1_000_000n
  const { module, data, ref } = options.policy
  const policies = makePolicies()
  policies.put(openPolicy({ module, data: data as Json, ref, now }))
  const bundles = new Map(options.trust.map(trustOf).map((bundle) => [bundle.trustDomain, bundle]))

  return guard(handler, {
    ...options,
    workload,
    policy: {
      bundle: ref.bundle,
      entrypoint: options.entrypoint,
      recordHeaders: options.record?.recordHeaders ?? [],
      recordQuery: options.record?.recordQuery ?? false,
      explain: options.explain ?? false,
    },
    identify: makeJwtIdentify({ keysOf: (domain) => bundles.get(domain)?.jwtKeys, audience: workload }),
    decide: makeDecide(policies),
    sink: collectorSink({ ...options.collector, producer: spiffeId(trustDomainOf(workload), '/writ/control')! }),
    now,
  })
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
