/**
 * What the tables say of one leaf: a pure extract, so that a row can be made again from its leaf and compared.
 * A leaf's body was written by others: a member of the wrong type becomes null, an overlong text is cut.
 */

import { isObject, type Json } from '../../core/json.ts'
import type { AuditEvent, DecisionBody, OpaDecisionBody, OutcomesBody } from '../../core/record.ts'

/** One row of `records`, without its place in the log. */
export interface RecordRow {
  readonly kind: string
  readonly producer: string
  readonly epoch: string
  readonly seq: number
  /** The record's own time to the microsecond, as PostgreSQL keeps it. */
  readonly at: string
  readonly direction: string | null
  readonly workload: string | null
  readonly listener: string | null
  /** Who called, where that was proven. */
  readonly caller: string | null
  /** The workload called; of an outbound decision the service asked for, or its host where no route was found. */
  readonly target: string | null
  readonly service: string | null
  readonly method: string | null
  /** Without query. */
  readonly path: string | null
  readonly verdict: string | null
  readonly code: string | null
  readonly by: string | null
  readonly enforced: boolean | null
  readonly bundle: string | null
  readonly revision: string | null
  readonly policySha256: string | null
  readonly reasons: string[] | null
  readonly serial: string | null
  readonly requestId: string | null
  readonly traceId: string | null
  readonly sourceAddress: string | null
}

/** One row of `outcomes`, without the place of its leaf. */
export interface OutcomeRow {
  readonly epoch: string
  /** Number of the decision that ended so. */
  readonly seq: number
  readonly code: string
  readonly status: number
  readonly requestBytes: number
  readonly responseBytes: number
  readonly durationUs: number
  readonly upstream: string
  /** What was tried in vain before, in order: `127.0.0.1:8443 503`. */
  readonly attempts: readonly string[]
  /** Why it was not tried again, though its rules ask for that; null where they do not. */
  readonly stopped: string | null
}

/** Longest text a row holds, in bytes of UTF-8: a b-tree entry of PostgreSQL ends at 2,704. */
export const maxTextBytes = 2048

/** Of reasons, and of attempts. */
const maxTexts = 32

export function recordRowOf(event: AuditEvent): RecordRow {
  return { ...envelopeRow(event), ...columnsOf(event) }
}

function columnsOf(event: AuditEvent): DecisionColumns {
  if (event.kind === 'decision') return decisionColumns(event)
  return event.kind === 'opa_decision' ? opaColumns(event) : noDecision
}

/** The outcomes that an `outcomes` event tells, of decisions before it; of every other event none. */
export function outcomeRowsOf(event: AuditEvent): readonly OutcomeRow[] {
  if (event.kind !== 'outcomes') return []
  const items: unknown = (event as AuditEvent<OutcomesBody>).outcomes
  return Array.isArray(items) ? items.flatMap((item) => outcomeRow(event, item)) : []
}

/** Cut, not rounded as PostgreSQL would: no row is later than its record. */
export const atOf = (event: Pick<AuditEvent, 'timestamp'>): string => `${event.timestamp.slice(0, -4)}Z`

function envelopeRow(event: AuditEvent): Pick<RecordRow, 'kind' | 'producer' | 'epoch' | 'seq' | 'at'> {
  return { kind: event.kind, producer: event.producer, epoch: event.epoch, seq: event.seq, at: atOf(event) }
}

type DecisionColumns = Omit<RecordRow, 'kind' | 'producer' | 'epoch' | 'seq' | 'at'>

const noDecision: DecisionColumns = {
  direction: null,
  workload: null,
  listener: null,
  caller: null,
  target: null,
  service: null,
  method: null,
  path: null,
  verdict: null,
  code: null,
  by: null,
  enforced: null,
  bundle: null,
  revision: null,
  policySha256: null,
  reasons: null,
  serial: null,
  requestId: null,
  traceId: null,
  sourceAddress: null,
}

function decisionColumns(event: AuditEvent): DecisionColumns {
  const body = event as AuditEvent<DecisionBody> as unknown as Json
  const source = at(body, 'input', 'attributes', 'source')
  const http = at(body, 'input', 'attributes', 'request', 'http')
  const direction = text(at(body, 'direction'))
  const workload = text(at(body, 'workload'))
  const service = text(at(body, 'service'))
  const bundles = at(body, 'bundles')
  const bundle = isObject(bundles) ? Object.keys(bundles)[0] : undefined
  const enforced = at(body, 'enforced')
  const reasons = at(body, 'reasons')
  return {
    direction,
    workload,
    listener: text(at(body, 'listener')),
    caller: text(at(source, 'principal')),
    target: direction === 'outbound' ? (service ?? text(at(http, 'host'))) : workload,
    service,
    method: text(at(http, 'method')),
    path: text(withoutQuery(at(http, 'path'))),
    verdict: text(at(body, 'verdict')),
    code: text(at(body, 'code')),
    by: text(at(body, 'by')),
    enforced: typeof enforced === 'boolean' ? enforced : null,
    bundle: text(bundle),
    revision: bundle === undefined ? null : text(at(bundles, bundle, 'revision')),
    policySha256: bundle === undefined ? null : text(at(bundles, bundle, 'sha256')),
    reasons: Array.isArray(reasons) ? textsOf(reasons) : null,
    serial: text(at(body, 'peer', 'serial')),
    requestId: text(at(body, 'request_id')),
    traceId: text(at(body, 'trace_id')),
    sourceAddress: text(at(source, 'address', 'socketAddress', 'address')),
  }
}

/**
 * What an OPA told: the caller is the one that its input named, which nobody here has proven, and there is no verdict, for
 * only who asked knows what the result means. `requestId` is OPA's own id of the decision.
 */
function opaColumns(event: AuditEvent): DecisionColumns {
  const body = event as AuditEvent<OpaDecisionBody> as unknown as Json
  const told = at(body, 'event')
  const workload = text(at(body, 'workload'))
  const bundles = at(told, 'bundles')
  const bundle = isObject(bundles) ? Object.keys(bundles)[0] : undefined
  return {
    ...noDecision,
    workload,
    caller: text(at(told, 'input', 'attributes', 'source', 'principal')),
    target: workload,
    method: text(at(told, 'input', 'attributes', 'request', 'http', 'method')),
    path: text(at(told, 'path')),
    code: opaCode(told),
    bundle: text(bundle),
    revision: bundle === undefined ? null : text(at(bundles, bundle, 'revision')),
    policySha256: bundle === undefined ? null : text(at(bundles, bundle, 'sha256')),
    requestId: text(at(told, 'decision_id')),
    traceId: text(at(told, 'trace_id')),
    sourceAddress: text(at(told, 'requested_by')),
  }
}

function opaCode(told: Json | undefined): string {
  if (!isObject(told)) return 'opa_malformed'
  if (told['error'] !== undefined) return 'opa_error'
  return told['result'] === undefined ? 'opa_undefined' : 'opa_result'
}

function outcomeRow({ epoch, seq: own }: AuditEvent, item: unknown): readonly OutcomeRow[] {
  if (!isObject(item)) return []
  const seq = item['seq']
  if (typeof seq !== 'number' || !Number.isSafeInteger(seq) || seq < 0 || seq >= own) return []
  return [
    {
      epoch,
      seq,
      code: text(item['code']) ?? '',
      status: Math.min(whole(item['status']), 999),
      requestBytes: whole(item['request_bytes']),
      responseBytes: whole(item['response_bytes']),
      durationUs: whole(item['duration_us']),
      upstream: text(item['upstream']) ?? '',
      attempts: textsOf(item['attempts']).map(line),
      stopped: line(text(item['stopped']) ?? '') || null,
    },
  ]
}

const textsOf = (value: unknown): string[] =>
  Array.isArray(value) ? value.slice(0, maxTexts).map((one) => text(one) ?? '') : []

/** The store keeps them as lines. */
const line = (one: string): string => one.replaceAll('\n', ' ')

const whole = (value: unknown): number =>
  typeof value === 'number' && Number.isSafeInteger(value) && value > 0 ? value : 0

function at(value: Json | undefined, ...steps: readonly string[]): Json | undefined {
  let here: Json | undefined = value
  for (const step of steps) {
    if (!isObject(here) || !Object.hasOwn(here, step)) return undefined
    here = here[step]
  }
  return here
}

const withoutQuery = (path: Json | undefined): Json | undefined =>
  typeof path === 'string' && path.includes('?') ? path.slice(0, path.indexOf('?')) : path

const encoder = new TextEncoder()
const decoder = new TextDecoder()

/** PostgreSQL's text holds everything but U+0000. */
function text(value: unknown): string | null {
  if (typeof value !== 'string') return null
  const clean = value.replaceAll('\u0000', '\ufffd')
  if (clean.length * 3 <= maxTextBytes) return clean
  const bytes = encoder.encode(clean)
  if (bytes.length <= maxTextBytes) return clean
  let end = maxTextBytes
  while ((bytes[end]! & 0xc0) === 0x80) end-- // Not within a character.
  return decoder.decode(bytes.subarray(0, end))
}
