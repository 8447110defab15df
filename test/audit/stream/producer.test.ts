import { createHash } from 'node:crypto'
import { anything, array, assert, constantFrom, jsonValue, property, record, string } from 'fast-check'
import { expect, test } from 'vitest'
import { demandOf } from '../../../audit/stream/demand.ts'
import { headDue, newProducer, type Producer, seal, sealHead, sealStart } from '../../../audit/stream/producer.ts'
import { fromBase64, toHex, utf8 } from '../../../core/bytes.ts'
import { canonicalJson, type Json } from '../../../core/json.ts'
import type { Sha256 } from '../../../core/ports.ts'
import {
  type AuditEvent,
  type DecisionBody,
  encodeEvent,
  type HeadBody,
  headPayload,
  newEpoch,
  noHash,
  parseEvent,
  type SvidBody,
} from '../../../core/record.ts'
import { parseSpiffeId, parseTrustDomain } from '../../../core/spiffe.ts'

const sha256: Sha256 = (bytes) => createHash('sha256').update(bytes).digest()
const id = parseSpiffeId('spiffe://bank.example/orders')!
const td = parseTrustDomain('bank.example')!
const epoch = newEpoch(() => new Uint8Array(12))
const fresh = (): Producer => newProducer({ td, cluster: 'lab', id, epoch }, 0n)
const started = (chain: readonly Uint8Array[] = [utf8('certificate 1')]) =>
  sealStart(fresh(), { software: 'test', previous: undefined, chain }, 1n, sha256)

const decision = (input: Json = {}, verdict: 'allow' | 'deny' | 'fault' = 'allow'): DecisionBody => ({
  kind: 'decision',
  direction: 'inbound',
  workload: id,
  listener: 'orders/in',
  verdict,
  code: 'allowed',
  by: 'policy',
  enforced: true,
  reasons: [],
  input,
  request_id: 'r',
})

function eventOf(leaf: Uint8Array): AuditEvent {
  expect(leaf[0]).toBe(0)
  const parsed = parseEvent(leaf.subarray(1))
  if ('wrong' in parsed) throw new Error(parsed.wrong)
  return parsed.event
}

test('every record is canonical, numbered, and quotes the leaf hash of the one before', () => {
  assert(
    property(array(jsonValue({ stringUnit: 'grapheme' }), { maxLength: 8 }), (inputs) => {
      let { producer, records } = started()
      expect(eventOf(records[0]!.leaf)).toMatchObject({ seq: 0, prev: noHash, kind: 'start' })
      for (const input of inputs) {
        const sealed = seal(producer, decision(input as Json), 5n, sha256)
        const event = eventOf(sealed.records[0]!.leaf)
        expect(event.seq).toBe(producer.next)
        expect(event.prev).toBe(toHex(sha256(records[0]!.leaf)))
        expect(event.decision_id).toBe(`${epoch}-${event.seq}`)
        expect(utf8(canonicalJson(event as unknown as Json))).toEqual(
          new Uint8Array(sealed.records[0]!.leaf.subarray(1)),
        )
        ;({ producer, records } = sealed)
      }
    }),
  )
})

test('no body can pass for another envelope', () => {
  const hostile = { ...decision(), seq: 99, producer: 'spiffe://evil.example/x', prev: 'f'.repeat(64), v: 7 }
  const [record] = seal(started().producer, hostile as DecisionBody, 1n, sha256).records
  expect(eventOf(record!.leaf)).toMatchObject({ seq: 1, producer: id, v: 1 })
})

test('a body that JSON cannot hold is refused and moves nothing', () => {
  const { producer } = started()
  for (const input of ['\ud800', Number.NaN, undefined, () => 1]) {
    const body = { ...decision(), reasons: [input] } as unknown as DecisionBody
    expect(() => seal(producer, body, 1n, sha256)).toThrow(expect.objectContaining({ code: 'record_invalid' }))
  }
  expect(producer.next).toBe(1)
})

test('anything at all as an input is sealed whole or refused by name', () => {
  assert(
    property(anything({ withBigInt: true, withDate: true, withMap: true }), (input) => {
      try {
        eventOf(seal(started().producer, decision(input as Json), 1n, sha256).records[0]!.leaf)
      } catch (thrown) {
        expect(thrown).toMatchObject({ code: 'record_invalid' })
      }
    }),
  )
})

test('a head counts since the epoch began, and what it signed is itself without its signature', () => {
  let { producer } = started()
  for (const verdict of ['allow', 'deny', 'deny', 'fault'] as const) {
    producer = seal(producer, decision({}, verdict), 1n, sha256).producer
  }
  let payload: Uint8Array | undefined
  const sign = (bytes: Uint8Array) => {
    payload = bytes
    return { signer: toHex(sha256(utf8('certificate 1'))), signature: new Uint8Array(64).fill(7) }
  }
  const sealed = sealHead(producer, { final: false, chain: [utf8('certificate 1')], sign }, 2n, sha256)
  expect(sealed.records).toHaveLength(1)
  const head = eventOf(sealed.records[0]!.leaf) as AuditEvent<HeadBody>
  expect(head).toMatchObject({ counts: { allow: 1, deny: 2, fault: 1 }, final: false, seq: 5, prev: producer.prev })
  expect(headPayload(head)).toEqual(payload)
  expect(encodeEvent(head)).toEqual(new Uint8Array(sealed.records[0]!.leaf.subarray(1)))
})

test('a renewed certificate is announced once, before the first head it signs', () => {
  let { producer } = started()
  const chain = [utf8('certificate 2'), utf8('its issuer')]
  const sign = () => ({ signer: toHex(sha256(chain[0]!)), signature: new Uint8Array(64) })
  const first = sealHead(producer, { final: false, chain, sign }, 1n, sha256)
  const events = first.records.map(({ leaf }) => eventOf(leaf))
  expect(events.map(({ kind }) => kind)).toEqual(['svid', 'head'])
  expect((events[0] as AuditEvent<SvidBody>).svid.map((text) => fromBase64(text))).toEqual(chain)
  producer = first.producer
  expect(sealHead(producer, { final: true, chain, sign }, 1n, sha256).records).toHaveLength(1)
})

test('a head signed by another certificate than the announced one is not written', () => {
  const sign = () => ({ signer: 'f'.repeat(64), signature: new Uint8Array(64) })
  const head = { final: false, chain: [utf8('certificate 1')], sign }
  expect(() => sealHead(started().producer, head, 1n, sha256)).toThrow(
    expect.objectContaining({ code: 'identity_unavailable' }),
  )
})

test('a producer without a certificate of its own names the key that signed', () => {
  const sign = () => ({ signer: 'a'.repeat(64), signature: new Uint8Array(64) })
  const sealed = sealHead(started([]).producer, { final: false, chain: [], sign }, 1n, sha256)
  expect(sealed.records.map(({ leaf }) => eventOf(leaf))).toMatchObject([{ kind: 'head', signer: 'a'.repeat(64) }])
})

test('a busy producer owes a head after a second, an idle one after a minute', () => {
  const every = { headEveryMs: 1000, idleHeadEveryMs: 60_000 }
  const busy = seal(fresh(), decision(), 0n, sha256).producer
  expect([headDue(busy, 999, every), headDue(busy, 1000, every)]).toEqual([false, true])
  expect([headDue(fresh(), 59_999, every), headDue(fresh(), 60_000, every)]).toEqual([false, true])
})

test('refusals of named callers are synced in bounded, those of strangers hurry no disk in any mode', () => {
  const named = { ...decision({}, 'deny'), peer: { proof: 'x509', serial: '1', not_before: '', not_after: '' } }
  expect(demandOf(named, 'bounded')).toEqual({ wait: 'synced', urgent: true })
  expect(demandOf({ ...named, verdict: 'fault' }, 'bounded')).toEqual({ wait: 'synced', urgent: true })
  expect(demandOf({ ...named, verdict: 'allow' }, 'bounded')).toEqual({ wait: 'written', urgent: true })
  expect(demandOf(decision({}, 'deny'), 'bounded')).toEqual({ wait: 'written', urgent: false })
  expect(demandOf(decision({}, 'deny'), 'strict')).toEqual({ wait: 'synced', urgent: false })
  // Nobody waits for what changed nothing, and it hurries no disk.
  expect(demandOf({ ...named, enforced: false } as typeof named, 'strict')).toEqual({ wait: 'written', urgent: false })
  expect(demandOf(named, 'replicated')).toEqual({ wait: 'acknowledged', urgent: true })
  const admin = { kind: 'admin', action: '', actor: '', detail: '' } as const
  for (const kind of ['admin', 'issuance', 'policy', 'trust', 'erased', 'audit_read', 'acknowledgement'] as const)
    expect(demandOf({ ...admin, kind } as unknown as typeof admin, 'bounded')).toEqual({ wait: 'synced', urgent: true })
  // Whoever sent it forgets it once it is answered.
  const told = { kind: 'opa_decision', workload: id, event: { decision_id: 'a' } } as const
  expect(demandOf(told, 'bounded')).toEqual({ wait: 'synced', urgent: true })
  expect(demandOf(told, 'replicated')).toEqual({ wait: 'acknowledged', urgent: true })
})

test('texts of any shape in a body never break the chain', () => {
  const body = record({
    action: string({ unit: 'binary' }),
    actor: string({ unit: 'grapheme' }),
    kind: constantFrom('admin' as const),
  })
  assert(
    property(body, ({ action, actor, kind }) => {
      const { producer } = started()
      const [sealed] = seal(producer, { kind, action, actor, detail: '' }, 1n, sha256).records
      expect(eventOf(sealed!.leaf)).toMatchObject({ action, actor })
    }),
  )
})
