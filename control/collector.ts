/** The collector: records that edge functions hand in, read strictly before anything of them is kept. */

import { z } from 'zod'
import { utf8 } from '../core/bytes.ts'
import type { DecisionCode, Verdict } from '../core/decision.ts'
import { WritError } from '../core/fault.ts'
import { canonicalJson, isObject, type Json } from '../core/json.ts'
import type { Outcome, OutcomeCode } from '../core/outcome.ts'
import type { RecordSink } from '../core/ports.ts'
import { type DecisionBody, decisionId, type OutcomeItem, type RecordId } from '../core/record.ts'
import type { Quarantined } from '../core/snapshot.ts'
import type { SpiffeId } from '../core/spiffe.ts'

/** Largest body, in bytes, and the most that it holds of each. */
export const maxCollectedBytes: number = 256 * 1024
const maxRecords = 256
const maxOutcomes = 1024
const maxRefusals = 256

/** Deepest nesting of a record's input, and its largest size as canonical JSON: a leaf of the log has a 16-bit length. */
const maxDepth = 32
const maxDecisionBytes = 60_000

/** How a decision that was handed in earlier ended: `OutcomeItem` with the epoch it is of. */
export interface CollectedOutcome extends OutcomeItem {
  readonly epoch: string
}

/** Callers without a name that were refused, counted by the function: per source and code, as sidecars count theirs. */
export interface CollectedRefusal {
  readonly source: string
  readonly code: DecisionCode
  readonly detail: string
  readonly count: number
}

export interface Collected {
  readonly records: readonly DecisionBody[]
  readonly outcomes: readonly CollectedOutcome[]
  readonly refusals: readonly CollectedRefusal[]
}

const verdicts: Readonly<Record<DecisionCode, Verdict>> = {
  allowed: 'allow',
  fault_passed: 'allow',
  routed: 'allow',
  policy_denied: 'deny',
  no_route: 'deny',
  bad_request: 'deny',
  head_too_large: 'deny',
  body_timeout: 'deny',
  method_unsupported: 'deny',
  quarantined: 'deny',
  rate_limited: 'deny',
  method_refused: 'deny',
  body_too_large: 'deny',
  tls_required: 'deny',
  token_invalid: 'deny',
  token_expired: 'deny',
  token_ambiguous: 'deny',
  identity_missing: 'deny',
  identity_invalid: 'deny',
  identity_expired: 'deny',
  identity_revoked: 'deny',
  identity_untrusted: 'deny',
  policy_missing: 'fault',
  policy_undefined: 'fault',
  policy_result_invalid: 'fault',
  policy_error: 'fault',
  policy_limit: 'fault',
  policy_data_stale: 'fault',
  token_unverifiable: 'fault',
  identity_unavailable: 'fault',
  audit_unavailable: 'fault',
  internal: 'fault',
}

const outcomeCodes: Readonly<Record<OutcomeCode, true>> = {
  completed: true,
  refused: true,
  upstream_unreachable: true,
  upstream_identity: true,
  upstream_reset: true,
  upstream_invalid: true,
  upstream_timeout: true,
  route_answered: true,
  fault_injected: true,
  request_unpatched: true,
  answer_unpatched: true,
  request_too_large: true,
  upstream_overflow: true,
  circuit_open: true,
  caller_gone: true,
  drained: true,
  revoked: true,
}

const text = (longest: number) => z.string().max(longest)
const namesOf = <Name extends string>(of: Readonly<Record<Name, unknown>>): [Name, ...Name[]] =>
  Object.keys(of) as [Name, ...Name[]]
const count = z.int().min(0)

const decision = z
  .strictObject({
    kind: z.literal('decision'),
    direction: z.enum(['inbound', 'outbound']),
    workload: text(2048),
    listener: text(512),
    verdict: z.enum(['allow', 'deny', 'fault']),
    code: z.enum(namesOf(verdicts)),
    by: z.enum(['policy', 'proxy']),
    enforced: z.boolean(),
    reasons: z.array(text(2048)).max(32),
    bundles: z
      .record(text(128), z.strictObject({ revision: text(256), sha256: z.string().regex(/^[0-9a-f]{64}$/) }))
      .exactOptional(),
    path: text(512).exactOptional(),
    input: z.record(z.string(), z.unknown()),
    peer: z
      .strictObject({ proof: text(16), serial: text(64), not_before: text(40), not_after: text(40) })
      .exactOptional(),
    service: text(253).exactOptional(),
    route: text(512).exactOptional(),
    request_id: text(128),
    trace_id: text(64).exactOptional(),
    trial: z
      .strictObject({
        name: text(253),
        mode: z.enum(['shadow', 'canary']),
        of: z
          .string()
          .regex(/^[0-9a-f]{24}-(?:0|[1-9]\d{0,15})$/)
          .exactOptional(),
        enforced_verdict: z.enum(['allow', 'deny', 'fault']).exactOptional(),
      })
      .exactOptional(),
  })
  .refine((it) => it.enforced !== (it.trial?.of !== undefined), {
    error: 'names the decision that was enforced where it was not itself, and only there',
    path: ['trial'],
  })
  .refine((it) => verdicts[it.code] === it.verdict, { error: 'is not the verdict of its code', path: ['verdict'] })
  .refine((it) => depthWithin(it.input, maxDepth), { error: `nests deeper than ${maxDepth}`, path: ['input'] })
  .refine((it) => sizeWithin(it as unknown as Json), { error: `is not JSON of ${maxDecisionBytes} bytes at most` })

const outcome = z.strictObject({
  epoch: z.string().regex(/^[0-9a-f]{24}$/),
  seq: count,
  code: z.enum(namesOf(outcomeCodes)),
  status: z.int().min(0).max(999),
  request_bytes: count,
  response_bytes: count,
  duration_us: count,
  upstream: text(300),
})

const refusal = z.strictObject({
  source: text(64),
  code: z.enum(namesOf(verdicts)).refine((code) => verdicts[code] === 'deny', { error: 'is no refusal' }),
  detail: text(200),
  count: z.int().min(1).max(1_000_000_000),
})

export const collected: z.ZodType<Collected> = z
  .strictObject({
    records: z.array(decision).max(maxRecords),
    outcomes: z.array(outcome).max(maxOutcomes),
    refusals: z.array(refusal).max(maxRefusals),
  })
  .partial()
  .transform(({ records = [], outcomes = [], refusals = [] }) => ({
    records: records as unknown as DecisionBody[],
    outcomes,
    refusals,
  }))

/** Without recursion: what nests too deep must not find out how deep our own stack is. */
function depthWithin(value: unknown, most: number): boolean {
  let level: unknown[] = [value]
  for (let depth = 0; level.length > 0; depth++) {
    if (depth > most) return false
    level = level.flatMap((it) => (typeof it === 'object' && it !== null ? Object.values(it) : []))
  }
  return true
}

function sizeWithin(value: Json): boolean {
  try {
    return utf8(canonicalJson(value)).length <= maxDecisionBytes
  } catch {
    return false // A lone surrogate, or nesting that `depthWithin` has refused already.
  }
}

/** A caller in quarantine that one of these decisions would let in. */
export function letIn(
  records: readonly DecisionBody[],
  quarantine: readonly Quarantined[],
  nowMs: number,
): string | undefined {
  if (quarantine.length === 0) return undefined
  const out = new Set<string>(
    quarantine.filter(({ untilMs }) => untilMs === undefined || nowMs < untilMs).map(({ id }) => id),
  )
  for (const { verdict, enforced, input } of records) {
    const caller = verdict === 'allow' && enforced ? principalIn(input) : undefined
    if (caller !== undefined && out.has(caller)) return caller
  }
  return undefined
}

function principalIn(input: Json): string | undefined {
  const attributes = isObject(input) ? input['attributes'] : undefined
  const source = isObject(attributes) ? attributes['source'] : undefined
  const principal = isObject(source) ? source['principal'] : undefined
  return typeof principal === 'string' ? principal : undefined
}

/** What the collector answers. */
export interface Kept {
  readonly ids: readonly { readonly epoch: string; readonly seq: number }[]
  /** Outcomes of decisions that are not remembered any more; they will show as unknown. */
  readonly unknown_outcomes: number
}

export type Collect = (workload: SpiffeId, what: Collected) => Promise<Kept>

/**
 * Keeps what edge functions hand in as records of this process's own producer. Throws a WritError: `forbidden` where
 * anything speaks for another workload, and then nothing was kept; `audit_unavailable` where a record was not.
 * `remembered` is how many recent decisions can still get an outcome; beyond it the oldest are forgotten.
 */
export function makeCollector(sink: RecordSink, remembered = 65_536): Collect {
  const recent = new Map<string, { readonly id: RecordId; readonly workload: SpiffeId }>()
  const keyOf = (item: { epoch: string; seq: number }): string => decisionId(item as unknown as RecordId)

  return async (workload, { records, outcomes, refusals }) => {
    for (const record of records) {
      if (record.workload !== workload) throw foreign(`a record of ${record.workload} by the token of ${workload}`)
    }
    for (const item of outcomes) {
      const known = recent.get(keyOf(item))
      if (known && known.workload !== workload) throw foreign(`an outcome of another workload's ${keyOf(item)}`)
    }
    // All at once, so that they share one sync; the sink numbers them in this order.
    const kept = await Promise.allSettled(records.map(async (record) => sink.keep(record)))
    const ids = kept.flatMap((it) => (it.status === 'fulfilled' ? [it.value] : []))
    for (const id of ids) {
      recent.set(decisionId(id), { id, workload })
      if (recent.size > remembered) recent.delete(recent.keys().next().value!)
    }
    const failed = kept.find((it) => it.status === 'rejected')
    if (failed) throw failed.reason

    let unknown = 0
    for (const item of outcomes) {
      const known = recent.get(keyOf(item))
      if (known) sink.outcome(known.id, outcomeOf(item))
      else unknown++
      recent.delete(keyOf(item)) // A decision ends once.
    }
    // Under the name of the token's workload, whatever the function says; the sink bounds them like any stranger's.
    for (const item of refusals) sink.refused({ listener: workload, ...item })
    return { ids: ids.map(({ epoch, seq }) => ({ epoch, seq })), unknown_outcomes: unknown }
  }
}

const foreign = (why: string): WritError =>
  new WritError('forbidden', why, { cure: 'a collector token speaks for one workload: use the one of this workload' })

const outcomeOf = (item: CollectedOutcome): Outcome => ({
  code: item.code,
  status: item.status,
  requestBytes: item.request_bytes,
  responseBytes: item.response_bytes,
  durationUs: item.duration_us,
  upstream: item.upstream,
})
