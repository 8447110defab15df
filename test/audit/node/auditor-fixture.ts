/** An auditor over a store in memory, and producers whose heads "verify" by a digest instead of a certificate. */

import { createHash, randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Auditor, type AuditorEvent, type AuditorSettings, openAuditor } from '../../../audit/node/auditor.ts'
import { type FileSigner, openFileSigner } from '../../../audit/node/signer.ts'
import { openStore, type Store } from '../../../audit/node/store.ts'
import { asc } from '../../../audit/store/drizzle.ts'
import { readLeaves } from '../../../audit/store/leaves.ts'
import { recallShard } from '../../../audit/store/recall.ts'
import { type RecordRow, records } from '../../../audit/store/schema.ts'
import { toBase64, toBase64Url, toHex } from '../../../core/bytes.ts'
import type { RandomBytes, Sha256, StreamMessage, VerifyHead } from '../../../core/ports.ts'
import {
  type AuditEvent,
  type Epoch,
  type EventBody,
  encodeEvent,
  type HeadBody,
  headPayload,
  newEpoch,
  noHash,
  parseEvent,
} from '../../../core/record.ts'
import { parseTrustDomain, type SpiffeId, spiffeId, type TrustDomain } from '../../../core/spiffe.ts'
import { formatTime } from '../../../core/time.ts'
import { empty } from '../query/store.ts'

export const trustDomain: TrustDomain = parseTrustDomain('bank.example')!
export const sha256: Sha256 = (bytes) => Uint8Array.from(createHash('sha256').update(bytes).digest())
export const random: RandomBytes = (length) => Uint8Array.from(randomBytes(length))

let clock = 1_800_000_000_000_000_000n
export const now = (): bigint => (clock += 1_000_000n)

/** Stands for a signature: SHA-256 of the chain's leaf and the payload, twice. */
const signatureOf = (leaf: Uint8Array, payload: Uint8Array): Uint8Array => {
  const digest = sha256(Buffer.concat([leaf, payload]))
  return Uint8Array.from(Buffer.concat([digest, digest]))
}
export const verifyHead: VerifyHead = ({ payload, signature, chain }) =>
  Buffer.from(signatureOf(chain[0]!, payload)).equals(signature) ? { ok: true } : { ok: false, detail: 'forged' }

export interface World {
  readonly dir: string
  store: Store
  signer: FileSigner
  readonly events: AuditorEvent[]
  open(store?: Store, more?: Partial<AuditorSettings>): Promise<Auditor>
  /** Events of a shard's log, in order. */
  log(shard?: number): Promise<AuditEvent[]>
  end(): Promise<void>
}

/** PGlite in memory, or the PostgreSQL database that `WRIT_TEST_POSTGRES` names, whose tables are emptied. */
export function openTestStore(): Promise<Store> {
  const url = process.env['WRIT_TEST_POSTGRES']
  return openStore(url === undefined ? { kind: 'pglite' } : { kind: 'postgres', url })
}

/** `store` is emptied first. */
export async function makeWorld(store: Store): Promise<World> {
  await empty(store.db)
  const dir = await mkdtemp(join(tmpdir(), 'writ-auditor-'))
  const signer = await openFileSigner({ dir: join(dir, 'signer'), name: 'bank.example/audit', sha256 })
  const events: AuditorEvent[] = []
  const opened: Auditor[] = []
  const world: World = {
    dir,
    store,
    signer,
    events,
    open: async (over, more) => {
      const auditor = await openAuditor({
        store: over ?? world.store,
        logDir: join(dir, 'log'),
        signer: world.signer,
        trustDomain,
        cluster: 'main',
        software: 'writ test',
        verifyHead,
        rootsOf: () => [],
        now,
        random,
        sha256,
        onEvent: (event) => events.push(event),
        ...more,
      })
      opened.push(auditor)
      return auditor
    },
    log: async (shard = 0) => {
      const { size } = await recallShard(world.store.db, shard)
      const found = await readLeaves(world.store.db, shard, [...Array(size).keys()])
      return found.map(({ bytes }) => {
        const parsed = parseEvent(bytes)
        if ('wrong' in parsed) throw new Error(parsed.wrong)
        return parsed.event
      })
    },
    end: async () => {
      for (const auditor of opened) await auditor.close()
      await world.signer.close()
      await rm(dir, { recursive: true })
    },
  }
  return world
}

/** What a log says, in words: `start`, `decision 3`, `gap opened 1-2`, `anomaly malformed`. */
export const said = (log: readonly AuditEvent[]): string[] =>
  log.map((event) => {
    if (event.kind === 'gap') return `gap ${event.action} ${event.first}-${event.last}`
    if (event.kind === 'anomaly') return `anomaly ${event.anomaly}`
    return event.producer.endsWith('/writ/auditor') ? `auditor ${event.kind}` : `${event.kind} ${event.seq}`
  })

export const rowsOf = (store: Store): Promise<RecordRow[]> =>
  store.db.select().from(records).orderBy(asc(records.shard), asc(records.index))

/** A producer that numbers, chains and signs as proxies do. */
export interface Producer {
  readonly producer: SpiffeId
  readonly epoch: Epoch
  start(): Uint8Array
  renew(): Uint8Array
  decision(over?: Partial<AuditEvent>): Uint8Array
  decisions(count: number): Uint8Array[]
  outcomes(...seqs: readonly number[]): Uint8Array
  /** Signed as the current certificate would, unless `over` brings another signature. */
  head(over?: Partial<HeadBody>): Uint8Array
}

export function makeProducer(path = 'orders'): Producer {
  const producer = spiffeId(trustDomain, path)!
  const epoch = newEpoch(random)
  let certificate = random(40)
  let seq = 0
  let prev = noHash
  const leafHashOf = (bytes: Uint8Array) => toHex(sha256(Buffer.concat([Uint8Array.of(0), bytes])))

  const make = (body: EventBody, over: Partial<AuditEvent> = {}): Uint8Array => {
    const event = {
      v: 1,
      td: trustDomain,
      cluster: 'main',
      producer,
      epoch,
      seq,
      prev,
      timestamp: formatTime(now()),
      ...(body.kind === 'decision' ? { decision_id: `${epoch}-${seq}` } : {}),
      ...body,
      ...over,
    } as AuditEvent
    let whole = event
    if (event.kind === 'head') {
      const head = event as AuditEvent<HeadBody>
      const sig = head.sig === '' ? toBase64Url(signatureOf(certificate, headPayload(head))) : head.sig
      whole = { ...head, sig }
    }
    const bytes = encodeEvent(whole)
    seq++
    prev = leafHashOf(bytes)
    return bytes
  }
  return {
    producer,
    epoch,
    start: () => make({ kind: 'start', software: 'writ test', svid: [toBase64(certificate)] }),
    renew: () => {
      certificate = random(40)
      return make({ kind: 'svid', svid: [toBase64(certificate)] })
    },
    decision: (over: Partial<AuditEvent> = {}) => make(decision(producer), over),
    decisions: (count: number) => Array.from({ length: count }, () => make(decision(producer))),
    outcomes: (...seqs: readonly number[]) =>
      make({
        kind: 'outcomes',
        outcomes: seqs.map((of) => ({
          seq: of,
          code: 'completed',
          status: 200,
          request_bytes: 1,
          response_bytes: 2,
          duration_us: 3,
          upstream: '127.0.0.1:80',
        })),
      }),
    head: (over: Partial<HeadBody> = {}) =>
      make({
        kind: 'head',
        counts: { allow: 0, deny: 0, fault: 0 },
        final: false,
        signer: toHex(sha256(certificate)),
        sig: '',
        ...over,
      }),
  }
}

const decision = (workload: SpiffeId): EventBody => ({
  kind: 'decision',
  direction: 'inbound',
  workload,
  listener: 'orders/in',
  verdict: 'allow',
  code: 'allowed',
  by: 'policy',
  enforced: true,
  reasons: ['r1'],
  bundles: { bank: { revision: '1', sha256: 'ab' } },
  path: 'writ/authz/result',
  input: {
    attributes: {
      source: { principal: 'spiffe://bank.example/web' },
      request: { http: { method: 'GET', path: '/orders' } },
    },
  },
  request_id: 'id',
})

export const message = (offset: number | string, key: string, lines: readonly Uint8Array[]): StreamMessage => ({
  offset: String(offset),
  key,
  value: Uint8Array.from(Buffer.concat(lines.flatMap((line, i) => (i === 0 ? [line] : [Uint8Array.of(10), line])))),
})
