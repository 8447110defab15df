/**
 * Rules of a policy that allowed nothing. A record does not tell which rule of Rego held; a policy tells by the `reasons`
 * beside its `allowed: true`, and those stand in the record. So what is known here are rules that once allowed somebody
 * something, and those that were named by whoever asks.
 */

import type { Db } from '../../store/schema.ts'
import type { DecisionRow } from '../answer.ts'
import { maxLimit, type Question, readCursor } from '../ask.ts'
import type { Asked } from '../questions.ts'
import { findDecisions } from './find.ts'
import type { Found } from './sql.ts'

/** Records that are read at most, the newest first. */
const maxRead = 20_000

const count = (number: number): string => number.toLocaleString('en-US')

export async function unusedRules(
  db: Db,
  { bundle, caller, rules = [], fromMs, toMs }: Omit<Asked, 'question' | 'limit'>,
): Promise<Found> {
  const allows: Question = { verdict: 'allow', code: 'allowed', direction: 'inbound', toMs, ...(bundle && { bundle }) }
  const known = await namedIn(db, allows)
  const used = await namedIn(db, { ...allows, fromMs, ...(caller && { caller }) })
  const all = [...new Set([...rules, ...known.rules.keys()])].sort()
  const unused = all.filter((rule) => !used.rules.has(rule))
  const by = caller === undefined ? '' : ` by ${caller}`
  const notes = [
    `${unused.length} of ${all.length} rules were not used${by}.`,
    `${count(used.nameless)} of ${count(used.read)} decisions${by} name no rule: a policy names one in the reasons of what it allows.`,
    'A rule that no decision ever named is not known here: give it with --rule.',
    ...(used.cut ? [`Only the newest ${count(maxRead)} decisions${by} were read: an older use is not seen.`] : []),
    ...(known.cut ? [`Rules are known from the newest ${count(maxRead)} decisions of the policy.`] : []),
  ]
  const rows = unused.map((rule) => {
    const shown = known.rules.get(rule)
    return {
      grant: `rule ${rule}`,
      use: 'never',
      at: shown ? `last for ${shown.caller ?? 'nobody by name'}` : 'as asked',
      decisions: 0,
      last_at: null,
      ...(shown && { shard: shown.shard, index: shown.index }),
    }
  })
  return { rows, notes }
}

interface Named {
  /** The newest decision that names it. */
  readonly rules: ReadonlyMap<string, DecisionRow>
  readonly read: number
  readonly nameless: number
  /** There are older ones. */
  readonly cut: boolean
}

async function namedIn(db: Db, question: Question): Promise<Named> {
  const rules = new Map<string, DecisionRow>()
  let [read, nameless] = [0, 0]
  for (let from = question; ; ) {
    const { rows, next } = await findDecisions(db, { ...from, limit: maxLimit })
    read += rows.length
    for (const row of rows) {
      if (row.reasons.length === 0) nameless++
      for (const rule of row.reasons) if (!rules.has(rule)) rules.set(rule, row)
    }
    if (next === null || read >= maxRead) return { rules, read, nameless, cut: next !== null }
    from = { ...question, cursor: readCursor(next) }
  }
}
