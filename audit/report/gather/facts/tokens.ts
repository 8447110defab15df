/** `tokens`: whether a token stays with whom it came with first. */

import type { Json } from '../../../../core/json.ts'
import { Count } from '../count.ts'
import { memberAt, textAt } from '../view.ts'
import { type Fact, maxHeld } from './fact.ts'

/** Ids of tokens, and the address or certificate that each came with. A token that moves was taken. */
export function tokensFact(): Fact {
  const known = new Map<string, string>()
  const [moved, good] = [new Count(10), new Count()]
  let unnamed = 0
  let whole = true
  return {
    take({ view, inside, key, at }) {
      const { event } = view
      const body = event as unknown as Json
      if (event.kind !== 'decision' || !inside || textAt(body, 'direction') !== 'inbound') return
      if (memberAt(body, 'enforced') === false || textAt(body, 'verdict') !== 'allow') return
      const bySvid = textAt(body, 'peer', 'proof') === 'jwt'
      const token =
        textAt(body, 'input', 'writ', 'token', 'sha256') ?? (bySvid ? textAt(body, 'peer', 'serial') : undefined)
      if (token === undefined) {
        if (bySvid) unnamed++
        return
      }
      // A token beside a certificate belongs to the name that this proves; one that stands alone, to where it came from.
      const holder = bySvid ? `at ${view.derived('@source') ?? '?'}` : String(view.derived('@caller') ?? nobodyNamed)
      const first = known.get(token)
      if (first === undefined) {
        if (known.size < maxHeld) known.set(token, holder)
        else whole = false
      }
      ;(first === undefined || first === holder ? good : moved).add(key, at, String(view.derived('@edge')))
    },
    finish: () => ({
      values: { uses: good.count + moved.count, moved: moved.count, tokens: known.size, unnamed, whole },
      tallies: { moved: moved.finish(), bound: good.finish() },
    }),
  }
}

const nobodyNamed = 'nobody'
