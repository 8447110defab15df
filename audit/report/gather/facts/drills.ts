/** `drills`: what the mesh tried on itself. */

import type { Json } from '../../../../core/json.ts'
import { Listed, names } from '../held.ts'
import { memberAt, textAt } from '../view.ts'
import { type Fact, maxFew } from './fact.ts'

/** Which listeners decided anything, and what drills said of each of them. */
export function drillsFact(): Fact {
  const inUse = names(maxFew)
  const [denyTried, closedTried] = [names(maxFew), names(maxFew)]
  const [denyPassed, denyFailed] = [new Listed(), new Listed(10)]
  const [closedPassed, closedFailed] = [new Listed(), new Listed(10)]
  const drills = {
    default_deny: { tried: denyTried, passed: denyPassed, failed: denyFailed },
    fail_closed: { tried: closedTried, passed: closedPassed, failed: closedFailed },
  }
  const untried = (tried: typeof denyTried) => [...inUse.map.keys()].filter((one) => !tried.map.has(one)).length
  return {
    inside: { inUse, denyTried, closedTried, denyPassed, denyFailed, closedPassed, closedFailed },
    reads: ['direction', 'enforced', 'workload', 'listener'],
    take({ view: { event }, inside, at }) {
      const body = event as unknown as Json
      if (!inside) return
      const listener = `${textAt(body, 'workload')} ${textAt(body, 'listener')}`
      if (
        event.kind === 'decision' &&
        textAt(body, 'direction') === 'inbound' &&
        memberAt(body, 'enforced') !== false
      ) {
        inUse.add(listener, 1)
      }
      const drill = event.kind === 'drill' && drills[textAt(body, 'drill') as keyof typeof drills]
      if (!drill) return
      drill.tried.add(listener, 1)
      const tally = memberAt(body, 'refused') === true ? drill.passed : drill.failed
      tally.add(at, `${listener} ${textAt(body, 'case')}`)
    },
    finish: () => ({
      values: {
        listeners: inUse.map.size,
        denyTried: denyTried.map.size,
        denyUntried: untried(denyTried),
        denyFailed: denyFailed.count,
        denyPassed: denyPassed.count,
        closedTried: closedTried.map.size,
        closedUntried: untried(closedTried),
        closedFailed: closedFailed.count,
        closedPassed: closedPassed.count,
        whole: inUse.whole && denyTried.whole && closedTried.whole,
      },
      tallies: {
        denyFailed: denyFailed.finish(),
        denyPassed: denyPassed.finish(),
        closedFailed: closedFailed.finish(),
        closedPassed: closedPassed.finish(),
      },
    }),
  }
}
