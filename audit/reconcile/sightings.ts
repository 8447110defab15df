/** What one record says about calls between two proxies of the mesh. Bodies were written by others: nothing is taken on trust. */

import { isObject, type Json } from '../../core/json.ts'
import { type AuditEvent, parseDecisionId } from '../../core/record.ts'
import { parseTime } from '../../core/time.ts'

/** One side's word for one call. */
export interface Sighting {
  readonly side: 'caller' | 'callee'
  /** `decision_id` of the record: of the caller's own decision, or of the callee's; of an attempt before the last with its number. */
  readonly id: string
  readonly requestId: string
  readonly caller: string
  readonly callee: string
  readonly atMs: number
  readonly shard: number
  /** Of the caller: the decision that the other end named. */
  readonly named?: string
  /** Of the caller: an answer came, so the other end must have decided. */
  readonly answered?: boolean
  /** Of the caller: sent twice, so the other end may have decided twice. */
  readonly again?: boolean
}

type Members = { readonly [name: string]: Json | undefined }

const membersOf = (value: Json | undefined): Members => (isObject(value) ? value : {})

export const timeOf = (text: unknown): number => {
  const ns = typeof text === 'string' ? parseTime(text) : undefined
  return ns === undefined ? 0 : Number(ns / 1_000_000n)
}

export function sightingsOf(event: AuditEvent, shard: number): readonly Sighting[] {
  if (event.kind === 'decision') return decided(event, shard)
  return event.kind === 'calls' ? called(event, shard) : []
}

/** A decision about a named caller at somebody's door; a trial changed nothing and was nobody's call. */
function decided(event: AuditEvent, shard: number): readonly Sighting[] {
  const body = event as unknown as Members
  const source = membersOf(membersOf(membersOf(body['input'])['attributes'])['source'])
  const { principal } = source
  const { request_id: requestId } = body
  if (body['direction'] !== 'inbound' || body['enforced'] !== true || body['workload'] !== event.producer) return []
  if (typeof principal !== 'string' || typeof requestId !== 'string') return []
  const id = `${event.epoch}-${event.seq}`
  const atMs = timeOf(event.timestamp)
  return [{ side: 'callee', id, requestId, caller: principal, callee: event.producer, atMs, shard }]
}

function called(event: AuditEvent, shard: number): readonly Sighting[] {
  const { calls } = event as unknown as Members
  if (!Array.isArray(calls)) return []
  const atMs = timeOf(event.timestamp)
  return (calls as readonly Json[]).flatMap((item): readonly Sighting[] => {
    const { seq, request_id: requestId, target, status, decision, again, attempt } = membersOf(item)
    if (typeof seq !== 'number' || typeof requestId !== 'string' || typeof target !== 'string') return []
    const named = typeof decision === 'string' && parseDecisionId(decision) ? { named: decision } : undefined
    return [
      {
        ...{
          side: 'caller',
          id: idOf(`${event.epoch}-${seq}`, attempt),
          requestId,
          caller: event.producer,
          callee: target,
        },
        ...{ atMs, shard, answered: typeof status === 'number' && status > 0, again: again === true, ...named },
      },
    ]
  })
}

/** Attempts before the last one are 1 to 10, and mirrors stand behind them; another number is nobody's. */
const mostAttempts = 20

const idOf = (decision: string, attempt: Json | undefined): string =>
  typeof attempt === 'number' && Number.isInteger(attempt) && attempt >= 1 && attempt <= mostAttempts
    ? `${decision}/${attempt}`
    : decision

/** The record that a sighting is of. */
export const decisionOf = (id: string): string => id.split('/')[0]!

/** Every sighting that a record may have. */
export const idsOf = (decision: string): readonly string[] => [
  decision,
  ...Array.from({ length: mostAttempts }, (_, at) => `${decision}/${at + 1}`),
]
