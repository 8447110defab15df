/** What tests of the spool and the recorder stand on: a folder, a clock that is pushed, a stream that may refuse. */

import { createHash, createPrivateKey, generateKeyPairSync, randomBytes, sign } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach } from 'vitest'
import type { RecorderOptions } from '../../../audit/node/recorder.ts'
import type { Notice } from '../../../audit/stream/notice.ts'
import { toHex } from '../../../core/bytes.ts'
import type { IdentitySource, RandomBytes, Sha256, SignHead, Stream, StreamBatch } from '../../../core/ports.ts'
import type { AuditEvent, DecisionBody, Epoch } from '../../../core/record.ts'
import { parseEvent } from '../../../core/record.ts'
import { type AuditSettings, auditDefaults } from '../../../core/snapshot.ts'
import { parseSpiffeId, parseTrustDomain, type SpiffeId, type TrustDomain } from '../../../core/spiffe.ts'

export const sha256: Sha256 = (bytes) => createHash('sha256').update(bytes).digest()
export const random: RandomBytes = (length) => randomBytes(length)
export const id = (name: string): SpiffeId => parseSpiffeId(`spiffe://bank.example/${name}`)!
export const td: TrustDomain = parseTrustDomain('bank.example')!

const folders: string[] = []
export function folder(): string {
  const dir = mkdtempSync(join(tmpdir(), 'writ-spool-'))
  folders.push(dir)
  return dir
}
afterEach(() => {
  for (const dir of folders.splice(0)) rmSync(dir, { recursive: true, force: true })
})

export const settings = (changes: Partial<AuditSettings> = {}): AuditSettings => ({
  ...auditDefaults,
  syncEveryMs: 5,
  ...changes,
})

export interface Identity {
  readonly source: IdentitySource
  readonly signHead: SignHead
  /** Another certificate from now on. */
  renew(): void
}

/** A certificate is any bytes here: nobody in this part looks inside. */
export function identity(name: string): Identity {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const pem = privateKey.export({ type: 'pkcs8', format: 'pem' }) as string
  let generation = 0
  const chain = () => [new TextEncoder().encode(`certificate ${generation} of ${name}`)]
  return {
    source: {
      current: () => ({
        generation,
        svid: { id: id(name), chain: chain(), keyPem: pem, serial: '1', notBeforeMs: 0, notAfterMs: 1 },
        bundles: new Map(),
        denied: new Set(),
      }),
      subscribe: () => () => {},
    },
    signHead: (payload) => ({
      signer: toHex(sha256(chain()[0]!)),
      signature: sign('sha256', payload, { key: createPrivateKey(pem), dsaEncoding: 'ieee-p1363' }),
    }),
    renew: () => {
      generation++
    },
  }
}

export const decision = (verdict: 'allow' | 'deny' = 'allow', more: Partial<DecisionBody> = {}): DecisionBody => ({
  kind: 'decision',
  direction: 'inbound',
  workload: id('orders'),
  listener: 'orders/in',
  verdict,
  code: verdict === 'allow' ? 'allowed' : 'policy_denied',
  by: 'policy',
  enforced: true,
  reasons: [],
  input: { attributes: { request: { http: { method: 'GET', path: '/orders/7' } } } },
  peer: { proof: 'x509', serial: '0a', not_before: '', not_after: '' },
  request_id: 'r-1',
  ...more,
})

export interface TestStream extends Stream {
  readonly batches: StreamBatch[]
  /** Every record that arrived, in order of arrival. */
  events(): AuditEvent[]
  fails: (batch: StreamBatch) => boolean
}

export function testStream(partitions = 4): TestStream {
  const batches: StreamBatch[] = []
  const stream: TestStream = {
    batches,
    fails: () => false,
    events: () => batches.flatMap(({ records }) => records.map(eventOf)),
    async publish(batch) {
      await new Promise((resolve) => setImmediate(resolve))
      if (stream.fails(batch)) throw new Error('the broker is away')
      batches.push(batch)
    },
    partitions: async () => partitions,
    close: async () => {},
  }
  return stream
}

export function eventOf(bytes: Uint8Array): AuditEvent {
  const parsed = parseEvent(bytes)
  if ('wrong' in parsed) throw new Error(parsed.wrong)
  return parsed.event
}

/** Events by epoch and number, each number once. */
export function byEpoch(events: readonly AuditEvent[]): Map<Epoch, AuditEvent[]> {
  const epochs = new Map<Epoch, AuditEvent[]>()
  for (const event of events) {
    const list = epochs.get(event.epoch) ?? []
    list[event.seq] = event
    epochs.set(event.epoch, list)
  }
  return epochs
}

export const recorderOptions = (
  changes: Partial<RecorderOptions> & { readonly notices?: Notice[] } = {},
): RecorderOptions => {
  const { notices, ...rest } = changes
  return {
    dir: folder(),
    settings: settings(),
    trustDomain: td,
    cluster: 'lab',
    software: 'writ test',
    stream: testStream(),
    now: () => BigInt(Date.now()) * 1_000_000n,
    random,
    sha256,
    onEvent: (notice) => notices?.push(notice),
    ...rest,
  }
}
