/** What an answer's rows say of fields that the policy made digests. Values are elsewhere, under keys that are elsewhere. */

import { parseEvent } from '../../../core/record.ts'
import { digestsOf, keptFieldsAt } from '../../store/disclosures.ts'
import { readLeaves } from '../../store/leaves.ts'
import type { Db } from '../../store/schema.ts'
import type { DecisionRow, SealedField } from '../answer.ts'

/** The same rows; those with such fields say of each whether it is `withheld` or `erased`. */
export async function withSealed(db: Db, rows: readonly DecisionRow[]): Promise<readonly DecisionRow[]> {
  const sealed = new Map<string, readonly SealedField[]>()
  for (const { shard, index, fields, erased, erasedBy } of await keptFieldsAt(db, rows)) {
    const names = fields ?? (await namesAt(db, shard, index))
    const state = erased ? ('erased' as const) : ('withheld' as const)
    const by = erased && erasedBy !== undefined ? { erasedBy } : {}
    sealed.set(
      `${shard}/${index}`,
      names.map((field) => ({ field, state, ...by })),
    )
  }
  if (sealed.size === 0) return rows
  return rows.map((row) => {
    const of = sealed.get(`${row.shard}/${row.index}`)
    return of ? { ...row, sealed: of } : row
  })
}

async function namesAt(db: Db, shard: number, index: number): Promise<readonly string[]> {
  const [leaf] = await readLeaves(db, shard, [index])
  const read = leaf && parseEvent(leaf.bytes)
  return read && 'event' in read ? Object.keys(digestsOf(read.event)) : []
}
