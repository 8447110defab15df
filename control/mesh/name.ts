/** A snapshot's name is the hash of its content: given when it is made, checked when it arrives. */

import { z } from 'zod'
import { toHex, utf8 } from '../../core/bytes.ts'
import { WritError } from '../../core/fault.ts'
import { canonicalJson, isObject, type Json } from '../../core/json.ts'
import type { Sha256 } from '../../core/ports.ts'
import { type MeshSnapshot, maxQuarantined, snapshotVersion } from '../../core/snapshot.ts'
import { parseSpiffeId, parseTrustDomain, type SpiffeId, type TrustDomain } from '../../core/spiffe.ts'
import { kafkaSasl, kafkaTls } from './kafka.ts'
import { backends, match, route } from './route-wire.ts'
import { listenerLimits, serviceTraffic, sourceLimits } from './traffic-wire.ts'

export function nameSnapshot(content: Omit<MeshSnapshot, 'name'>, sha256: Sha256): MeshSnapshot {
  const { name: _, ...rest } = content as MeshSnapshot
  return { ...rest, name: `sha256:${toHex(sha256(utf8(canonicalJson(rest as unknown as Json))))}` }
}

/**
 * A snapshot as it came over the wire. Throws a WritError: `version` where it is of another version, `config_invalid`
 * where a member is missing, unknown or wrong, or where the name is not that of the content.
 */
export function checkSnapshot(value: unknown, sha256: Sha256): MeshSnapshot {
  if (!isObject(value)) throw invalid('it is not an object')
  if (value['v'] !== snapshotVersion) {
    throw new WritError('version', `a snapshot of version ${String(value['v'])} where ${snapshotVersion} is read`, {
      cure: 'run the same release, or the one before, in control and proxies',
    })
  }
  const read = snapshotShape.safeParse(value)
  if (!read.success) {
    const issue = read.error.issues[0]!
    throw invalid(`${issue.path.map(String).join('.') || 'it'}: ${issue.message}`)
  }
  const snapshot = read.data as MeshSnapshot
  const { name } = renamed(snapshot, sha256)
  if (name !== snapshot.name) throw invalid(`it is named ${snapshot.name}, but its content is ${name}`)
  return snapshot
}

function renamed(snapshot: MeshSnapshot, sha256: Sha256): MeshSnapshot {
  try {
    return nameSnapshot(snapshot, sha256)
  } catch {
    throw invalid('it holds text that JSON cannot carry') // A lone surrogate.
  }
}

const invalid = (why: string): WritError =>
  new WritError('config_invalid', `not a snapshot: ${why}`, { cure: 'check which process sent it' })

const text = z.string().max(4096)
const port = z.int().min(1).max(65_535)
const id = z.custom<SpiffeId>(
  (value) => typeof value === 'string' && parseSpiffeId(value) !== undefined,
  'no SPIFFE id',
)
const trustDomain = z.custom<TrustDomain>(
  (value) => typeof value === 'string' && parseTrustDomain(value) !== undefined,
  'no trust domain',
)
const count = z.int().min(0)

const bind = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('tcp'), address: text, port }),
  z.strictObject({ kind: z.literal('unix'), path: text }),
])

const tokenPlace = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('header'), name: text, prefix: text }),
  z.strictObject({ kind: z.literal('query'), name: text }),
  z.strictObject({ kind: z.literal('cookie'), name: text }),
])

const tokenKey = z.strictObject({
  kty: z.enum(['RSA', 'EC', 'OKP']),
  ...{ kid: text.exactOptional(), alg: text.exactOptional(), crv: text.exactOptional(), x: text.exactOptional() },
  ...{ y: text.exactOptional(), n: text.exactOptional(), e: text.exactOptional() },
})

const tokenProvider = z.strictObject({
  name: text,
  issuer: text,
  audiences: z.array(text).min(1),
  keys: z.discriminatedUnion('kind', [
    z.strictObject({ kind: z.literal('known'), keys: z.array(tokenKey) }),
    z.strictObject({ kind: z.literal('url'), url: text, refreshMs: count, privateAddresses: z.boolean() }),
  ]),
  from: z.array(tokenPlace),
  clockSkewMs: count,
  algorithms: z.array(text),
  certificateBound: z.boolean(),
})

const policy = z.strictObject({
  bundle: text,
  entrypoint: text,
  recordHeaders: z.array(text),
  personal: z.array(text).exactOptional(),
  subject: text.exactOptional(),
  recordQuery: z.boolean(),
  explain: z.boolean().exactOptional(),
  bodyBytes: count.exactOptional(),
  recordBody: z.array(z.array(text)).exactOptional(),
  tokens: z.strictObject({ providers: z.array(tokenProvider), forward: z.boolean() }).exactOptional(),
  recordClaims: z.array(z.array(text)).exactOptional(),
  onFault: z.enum(['refuse', 'pass']).exactOptional(),
  trial: z
    .strictObject({
      name: text,
      mode: z.enum(['shadow', 'canary']),
      bundle: text,
      entrypoint: text,
      percent: z.number().min(0).max(100),
      maxRise: z.number().min(0).max(100).exactOptional(),
      minDecisions: z.int().min(1).exactOptional(),
      windowMs: z.int().min(1).exactOptional(),
    })
    .exactOptional(),
  http: z
    .strictObject({ allow: z.array(text), timeoutMs: count, maxBytes: count, privateAddresses: z.boolean() })
    .exactOptional(),
})

const site = z.discriminatedUnion('serves', [
  z.strictObject({ host: text, serves: z.literal('http') }),
  z.strictObject({ host: text, serves: z.literal('redirect'), port }),
  z.strictObject({ host: text, serves: z.literal('https'), certificates: z.array(text) }),
  z.strictObject({ host: text, serves: z.literal('tls'), route: text, backends }),
])

const service = z.strictObject({
  name: text,
  hosts: z.array(text),
  endpoints: z.array(
    z.strictObject({
      address: text,
      port,
      identity: id.optional(),
      outside: z
        .strictObject({
          tls: z.strictObject({ serverName: text, roots: z.array(text).exactOptional() }).exactOptional(),
          privateAddresses: z.boolean(),
        })
        .exactOptional(),
      locality: text.exactOptional(),
    }),
  ),
  protocol: z.literal('tcp').exactOptional(),
  connect: z.literal(true).exactOptional(),
  traffic: serviceTraffic.exactOptional(),
  sealing: z.strictObject({ personal: z.array(text), subject: text.exactOptional() }).exactOptional(),
})

const outside = z.array(z.strictObject({ service, policy: policy.optional() }))

const listener = z.discriminatedUnion('direction', [
  z.strictObject({
    direction: z.literal('inbound'),
    name: text,
    bind,
    protocol: z.enum(['tcp', 'detect']).exactOptional(),
    app: z.strictObject({ address: text, port, protocol: z.literal('h2c').exactOptional() }),
    service: text,
    policy: policy.optional(),
    policies: z.array(z.strictObject({ route: text, match, policy: policy.optional() })).exactOptional(),
    limits: listenerLimits(match).exactOptional(),
    sources: sourceLimits.exactOptional(),
  }),
  z.strictObject({
    direction: z.literal('outbound'),
    name: text,
    bind,
    tcp: text.exactOptional(),
    detect: z.literal(true).exactOptional(),
    outside: outside.exactOptional(),
  }),
  z.strictObject({
    direction: z.literal('egress'),
    name: text,
    bind,
    outside,
    sources: sourceLimits.exactOptional(),
  }),
  z.strictObject({
    direction: z.literal('gateway'),
    name: text,
    bind,
    sites: z.array(site),
    minTls: z.literal('1.2').exactOptional(),
    clients: z
      .strictObject({
        mode: z.enum(['required', 'optional']),
        roots: z.strictObject({ names: z.array(text), trustDomain }).exactOptional(),
      })
      .exactOptional(),
    routes: z.array(route),
    policy: policy.optional(),
    policies: z.array(z.strictObject({ route: text, policy: policy.optional() })).exactOptional(),
    limits: listenerLimits(match).exactOptional(),
    sources: sourceLimits.exactOptional(),
  }),
])

const snapshotShape = z.strictObject({
  v: z.literal(snapshotVersion),
  name: text,
  trustDomain,
  cluster: text,
  services: z.array(service),
  routes: z.array(route),
  workloads: z.array(z.strictObject({ name: text, id, listeners: z.array(listener), locality: text.exactOptional() })),
  bundles: z.array(z.strictObject({ bundle: text, revision: text, sha256: z.string().regex(/^[0-9a-f]{64}$/) })),
  data: z
    .array(
      z.strictObject({
        name: text,
        bundle: text,
        path: text,
        maxAgeMs: count.exactOptional(),
        version: z.strictObject({ revision: text, sha256: z.string().regex(/^[0-9a-f]{64}$/) }).exactOptional(),
      }),
    )
    .exactOptional(),
  quarantine: z
    .array(z.strictObject({ id, untilMs: count.exactOptional(), reason: text }))
    .max(maxQuarantined)
    .exactOptional(),
  tracing: z
    .strictObject({
      otlp: text,
      sample: z.number().min(0).max(1),
      propagate: z.array(z.enum(['w3c', 'b3', 'b3multi'])).max(3),
    })
    .exactOptional(),
  audit: z.strictObject({
    durability: z.enum(['bounded', 'strict', 'replicated']),
    spoolMaxBytes: count,
    segmentBytes: count,
    syncEveryMs: count,
    headEveryMs: count,
    idleHeadEveryMs: count,
    onFull: z.enum(['refuse', 'allow-and-account']).exactOptional(),
    expectedRate: z.number().exactOptional(),
  }),
  stream: z.discriminatedUnion('kind', [
    z.strictObject({ kind: z.literal('embedded') }),
    z.strictObject({
      kind: z.literal('kafka'),
      brokers: z.array(text).min(1),
      topic: text,
      tls: kafkaTls.exactOptional(),
      sasl: kafkaSasl.exactOptional(),
    }),
  ]),
  logKey: text,
})
