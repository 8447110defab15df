/** `review`: what was found odd, and whether a person said what came of it, in time. */

import type { Json } from '../../../../core/json.ts'
import { decisionId } from '../../../../core/record.ts'
import { Dict, firstOf, Listed, type Place } from '../held.ts'
import { textAt } from '../view.ts'
import { type Ending, type Fact, maxFew } from './fact.ts'

const reviewed: readonly string[] = [
  'first_seen',
  'denial_spike',
  'mix_moved',
  'allow_unidentified',
  'anomaly',
  'unmatched',
]

export function reviewFact(): Fact {
  const open = new Dict<{ readonly atMs: number; readonly at: Place; readonly what: string }>(firstOf, maxFew)
  const answered = new Dict<{ readonly atMs: number; readonly at: Place; readonly by: string }>(firstOf, maxFew)
  return {
    always: { answered },
    inside: { open },
    reads: [],
    take({ view: { event, atMs }, inside, at }) {
      const body = event as unknown as Json
      if (event.kind === 'finding' && inside && reviewed.includes(textAt(body, 'finding') ?? '')) {
        const what = `${textAt(body, 'finding')} ${textAt(body, 'subject') ?? ''}`
        open.add(decisionId(event), { atMs, at: { ...at }, what })
      }
      if (event.kind !== 'acknowledgement') return
      const [of, by] = [textAt(body, 'of'), textAt(body, 'by')]
      if (of && by) answered.add(of, { atMs, at: { ...at }, by })
    },
    finish: ({ toMs, parameters }: Ending) => {
      const limit = (parameters['hours'] ?? 0) * 3_600_000
      const [late, done, waiting] = [new Listed(10), new Listed(), new Listed()]
      const persons = new Set<string>()
      for (const [id, { atMs, at, what }] of open.map) {
        const answer = answered.map.get(id)
        if (answer && answer.atMs - atMs <= limit) {
          persons.add(answer.by)
          done.add(at, what)
        } else if (!answer && toMs - atMs < limit) waiting.add(at, what)
        else late.add(at, what)
      }
      return {
        values: {
          ...{ findings: open.map.size, inTime: done.count, late: late.count, waiting: waiting.count },
          ...{ persons: persons.size, whole: open.whole && answered.whole },
        },
        tallies: { late: late.finish(), inTime: done.finish(), waiting: waiting.finish() },
      }
    },
  }
}
