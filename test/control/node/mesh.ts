/** A mesh door on a free port, whose every part is a plain value that a test can change. */

import { X509Certificate } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'
import { request } from 'node:https'
import { makeHealth } from '../../../control/health.ts'
import { type MeshDoorParts, openMeshDoor } from '../../../control/node/mesh-door.ts'
import type { Door, DoorOptions } from '../../../control/node/open-door.ts'
import { partsOf } from '../../../control/parts.ts'
import { WritError } from '../../../core/fault.ts'
import type { Identified, IdentityState, Peer, TrustBundle } from '../../../core/identity.ts'
import type { RecordSink } from '../../../core/ports.ts'
import type { Epoch, EventBody, RecordId } from '../../../core/record.ts'
import type { MeshSnapshot } from '../../../core/snapshot.ts'
import { parseSpiffeId, type SpiffeId, type TrustDomain } from '../../../core/spiffe.ts'
import { bankText, sha256, snapshotOf } from '../world.ts'
import { rootDer, rootPem, stateOf, type TestIdentity } from './pki.ts'

export const trust: TrustBundle = { trustDomain: 'bank.example' as TrustDomain, sequence: 7, roots: [rootDer] }
export const epoch = 'ab'.repeat(12) as Epoch

export interface TestSink extends RecordSink {
  readonly bodies: EventBody[]
  readonly outcomes: [RecordId, unknown][]
  readonly refusals: { readonly code: string }[]
  /** What `keep` waits for before it resolves. */
  gate: Promise<void>
}

export function testSink(): TestSink {
  const sink: TestSink = {
    bodies: [],
    outcomes: [],
    refusals: [],
    gate: Promise.resolve(),
    async keep(body) {
      const seq = sink.bodies.push(body)
      await sink.gate
      return { producer: 'spiffe://bank.example/writ/control' as SpiffeId, epoch, seq }
    },
    outcome: (id, outcome) => void sink.outcomes.push([id, outcome]),
    refused: (refusal) => void sink.refusals.push(refusal),
  }
  return sink
}

export interface TestMesh {
  readonly door: Door
  readonly sink: TestSink
  readonly chains: number[]
  readonly unexpected: unknown[]
  /** Ids that `identify` refuses from now on. */
  readonly revoked: Set<string>
  readonly joins: [string, Uint8Array][]
  readonly renewals: string[]
  setSnapshot(snapshot: MeshSnapshot): void
  deny(id: string): void
  rotate(state: IdentityState): void
  listening(): number
  health: MeshDoorParts['health']
}

export async function testMesh(options: DoorOptions = {}, change: Partial<MeshDoorParts> = {}): Promise<TestMesh> {
  let snapshot = snapshotOf(bankText)
  let state = stateOf('spiffe://bank.example/writ/control', 1)
  let generation = 3
  const denied = new Set<string>()
  const revoked = new Set<string>()
  const changes = new Set<() => void>()
  const rotations = new Set<(state: IdentityState) => void>()
  const sink = testSink()
  const unexpected: unknown[] = []
  const chains: number[] = []
  const joins: [string, Uint8Array][] = []
  const renewals: string[] = []
  const health = makeHealth()

  /** Stands in for ca/: a leaf under our middle certificate has the name that it says, unless it is revoked. */
  const identify = (peer: Peer): Identified => {
    if (peer.evidence.kind !== 'x509') return { ok: false, code: 'identity_missing', detail: 'no certificate' }
    chains.push(peer.evidence.chain.length)
    const leaf = new X509Certificate(peer.evidence.chain[0]!)
    const id = parseSpiffeId(/URI:(spiffe:\S+)/.exec(leaf.subjectAltName ?? '')?.[1] ?? '')
    if (!id) return { ok: false, code: 'identity_invalid', detail: 'no SPIFFE id' }
    if (!id.startsWith('spiffe://bank.example/')) return { ok: false, code: 'identity_untrusted', detail: 'not ours' }
    if (revoked.has(id)) return { ok: false, code: 'identity_revoked', detail: 'revoked' }
    const trustDomain = trust.trustDomain
    return { ok: true, identity: { id, trustDomain, proof: 'x509', serial: '01', notBeforeMs: 0, notAfterMs: 1e15 } }
  }

  const door = await openMeshDoor(
    {
      identity: {
        current: () => state,
        subscribe(changed) {
          rotations.add(changed)
          return () => rotations.delete(changed)
        },
      },
      registrar: {
        join(token, csr) {
          if (token !== 'good')
            throw new WritError('token_invalid', 'unknown, used or over', { cure: 'make a new one' })
          joins.push([token, csr])
          return { chain: [new Uint8Array([1, 2])], bundles: [trust] }
        },
        renew({ id }) {
          renewals.push(id)
          return { chain: [new Uint8Array([3])], bundles: [trust] }
        },
        mintJwt: ({ id }, audience) => ({ token: `${id} for ${audience}`, serial: 'ab', notAfterMs: 1_300_000 }),
      },
      identify,
      trust: () => trust,
      partOf: partsOf(() => snapshot, sha256),
      bundle: (digest) => (digest === 'ab'.repeat(32) ? new Uint8Array([31, 139]) : undefined),
      denied: () => ({ generation, denied }),
      subscribe(changed) {
        changes.add(changed)
        return () => changes.delete(changed)
      },
      findReceipt: async ({ seq }) =>
        seq === 5 ? { index: 9, path: [new Uint8Array([255])], note: 'n\n' } : undefined,
      health,
      collectorToken: (token) => collectorTokens[token],
      sink,
      nowMs: () => 1_000_000,
      unexpected: (thrown) => unexpected.push(thrown),
      ...change,
    },
    options,
  )
  const tell = (): void => {
    for (const changed of changes) changed()
  }
  return {
    door,
    sink,
    chains,
    unexpected,
    revoked,
    joins,
    renewals,
    health,
    listening: () => changes.size + rotations.size,
    setSnapshot(next) {
      snapshot = next
      tell()
    },
    deny(id) {
      denied.add(id)
      generation++
      tell()
    },
    rotate(next) {
      state = next
      for (const changed of rotations) changed(next)
    },
  }
}

export const collectorTokens: Readonly<Record<string, SpiffeId | undefined>> = {
  'edge-orders': 'spiffe://bank.example/orders' as SpiffeId,
  'edge-payments': 'spiffe://bank.example/payments' as SpiffeId,
}

export interface Answer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly text: string
  readonly json: unknown
  /** Common name of the server's certificate. */
  readonly server: string
}

/** One HTTPS request on a connection of its own, unless an agent is given. */
export function ask(
  port: number,
  method: string,
  path: string,
  more: {
    readonly as?: TestIdentity | undefined
    readonly body?: unknown
    readonly headers?: Readonly<Record<string, string>>
    readonly options?: object
  } = {},
): Promise<Answer> {
  const sent =
    more.body === undefined || more.body instanceof Uint8Array || typeof more.body === 'string'
      ? more.body
      : JSON.stringify(more.body)
  return new Promise((resolve, reject) => {
    const sending = request(
      {
        host: '127.0.0.1',
        port,
        method,
        path,
        headers: {
          ...(sent === undefined || more.headers?.['transfer-encoding']
            ? {}
            : { 'content-length': Buffer.byteLength(sent as string) }),
          ...more.headers,
        },
        agent: false,
        ca: rootPem,
        checkServerIdentity: () => undefined,
        ...(more.as ? { cert: more.as.certPem, key: more.as.keyPem } : {}),
        ...more.options,
      },
      (answer) => {
        const chunks: Buffer[] = []
        const socket = answer.socket as import('node:tls').TLSSocket
        const server = String(socket.getPeerCertificate().subject?.CN)
        answer.on('data', (chunk: Buffer) => chunks.push(chunk))
        answer.on('error', reject)
        answer.on('end', () => {
          const text = Buffer.concat(chunks).toString('utf8')
          const isJson = /json/.test(answer.headers['content-type'] ?? '')
          const json: unknown = isJson ? JSON.parse(text) : undefined
          resolve({ status: answer.statusCode ?? 0, headers: answer.headers, text, json, server })
        })
      },
    )
    sending.on('error', reject)
    sending.end(sent as string | undefined)
  })
}
