/** `tokens`: whether a token stays with whom it came with first. */

import type { Json } from '../../../../core/json.ts'
import { Dict, firstOf, Listed, type Place, Sums } from '../held.ts'
import { memberAt, textAt } from '../view.ts'
import { type Fact, maxFew } from './fact.ts'

type Use = { readonly at: Place; readonly count: number }

/** What stands between token, holder and edge: no name has it. */
const between = '\n'

/** Ids of tokens, and the address or certificate that each came with. A token that moves was taken. */
export function tokensFact(): Fact {
  const uses = new Dict<Use>((a, b) => ({ ...firstOf(a, b), count: a.count + b.count }), maxFew)
  const sums = new Sums(['unnamed', 'own'])
  /** Edges that tokens were used on without being bound to a certificate. */
  const free = new Dict<Use>((a, b) => ({ ...firstOf(a, b), count: a.count + b.count }), maxFew)
  return {
    inside: { uses, sums, free },
    reads: [
      ...['direction', 'enforced', 'verdict', 'peer.proof', 'peer.serial', 'input.writ.token.sha256'],
      ...['input.writ.token.bound', '@edge', '@source of jwt'],
    ],
    take({ view, inside, at, count }) {
      const { event } = view
      const body = event as unknown as Json
      if (event.kind !== 'decision' || !inside || textAt(body, 'direction') !== 'inbound') return
      if (memberAt(body, 'enforced') === false || textAt(body, 'verdict') !== 'allow') return
      const bySvid = textAt(body, 'peer', 'proof') === 'jwt'
      const token =
        textAt(body, 'input', 'writ', 'token', 'sha256') ?? (bySvid ? textAt(body, 'peer', 'serial') : undefined)
      if (token === undefined) {
        if (bySvid) sums.of.unnamed += count
        return
      }
      // An SVID of its own belongs to no certificate; it is the name.
      if (!bySvid && memberAt(body, 'input', 'writ', 'token', 'bound') === true) sums.of.own += count
      else free.add(String(view.derived('@edge')), { at: { ...at }, count })
      // A token beside a certificate belongs to the name that this proves; one that stands alone, to where it came from.
      const holder = bySvid ? `at ${view.derived('@source') ?? '?'}` : String(view.derived('@caller') ?? nobodyNamed)
      uses.add([token, holder, view.derived('@edge')].join(between), { at: { ...at }, count })
    },
    finish: () => {
      const first = new Map<string, Use & { readonly holder: string }>()
      const parts = [...uses.map].map(([name, use]) => ({ of: name.split(between), use }))
      for (const { of, use } of parts) {
        const [token = '', holder = ''] = of
        const one = { ...use, holder }
        const known = first.get(token)
        first.set(token, known ? firstOf(known, one) : one)
      }
      const [moved, good, loose] = [new Listed(10), new Listed(), new Listed(10)]
      for (const [edge, { at, count }] of free.map) loose.add(at, edge, count)
      for (const { of, use } of parts) {
        const [token = '', holder = '', edge = ''] = of
        ;(first.get(token)!.holder === holder ? good : moved).add(use.at, edge, use.count)
      }
      return {
        values: {
          ...{ uses: good.count + moved.count, moved: moved.count, tokens: first.size },
          ...{ unnamed: sums.of.unnamed, whole: uses.whole && free.whole, own: sums.of.own },
        },
        tallies: { moved: moved.finish(), bound: good.finish(), free: loose.finish() },
      }
    },
  }
}

const nobodyNamed = 'nobody'
