/** `traffic`: how many decisions of which sort there were. */

import { isObject, type Json } from '../../../../core/json.ts'
import { Sums } from '../held.ts'
import type { Fact } from './fact.ts'

const countOf = (value: Json | undefined): number =>
  typeof value === 'number' && Number.isSafeInteger(value) && value > 0 ? value : 0

export function trafficFact(): Fact {
  const sums = new Sums(['inbound', 'outbound', 'trial', 'told', 'refusals', 'refusalsUnnamed'])
  return {
    inside: { sums },
    reads: ['direction', 'enforced'],
    take({ view: { event }, inside, count }) {
      if (!inside) return
      const body = event as unknown as { readonly [member: string]: Json | undefined }
      if (event.kind === 'opa_decision') sums.of.told += count
      if (event.kind === 'refusals') {
        const list = Array.isArray(body['refusals']) ? body['refusals'] : []
        for (const one of list) if (isObject(one)) sums.of.refusals += countOf(one['count'])
        sums.of.refusals += countOf(body['others'])
        sums.of.refusalsUnnamed += countOf(body['others'])
      }
      if (event.kind !== 'decision') return
      if (body['enforced'] === false) sums.of.trial += count
      else if (body['direction'] === 'outbound') sums.of.outbound += count
      else sums.of.inbound += count
    },
    finish: () => ({ values: { ...sums.of }, tallies: {} }),
  }
}
