/**
 * What the decisions of `npm run bench:questions` are about: a mesh of 60 services and 100 callers, 400 edges of which a
 * few carry most, weeks long, with a new policy revision every three days and certificates of twelve hours. In the last
 * day some edges are new, and in one hour of it one caller is refused far more than it used to be.
 */

import { randomBytes } from 'node:crypto'
import { toHex } from '../../core/bytes.ts'
import type { Decision } from '../../core/decision.ts'
import type { RequestFacts } from '../../core/facts.ts'
import type { Identified } from '../../core/identity.ts'
import type { PolicyUse } from '../../core/policy.ts'
import type { DecisionBody } from '../../core/record.ts'
import { type SpiffeId, spiffeId } from '../../core/spiffe.ts'
import { decisionBody } from '../../proxy/flow/record.ts'
import { trustDomain } from '../certificates.ts'

export const services = 60
const callersOnly = 40
const edgeCount = 400
const newEdges = 8
export const replicas = 2
const revisionMs = 3 * 86_400_000
export const certificateMs: number = 12 * 3_600_000

/** A small generator of numbers below 1, the same for the same seed. */
export function randomOf(seed: number): () => number {
  let state = seed | 0
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}

export const names: readonly SpiffeId[] = Array.from(
  { length: services + callersOnly },
  (_, i) => spiffeId(trustDomain, `ns/team-${i % 12}/sa/${i < services ? 'service' : 'client'}-${i}`)!,
)

interface Edge {
  readonly caller: number
  readonly target: number
  readonly methods: readonly string[]
  readonly refused: boolean
}

const use: PolicyUse = {
  ...{ bundle: 'bank', entrypoint: 'writ/authz/result', recordQuery: false },
  recordHeaders: ['user-agent', 'content-type'],
  recordClaims: [['sub']],
}
const headers = {
  'user-agent': 'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0',
  'content-type': 'application/json',
}

export const edges: readonly Edge[] = edgesOf()

export interface Made {
  /** Whose record it is: number of the service or caller. */
  readonly workload: number
  readonly replica: number
  readonly body: DecisionBody
}

/** `endMs` is when its last decision is made. */
export function openMesh(endMs: number): (number: number, atMs: number) => Made {
  const random = randomOf(11)
  const [old, all] = [slotsOf(edges.slice(0, -newEdges)), slotsOf(edges)]
  const spikeFrom = endMs - 5 * 3_600_000
  const policies = new Map<number, Decision['from'] & { readonly by: 'policy' }>()
  const identities = new Map<string, Identified>()

  const identityOf = (caller: number, replica: number, atMs: number): Identified => {
    const window = Math.floor(atMs / certificateMs)
    const key = `${caller} ${replica} ${window}`
    const known = identities.get(key)
    if (known) return known
    if (identities.size > 1000) identities.clear()
    const serial = serialOf(caller, replica, window)
    const [notBeforeMs, notAfterMs] = [window * certificateMs, (window + 2) * certificateMs]
    const identity = { id: names[caller]!, trustDomain, proof: 'x509' as const, serial, notBeforeMs, notAfterMs }
    const made: Identified = { ok: true, identity }
    identities.set(key, made)
    return made
  }
  const policyOf = (atMs: number) => {
    const number = Math.floor(atMs / revisionMs)
    const known = policies.get(number)
    if (known) return known
    const policy = {
      bundle: 'bank',
      revision: `r${number}`,
      sha256: (0x5a5a + number).toString(16).repeat(16).slice(0, 64),
    }
    const made = { by: 'policy' as const, policy }
    policies.set(number, made)
    return made
  }

  return (number, atMs) => {
    const spike = atMs >= spikeFrom && atMs < spikeFrom + 3_600_000 && random() < 0.1
    const edge = spike
      ? edges[11]!
      : edges[(endMs - atMs < 20 * 3_600_000 ? all : old)[Math.floor(random() * slotCount)]!]!
    const method = edge.methods[Math.floor(random() ** 2 * edge.methods.length)]!
    const replica = number % replicas
    const outbound = number % 5 === 0
    const workload = outbound ? edge.caller : edge.target
    const from = policyOf(atMs)
    const decision: Decision = edge.refused
      ? { verdict: 'deny', code: 'policy_denied', from, reasons: [`no edge allows ${method} from this caller`] }
      : { verdict: 'allow', code: 'allowed', from, reasons: [] }
    const nobody = number % 100_003 === 0
    const subject = `user-${Math.floor(random() ** 3 * 50_000)}`
    const id = toHex(randomBytes(16))
    const facts: RequestFacts = {
      ...{
        direction: outbound ? 'outbound' : 'inbound',
        workload: names[workload]!,
        listener: `service-${workload}/http`,
      },
      source: {
        identified: nobody
          ? { ok: false, code: 'identity_missing', detail: '' }
          : identityOf(edge.caller, replica, atMs),
        ...{ address: `10.1.${edge.caller}.${replica}`, port: 32_768 + (number % 28_000) },
      },
      destination: { service: `service-${edge.target}`, address: `10.2.${edge.target}.9`, port: 8443 },
      head: {
        ...{ method, authority: `service-${edge.target}.bank.example`, query: '', headers, protocol: 'HTTP/1.1' },
        ...{ path: `/v1/orders/${Math.floor(random() * 1_000_003)}`, scheme: 'https' },
      },
      ...(number % 4 === 1 && {
        token: {
          ...{
            provider: 'staff',
            issuer: 'https://login.bank.example',
            subject,
            audiences: ['bank'],
            sha256: 'ab'.repeat(32),
          },
          claims: { sub: subject },
        },
      }),
      ...{ requestId: id, traceId: toHex(randomBytes(16)), atNs: BigInt(Math.floor(atMs)) * 1_000_000n },
    }
    const found = {
      ...{ route: 'http', service: `service-${edge.target}`, timeoutMs: 0 },
      endpoint: { address: `10.2.${edge.target}.9`, port: 8080, identity: undefined },
    }
    return { workload, replica, body: decisionBody(facts, found, decision, use) }
  }
}

export const serialOf = (caller: number, replica: number, window: number): string =>
  (0x5a_0000_0000 + window * 4096 + caller * 4 + replica).toString(16).padStart(32, '7')

function edgesOf(): readonly Edge[] {
  const random = randomOf(7)
  const kinds = [['GET'], ['GET', 'POST'], ['GET', 'POST', 'DELETE']]
  return Array.from({ length: edgeCount }, (_, i) => {
    const target = Math.floor(random() * services)
    const caller = (target + 1 + Math.floor(random() * (names.length - 1))) % names.length
    return { caller, target, methods: kinds[i % 3]!, refused: i % 12 === 11 }
  })
}

const slotCount = 65_536

/** Edges by how often they are used: the second half as often as the first, and so on (Zipf). */
function slotsOf(edges: readonly Edge[]): Uint16Array {
  const weights = edges.map((_, i) => 1 / (i + 1) ** 0.9)
  const sum = weights.reduce((a, b) => a + b, 0)
  const slots = new Uint16Array(slotCount)
  let [edge, filled] = [0, 0]
  for (let slot = 0; slot < slotCount; slot++) {
    while (edge < edges.length - 1 && slot >= (filled + weights[edge]! / sum) * slotCount)
      filled += weights[edge++]! / sum
    slots[slot] = edge
  }
  return slots
}
