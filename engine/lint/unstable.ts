/** Calls of builtins whose answer depends on more than the request, with what that costs. */

import { type Finding, finding, type Level } from './finding.ts'
import { type LintPolicy, treeOf } from './policy.ts'
import { placeOf } from './problems.ts'
import { callsIn } from './terms.ts'

interface Cost {
  readonly level: Level
  readonly what: string
  readonly cure: string
}

const byTime: Cost = {
  level: 'note',
  what: 'depends on the time: what it decides is not remembered; a replay sees the time that was seen then',
  cure: 'nothing, where time is meant; else keep it out of what is asked for each request',
}

const byNetwork: Cost = {
  level: 'warning',
  what: 'asks another machine: each decision waits for it, none is remembered, and none can be replayed',
  cure: 'bring what it asks for as data in the bundle',
}

const byWorld: Cost = {
  level: 'warning',
  what: 'has an answer that no record holds: what it decides is not remembered, and cannot be replayed or explained',
  cure: 'decide by facts of the request, or by data in the bundle',
}

/** OPA calls these nondeterministic too, but for references to schemas elsewhere, which no proxy follows. */
const stable: ReadonlySet<string> = new Set(['json.match_schema', 'json.verify_schema'])

const costs: Readonly<Record<string, Cost>> = {
  'time.now_ns': byTime,
  'io.jwt.decode_verify': byTime,
  'http.send': byNetwork,
  'net.lookup_ip_addr': byNetwork,
}

/** `nondeterministic` are the names that OPA's capabilities call so. */
export function findUnstable(policy: LintPolicy, nondeterministic: ReadonlySet<string>): readonly Finding[] {
  return policy.modules
    .filter(({ isTest }) => !isTest)
    .flatMap((module) =>
      module.rules.flatMap((rule) =>
        callsIn(treeOf(rule)).flatMap(({ name, node }) => {
          if (!nondeterministic.has(name) || stable.has(name)) return []
          const { level, what, cure } = Object.hasOwn(costs, name) ? costs[name]! : byWorld
          const place = { ...(placeOf(node['location']) ?? rule.place), file: module.file }
          return [finding('unstable', place, `${name} ${what}`, cure, level)]
        }),
      ),
    )
}
