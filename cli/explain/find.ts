/** One recorded decision with its row and its place in the log: from the process that holds the store, or from the store. */

import { parseCheckpoint } from '../../audit/log/checkpoint.ts'
import { leafHash } from '../../audit/log/merkle.ts'
import { parseNote } from '../../audit/log/note.ts'
import type { DecisionRow } from '../../audit/query/answer.ts'
import { fromUtf8, toHex } from '../../core/bytes.ts'
import { WritError } from '../../core/fault.ts'
import { isObject, type Json } from '../../core/json.ts'
import { type AuditEvent, type DecisionBody, parseDecisionId } from '../../core/record.ts'
import { askRunning } from '../ask.ts'
import { sha256 } from '../wire/machine.ts'
import type { LogOptions } from '../wire/recorded.ts'

export interface Found {
  readonly event: AuditEvent<DecisionBody>
  readonly row: DecisionRow
  /** Leaf hash, hex. */
  readonly hash: string
  /** Leaves under the newest signed checkpoint of its shard; undefined where that was not asked. */
  readonly size: number | undefined
}

export async function findDecision(id: string, options: LogOptions): Promise<Found> {
  const parsed = parseDecisionId(id)
  if (!parsed) {
    throw new WritError('usage', `${JSON.stringify(id)} is no id of a decision`, {
      cure: 'ids are printed by `writ audit query`, and look like 0123456789abcdef01234567-17',
    })
  }
  if (options.database === undefined) {
    const answer = await askRunning(options.state, `/v1/audit/record/${id}`)
    if (answer !== undefined) return fromAnswer(id, answer)
  }
  const [{ findDecisions }, { findLeaf }, { openStoreOf }] = await Promise.all([
    import('../../audit/query/node/find.ts'),
    import('../../audit/query/node/leaf.ts'),
    import('../place.ts'),
  ])
  const store = await openStoreOf(options)
  try {
    const leaf = await findLeaf(store.db, parsed)
    const [row] = (await findDecisions(store.db, { id, limit: 1 })).rows
    if (!leaf) throw missing(`no record ${id} in this log`)
    const event = JSON.parse(fromUtf8(leaf.bytes)) as AuditEvent
    return foundOf(id, event, row, toHex(leafHash(sha256, leaf.bytes)), undefined)
  } finally {
    await store.close()
  }
}

function fromAnswer(id: string, answer: Json): Found {
  const { event, row, hash, receipt } = isObject(answer) ? answer : {}
  const note = isObject(receipt) ? receipt['note'] : undefined
  const checkpoint = typeof note === 'string' ? parseCheckpoint(parseNote(note)?.text ?? '') : undefined
  return foundOf(
    id,
    event as unknown as AuditEvent,
    row as unknown as DecisionRow | null,
    String(hash),
    checkpoint?.size,
  )
}

function foundOf(
  id: string,
  event: AuditEvent,
  row: DecisionRow | null | undefined,
  hash: string,
  size: number | undefined,
): Found {
  if (event.kind !== 'decision' || !row) throw missing(`record ${id} is no decision but of kind ${event.kind}`)
  return { event: event as AuditEvent<DecisionBody>, row, hash, size }
}

const missing = (what: string): WritError =>
  new WritError('not_found', what, {
    cure: 'ids are printed by `writ audit query`; a new record takes a moment to arrive',
  })
