/** `review`: what was found odd, and whether a person said what came of it, in time. */

import type { Json } from '../../../../core/json.ts'
import { decisionId } from '../../../../core/record.ts'
import { Count, type DrawKey } from '../count.ts'
import { textAt } from '../view.ts'
import type { Ending, Fact, Seen } from './fact.ts'

const reviewed: readonly string[] = [
  'first_seen',
  'denial_spike',
  'mix_moved',
  'allow_unidentified',
  'anomaly',
  'unmatched',
]
const maxFindings = 200_000

export function reviewFact(): Fact {
  const open = new Map<
    string,
    { readonly atMs: number; readonly key: DrawKey; readonly at: Seen['at']; readonly what: string }
  >()
  const answered = new Map<string, { readonly atMs: number; readonly by: string }>()
  let whole = true
  return {
    take({ view: { event, atMs }, inside, key, at }) {
      const body = event as unknown as Json
      if (event.kind === 'finding' && inside && reviewed.includes(textAt(body, 'finding') ?? '')) {
        const what = `${textAt(body, 'finding')} ${textAt(body, 'subject') ?? ''}`
        if (open.size < maxFindings) open.set(decisionId(event), { atMs, key, at, what })
        else whole = false
      }
      if (event.kind !== 'acknowledgement') return
      const [of, by] = [textAt(body, 'of'), textAt(body, 'by')]
      if (of && by && !answered.has(of)) answered.set(of, { atMs, by })
    },
    finish: ({ toMs, parameters }: Ending) => {
      const limit = (parameters['hours'] ?? 0) * 3_600_000
      const [late, done, waiting] = [new Count(10), new Count(), new Count()]
      const persons = new Set<string>()
      for (const [id, { atMs, key, at, what }] of open) {
        const answer = answered.get(id)
        if (answer && answer.atMs - atMs <= limit) {
          persons.add(answer.by)
          done.add(key, at, what)
        } else if (!answer && toMs - atMs < limit) waiting.add(key, at, what)
        else late.add(key, at, what)
      }
      return {
        values: {
          ...{ findings: open.size, inTime: done.count, late: late.count, waiting: waiting.count },
          ...{ persons: persons.size, whole },
        },
        tallies: { late: late.finish(), inTime: done.finish(), waiting: waiting.finish() },
      }
    },
  }
}
