/** regex.* beyond those compiled into each policy, and glob.quote_meta. re2js takes linear time, as RE2 does. */

import { RE2JS } from 're2js'
import { messageOf } from '../../core/fault.ts'
import type { Value } from '../value.ts'
import { type BuiltinContext, BuiltinError, type BuiltinFamily } from './builtin.ts'
import { globsMeet } from './globs.ts'
import { intOf, stringOf } from './operand.ts'

/** One match: where each group begins and ends, the whole one first; -1 for a group that took no part. */
interface Match {
  readonly at: readonly (readonly [number, number])[]
}

interface Pattern {
  readonly matches: (context: BuiltinContext, text: string) => boolean
  readonly all: (context: BuiltinContext, text: string, limit?: number) => readonly Match[]
  readonly names: ReadonlyMap<string, number>
}

function compiled({ patterns }: BuiltinContext, pattern: string): Pattern {
  return patterns.compiled('regex', pattern, () => {
    let regex: RE2JS
    try {
      regex = RE2JS.compile(pattern)
    } catch (thrown) {
      throw new BuiltinError(messageOf(thrown))
    }
    return {
      matches: ({ spend }, text) => {
        spend(searchCost(regex, text.length))
        return regex.matcher(text).find()
      },
      all: (context, text, limit = Number.POSITIVE_INFINITY) => allMatches(context, regex, text, limit),
      names: new Map(Object.entries(regex.namedGroups())),
    }
  })
}

/** A search may look at all that is left, with as many threads as the pattern has instructions. */
const searchCost = (regex: RE2JS, length: number): number => (length / 2) * Math.max(1, regex.programSize() / 256)

/** Go's FindAll: one after the other, and an empty match that touches the one before it does not count. */
function allMatches({ spend }: BuiltinContext, regex: RE2JS, text: string, limit: number): readonly Match[] {
  const found: Match[] = []
  const matcher = regex.matcher(text)
  const groups = regex.groupCount()
  let lastEnd = -1
  const find = (from: number): boolean => {
    spend(searchCost(regex, text.length - from))
    return matcher.find(from)
  }
  for (let from = 0; from <= text.length && found.length < limit && find(from); ) {
    const [start, end] = [matcher.start(0), matcher.end(0)]
    if (end > start || start !== lastEnd) {
      found.push({ at: Array.from({ length: groups + 1 }, (_, i) => [matcher.start(i), matcher.end(i)] as const) })
    }
    lastEnd = end
    from = end > from ? end : from + (text.codePointAt(from)! > 0xffff ? 2 : 1)
  }
  return found
}

const slice = (text: string, [start, end]: readonly [number, number]): string =>
  start < 0 ? '' : text.slice(start, end)

function findN(context: BuiltinContext, pattern: Value, value: Value, n: Value): Value {
  const text = stringOf(value)
  const limit = intOf(n)
  const found = compiled(context, stringOf(pattern)).all(context, text, limit < 0 ? undefined : limit)
  return found.map(({ at }) => slice(text, at[0]!))
}

function split(context: BuiltinContext, pattern: Value, value: Value): Value {
  const text = stringOf(value)
  const regex = compiled(context, stringOf(pattern))
  if (text === '' && pattern !== '') return ['']
  const parts: string[] = []
  let [from, end] = [0, 0]
  for (const { at } of regex.all(context, text)) {
    const [start, next] = at[0]!
    end = start
    if (next !== 0) parts.push(text.slice(from, start))
    from = next
  }
  return end === text.length ? parts : [...parts, text.slice(from)]
}

const maxLength = 16 * 1024 ** 2

function replace(context: BuiltinContext, value: Value, pattern: Value, replacement: Value): Value {
  const text = stringOf(value)
  const regex = compiled(context, stringOf(pattern))
  const template = stringOf(replacement)
  let out = ''
  let from = 0
  for (const { at } of regex.all(context, text)) {
    out += text.slice(from, at[0]![0]) + expand(template, text, at, regex.names)
    from = at[0]![1]
    if (out.length > maxLength) throw new RangeError(`regex.replace makes more than ${maxLength} characters`)
  }
  return out + text.slice(from)
}

/** Go's Regexp.Expand: $1, ${1}, $name, ${name} and $$. A name is as long as it can be; an unknown one is empty. */
function expand(template: string, text: string, at: Match['at'], names: Pattern['names']): string {
  return template.replace(reference, (whole, braced: string | undefined, bare: string | undefined) => {
    if (whole === '$$') return '$'
    const name = braced ?? bare!
    const group = /^(?:0|[1-9][0-9]{0,7})$/.test(name) ? Number(name) : names.get(name)
    return slice(text, (group === undefined ? undefined : at[group]) ?? [-1, -1])
  })
}

const reference = /\$\$|\$\{([\p{L}\p{Nd}_]+)\}|\$([\p{L}\p{Nd}_]+)/gu

/** A pattern whose regular expressions stand between two delimiters, and all else stands for itself. */
function templateMatch(context: BuiltinContext, template: Value, value: Value, start: Value, end: Value): Value {
  const [open, close] = [stringOf(start), stringOf(end)]
  if (open.length !== 1 || close.length !== 1)
    throw new BuiltinError('a delimiter has to be exactly one character long')
  return compiled(context, templatePattern(context, stringOf(template), open, close)).matches(context, stringOf(value))
}

function templatePattern(context: BuiltinContext, template: string, open: string, close: string): string {
  let pattern = '^'
  let depth = 0
  let from = 0
  for (let i = 0; i < template.length; i++) {
    if (template[i] === open && ++depth === 1) {
      pattern += quoteMeta(template.slice(from, i))
      from = i + 1
    } else if (template[i] === close && template[i] !== open && --depth === 0) {
      const part = template.slice(from, i)
      compiled(context, `^${part}$`) // Must be whole by itself.
      pattern += `(${part})`
      from = i + 1
    }
    if (depth < 0) break
  }
  if (depth !== 0) throw new BuiltinError('unbalanced braces')
  return `${pattern}${quoteMeta(template.slice(from))}$`
}

const quoteMeta = (text: string): string => text.replace(/[\\.+*?()|[\]{}^$]/g, '\\$&')

export const regex: BuiltinFamily = {
  'regex.find_n': findN,
  'regex.split': split,
  'regex.replace': replace,
  'regex.template_match': templateMatch,
  'regex.globs_match': (_, a, b) => globsMeet(stringOf(a), stringOf(b)),
  'glob.quote_meta': (_, text) => stringOf(text).replace(/[*?\\[\]{}]/g, '\\$&'),
}
