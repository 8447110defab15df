/** Checks as files have them. */

import { z } from 'zod'
import type { CheckDefinition, Condition, TallyRule } from '../../../core/compliance.ts'
import { WritError } from '../../../core/fault.ts'
import { eventKinds } from '../../../core/record.ts'
import { factNames } from '../gather/facts/names.ts'
import { derivedMembers } from '../gather/view.ts'
import { readShape } from './shape.ts'

const text = z.string().min(1).max(2048)
const name = z.string().regex(/^[a-z][A-Za-z0-9]{0,63}$/, 'is no name: a letter, then letters and digits')
const scalar = z.union([z.string(), z.number(), z.boolean()])
const bound = z.union([z.number(), z.string().regex(/^\$[a-z][A-Za-z0-9]*$/, 'is neither a number nor $parameter')])

const condition: z.ZodType<Condition> = z.union([
  scalar,
  z.strictObject({ in: z.array(scalar).max(100) }),
  z.strictObject({ not: z.union([scalar, z.array(scalar).max(100)]) }),
  z.strictObject({ exists: z.boolean() }),
  z.strictObject({ startsWith: z.string() }),
  z.strictObject({ over: bound }),
  z.strictObject({ under: bound }),
])
const where = z.record(text, condition)
const tally = z.strictObject({
  ...{ kind: z.enum(eventKinds as [string, ...string[]]), where: where.optional() },
  ...{ any: z.array(where).max(32).optional(), by: text.optional() },
})

const checkShape = z.strictObject({
  ...{ id: z.string().regex(/^[A-Za-z][A-Za-z0-9_-]{0,31}$/, 'is no id'), title: text, measures: text },
  parameters: z.record(name, z.strictObject({ value: z.number(), unit: text, source: text })).default({}),
  tallies: z.record(name, tally).default({}),
  facts: z.array(text).max(20).default([]),
  needs: z.array(z.enum(['inventory', 'zones', 'flows', 'approvals', 'readers', 'personal'])).default([]),
  rule: z.string().regex(/^[a-zA-Z_][\w]*(\/[a-zA-Z_][\w]*)+$/, 'is no entry point such as writ/checks/m02/result'),
  ...{ notCovered: z.array(text).max(50).default([]), cure: text },
})

/** Throws `config_invalid`. */
export function readCheck(value: unknown, file: string): CheckDefinition {
  const check = readShape(checkShape, value, file)
  const unknownFact = check.facts.find((one) => !factNames.includes(one))
  if (unknownFact !== undefined) {
    throw new WritError('config_invalid', `${file}: facts: nothing gathers ${unknownFact}`, {
      cure: `there are ${factNames.join(', ')}`,
    })
  }
  const paths = Object.values(check.tallies).flatMap((rule) => [
    ...Object.keys(rule.where ?? {}),
    ...(rule.any ?? []).flatMap((one) => Object.keys(one)),
    ...(rule.by === undefined ? [] : [rule.by]),
  ])
  const unknown = paths.find((path) => path.startsWith('@') && !Object.hasOwn(derivedMembers, path))
  if (unknown !== undefined) {
    throw new WritError('config_invalid', `${file}: tallies: nothing is known as ${unknown}`, {
      cure: `there are ${Object.keys(derivedMembers).join(', ')}`,
    })
  }
  return check as CheckDefinition & { readonly tallies: Readonly<Record<string, TallyRule>> }
}
