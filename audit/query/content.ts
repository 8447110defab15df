/** What no column has: claims and other members of a record, looked for in its leaf. */

import { fromUtf8 } from '../../core/bytes.ts'
import { isObject, type Json } from '../../core/json.ts'
import { parseEvent } from '../../core/record.ts'
import type { NamedValue, Question } from './ask.ts'

export type Content = (leaf: Uint8Array) => boolean

/** Undefined where a question asks for nothing of the kind. */
export function contentOf({ claim = [], fact = [] }: Question): Content | undefined {
  if (claim.length === 0 && fact.length === 0) return undefined
  const needles = [...claim, ...fact].map(({ value }) => needlesOf(value))
  return (leaf) => {
    if (!hasAll(leaf, needles)) return false
    const read = parseEvent(leaf)
    if (!('event' in read)) return false
    const event = read.event as unknown as Json
    const claims = memberAt(event, ['input', 'writ', 'token', 'claims'])
    return fact.every((one) => holds(event, one)) && claim.every((one) => holds(claims, one))
  }
}

/**
 * One of these stands in the text of each record that holds the value: as a text it is escaped, as a number or a word it
 * stands as it is. Of lists and objects none is known.
 */
const needlesOf = (value: string): readonly string[] =>
  /^[[{]/.test(value) ? [''] : [...new Set([value, JSON.stringify(value).slice(1, -1)])]

/** Few records have what is looked for, and to look for text takes a tenth of reading a record. */
function hasAll(leaf: Uint8Array, needles: readonly (readonly string[])[]): boolean {
  try {
    const text = fromUtf8(leaf)
    return needles.every((some) => some.some((needle) => text.includes(needle)))
  } catch {
    return false // No UTF-8, and so no record.
  }
}

/** The member of that path is that value, or a list that has it. Names with dots are read as they stand, too. */
function holds(value: Json | undefined, { name, value: wanted }: NamedValue): boolean {
  const found = isObject(value) && Object.hasOwn(value, name) ? value[name] : memberAt(value, name.split('.'))
  return Array.isArray(found) ? found.some((one) => textOf(one) === wanted) : textOf(found) === wanted
}

function memberAt(value: Json | undefined, steps: readonly string[]): Json | undefined {
  let here = value
  for (const step of steps) {
    if (Array.isArray(here) && /^\d{1,6}$/.test(step)) here = here[Number(step)] as Json | undefined
    else if (isObject(here) && Object.hasOwn(here, step)) here = here[step]
    else return undefined
  }
  return here
}

const textOf = (value: Json | undefined): string | undefined =>
  value === undefined ? undefined : typeof value === 'string' ? value : JSON.stringify(value)
