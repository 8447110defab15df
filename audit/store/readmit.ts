/**
 * What the store says of epochs and gaps, made again from the entries of a log: a store that was lost, or is behind its
 * log folder, becomes the one that wrote them. Nothing is judged anew: what the auditor found stands in the log.
 */

import { isObject } from '../../core/json.ts'
import { partitionOf } from '../../core/log.ts'
import type { AnomalyBody, AuditEvent, GapBody, HeadBody } from '../../core/record.ts'
import type { ArrivedRecord } from './arrival.ts'
import { quotedBy } from './head.ts'
import { rowsOf } from './holes.ts'
import { atOf } from './row.ts'
import type { EpochRow, GapRow } from './schema.ts'

/** Where the store stands; it grows with the number of epochs, not of records. */
export interface Readmission {
  readonly epochs: Map<string, EpochRow>
  /** By epoch. */
  readonly gaps: Map<string, GapRow[]>
}

export interface Readmitted {
  readonly epochs: readonly EpochRow[]
  readonly gaps: {
    readonly gone: readonly { readonly epoch: string; readonly first: number }[]
    readonly rows: GapRow[]
  }
}

/** Takes in the entries of `shard` from index `first` on, and gives the rows that changed. */
export function readmit(
  state: Readmission,
  shard: number,
  first: number,
  entries: readonly ArrivedRecord[],
): Readmitted {
  const changed = new Set<string>()
  const gone = new Map<string, { readonly epoch: string; readonly first: number }>()
  const added = new Set<GapRow>()
  const drop = (row: GapRow): void => {
    if (!added.delete(row)) gone.set(`${row.epoch} ${row.first}`, { epoch: row.epoch, first: row.first })
  }
  entries.forEach((entry, i) => {
    const { event } = entry
    advance(state, shard, entry)
    changed.add(event.epoch)
    if (event.kind === 'gap') moveGap(state, event as AuditEvent<GapBody>, first + i, added, drop)
    if (event.kind === 'anomaly') {
      const doubted = withdrawHead(state, event as AuditEvent<AnomalyBody>)
      if (doubted !== undefined) changed.add(doubted)
    }
  })
  return {
    epochs: [...changed].flatMap((epoch) => state.epochs.get(epoch) ?? []),
    gaps: { gone: [...gone.values()], rows: [...added] },
  }
}

function advance({ epochs }: Readmission, shard: number, { event, hash }: ArrivedRecord): void {
  const at = atOf(event)
  const known = epochs.get(event.epoch)
  if (known && partitionOf(known.shard) !== partitionOf(shard)) return // The log says so itself: an anomaly.
  const row: EpochRow = known ?? {
    epoch: event.epoch,
    producer: event.producer,
    shard,
    nextSeq: 0,
    lastHash: hash,
    attestedSeq: -1,
    final: false,
    startedAt: at,
    lastAt: at,
    previous: null,
  }
  const ahead = event.seq >= row.nextSeq
  const head = event.kind === 'head'
  epochs.set(event.epoch, {
    ...row,
    ...(ahead && { shard, nextSeq: event.seq + 1, lastHash: hash, lastAt: at }),
    previous: quotedBy(event) ?? row.previous,
    ...(head && {
      attestedSeq: Math.max(row.attestedSeq, event.seq),
      final: row.final || (event as AuditEvent<HeadBody>).final === true,
    }),
  })
}

/** A head that did not hold was kept, and attests nothing. */
function withdrawHead({ epochs }: Readmission, { anomaly, of }: AuditEvent<AnomalyBody>): string | undefined {
  if (anomaly !== 'bad_head' || !isObject(of)) return undefined
  const row = epochs.get(of.epoch)
  if (row?.attestedSeq !== of.seq) return undefined
  epochs.set(of.epoch, { ...row, attestedSeq: -1, final: false })
  return of.epoch
}

function moveGap(
  { gaps }: Readmission,
  { action, of, first, last }: AuditEvent<GapBody>,
  index: number,
  added: Set<GapRow>,
  drop: (row: GapRow) => void,
): void {
  const { epoch } = of
  const rows = gaps.get(epoch) ?? []
  gaps.set(epoch, rows)
  const put = (row: GapRow): void => {
    rows.push(row)
    added.add(row)
  }
  if (action === 'opened') {
    put({ epoch, first, last, openedIndex: index, closedIndex: null })
    return
  }
  const at = rows.findIndex((row) => row.closedIndex === null && row.first <= first && last <= row.last)
  const open = rows[at]
  if (!open) return
  rows.splice(at, 1)
  drop(open)
  const hole = { ...open, stored: true, filled: new Set<number>() }
  for (const row of rowsOf(epoch, hole, [{ first, last, index }])) put(row)
}
