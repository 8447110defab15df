/** Any entry point over any input, by the exact revision: what reports, replays and tests ask. */

import type { PolicyRef } from '../core/policy.ts'
import type { Evaluate } from '../core/ports.ts'
import type { Policy } from './policy.ts'

/** `find` must compare the digest too where it holds more than one revision. Never throws as long as `find` does not. */
export function makeEvaluate(find: (ref: PolicyRef) => Policy | undefined): Evaluate {
  return (ref, entrypoint, input) => {
    const policy = find(ref)
    if (!policy || policy.ref.sha256 !== ref.sha256) {
      return { ok: false, fault: 'policy_missing', detail: `revision ${ref.revision} of ${ref.bundle} is not loaded` }
    }
    return policy.evaluate(entrypoint, input)
  }
}
