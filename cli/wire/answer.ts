/** The answer to a question: from the process that holds the store, or from the store where nobody does. */

import type { Answer } from '../../audit/query/answer.ts'
import { readQuestion } from '../../audit/query/ask.ts'
import { askRunning } from '../ask.ts'
import type { PlaceOptions } from '../place.ts'

/** A running process is asked; without one the store is opened here. */
export async function answerTo(
  pairs: readonly [string, string][],
  options: Pick<PlaceOptions, 'state' | 'database'>,
): Promise<Answer> {
  const question = readQuestion(pairs, Date.now()) // Wrong questions are refused before anybody is asked.
  if (options.database === undefined) {
    const query = new URLSearchParams(pairs as [string, string][]).toString()
    const answer = await askRunning(options.state, `/v1/audit/query?${query}`)
    if (answer !== undefined) return answer as unknown as Answer
  }
  // Read only now: a question to a running process is answered before these modules are read.
  const [{ findDecisions }, { openStoreOf }] = await Promise.all([
    import('../../audit/query/node/find.ts'),
    import('../place.ts'),
  ])
  const store = await openStoreOf(options)
  try {
    return await findDecisions(store.db, question)
  } finally {
    await store.close()
  }
}
