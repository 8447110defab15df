/** Conditions of tallies, made into functions once, so that a leaf costs a few comparisons. */

import type { Condition, TallyRule } from '../../../core/compliance.ts'
import { WritError } from '../../../core/fault.ts'
import { isObject, type Json } from '../../../core/json.ts'
import type { View } from './view.ts'

type Test = (view: View) => boolean
type Parameters = Readonly<Record<string, number>>

/** Whether a record is one that the rule counts; its kind is compared elsewhere. Throws `config_invalid`. */
export function testOf(rule: TallyRule, parameters: Parameters, name: string): Test {
  const all = Object.entries(rule.where ?? {}).map(([path, condition]) => one(path, condition, parameters, name))
  const any = rule.any?.map((where) => {
    const tests = Object.entries(where).map(([path, condition]) => one(path, condition, parameters, name))
    return (view: View) => tests.every((test) => test(view))
  })
  return (view) => {
    for (const test of all) if (!test(view)) return false
    return any === undefined || any.some((test) => test(view))
  }
}

function one(path: string, condition: Condition, parameters: Parameters, name: string): Test {
  const read = reading(path)
  if (!isObject(condition as Json)) return (view) => read(view) === condition
  const said = condition as Exclude<Condition, string | number | boolean>
  if ('in' in said) return (view) => said.in.includes(read(view) as never)
  if ('not' in said) {
    const refused: readonly unknown[] = Array.isArray(said.not) ? said.not : [said.not]
    return (view) => !refused.includes(read(view))
  }
  if ('exists' in said) return (view) => isThere(read(view)) === said.exists
  if ('startsWith' in said) return (view) => String(read(view) ?? '').startsWith(said.startsWith)
  const bound = 'over' in said ? said.over : said.under
  const limit = typeof bound === 'number' ? bound : parameters[bound.slice(1)]
  if (limit === undefined) {
    throw new WritError('config_invalid', `${name}: ${path} is compared with ${bound}, which is no parameter of it`, {
      cure: 'name one of the check’s parameters after a dollar sign',
    })
  }
  return 'over' in said ? (view) => Number(read(view)) > limit : (view) => Number(read(view)) < limit
}

const isThere = (value: Json | undefined): boolean => value !== undefined && value !== null && value !== ''

/** Reads a member by its path; what begins with `@` is worked out of the record. */
export function reading(path: string): (view: View) => Json | undefined {
  if (path.startsWith('@')) return (view) => view.derived(path)
  const steps = path.split('.')
  return ({ event }) => {
    let here: Json | undefined = event as unknown as Json
    for (const step of steps) here = isObject(here) && Object.hasOwn(here, step) ? here[step] : undefined
    return here
  }
}
