/** What is written of a decision, always short enough for one leaf of the log. */

import { sha256 } from '@noble/hashes/sha2.js'
import { randomBytes } from '@noble/hashes/utils.js'
import { toHex, utf8 } from '../../core/bytes.ts'
import { type Decision, fault, type Verdict, type WorldAnswers } from '../../core/decision.ts'
import type { RequestFacts } from '../../core/facts.ts'
import { messageOf } from '../../core/fault.ts'
import type { Identity } from '../../core/identity.ts'
import { recordedInput } from '../../core/input.ts'
import { maxRecordedBody } from '../../core/input-body.ts'
import { canonicalJson, constantJson, type Json } from '../../core/json.ts'
import { type Disclosures, seal } from '../../core/personal.ts'
import type { AgedData, PolicyRef, PolicyTrial, PolicyUse } from '../../core/policy.ts'
import type { RecordSink } from '../../core/ports.ts'
import type { DecisionBody, RecordId } from '../../core/record.ts'
import { formatMs } from '../../core/time.ts'
import type { Found } from './route.ts'

/** Most reasons of one record, and the longest, in characters. What is over is cut; with JSON's escapes 9.6 KB. */
const maxReasons = 8
const maxReason = 200

/** Longest recorded input, in bytes, so that a whole record stays under 60 KiB. A longer one is kept as its digest. */
const maxInputBytes = 44_000

/** Of an answer that changed nothing: which trial it is of, and the decision that was enforced. */
export interface Beside {
  readonly trial: PolicyTrial
  /** Its id. */
  readonly of: string
  readonly verdict: Verdict
}

export function decisionBody(
  facts: RequestFacts,
  found: Found | undefined,
  decision: Decision,
  use: PolicyUse | undefined,
  beside?: Beside,
): DecisionBody {
  const { identified } = facts.source
  const { from } = decision
  const body: Draft = {
    kind: 'decision',
    direction: facts.direction,
    workload: facts.workload,
    listener: facts.listener,
    verdict: decision.verdict,
    code: decision.code,
    by: from.by,
    enforced: beside === undefined,
    reasons: boundedReasons(decision.reasons),
    input: boundedInput(facts, use),
    request_id: facts.requestId,
  }
  const sealing = use?.personal ? use : found?.sealing
  if (sealing?.personal) {
    const recorded = recordedInput(facts, use, sealing.personal)
    const { input, sealed, disclosures } = seal(recorded, facts, sealing, randomBytes, sha256)
    body.input = boundedJson(input)
    body.sealed = sealed
    apart.set(body, disclosures)
  }
  if (from.by === 'policy') {
    body.bundles = bundlesOf(from.policy)
    if (from.data) body.data = dataOf(from.data)
    if (from.world !== undefined) addWorld(body, from.world)
    if (use) body.path = from.trial?.entrypoint ?? use.entrypoint
    if (from.trial) body.trial = { name: from.trial.name, mode: from.trial.mode }
  }
  if (beside) {
    const { trial, of, verdict } = beside
    body.trial = { name: trial.name, mode: trial.mode, of, enforced_verdict: verdict }
  }
  if (identified.ok) body.peer = proven(identified.identity)
  if (found) {
    body.service = found.service
    body.route = found.route
  }
  if (facts.traceId !== '') body.trace_id = facts.traceId
  return body
}

/** Filled in place: every request makes one, and spreading parts into each other would make four objects of it. */
type Draft = { -readonly [name in keyof DecisionBody]: DecisionBody[name] }

const dataOf = (data: readonly AgedData[]): NonNullable<DecisionBody['data']> =>
  Object.fromEntries(
    data.map(({ name, revision, sha256, ageS }) => [
      name,
      { revision, sha256, ...(ageS === undefined ? undefined : { age_s: ageS }) },
    ]),
  )

/** Answers of the world and the input share the room of a record, and the input comes first. */
function addWorld(body: Draft, world: WorldAnswers | 'dropped'): void {
  const length = (value: Json): number => utf8(canonicalJson(value)).length
  try {
    if (world !== 'dropped' && length(world as Json) + length(body.input) <= maxInputBytes) {
      body.nd_builtin_cache = world
      return
    }
  } catch {
    // An answer with half a character is none that a record can hold.
  }
  body.nd_builtin_cache_dropped = true
}

/** What is the same for all decisions of a policy, and for all of an identity, is put together once. */
const bundlesOf = remembered(({ bundle, revision, sha256 }: PolicyRef) => ({ [bundle]: { revision, sha256 } }))

const proven = remembered((identity: Identity) => ({
  proof: identity.proof,
  serial: identity.serial,
  not_before: formatMs(identity.notBeforeMs),
  not_after: formatMs(identity.notAfterMs),
}))

function remembered<Of extends object, Made extends { readonly [key: string]: Json }>(
  make: (of: Of) => Made,
): (of: Of) => Made {
  const known = new WeakMap<Of, Made>()
  return (of) => {
    const before = known.get(of)
    if (before) return before
    const made = constantJson(make(of))
    known.set(of, made)
    return made
  }
}

/** Text of a policy may hold anything, also halves of characters, which canonical JSON cannot. */
export const boundedReasons = (reasons: readonly string[]): readonly string[] =>
  reasons.length === 0
    ? reasons
    : reasons.slice(0, maxReasons).map((reason) => reason.slice(0, maxReason).toWellFormed())

/** What goes beside a body, and dies with it where nobody keeps it. */
const apart = new WeakMap<object, Disclosures>()

export const disclosuresOf = (body: DecisionBody): Disclosures | undefined => apart.get(body)

/** A body that was made of another one has what goes beside that. */
export function moveDisclosures(from: DecisionBody, to: DecisionBody): void {
  const disclosures = apart.get(from)
  if (disclosures && from !== to) apart.set(to, disclosures)
}

function boundedInput(facts: RequestFacts, use: PolicyUse | undefined): Json {
  const input = recordedInput(facts, use)
  if (callersCharacters(facts, use) * 2 < maxInputBytes - 8192) return input // Two bytes a character at most.
  return boundedJson(input)
}

function boundedJson(input: Json): Json {
  const bytes = utf8(canonicalJson(input))
  return bytes.length <= maxInputBytes ? input : { sha256: toHex(sha256(bytes)), oversize: bytes.length }
}

/** How much of the input the caller wrote. */
function callersCharacters({ head, body, token }: RequestFacts, use: PolicyUse | undefined): number {
  if (!head) return 0
  const ofBody = body && use?.recordBody?.length ? 2 * maxRecordedBody : 0
  let characters = head.path.length + (use?.recordQuery ? (head.query?.length ?? 0) : 0)
  for (const name of use?.recordHeaders ?? []) characters += head.headers[name]?.length ?? 0
  const ofToken = token && use?.recordClaims?.length ? 2 * maxRecordedBody : 0
  return characters + ofBody + ofToken
}

/** What is counted of a peer that proved no name: its source address, the code, and what the first of them showed. */
export const strangerOf = (facts: RequestFacts, decision: Decision): Parameters<RecordSink['refused']>[0] => ({
  listener: facts.listener,
  source: facts.source.address,
  code: decision.code,
  detail: boundedReasons(decision.reasons)[0] ?? '',
})

/** The record could not be kept, so nothing passes. */
export interface Unrecorded {
  readonly unavailable: Decision
  /** What the sink threw. */
  readonly thrown: unknown
}

export const unrecorded = (thrown: unknown): Unrecorded => ({
  unavailable: fault('audit_unavailable', messageOf(thrown)),
  thrown,
})

/** Keeps a decision; what is thrown or rejected becomes `Unrecorded`. */
export async function keep(sink: RecordSink, body: DecisionBody): Promise<RecordId | Unrecorded> {
  try {
    return await sink.keep(body, apart.get(body))
  } catch (thrown) {
    return unrecorded(thrown)
  }
}
