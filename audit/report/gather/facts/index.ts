/** All gatherings, by the name that a check's file says. */

import { drillsFact } from './drills.ts'
import type { Fact } from './fact.ts'
import { grantsFact } from './grants.ts'
import { certificatesFact, changesFact, policiesFact } from './known.ts'
import { logFact } from './log.ts'
import { reviewFact } from './people.ts'
import { interruptionsFact, transportFact } from './running.ts'
import { clockFact, retentionFact } from './time.ts'
import { tokensFact } from './tokens.ts'
import { trafficFact } from './traffic.ts'

/** A fresh one. Undefined for a name that nothing goes by. */
export const factOf = (name: string): Fact | undefined => facts[name]?.()

const facts: Readonly<Record<string, () => Fact>> = {
  traffic: trafficFact,
  log: logFact,
  certificates: certificatesFact,
  policies: policiesFact,
  changes: changesFact,
  retention: retentionFact,
  clock: clockFact,
  grants: grantsFact,
  review: reviewFact,
  interruptions: interruptionsFact,
  tokens: tokensFact,
  transport: transportFact,
  drills: drillsFact,
}
