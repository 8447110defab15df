/** Finds one leaf by its record's id. */

import { decisionId, type Epoch } from '../../../core/record.ts'
import { type Leaf, readLeaves } from '../../store/leaves.ts'
import { placesOf } from '../../store/places.ts'
import type { Db } from '../../store/schema.ts'

export async function findLeaf(db: Db, id: { readonly epoch: Epoch; readonly seq: number }): Promise<Leaf | undefined> {
  const place = (await placesOf(db, [id])).get(decisionId(id))
  return place && (await readLeaves(db, place.shard, [place.index]))[0]
}
