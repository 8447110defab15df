/** The answer to a question: from the process that holds the store, or from the store where nobody does. */

import type { Answer } from '../../audit/query/answer.ts'
import { readQuestion } from '../../audit/query/ask.ts'
import type { PlaceOptions } from '../place.ts'
import { openAuditDoor, pathWith } from './audit-door.ts'

/** A running process is asked; without one the store is opened here. */
export async function answerTo(
  pairs: readonly [string, string][],
  options: Pick<PlaceOptions, 'state' | 'database'>,
): Promise<Answer> {
  readQuestion(pairs, Date.now()) // Wrong questions are refused before anybody is asked.
  const door = await openAuditDoor(options)
  try {
    return (await door.ask('GET', pathWith('/v1/audit/query', pairs))) as unknown as Answer
  } finally {
    await door.close()
  }
}
