/** The policies in force, by the name of their bundle. A revision is swapped whole: each request sees the old or the new. */

import type { PolicyRef } from '../core/policy.ts'
import type { Policy } from './policy.ts'

export { openPolicy, type Policy, type PolicyLimits, type PolicySource } from './policy.ts'

export interface Policies {
  /** Puts an opened policy in force, in place of the one of its bundle's name. */
  put(policy: Policy): void
  /** Forgets the policy of a bundle. */
  drop(bundle: string): void
  get(bundle: string): Policy | undefined
  refs(): readonly PolicyRef[]
}

export function makePolicies(): Policies {
  const byName = new Map<string, Policy>()
  return {
    put: (policy) => void byName.set(policy.ref.bundle, policy),
    drop: (bundle) => void byName.delete(bundle),
    get: (bundle) => byName.get(bundle),
    refs: () => [...byName.values()].map(({ ref }) => ref),
  }
}
