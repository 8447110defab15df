/**
 * Holds the tables against the log: every row of `records` and `outcomes` and every leaf in `chunks` is made again from its leaf and
 * compared, column by column. Whoever changed, added or took away a row is found, and the row is named.
 */

import { equalBytes, toHex } from '../../core/bytes.ts'
import { parseCheckpoint } from '../log/checkpoint.ts'
import { parseNote } from '../log/note.ts'
import { isoTime } from '../query/node/find.ts'
import { and, eq, gte, inArray, lte, max, sql } from '../store/drizzle.ts'
import { chunkOver } from '../store/leaves.ts'
import { outcomeRowsOf, type RecordRow, recordRowOf } from '../store/row.ts'
import { checkpoints, type Db, epochs, outcomes, records } from '../store/schema.ts'
import { rowsOf } from '../store/sql.ts'
import { type FindingCode, Findings, recordId } from '../verify/finding.ts'
import type { VerifiedLeaf } from '../verify/verify.ts'

export interface RowsComparison {
  /** For `verifyLog`: sees every leaf. */
  readonly onLeaves: (leaves: readonly VerifiedLeaf[]) => Promise<void>
  /** For `verifyLog`: the signed checkpoints that the database keeps. */
  readonly kept: (shard: number) => AsyncIterable<string>
  /** What the comparison found, once every leaf was seen. */
  finish(): Promise<Findings>
  readonly compared: () => { readonly leaves: number; readonly outcomes: number }
}

/** Checkpoints read at a time. */
const checkpointPage = 1000

/** To be made before the log's own checkpoint is read: the database is never ahead of what was published. */
export async function compareRows(db: Db): Promise<RowsComparison> {
  const newest = await db
    .select({ shard: checkpoints.shard, size: max(checkpoints.size) })
    .from(checkpoints)
    .groupBy(checkpoints.shard)
  const sizes = new Map(newest.map(({ shard, size }) => [shard, Number(size)]))
  const findings = new Findings()
  const seen = new Set<number>()
  let leavesSeen = 0
  let outcomesSeen = 0
  const telling: Telling = new Map()
  return {
    onLeaves: async (batch) => {
      const first = batch[0]
      if (!first || first.pruned) return
      seen.add(first.shard)
      leavesSeen += batch.length
      await compareLeaves(db, batch, findings)
      await compareRecords(db, batch, findings)
      outcomesSeen += await compareOutcomes(db, batch, telling, findings)
    },
    kept: (shard) => keptCheckpoints(db, shard, sizes.get(shard) ?? -1, findings),
    finish: async () => {
      const known = await db.selectDistinct({ shard: epochs.shard }).from(epochs)
      for (const shard of new Set([...known.map((row) => row.shard), ...sizes.keys()])) {
        if (seen.has(shard) || (sizes.get(shard) ?? 0) === 0) continue
        tell(
          findings,
          'row_extra',
          shard,
          undefined,
          undefined,
          `the tables hold shard ${shard}, the log folder does not`,
        )
      }
      return findings
    },
    compared: () => ({ leaves: leavesSeen, outcomes: outcomesSeen }),
  }
}

/** Whether a note is signed and of this log its reader sees; that the row says what its note does is seen here. */
async function* keptCheckpoints(db: Db, shard: number, newest: number, findings: Findings): AsyncGenerator<string> {
  let from = 0
  for (;;) {
    const page = await db
      .select({ size: checkpoints.size, root: checkpoints.root, note: checkpoints.note })
      .from(checkpoints)
      .where(and(eq(checkpoints.shard, shard), gte(checkpoints.size, from), lte(checkpoints.size, newest)))
      .orderBy(checkpoints.size)
      .limit(checkpointPage)
    for (const { size, root, note } of page) {
      const said = parseCheckpoint(parseNote(note)?.text ?? '')
      if (said && !(said.size === size && equalBytes(said.root, new Uint8Array(root)))) {
        const what = `checkpoints has size ${size} and root ${toHex(new Uint8Array(root))}, its note signs ${said.size} and ${toHex(said.root)}`
        tell(findings, 'row_differs', shard, undefined, undefined, what)
      }
      yield note
    }
    const last = page.at(-1)
    if (!last || page.length < checkpointPage) return
    from = last.size + 1
  }
}

/** Chunks are a buffer that empties from its beginning: what lies below the first of them is the folder's alone. */
async function compareLeaves(db: Db, batch: readonly VerifiedLeaf[], findings: Findings): Promise<void> {
  const { shard, first, last } = spanOf(batch)
  const [kept] = await rowsOf<{ first: string | null }>(
    db.execute(sql`select min(first) as first from chunks where shard = ${shard}`),
  )
  const from = kept?.first == null ? Number.POSITIVE_INFINITY : Number(kept.first)
  const found = await chunkLeaves(db, shard, first, last)
  for (const leaf of batch) {
    const bytes = found.get(leaf.index)
    if (!bytes) {
      if (leaf.index < from) continue
      tell(findings, 'row_missing', shard, leaf.index, idOf(leaf), 'chunks has no leaf for it')
    } else if (!equalBytes(bytes, leaf.bytes)) {
      tell(findings, 'row_differs', shard, leaf.index, idOf(leaf), 'chunks has other bytes than the log')
    }
  }
}

async function chunkLeaves(
  db: Db,
  shard: number,
  first: number,
  last: number,
): Promise<ReadonlyMap<number, Uint8Array>> {
  const found = new Map<number, Uint8Array>()
  for (let from = first; from <= last; ) {
    const chunk = await chunkOver(db, shard, from, last)
    if (!chunk) break
    for (const [i, bytes] of chunk.leaves.entries()) found.set(chunk.first + i, bytes)
    from = chunk.last + 1
  }
  return found
}

type Column = keyof RecordRow

async function compareRecords(db: Db, batch: readonly VerifiedLeaf[], findings: Findings): Promise<void> {
  const { shard, first, last } = spanOf(batch)
  const rows = await db
    .select()
    .from(records)
    .where(and(eq(records.shard, shard), gte(records.index, first), lte(records.index, last)))
  const found = new Map<number, (typeof rows)[number]>()
  for (const row of rows) {
    if (found.has(row.index)) tellExtra(findings, row, 'records')
    else found.set(row.index, row)
  }
  for (const leaf of batch) {
    if (!leaf.event) continue // Named already: a leaf that is no record.
    const row = found.get(leaf.index)
    found.delete(leaf.index)
    if (!row) {
      tell(findings, 'row_missing', shard, leaf.index, idOf(leaf), 'records has no row for it')
      continue
    }
    const expected = recordRowOf(leaf.event)
    for (const column of Object.keys(expected) as Column[]) {
      const is = column === 'at' ? isoTime(row.at) : row[column]
      if (JSON.stringify(is ?? null) === JSON.stringify(expected[column])) continue
      const what = `records.${column} is ${shown(is)}, its leaf says ${shown(expected[column])}`
      tell(findings, 'row_differs', shard, leaf.index, idOf(leaf), what)
    }
  }
  for (const row of found.values()) {
    if (batch.some((leaf) => leaf.index === row.index)) continue
    tellExtra(findings, row, 'records')
  }
}

/**
 * By shard, the first leaf of which a row tells attempts. Rows of before version 10 of the store do not, and stand before
 * all that do: after that one none may keep silent.
 */
type Telling = Map<number, number>

/** Returns how many outcomes were compared. */
async function compareOutcomes(
  db: Db,
  batch: readonly VerifiedLeaf[],
  telling: Telling,
  findings: Findings,
): Promise<number> {
  const { shard, first, last } = spanOf(batch)
  const rows = await db
    .select()
    .from(outcomes)
    .where(and(eq(outcomes.shard, shard), gte(outcomes.index, first), lte(outcomes.index, last)))
  const found = new Map<string, (typeof rows)[number]>()
  for (const row of rows) {
    const key = `${row.index} ${recordId(row.epoch, row.seq)}`
    if (found.has(key)) tellExtra(findings, row, 'outcomes')
    else found.set(key, row)
    if (row.attempts) telling.set(shard, Math.min(row.index, telling.get(shard) ?? row.index))
  }
  const tells = telling.get(shard) ?? Number.POSITIVE_INFINITY
  const absent: { readonly leaf: VerifiedLeaf; readonly epoch: string; readonly seq: number }[] = []
  const told = new Set<string>()
  let compared = 0
  for (const leaf of batch) {
    for (const expected of leaf.event ? outcomeRowsOf(leaf.event) : []) {
      compared++
      const id = recordId(expected.epoch, expected.seq)
      const key = `${leaf.index} ${id}`
      if (told.has(key)) continue // Told twice in one leaf: the first counts.
      told.add(key)
      const row = found.get(key)
      found.delete(key)
      if (!row) absent.push({ leaf, epoch: expected.epoch, seq: expected.seq })
      for (const column of row ? (Object.keys(expected) as (keyof typeof expected)[]) : []) {
        if (JSON.stringify(row![column]) === JSON.stringify(expected[column])) continue
        if (column === 'attempts' && row!.attempts === null && leaf.index < tells) break // `stopped` neither.
        const what = `outcomes.${column} is ${shown(row![column])}, its leaf says ${shown(expected[column])}`
        tell(findings, 'row_differs', shard, leaf.index, id, what)
      }
    }
  }
  for (const row of found.values()) {
    tellExtra(findings, row, 'outcomes')
  }
  await findEarlier(db, absent, findings)
  return compared
}

/** A decision whose end was told twice has the first of them in the table: an earlier row stands for a later leaf. */
async function findEarlier(
  db: Db,
  absent: readonly { readonly leaf: VerifiedLeaf; readonly epoch: string; readonly seq: number }[],
  findings: Findings,
): Promise<void> {
  const byEpoch = new Map<string, typeof absent>()
  for (const one of absent) byEpoch.set(one.epoch, [...(byEpoch.get(one.epoch) ?? []), one])
  for (const [epoch, list] of byEpoch) {
    const seqs = list.map(({ seq }) => seq)
    const rows = await db
      .select({ seq: outcomes.seq, index: outcomes.index })
      .from(outcomes)
      .where(and(eq(outcomes.epoch, epoch), inArray(outcomes.seq, seqs)))
    const earlier = new Map(rows.map(({ seq, index }) => [seq, index]))
    for (const { leaf, seq } of list) {
      if ((earlier.get(seq) ?? Number.POSITIVE_INFINITY) < leaf.index) continue
      tell(findings, 'row_missing', leaf.shard, leaf.index, recordId(epoch, seq), 'outcomes has no row for it')
    }
  }
}

function tellExtra(
  findings: Findings,
  { shard, index, epoch, seq }: { shard: number; index: number; epoch: string; seq: number },
  table: string,
): void {
  tell(findings, 'row_extra', shard, index, recordId(epoch, seq), `${table} has a row that no leaf made`)
}

function spanOf(batch: readonly VerifiedLeaf[]): {
  readonly shard: number
  readonly first: number
  readonly last: number
} {
  return { shard: batch[0]!.shard, first: batch[0]!.index, last: batch.at(-1)!.index }
}

const idOf = ({ event }: VerifiedLeaf): string | undefined => event && recordId(event.epoch, event.seq)

const shown = (value: unknown): string => (JSON.stringify(value ?? null) ?? '').slice(0, 200)

function tell(
  findings: Findings,
  code: FindingCode,
  shard: number,
  index: number | undefined,
  id: string | undefined,
  what: string,
): void {
  findings.add({ level: 'broken', code, shard, ...(index !== undefined && { index }), ...(id && { id }), what })
}
