/** The policy that says who may read the audit, asked as it is in force at that moment. Whoever is unsure says no. */

import { messageOf } from '../../core/fault.ts'
import { isObject, type Json } from '../../core/json.ts'
import type { PolicyBundle } from '../../core/policy.ts'
import type { NowNs } from '../../core/ports.ts'
import { loadBundle } from '../../engine/node/open.ts'
import type { Policy } from '../../engine/policy.ts'

/** What is in force, as far as it says who may read. */
interface InForce {
  readonly settings: { readonly access?: { readonly bundle: string; readonly entrypoint: string } }
  readonly bundles: readonly PolicyBundle[]
}

export interface Access {
  readonly allow: boolean
  readonly reason: string
}

export function accessBy(config: () => InForce, now: NowNs): (input: Json) => Promise<Access> {
  let loaded: { readonly sha256: string; readonly policy: Policy } | undefined
  return async (input) => {
    const { settings, bundles } = config()
    const { access } = settings
    const bundle = access && bundles.find(({ ref }) => ref.bundle === access.bundle)
    if (!access)
      return isApi(input) ? no('only the operator’s socket and the page may read') : { allow: true, reason: '' }
    if (!bundle) return no('the policy that says who may read is not there')
    try {
      if (loaded?.sha256 !== bundle.ref.sha256) {
        loaded = { sha256: bundle.ref.sha256, policy: await loadBundle(bundle.bytes, bundle.ref.bundle, { now }) }
      }
      const answer = await loaded.policy.evaluate(access.entrypoint, input)
      if (!answer.ok) return no(`${answer.fault}: ${answer.detail}`)
      const { value } = answer
      const allow = value === true || (isObject(value) && value['allow'] === true)
      return allow ? { allow, reason: '' } : no('the policy says no')
    } catch (thrown) {
      return no(messageOf(thrown))
    }
  }
}

const isApi = (input: Json): boolean => {
  const reader = isObject(input) ? input['reader'] : undefined
  return !isObject(reader) || reader['door'] === 'api'
}

const no = (reason: string): Access => ({ allow: false, reason })
