/**
 * Numbers and chains the events of one producer in one epoch. State is a value: a record that could not be written
 * leaves the state as it was, so its number is taken by the next one and no gap is left behind.
 */

import { toBase64, toBase64Url, toHex, utf8 } from '../../core/bytes.ts'
import type { Verdict } from '../../core/decision.ts'
import { messageOf, WritError } from '../../core/fault.ts'
import { canonicalJson } from '../../core/json.ts'
import type { Sha256, SignHead } from '../../core/ports.ts'
import {
  type AuditEvent,
  type DroppedBody,
  type Envelope,
  type Epoch,
  type EventBody,
  type HeadBody,
  headPayload,
  maxRecordBytes,
  noHash,
  recordVersion,
  type StartBody,
  type SuppressedBody,
} from '../../core/record.ts'
import type { SpiffeId, TrustDomain } from '../../core/spiffe.ts'
import { formatTime } from '../../core/time.ts'
import { eventText } from './event-text.ts'

export interface Producer {
  readonly td: TrustDomain
  readonly cluster: string
  readonly id: SpiffeId
  readonly epoch: Epoch
  /** Number of the next record. */
  readonly next: number
  /** Leaf hash of the last record, lower-case hex. */
  readonly prev: string
  readonly counts: HeadBody['counts']
  /** SHA-256 of the leaf certificate that was announced last; empty where none was. */
  readonly signer: string
  /** Records since the last head. */
  readonly unheaded: number
  /** Time of the last head, or of the beginning, in milliseconds. */
  readonly headedMs: number
}

/** One record as it goes to the spool. */
export interface SealedRecord {
  readonly seq: number
  /** 0x00 and the record's bytes: what RFC 6962 hashes for a leaf. */
  readonly leaf: Uint8Array
  /** Its leaf hash, lower-case hex. */
  readonly hash: string
  /** What travels with it and is no part of the leaf: sealed disclosures. */
  readonly beside?: Uint8Array
}

export interface Sealed {
  readonly producer: Producer
  readonly records: readonly SealedRecord[]
}

export function newProducer(
  of: { readonly td: TrustDomain; readonly cluster: string; readonly id: SpiffeId; readonly epoch: Epoch },
  nowNs: bigint,
): Producer {
  const counts = { allow: 0, deny: 0, fault: 0 }
  return { ...of, next: 0, prev: noHash, counts, signer: '', unheaded: 0, headedMs: toMs(nowNs) }
}

/** The first record of an epoch. `chain` is DER, the leaf first. */
export function sealStart(
  producer: Producer,
  start: {
    readonly software: string
    readonly previous: StartBody['previous'] | undefined
    readonly chain: readonly Uint8Array[]
    readonly tls?: StartBody['tls'] | undefined
  },
  nowNs: bigint,
  sha256: Sha256,
): Sealed {
  const body: StartBody = {
    kind: 'start',
    software: start.software,
    ...(start.previous && { previous: start.previous }),
    svid: start.chain.map(toBase64),
    ...(start.tls && { tls: start.tls }),
  }
  const sealed = seal(producer, body, nowNs, sha256)
  return { ...sealed, producer: { ...sealed.producer, signer: signerOf(start.chain, sha256) } }
}

/**
 * Throws a WritError `record_invalid` on a body that no record can hold. `hexOf` is sha256 in lower-case hex, where the
 * machine has a quicker way to it.
 */
export function seal(
  producer: Producer,
  body: EventBody,
  nowNs: bigint,
  sha256: Sha256,
  hexOf: (bytes: Uint8Array) => string = (bytes) => toHex(sha256(bytes)),
): Sealed {
  const envelope = envelopeOf(producer, nowNs)
  let leaf = encodeLeaf(envelope, body)
  if (leaf.length - 1 > maxRecordBytes && body.kind === 'decision') leaf = encodeLeaf(envelope, shorten(body, sha256))
  if (leaf.length - 1 > maxRecordBytes) {
    throw new WritError('record_invalid', `a record of kind ${body.kind} is longer than ${maxRecordBytes} bytes`)
  }
  const record = { seq: producer.next, leaf, hash: hexOf(leaf) }
  const { counts } = producer
  return {
    producer: {
      ...producer,
      next: producer.next + 1,
      prev: record.hash,
      counts:
        body.kind === 'decision'
          ? counted(counts, body.verdict)
          : body.kind === 'suppressed'
            ? untold(counts, 'suppressed', body.counts)
            : body.kind === 'dropped'
              ? untold(counts, 'dropped', body.counts)
              : counts,
      unheaded: producer.unheaded + 1,
    },
    records: [record],
  }
}

/** With decisions that have no record of their own. */
const untold = (
  counts: HeadBody['counts'],
  name: (SuppressedBody | DroppedBody)['kind'],
  { allow, deny, fault }: SuppressedBody['counts'],
): HeadBody['counts'] => ({ ...counts, [name]: (counts[name] ?? 0) + allow + deny + fault })

const counted = (
  { allow, deny, fault, suppressed, dropped }: HeadBody['counts'],
  verdict: Verdict,
): HeadBody['counts'] => ({
  allow: verdict === 'allow' ? allow + 1 : allow,
  deny: verdict === 'deny' ? deny + 1 : deny,
  fault: verdict === 'fault' ? fault + 1 : fault,
  ...(suppressed !== undefined && { suppressed }),
  ...(dropped !== undefined && { dropped }),
})

/**
 * A signed head, after an `svid` record where the certificate was renewed since the last. Throws a WritError
 * `identity_unavailable` where nobody can sign, or where the signature is by a certificate other than `chain`'s.
 */
export function sealHead(
  producer: Producer,
  head: { readonly final: boolean; readonly chain: readonly Uint8Array[]; readonly sign: SignHead },
  nowNs: bigint,
  sha256: Sha256,
): Sealed {
  const announced = signerOf(head.chain, sha256)
  const renewed =
    announced === producer.signer
      ? { producer, records: [] }
      : seal(producer, { kind: 'svid', svid: head.chain.map(toBase64) }, nowNs, sha256)
  const unsigned = { ...envelopeOf(renewed.producer, nowNs), kind: 'head', counts: producer.counts, final: head.final }
  const signed = signWith(head.sign, { ...unsigned, signer: announced, sig: '' } as AuditEvent<HeadBody>)
  if (announced !== '' && signed.signer !== announced) {
    throw new WritError('identity_unavailable', 'the head was signed by a certificate that is not the current one')
  }
  const sealed = seal(renewed.producer, signed, nowNs, sha256)
  return {
    producer: { ...sealed.producer, signer: announced, unheaded: 0, headedMs: toMs(nowNs) },
    records: [...renewed.records, ...sealed.records],
  }
}

/** A busy producer signs often, an idle one seldom: silence is provable too. */
export function headDue(
  producer: Producer,
  nowMs: number,
  every: { readonly headEveryMs: number; readonly idleHeadEveryMs: number },
): boolean {
  return nowMs - producer.headedMs >= (producer.unheaded > 0 ? every.headEveryMs : every.idleHeadEveryMs)
}

function signWith(sign: SignHead, event: AuditEvent<HeadBody>): HeadBody {
  try {
    let { signer, signature } = sign(headPayload(event))
    if (event.signer === '') {
      // The auditor itself has no certificate to announce: its signer is known only once it has signed.
      const named = sign(headPayload({ ...event, signer }))
      signature = named.signature
      signer = named.signer
    }
    const { kind, counts, final } = event
    return { kind, counts, final, signer, sig: toBase64Url(signature) }
  } catch (thrown) {
    throw new WritError('identity_unavailable', `the head could not be signed: ${messageOf(thrown)}`, { cause: thrown })
  }
}

/** An input too large for a leaf is kept as its digest (C2SP tlog-tiles: an entry has a 16-bit length). */
function shorten(body: Extract<EventBody, { kind: 'decision' }>, sha256: Sha256): EventBody {
  const bytes = utf8(canonicalJson(body.input))
  return {
    ...body,
    input: { sha256: toHex(sha256(bytes)), bytes: bytes.length },
    reasons: body.reasons.slice(0, 16).map((reason) => reason.slice(0, 256).toWellFormed()),
  }
}

function encodeLeaf(envelope: Envelope, body: EventBody): Uint8Array {
  try {
    return leafBytes(`\0${eventText(envelope, body)}`)
  } catch (thrown) {
    throw new WritError('record_invalid', `a record of kind ${body.kind}: ${messageOf(thrown)}`, { cause: thrown })
  }
}

/** Bytes that leaves lie in, side by side, since an allocation for each costs more than its bytes. */
const slabBytes = 256 * 1024
const encoder = new TextEncoder()
let slab = new Uint8Array(0)
let slabAt = 0

/** Each leaf has its own stretch of a slab, and nothing is written to it again. */
function leafBytes(text: string): Uint8Array {
  const most = 3 * text.length // Three bytes a character at most.
  if (slab.length - slabAt < most) {
    slab = new Uint8Array(Math.max(slabBytes, most))
    slabAt = 0
  }
  const from = slabAt
  slabAt += encoder.encodeInto(text, slab.subarray(from)).written
  return slab.subarray(from, slabAt)
}

function envelopeOf(producer: Producer, nowNs: bigint): Envelope {
  const { td, cluster, id, epoch, next, prev } = producer
  return { v: recordVersion, td, cluster, producer: id, epoch, seq: next, prev, timestamp: formatTime(nowNs) }
}

function signerOf(chain: readonly Uint8Array[], sha256: Sha256): string {
  const leaf = chain[0]
  return leaf ? toHex(sha256(leaf)) : ''
}

const toMs = (ns: bigint): number => Number(ns / 1_000_000n)
