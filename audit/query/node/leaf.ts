/** Finds leaves: one by its record's id, several by their indexes. */

import { and, desc, eq, inArray } from 'drizzle-orm'
import type { Epoch } from '../../../core/record.ts'
import { type Db, type LeafRow, leaves, records } from '../../store/schema.ts'

export async function findLeaf(
  db: Db,
  id: { readonly epoch: Epoch; readonly seq: number },
): Promise<LeafRow | undefined> {
  const [found] = await db
    .select({ leaf: leaves })
    .from(records)
    .innerJoin(leaves, and(eq(leaves.shard, records.shard), eq(leaves.index, records.index)))
    .where(and(eq(records.epoch, id.epoch), eq(records.seq, id.seq)))
    .limit(1)
  return found?.leaf
}

/** Those of them that are there, newest first. */
export const leavesAt = (db: Db, shard: number, indexes: readonly number[]): Promise<readonly LeafRow[]> =>
  db
    .select()
    .from(leaves)
    .where(and(eq(leaves.shard, shard), inArray(leaves.index, [...indexes])))
    .orderBy(desc(leaves.index))
