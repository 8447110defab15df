/** `traffic`: how many decisions of which sort there were. */

import { isObject, type Json } from '../../../../core/json.ts'
import type { Fact } from './fact.ts'

const countOf = (value: Json | undefined): number =>
  typeof value === 'number' && Number.isSafeInteger(value) && value > 0 ? value : 0

export function trafficFact(): Fact {
  const sums = { inbound: 0, outbound: 0, trial: 0, told: 0, refusals: 0, refusalsUnnamed: 0 }
  return {
    take({ view: { event }, inside }) {
      if (!inside) return
      const body = event as unknown as { readonly [member: string]: Json | undefined }
      if (event.kind === 'opa_decision') sums.told++
      if (event.kind === 'refusals') {
        const list = Array.isArray(body['refusals']) ? body['refusals'] : []
        for (const one of list) if (isObject(one)) sums.refusals += countOf(one['count'])
        sums.refusals += countOf(body['others'])
        sums.refusalsUnnamed += countOf(body['others'])
      }
      if (event.kind !== 'decision') return
      if (body['enforced'] === false) sums.trial++
      else if (body['direction'] === 'outbound') sums.outbound++
      else sums.inbound++
    },
    finish: () => ({ values: { ...sums }, tallies: {} }),
  }
}
