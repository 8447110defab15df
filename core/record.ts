/**
 * The audit event: what producers write, what the log holds. The JSON names below are the format; a leaf of the log
 * is the canonical JSON (RFC 8785) of one event, byte for byte as its producer wrote it. Decision events carry OPA's
 * decision-log names (decision_id, timestamp, bundles, path, input, result, trace_id) with ours beside them.
 */

import { fromUtf8, toHex, utf8 } from './bytes.ts'
import { isPlainlyCanonical } from './canonical.ts'
import type { DecisionCode, Verdict, WorldAnswers } from './decision.ts'
import { canonicalJson, isObject, type Json, parseJson } from './json.ts'
import type { OutcomeCode, RetryStop } from './outcome.ts'
import type { TrialNumbers } from './policy.ts'
import { parseSpiffeId, parseTrustDomain, type SpiffeId, type TrustDomain } from './spiffe.ts'
import { parseTime } from './time.ts'

/** A process reads the version it writes and the one before. */
export const recordVersion = 1

/** A leaf of a C2SP tlog-tiles entry bundle has a 16-bit length; larger inputs are kept as a digest. */
export const maxRecordBytes = 65_535

declare const is: unique symbol

/** One run of one producer: 96 random bits as 24 lower-case hex digits. */
export type Epoch = string & { readonly [is]: 'Epoch' }

export const parseEpoch = (text: string): Epoch | undefined =>
  /^[0-9a-f]{24}$/.test(text) ? (text as Epoch) : undefined

export const newEpoch = (random: (length: number) => Uint8Array): Epoch => toHex(random(12)) as Epoch

export interface RecordId {
  readonly producer: SpiffeId
  readonly epoch: Epoch
  /** 0 is the producer's `start`. */
  readonly seq: number
}

/** What people type: `3f2a…-17`. An epoch is random, so epoch and number name one record in the world. */
export const decisionId = (id: { readonly epoch: Epoch; readonly seq: number }): string => `${id.epoch}-${id.seq}`

export function parseDecisionId(text: string): { readonly epoch: Epoch; readonly seq: number } | undefined {
  const match = /^([0-9a-f]{24})-(0|[1-9]\d{0,15})$/.exec(text)
  return match ? { epoch: match[1] as Epoch, seq: Number(match[2]) } : undefined
}

/** `prev` of the first record of an epoch. */
export const noHash: string = '0'.repeat(64)

export interface Envelope {
  readonly v: typeof recordVersion
  readonly td: TrustDomain
  readonly cluster: string
  readonly producer: SpiffeId
  readonly epoch: Epoch
  readonly seq: number
  /** RFC 6962 leaf hash of the producer's previous record, lower-case hex. */
  readonly prev: string
  /** RFC 3339, nine digits, UTC. */
  readonly timestamp: string
}

export interface DecisionBody {
  readonly kind: 'decision'
  readonly direction: 'inbound' | 'outbound'
  /** Whom the listener stands for. Differs from `producer` only in what the collector keeps for an edge function. */
  readonly workload: SpiffeId
  readonly listener: string
  readonly verdict: Verdict
  readonly code: DecisionCode
  readonly by: 'policy' | 'proxy'
  /** False for a policy on trial whose answer changed nothing: `trial` says of what. */
  readonly enforced: boolean
  readonly reasons: readonly string[]
  readonly bundles?: { readonly [name: string]: { readonly revision: string; readonly sha256: string } }
  /** Data fetched beside the rules: which version decided, and how long ago it was last known to be the newest. */
  readonly data?: { readonly [name: string]: DataRecord }
  /**
   * What builtins were answered by the world, as OPA has it: name, then arguments as JSON. Null: there was no answer.
   * Left out where there was nothing, or where it was too long; then `nd_builtin_cache_dropped` says so.
   */
  readonly nd_builtin_cache?: WorldAnswers
  readonly nd_builtin_cache_dropped?: true
  /** Entry point that was asked. */
  readonly path?: string
  /** Recorded facts in the shape of OPA-Envoy's input, without what can be derived from them. */
  readonly input: Json
  /** How the peer proved its name; absent where it did not. */
  readonly peer?: {
    readonly proof: string
    readonly serial: string
    readonly not_before: string
    readonly not_after: string
  }
  /** Personal fields in whose place is a digest (RFC 9901 section 4.2.3, SHA-256) of what is kept apart. */
  readonly sealed?: Readonly<Record<string, string>>
  /** Pointers of what the policy's own mask took out of the record, and of what it put in its place, as OPA has them. */
  readonly erased?: readonly string[]
  readonly masked?: readonly string[]
  /** The mask failed: all that it could have named is withheld. */
  readonly mask_fault?: MaskFault
  readonly service?: string
  readonly route?: string
  readonly request_id: string
  readonly trace_id?: string
  /** Of a policy on trial, which answered this. */
  readonly trial?: {
    readonly name: string
    readonly mode: 'shadow' | 'canary'
    /** Where it changed nothing: `decision_id` of the decision that was enforced. */
    readonly of?: string
    /** And what that one was. */
    readonly enforced_verdict?: Verdict
  }
}

export type MaskFault =
  | 'evaluation' // The rule could not be evaluated.
  | 'rules' // What it said is no set of masks.
  | 'size' // What it left does not fit a record.

export interface DataRecord {
  readonly revision: string
  readonly sha256: string
  readonly age_s?: number
  readonly [member: string]: string | number | undefined
}

export interface OutcomeItem {
  /** Number of the decision, in the same epoch. */
  readonly seq: number
  readonly code: OutcomeCode
  readonly status: number
  readonly request_bytes: number
  readonly response_bytes: number
  readonly duration_us: number
  readonly upstream: string
  /** Attempts before this one, as `127.0.0.1:8443 upstream_reset` or `127.0.0.1:8443 503`. Default none. */
  readonly attempts?: readonly string[]
  /** Why there was no further one, where its rules ask for one. */
  readonly stopped?: RetryStop
  /** How long its route held it back, for a test of callers. */
  readonly delayed_ms?: number
}

export interface OutcomesBody {
  readonly kind: 'outcomes'
  readonly outcomes: readonly OutcomeItem[]
}

/** Refusals of peers that proved no name: failed handshakes, garbage. Counted per source and code, once a second. */
export interface RefusalsBody {
  readonly kind: 'refusals'
  readonly listener: string
  readonly refusals: readonly {
    readonly source: string
    readonly code: string
    readonly count: number
    /** What the first of them showed. */
    readonly detail: string
  }[]
  /** How many more there were whose sources did not fit the quota. */
  readonly others: number
}

/** First record of every epoch: where the one before ended. */
export interface StartBody {
  readonly kind: 'start'
  readonly software: string
  readonly previous?: {
    readonly epoch: Epoch
    readonly seq: number
    readonly hash: string
    readonly ended: 'clean' | 'crash'
  }
  /** Certificate chain that signs this epoch's heads: base64 DER, the leaf first. Empty for the auditor itself. */
  readonly svid: readonly string[]
  /** What its listeners can agree on: no version below `min`, and these ciphers. Left out by what has no listener. */
  readonly tls?: { readonly min: string; readonly ciphers: readonly string[] }
}

/** The certificate was renewed; later heads are signed with this one. */
export interface SvidBody {
  readonly kind: 'svid'
  readonly svid: readonly string[]
}

/** The producer's signature over its own canonical JSON without `sig`, and with `prev` over all that came before. */
export interface HeadBody {
  readonly kind: 'head'
  /**
   * Totals since the epoch began. Decisions without a record, whatever their verdict, each left out while 0: `suppressed`
   * could not be recorded, `dropped` were left out by their policy's drop rule.
   */
  readonly counts: {
    readonly allow: number
    readonly deny: number
    readonly fault: number
    readonly suppressed?: number
    readonly dropped?: number
  }
  /** The last record of an epoch that ended on purpose. */
  readonly final: boolean
  /** SHA-256 of the signing leaf certificate, lower-case hex. */
  readonly signer: string
  /** ECDSA P-256 over SHA-256, r and s of 32 bytes each, base64url. */
  readonly sig: string
}

export interface IssuanceBody {
  readonly kind: 'issuance'
  readonly action: 'issued' | 'renewed' | 'refused' | 'revoked'
  readonly subject: SpiffeId
  readonly serial: string
  readonly not_before: string
  readonly not_after: string
  /**
   * What was shown for it: `join-token:<first 8 hex of its digest>`, `recovery-key:<the same>`, `svid:<serial>`, or
   * `<platform>:<the same>`; after a space, where an entry decided, `entry:<name>@<revision>`. With an entry, the SVID is
   * its agent's.
   */
  readonly evidence: string
  /** Whom a JWT-SVID is for, several of them parted by spaces; certificates have none. Its `serial` is the token's `jti`. */
  readonly audience?: string
  readonly reason?: string
}

export interface PolicyBody {
  readonly kind: 'policy'
  readonly action: 'published' | 'activated' | 'canary_rolled_back' | 'data_published' | 'data_activated'
  readonly bundle: string
  /** Of data: its name. Revision and digest are then the data's. */
  readonly data?: string
  readonly revision: string
  readonly sha256: string
  /** Of a canary that was taken back: which, and by what. */
  readonly trial?: TrialNumbers & { readonly name: string }
}

/** Roots of a trust domain from now on. */
export interface TrustBody {
  readonly kind: 'trust'
  readonly trust_domain: TrustDomain
  readonly sequence: number
  readonly roots: readonly string[]
}

export interface AdminBody {
  readonly kind: 'admin'
  readonly action: string
  readonly actor: string
  readonly detail: string
}

/** Written by the auditor: numbers of a producer that did not arrive, or that arrived after all. */
export interface GapBody {
  readonly kind: 'gap'
  readonly action: 'opened' | 'closed'
  readonly of: { readonly producer: SpiffeId; readonly epoch: Epoch }
  readonly first: number
  readonly last: number
}

/**
 * Written by the auditor: a run of a producer that ended without saying so and whose spool did not come back with the
 * next run, or that came back after all. What it had made beyond `last` is lost as long as that stands; how much is
 * unknown.
 */
export interface SpoolLostBody {
  readonly kind: 'spool_lost'
  readonly action: 'opened' | 'closed'
  readonly of: { readonly producer: SpiffeId; readonly epoch: Epoch }
  /** The last number that arrived, and the last that a signed head covers, -1 where none does. */
  readonly last: number
  readonly attested: number
  /** Time of its last record, RFC 3339. */
  readonly silent_since: string
  /** The run that began afterwards and knew of none before, and when. */
  readonly next: Epoch
  readonly next_at: string
}

/** Written by the auditor: what came over the stream and is evidence rather than record. */
export interface AnomalyBody {
  readonly kind: 'anomaly'
  readonly anomaly:
    | 'malformed' // Not a record of ours.
    | 'equivocation' // A number that was already taken, with other bytes.
    | 'broken_chain' // `prev` is not the hash of the record before.
    | 'foreign_key' // A record under another producer's key.
    | 'bad_head' // A head whose signature does not hold.
  readonly of?: { readonly producer: string; readonly epoch: string; readonly seq: number }
  readonly partition: number
  readonly offset: string
  /** SHA-256 of the bytes as they came, and the bytes themselves up to 16 KiB, base64. */
  readonly sha256: string
  readonly bytes: string
  readonly detail: string
}

/**
 * A decision that was not made by a proxy of ours: an OPA sent it, or `writ policy serve`, and control keeps it under
 * numbers of its own. They show that nothing was lost since it came; whether all of that OPA's decisions came, no record
 * can show, for OPA numbers nothing.
 */
export interface OpaDecisionBody {
  readonly kind: 'opa_decision'
  /** Whom the token that it was sent with is for. */
  readonly workload: SpiffeId
  /** OPA's event, member for member as it was sent, but for those that `kept_as` names. */
  readonly event?: { readonly [member: string]: Json }
  /**
   * Members that a record cannot hold as they are. `digest`: too long, and in their place are the SHA-256 and the length
   * of their JSON without space. `text`: that JSON as a string, for it holds a number that JavaScript would round.
   */
  readonly kept_as?: { readonly [member: string]: 'digest' | 'text' }
  /** Its `decision_id` came before, with other members. */
  readonly repeats?: true
  /** In place of `event`, where it is none: why, and the bytes, whole up to 8,192 characters. */
  readonly malformed?: {
    readonly why: string
    readonly sha256: string
    readonly bytes: number
    readonly text: string
  }
}

/** Size and root (base64) of a tree. */
export interface TreeHead {
  readonly size: number
  readonly root: string
}

/** Written by the auditor: what became of the log itself. */
export type LogBody = LogOpenedBody | LogHoldBody | LogPrunedBody

/** Records that no retention takes away, from when a person said so until a person lifts it. */
export interface LogHoldBody {
  readonly kind: 'log'
  readonly action: 'held' | 'lifted'
  readonly case: string
  /** Which records: every member must fit. Of a lifted one: none. */
  readonly filter?: { readonly [column: string]: string }
  readonly from?: string
  readonly until?: string
  readonly by: string
  readonly reason: string
}

/** Entries before an index are about to be taken away. Their hashes stay, and so do those that carry the others. */
export interface LogPrunedBody {
  readonly kind: 'log'
  readonly action: 'pruned'
  readonly before: number
  /** Everything taken away is older. */
  readonly olderThan: string
  /** Entries before the index that stay, all of them, and those of each hold. */
  readonly stay: number
  readonly holds: { readonly [name: string]: number }
}

/** The second entry of a log that follows one of which a part was lost, after the auditor's start. */
export interface LogOpenedBody {
  readonly kind: 'log'
  readonly action: 'opened'
  readonly previous: {
    readonly origin: string
    /** The last checkpoint that the signer remembers; absent where it remembers none. */
    readonly signed?: TreeHead
    /** The newest checkpoint that was still there, as a C2SP signed note. */
    readonly note?: string
    /** What was left: those leaves go on being proven, under the origin `<origin>/kept`. */
    readonly kept: TreeHead
  }
  readonly by: string
  readonly reason: string
}

export type FindingType =
  | 'first_seen' // A caller was let do what it was never seen to do.
  | 'denial_spike' // A caller was denied far more than is usual for it at this hour of the week.
  | 'mix_moved' // What a caller asks is mixed far from what it used to be.
  | 'unused_grant' // What was allowed once and was not used for long.
  | 'allow_unidentified' // Something was allowed to nobody by name.
  | 'gap' // Numbers of a producer did not arrive.
  | 'spool_lost' // A run ended without an end, and the next one had nothing of its spool.
  | 'unmatched' // A call that one of its two sides did not record.
  | 'anomaly' // Equivocation, a bad head, a broken chain, a foreign key, what is no record.
  | 'clock_skew' // A producer's clock is off.
  | 'check_turned' // A compliance check says something else than before; `subject` is its id.
  | 'suppressed' // More findings in an hour than are written.

/** `info`: how things have come to stand; nobody has to look at it. */
export type FindingSeverity = 'info' | 'low' | 'medium' | 'high'

/** Written by the auditor: what the log tells by itself. */
export interface FindingBody {
  readonly kind: 'finding'
  readonly finding: FindingType
  readonly severity: FindingSeverity
  /** What makes it the same finding: it is written once. */
  readonly key: string
  /** Whom it is about: a caller, the producer of records, or a check. */
  readonly subject: string
  /** What was called, where it is about that. */
  readonly target?: string
  /** One sentence. */
  readonly what: string
  /** RFC 3339: the times of what it is about. */
  readonly first_at: string
  readonly last_at: string
  /** How many requests, records or edges it is about. */
  readonly count: number
  /** The numbers that it was judged by. */
  readonly facts: { readonly [name: string]: Json }
  /** Ids of records that show it, a few at most. */
  readonly evidence: readonly string[]
}

/** A person looked at a finding. */
export interface AcknowledgementBody {
  readonly kind: 'acknowledgement'
  /** Id of the finding's entry. */
  readonly of: string
  /** Who says so, by name, and the operator that the door knows. */
  readonly by: string
  readonly actor: string
  readonly note: string
}

/** Somebody asked the log something, or was not let. */
export interface AuditReadBody {
  readonly kind: 'audit_read'
  /** Through which door, and as whom it knows the reader. */
  readonly door: 'socket' | 'page' | 'api' | 'auditor'
  readonly reader: string
  /** Who the reader says to be; nobody has proven it. */
  readonly claimed?: string
  /** `query`, `record`, `report`, … */
  readonly action: string
  /** What was asked, filters and all, cut at 1,024 characters. */
  readonly question: string
  readonly verdict: 'allow' | 'deny'
  /** Why not. */
  readonly reason?: string
  /** How many rows, records or leaves were handed out. */
  readonly count: number
  /** How many readings this entry is for: what follows the log asks often. */
  readonly times: number
}

/** Decisions that have no record, because the spool took none and the mesh says `onFull: allow-and-account`. */
export interface SuppressedBody {
  readonly kind: 'suppressed'
  /** By verdict. Those that were allowed went on; the others were refused, as ever. */
  readonly counts: { readonly allow: number; readonly deny: number; readonly fault: number }
  /** Times of the first and the last of them. */
  readonly from: string
  readonly until: string
  /** What the spool said to the first. */
  readonly why: string
}

/** Decisions that have no record, because their policy's `system.log.drop` left them out. */
export interface DroppedBody {
  readonly kind: 'dropped'
  /** By verdict. Each was answered as it says. */
  readonly counts: SuppressedBody['counts']
  /** Times of the first and the last of them. */
  readonly from: string
  readonly until: string
}

/** One call as the sidecar of the caller saw it. */
export interface CallItem {
  /** Number of its own decision, in the same epoch. */
  readonly seq: number
  readonly request_id: string
  /** The name that the other end proved. */
  readonly target: SpiffeId
  readonly service: string
  /** Status that the other end answered with, 0 where its answer never came. */
  readonly status: number
  /** `decision_id` that the other end named; left out where it named none. */
  readonly decision?: string
  /** It was sent twice, since the first connection died. */
  readonly again?: true
  /** Of a call that was followed by another attempt: which one it was, from 1 on. */
  readonly attempt?: number
}

/** Calls that went to another proxy of the mesh: what its own records must show too. */
export interface CallsBody {
  readonly kind: 'calls'
  readonly calls: readonly CallItem[]
}

/** Written by the auditor: a call that one side recorded and the other did not, in time. */
export interface UnmatchedBody {
  readonly kind: 'unmatched'
  /** `callee`: the caller's sidecar tells of a call whose decision is not there. `caller`: the other way round. */
  readonly missing: 'callee' | 'caller'
  /** Who should have known. */
  readonly silent: SpiffeId
  /** `decision_id` of the record that there is: the caller's own, or the callee's. */
  readonly of: string
  readonly request_id: string
  /** Who told of it. */
  readonly by: SpiffeId
  readonly at: string
}

/** A key was destroyed, so nothing opens any more what it sealed. The records themselves stay as they are. */
export interface ErasedBody {
  readonly kind: 'erased'
  /** Digest of the subject under a key of the vault. */
  readonly subject: string
  /** Keys that were destroyed, as disclosures name them; at most 1000 in one record. */
  readonly keys: readonly string[]
  readonly basis: string
  readonly approver: string
}

/** A test that the mesh made of itself: something was asked that must be refused. */
export interface DrillBody {
  readonly kind: 'drill'
  /** `default_deny`: a caller whom nobody knows asked. `fail_closed`: a part that a decision needs was not there. */
  readonly drill: 'default_deny' | 'fail_closed'
  /** Whose listener, and which. */
  readonly workload: SpiffeId
  readonly listener: string
  /** `no_certificate`, `untrusted_certificate`, `policy_missing`, `identity_unavailable`, `audit_unavailable`, … */
  readonly case: string
  /** Nothing was allowed. */
  readonly refused: boolean
  /** What came back. */
  readonly observed: string
}

/** A report was made of this log: whoever has its file can see that it is this one. */
export interface ReportBody {
  readonly kind: 'report'
  readonly framework: string
  /** Version of the mapping. */
  readonly mapping: string
  readonly scope: string
  readonly from: string
  readonly to: string
  /** The checkpoints that it was made at. */
  readonly checkpoints: readonly { readonly origin: string; readonly size: number; readonly root: string }[]
  /** SHA-256 of its JSON, lower-case hex. */
  readonly sha256: string
  /** Verifier key (C2SP signed-note) of the signature that lies beside it. */
  readonly signer: string
  readonly summary: string
  /** By check. */
  readonly verdicts: { readonly [check: string]: string }
  /** Name of the schedule that it was made by. */
  readonly schedule?: string
  readonly by: string
  readonly actor: string
}

/** What a person answers for by name: a review of who may what, evidence that no record shows, what checks are held against. */
export interface AttestationBody {
  readonly kind: 'attestation'
  readonly about: 'access_review' | 'evidence' | 'declaration'
  /** What it speaks of: a check, a part of a framework, a scope. */
  readonly subject: string
  readonly statement: string
  /** Documents that it is attached to, by what they are called and their SHA-256, lower-case hex. */
  readonly documents: readonly { readonly name: string; readonly sha256: string }[]
  /** Of a declaration: members as a declared file has them, `docs/COMPLIANCE.md`. */
  readonly declared?: Json
  /** Who says so, by name, and the operator that the door knows. */
  readonly by: string
  readonly actor: string
}

export type EventBody =
  | DecisionBody
  | OutcomesBody
  | RefusalsBody
  | StartBody
  | SvidBody
  | HeadBody
  | IssuanceBody
  | PolicyBody
  | TrustBody
  | AdminBody
  | GapBody
  | SpoolLostBody
  | AnomalyBody
  | OpaDecisionBody
  | LogBody
  | FindingBody
  | AcknowledgementBody
  | AuditReadBody
  | SuppressedBody
  | DroppedBody
  | CallsBody
  | UnmatchedBody
  | ErasedBody
  | DrillBody
  | ReportBody
  | AttestationBody

export type EventKind = EventBody['kind']

/** One event. `decision_id` stands on decisions only. */
export type AuditEvent<Body extends EventBody = EventBody> = Envelope & Body & { readonly decision_id?: string }

const kinds: Readonly<Record<EventKind, true>> = {
  decision: true,
  outcomes: true,
  refusals: true,
  start: true,
  svid: true,
  head: true,
  issuance: true,
  policy: true,
  trust: true,
  admin: true,
  gap: true,
  spool_lost: true,
  anomaly: true,
  opa_decision: true,
  log: true,
  finding: true,
  acknowledgement: true,
  audit_read: true,
  suppressed: true,
  dropped: true,
  calls: true,
  unmatched: true,
  erased: true,
  drill: true,
  report: true,
  attestation: true,
}

export const eventKinds: readonly EventKind[] = Object.keys(kinds) as EventKind[]

export const encodeEvent = (event: AuditEvent): Uint8Array => utf8(canonicalJson(event as unknown as Json))

/** The bytes a head's signature is over: the event without `sig`. */
export function headPayload(event: AuditEvent<HeadBody>): Uint8Array {
  const { sig: _, ...signed } = event
  return utf8(canonicalJson(signed as unknown as Json))
}

/**
 * Reads one event. Only canonical JSON passes, so that no two readers see different members. The envelope is checked
 * whole, the body only as far as its kind; readers of a body must expect that a member has the wrong type.
 */
export function parseEvent(bytes: Uint8Array): { readonly event: AuditEvent } | { readonly wrong: string } {
  if (bytes.length > maxRecordBytes) return { wrong: `longer than ${maxRecordBytes} bytes` }
  let text: string
  try {
    text = fromUtf8(bytes)
  } catch {
    return { wrong: 'not UTF-8' }
  }
  const value = parseJson(text)
  if (!isObject(value)) return { wrong: 'not a JSON object' }
  const wrong = envelopeFault(value)
  if (wrong) return { wrong }
  if (isPlainlyCanonical(bytes)) return { event: value as unknown as AuditEvent }
  try {
    if (canonicalJson(value) !== text) return { wrong: 'not canonical JSON (RFC 8785)' }
  } catch {
    return { wrong: 'not canonical JSON (RFC 8785)' }
  }
  return { event: value as unknown as AuditEvent }
}

function envelopeFault(value: { readonly [key: string]: Json | undefined }): string | undefined {
  const { v, kind, td, cluster, producer, epoch, seq, prev, timestamp } = value
  if (v !== recordVersion) return `version ${JSON.stringify(v)} where ${recordVersion} is read`
  if (typeof kind !== 'string' || !Object.hasOwn(kinds, kind)) return 'unknown kind'
  if (typeof td !== 'string' || !parseTrustDomain(td)) return 'bad trust domain'
  if (typeof cluster !== 'string' || cluster === '') return 'no cluster'
  if (typeof producer !== 'string' || !parseSpiffeId(producer)) return 'bad producer'
  if (typeof epoch !== 'string' || !parseEpoch(epoch)) return 'bad epoch'
  if (typeof seq !== 'number' || !Number.isSafeInteger(seq) || seq < 0) return 'bad number'
  if (typeof prev !== 'string' || !/^[0-9a-f]{64}$/.test(prev)) return 'bad prev'
  if (typeof timestamp !== 'string' || parseTime(timestamp) === undefined) return 'bad timestamp'
  if (seq === 0 && (kind !== 'start' || prev !== noHash)) return 'an epoch that does not begin with its start'
  if (kind === 'decision' && value['decision_id'] !== `${epoch}-${seq}`) return 'bad decision_id'
  return undefined
}
