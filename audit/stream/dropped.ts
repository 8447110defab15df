/** Counts decisions that a policy's own drop rule leaves out of the records, so that a record tells how many there were. */

import type { DroppedBody } from '../../core/record.ts'
import { type Suppressed, suppressedBody } from './suppressed.ts'

export function droppedBody(counter: Suppressed): DroppedBody {
  const { counts, from, until } = suppressedBody(counter)
  return { kind: 'dropped', counts, from, until }
}
