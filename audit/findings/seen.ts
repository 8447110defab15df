/** What findings are made from, of one entry. Made in the auditor's own turn, so it is little. */

import type {
  AcknowledgementBody,
  AnomalyBody,
  AuditEvent,
  GapBody,
  SpoolLostBody,
  UnmatchedBody,
} from '../../core/record.ts'
import { parseTime } from '../../core/time.ts'
import { type RecordRow, recordRowOf } from '../store/row.ts'
import { mayWrite } from '../verify/records.ts'
import { operationOf } from './operation.ts'

export type Seen =
  | {
      readonly kind: 'decision'
      readonly index: number
      readonly id: string
      readonly atMs: number
      readonly caller: string
      readonly target: string
      readonly operation: string
      readonly allowed: boolean
    }
  | { readonly kind: 'event'; readonly index: number; readonly atMs: number; readonly event: NotedEvent }

export type NotedEvent = AuditEvent<GapBody | SpoolLostBody | UnmatchedBody | AnomalyBody | AcknowledgementBody>

/** Kinds whose whole entry counts. */
export const notedKinds: readonly string[] = ['gap', 'spool_lost', 'unmatched', 'anomaly', 'acknowledgement']

export function seenOf(event: AuditEvent, index: number): Seen | undefined {
  const { kind } = event
  if (kind === 'decision') return seenIn(recordRowOf(event), index)
  if (!notedKinds.includes(kind) || !mayWrite(kind, event.producer)) return undefined
  return { kind: 'event', index, atMs: msOf(event.timestamp), event: event as NotedEvent }
}

type Part = Pick<RecordRow, 'epoch' | 'seq' | 'at' | 'direction' | 'caller' | 'target'> &
  Pick<RecordRow, 'method' | 'path' | 'verdict' | 'enforced'>

/**
 * An allowed call counts where it arrived, a denied one where it was denied, so that neither counts twice. Faults are
 * neither: nobody could tell.
 */
export function seenIn(row: Part, index: number): Seen | undefined {
  const { verdict, direction, enforced } = row
  const allowed = verdict === 'allow'
  if (enforced === false || (allowed ? direction !== 'inbound' : verdict !== 'deny')) return undefined
  return {
    kind: 'decision',
    index,
    id: `${row.epoch}-${row.seq}`,
    atMs: Date.parse(row.at),
    caller: row.caller ?? '',
    target: row.target ?? '',
    operation: operationOf(row.method ?? '', row.path ?? ''),
    allowed,
  }
}

export const msOf = (timestamp: string): number => Number((parseTime(timestamp) ?? 0n) / 1_000_000n)
