/** A producer as tests need one: numbers, chains and signs like a real one, and can be told to lie. */

import { createHash, generateKeyPairSync, type KeyObject, randomBytes, sign, verify } from 'node:crypto'
import { toBase64, toBase64Url, toHex, utf8 } from '../../../core/bytes.ts'
import type { Json } from '../../../core/json.ts'
import type { VerifyHead } from '../../../core/ports.ts'
import {
  type AuditEvent,
  type DecisionBody,
  decisionId,
  type Epoch,
  type EventBody,
  encodeEvent,
  type HeadBody,
  headPayload,
  newEpoch,
  noHash,
  type StartBody,
} from '../../../core/record.ts'
import { parseSpiffeId, type SpiffeId, trustDomainOf } from '../../../core/spiffe.ts'
import { formatTime } from '../../../core/time.ts'

export const sha256 = (bytes: Uint8Array): Uint8Array => new Uint8Array(createHash('sha256').update(bytes).digest())
export const leafHashOf = (bytes: Uint8Array): Uint8Array => sha256(Uint8Array.of(0, ...bytes))

export const id = (path: string): SpiffeId => parseSpiffeId(`spiffe://bank.example/${path}`)!

/** Stands for a root certificate: the only trust root of these tests. */
export const testRoot: Uint8Array = utf8('the root of bank.example')

export const startMs: number = Date.UTC(2026, 10, 23, 12)

/** Reads the leaf "certificate" of these tests, which is a bare public key. */
export const verifyTestHead: VerifyHead = ({ payload, signature, chain, roots }) => {
  if (!roots.some((root) => Buffer.from(root).equals(testRoot))) return { ok: false, detail: 'no root that I know' }
  const key = { key: Buffer.from(chain[0]!), format: 'der', type: 'spki', dsaEncoding: 'ieee-p1363' } as const
  return verify('sha256', payload, key, signature) ? { ok: true } : { ok: false, detail: 'signature does not hold' }
}

export interface Call {
  readonly caller?: SpiffeId | undefined
  readonly verdict?: 'allow' | 'deny' | 'fault'
  readonly code?: string
  readonly path?: string
  readonly method?: string
  readonly requestId?: string
  readonly revision?: string
  readonly notBeforeMs?: number
  readonly notAfterMs?: number
  readonly proof?: string
  readonly scheme?: string
  readonly direction?: 'inbound' | 'outbound'
  readonly workload?: SpiffeId
  readonly enforced?: boolean
  readonly trial?: DecisionBody['trial']
}

export class Producer {
  readonly name: SpiffeId
  epoch: Epoch = newEpoch((length) => new Uint8Array(randomBytes(length)))
  seq = 0
  prev: string = noHash
  nowMs: number
  counts: { allow: number; deny: number; fault: number } = { allow: 0, deny: 0, fault: 0 }
  readonly chain: readonly Uint8Array[]
  readonly #key: KeyObject

  constructor(path: string, nowMs: number = startMs) {
    this.name = id(path)
    this.nowMs = nowMs
    const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    this.#key = privateKey
    this.chain = [new Uint8Array(publicKey.export({ format: 'der', type: 'spki' }))]
  }

  /** The next record's bytes. Time moves 10 ms. */
  write(body: EventBody): Uint8Array {
    const bytes = encodeEvent(this.#event(body))
    this.seq++
    this.prev = toHex(leafHashOf(bytes))
    this.nowMs += 10
    if (body.kind === 'decision') this.counts[body.verdict]++
    return bytes
  }

  start(previous?: StartBody['previous']): Uint8Array {
    const svid = this.chain.map((der) => toBase64(der))
    return this.write({ kind: 'start', software: 'test', svid, ...(previous && { previous }) })
  }

  /** Another run of the same producer; by default it quotes the one before. */
  restart(quote: boolean = true): Uint8Array {
    const previous = { epoch: this.epoch, seq: this.seq - 1, hash: this.prev, ended: 'crash' as const }
    this.epoch = newEpoch((length) => new Uint8Array(randomBytes(length)))
    this.seq = 0
    this.prev = noHash
    this.counts = { allow: 0, deny: 0, fault: 0 }
    return this.start(quote ? previous : undefined)
  }

  decision(call: Call = {}): Uint8Array {
    return this.write(decisionBody(this.name, call, this.nowMs))
  }

  head(final: boolean = false, counts: HeadBody['counts'] = this.counts): Uint8Array {
    const unsigned: HeadBody = {
      kind: 'head',
      counts: { ...counts },
      final,
      signer: toHex(sha256(this.chain[0]!)),
      sig: '',
    }
    const payload = headPayload(this.#event(unsigned) as AuditEvent<HeadBody>)
    const sig = sign('sha256', payload, { key: this.#key, dsaEncoding: 'ieee-p1363' })
    return this.write({ ...unsigned, sig: toBase64Url(new Uint8Array(sig)) })
  }

  #event(body: EventBody): AuditEvent {
    return {
      v: 1,
      td: trustDomainOf(this.name),
      cluster: 'test',
      producer: this.name,
      epoch: this.epoch,
      seq: this.seq,
      prev: this.prev,
      timestamp: formatTime(BigInt(this.nowMs) * 1_000_000n),
      ...body,
      ...(body.kind === 'decision' && { decision_id: decisionId(this) }),
    }
  }
}

export function decisionBody(producer: SpiffeId, call: Call, nowMs: number): DecisionBody {
  const verdict = call.verdict ?? 'allow'
  const code = call.code ?? { allow: 'allowed', deny: 'policy_denied', fault: 'policy_error' }[verdict]
  const caller = 'caller' in call ? call.caller : id('web')
  const source: { [key: string]: Json } = { address: { socketAddress: { address: '10.0.0.7', portValue: 40000 } } }
  if (caller) source['principal'] = caller
  const direction = call.direction ?? 'inbound'
  return {
    kind: 'decision',
    direction,
    workload: call.workload ?? producer,
    listener: 'orders/in',
    verdict,
    code: code as DecisionBody['code'],
    by: 'policy',
    enforced: call.enforced ?? true,
    ...(call.trial && { trial: call.trial }),
    reasons: verdict === 'allow' ? [] : ['not on the list'],
    bundles: { orders: { revision: call.revision ?? 'r1', sha256: 'ab'.repeat(32) } },
    path: 'writ/authz/result',
    input: {
      attributes: {
        destination: { address: { socketAddress: { address: '10.0.0.9', portValue: 8443 } } },
        source,
        request: {
          http: {
            host: 'orders.bank.example',
            id: call.requestId ?? 'req-1',
            method: call.method ?? 'GET',
            path: call.path ?? '/orders/1',
            protocol: 'HTTP/1.1',
            scheme: call.scheme ?? 'https',
          },
        },
      },
      writ: { direction, listener: 'orders/in', workload: call.workload ?? producer, service: 'orders' },
    },
    ...(caller && {
      peer: {
        proof: call.proof ?? 'x509',
        serial: '0a1b',
        not_before: formatTime(BigInt(call.notBeforeMs ?? nowMs - 60_000) * 1_000_000n),
        not_after: formatTime(BigInt(call.notAfterMs ?? nowMs + 3_540_000) * 1_000_000n),
      },
    }),
    service: 'orders',
    request_id: call.requestId ?? 'req-1',
  }
}
