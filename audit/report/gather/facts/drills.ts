/** `drills`: what the mesh tried on itself. */

import type { Json } from '../../../../core/json.ts'
import { Count } from '../count.ts'
import { memberAt, textAt } from '../view.ts'
import type { Fact } from './fact.ts'

const maxListeners = 200_000

/** Which listeners decided anything, and what drills said of each of them. */
export function drillsFact(): Fact {
  const inUse = new Set<string>()
  const drills = {
    default_deny: { tried: new Set<string>(), passed: new Count(), failed: new Count(10) },
    fail_closed: { tried: new Set<string>(), passed: new Count(), failed: new Count(10) },
  }
  let whole = true
  return {
    take({ view, inside, key, at }) {
      const { event } = view
      const body = event as unknown as Json
      if (!inside) return
      if (
        event.kind === 'decision' &&
        textAt(body, 'direction') === 'inbound' &&
        memberAt(body, 'enforced') !== false
      ) {
        const name = `${textAt(body, 'workload')} ${textAt(body, 'listener')}`
        if (inUse.size < maxListeners) inUse.add(name)
        else whole = false
      }
      if (event.kind !== 'drill') return
      const drill = drills[textAt(body, 'drill') as keyof typeof drills]
      if (!drill) return
      const listener = `${textAt(body, 'workload')} ${textAt(body, 'listener')}`
      if (drill.tried.size < maxListeners) drill.tried.add(listener)
      ;(memberAt(body, 'refused') === true ? drill.passed : drill.failed).add(
        key,
        at,
        `${listener} ${textAt(body, 'case')}`,
      )
    },
    finish: () => {
      const untried = (tried: ReadonlySet<string>) => [...inUse].filter((one) => !tried.has(one))
      const [deny, closed] = [drills.default_deny, drills.fail_closed]
      return {
        values: {
          listeners: inUse.size,
          denyTried: deny.tried.size,
          denyUntried: untried(deny.tried).length,
          denyFailed: deny.failed.count,
          denyPassed: deny.passed.count,
          closedTried: closed.tried.size,
          closedUntried: untried(closed.tried).length,
          closedFailed: closed.failed.count,
          closedPassed: closed.passed.count,
          whole,
        },
        tallies: {
          denyFailed: deny.failed.finish(),
          denyPassed: deny.passed.finish(),
          closedFailed: closed.failed.finish(),
          closedPassed: closed.passed.finish(),
        },
      }
    },
  }
}
