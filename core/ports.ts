/** How parts meet: small functions, passed in by a shell. Any of them may answer later, and callers await. */

import type { Decision, Verdict } from './decision.ts'
import type { Authenticated, RequestFacts, RequestHead } from './facts.ts'
import type { Identified, IdentityState, Peer } from './identity.ts'
import type { Json } from './json.ts'
import type { Checkpoint, Receipt, SignedCheckpoint } from './log.ts'
import type { Outcome, PeerAnswer } from './outcome.ts'
import type { Disclosures } from './personal.ts'
import type { PolicyRef, PolicyUse } from './policy.ts'
import type { DecisionBody, Epoch, EventBody, RecordId } from './record.ts'
import type { SpiffeId } from './spiffe.ts'
import type { TokenUse } from './token.ts'

type Later<T> = T | Promise<T>

/** Wall clock in nanoseconds since 1970; never goes back within a process. */
export type NowNs = () => bigint

/** Cryptographically strong random bytes. */
export type RandomBytes = (length: number) => Uint8Array

export type Sha256 = (bytes: Uint8Array) => Uint8Array

/** Who is at the other end? Never throws; remembers its answer in `peer.known` and compares that on every request. */
export type Identify = (peer: Peer, nowMs: number) => Later<Identified>

/** What does the request's token say, where a binding takes tokens? Undefined where it brings none. Never throws. */
export type Authenticate = (
  head: RequestHead,
  peer: Pick<Peer, 'evidence'>,
  use: TokenUse,
  nowMs: number,
) => Later<Authenticated | undefined>

/** May this request pass? Never throws: what goes wrong is a fault. With `recorded`, the world is not asked again. */
export type Decide = (facts: RequestFacts, use: PolicyUse | undefined, recorded?: RecordedAnswers) => Later<Decision>

/** What a record says that a builtin answered to arguments, written as a JSON array; undefined where it says nothing. */
export type RecordedAnswers = (builtin: string, args: string) => Json | undefined

/**
 * What the rules of the log in a use's bundle say about a record: what they leave of it, and whether it is to be left
 * out. Never throws: a mask that fails leaves nothing that it could have hidden.
 */
export type LogRules = (
  body: DecisionBody,
  use: PolicyUse,
  atNs: bigint,
) => { readonly body: DecisionBody; readonly drop: boolean }

/** Any entry point over any input: what reports, replays and tests use. */
export type Evaluate = (ref: PolicyRef, entrypoint: string, input: Json) => Later<Evaluated>

export type Evaluated =
  | { readonly ok: true; readonly value: Json }
  | { readonly ok: false; readonly fault: string; readonly detail: string }

/** Keeps records. One per producer. */
export interface RecordSink {
  /**
   * Resolves with the record's id once it is kept as durably as its kind and the settings demand; rejects with a
   * WritError `audit_unavailable`, and then nothing may be forwarded or answered as if it had been kept.
   */
  keep(body: EventBody, disclosures?: Disclosures): Later<RecordId>
  /**
   * Counts a decision that `keep` did not write, with what it threw. True where it may go on all the same, as the mesh's
   * `onFull` says; then a record will tell how many there were.
   */
  account?(verdict: Verdict, thrown: unknown): boolean
  /**
   * Counts a decision that its policy's drop rule leaves out. True where a record will tell of it; otherwise it is to be
   * kept after all. Default nobody counts.
   */
  dropped?(verdict: Verdict): boolean
  /** How a kept decision ended. Never fails: an outcome that is lost is shown as unknown. */
  outcome(id: RecordId, outcome: Outcome): void
  /** A kept decision of our own that went to another proxy of the mesh, and what came back. Never fails. */
  called?(id: RecordId, call: PeerCall): void
  /** Counts a refusal of a peer without a name; bounded, aggregated per source and code each second. */
  refused(refusal: {
    readonly listener: string
    readonly source: string
    readonly code: string
    readonly detail: string
    /** How many of them, where somebody has counted already. Default 1. */
    readonly count?: number
  }): void
}

/** Where keys of disclosures are put, and from where they can be destroyed. */
export interface KeyVault {
  /** A key of 32 bytes under a name of 32 hex digits. Rejects where it could not be kept. */
  put(key: { readonly id: string; readonly subject: string; readonly key: Uint8Array }): Promise<void>
}

export interface PeerCall extends PeerAnswer {
  readonly requestId: string
  readonly service: string
  /** Of a call that was followed by another attempt: which one it was, from 1 on. */
  readonly attempt?: number
}

/** This process's own identity, renewed behind the scenes. */
export interface IdentitySource {
  current(): IdentityState
  /** Calls back after each change, until the returned function is called. */
  subscribe(changed: (state: IdentityState) => void): () => void
}

/** Certificates and keys of servers, and roots of clients, by the names under which this machine has them. */
export interface Certificates {
  /** PEM. Undefined where there is none, or none that can be used. */
  serving(name: string): { readonly certificates: string; readonly key: string } | undefined
  /** PEM; empty where there is none. */
  roots(name: string): string
  /** Calls back after each change, until the returned function is called. */
  subscribe(changed: () => void): () => void
}

/** Gives the headers of an HTTP request with those that its credentials add, such as a signature (AWS Signature Version 4). */
export type SignRequest = (
  method: string,
  url: URL,
  query: Readonly<Record<string, string>>,
  headers: Readonly<Record<string, string>>,
  body: Uint8Array | undefined,
) => Promise<Readonly<Record<string, string>>>

/** Signs a head payload with the producer's SVID key (ECDSA P-256, SHA-256, r and s, 64 bytes). */
export type SignHead = (payload: Uint8Array) => {
  /** SHA-256 of the signing leaf certificate, lower-case hex. */
  readonly signer: string
  readonly signature: Uint8Array
}

/** Does a head's signature hold, by a chain (DER, leaf first) that is `producer`'s under `roots` at that time? */
export type VerifyHead = (head: {
  readonly payload: Uint8Array
  readonly signature: Uint8Array
  readonly chain: readonly Uint8Array[]
  readonly roots: readonly Uint8Array[]
  readonly producer: SpiffeId
  readonly atMs: number
}) => { readonly ok: true } | { readonly ok: false; readonly detail: string }

/** Where spooled records go. Resolves once the stream has them for good; rejects with `stream_unavailable`. */
export interface Stream {
  publish(batch: StreamBatch): Promise<void>
  /** How many partitions there are to pin an epoch to. */
  partitions(): Promise<number>
  close(): Promise<void>
}

/** Records of one epoch, in order. An epoch stays on the partition it began on. */
export interface StreamBatch {
  readonly producer: SpiffeId
  readonly epoch: Epoch
  readonly partition: number
  readonly firstSeq: number
  readonly records: readonly Uint8Array[]
}

/** Proof that a record is covered by a signed checkpoint, or undefined while it is not. */
export type FindReceipt = (id: { readonly epoch: Epoch; readonly seq: number }) => Promise<Receipt | undefined>

/** One message of a partition: records of one epoch, in order, separated by line feeds (canonical JSON has none). */
export interface StreamMessage {
  /** Decimal; grows, but need not be dense. */
  readonly offset: string
  /** The producer's SPIFFE id. */
  readonly key: string
  readonly value: Uint8Array
}

/**
 * What the auditor does with what a partition holds: when it resolves, leaves, rows and offset are stored together.
 * Rejects with `fenced` when another owner has the partition, with `store_unavailable` when nothing was stored.
 */
export type Ingest = (partition: number, messages: readonly StreamMessage[]) => Promise<void>

/**
 * Signs `next` if it extends the last checkpoint that this signer signed, which it keeps by itself; refuses with
 * `fork` otherwise. `proof` is the RFC 6962 consistency proof from the last signed size.
 */
export interface CheckpointSigner {
  /** Note verifier key (C2SP signed-note): `<name>+<hash>+<base64>`. */
  readonly verifierKey: string
  last(origin: string): Promise<Checkpoint | undefined>
  sign(next: Checkpoint, proof: readonly Uint8Array[]): Promise<SignedCheckpoint>
}
