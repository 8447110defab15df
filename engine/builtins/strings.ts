/** Strings: those builtins that are not compiled into each policy. */

import { isNumber, type RegoNumber, toDouble, type Value, writeNumber } from '../value.ts'
import { type BuiltinContext, BuiltinError, type BuiltinFamily } from './builtin.ts'
import { termText } from './go/quote.ts'
import { type GoArg, sprintf } from './go/sprintf.ts'
import { arrayOf, intOf, objectArg, stringOf, stringsOf } from './operand.ts'
import { functions } from './template/functions.ts'
import { parseTemplate } from './template/parse.ts'
import { runTemplate } from './template/run.ts'

const anyAffix =
  (match: (text: string, affix: string) => boolean) =>
  (context: BuiltinContext, texts: Value, affixes: Value): Value => {
    const all = stringOrStrings(texts)
    const wanted = stringOrStrings(affixes)
    context.spend(all.length * wanted.length)
    return all.some((text) => wanted.some((affix) => match(text, affix)))
  }

function stringOrStrings(value: Value): readonly string[] {
  return typeof value === 'string' ? [value] : stringsOf(value)
}

/** Go's strings.Count: without overlaps; of the empty string one more than there are characters. */
function count(_: BuiltinContext, text: Value, part: Value): Value {
  const whole = stringOf(text)
  const sought = stringOf(part)
  return sought === '' ? [...whole].length + 1 : whole.split(sought).length - 1
}

/** Every place of `part`, in characters; overlapping ones too. */
function indexofN(_: BuiltinContext, text: Value, part: Value): Value {
  const whole = [...stringOf(text)]
  const sought = [...stringOf(part)]
  if (sought.length === 0) throw new BuiltinError('empty search character')
  const back = borders(sought)
  const places: number[] = []
  let matched = 0
  for (const [at, char] of whole.entries()) {
    while (matched > 0 && sought[matched] !== char) matched = back[matched - 1]!
    if (sought[matched] === char) matched++
    if (matched < sought.length) continue
    places.push(at - matched + 1)
    matched = back[matched - 1]!
  }
  return places
}

/** Knuth, Morris and Pratt: how much of the beginning still matches where the next character does not. */
function borders(sought: readonly string[]): readonly number[] {
  const back = [0]
  for (let at = 1, matched = 0; at < sought.length; at++) {
    while (matched > 0 && sought[matched] !== sought[at]) matched = back[matched - 1]!
    if (sought[matched] === sought[at]) matched++
    back.push(matched)
  }
  return back
}

/** The first `n` parts, or for a negative `n` the last; Go splits between characters where the delimiter is empty. */
function splitN(_: BuiltinContext, text: Value, delimiter: Value, n: Value): Value {
  const by = stringOf(delimiter)
  const whole = stringOf(text)
  const parts = by === '' ? [...whole] : whole.split(by)
  const wanted = intOf(n)
  return wanted >= 0 ? parts.slice(0, wanted) : parts.slice(wanted)
}

function format(_: BuiltinContext, pattern: Value, args: Value): Value {
  return sprintf(stringOf(pattern), arrayOf(args).map(goArg))
}

/** The type that Go has for it decides how a verb writes it: 1.0 is a float because it is written as one. */
function goArg(value: Value): GoArg {
  if (typeof value === 'string') return { type: 'string', value }
  return isNumber(value) ? goNumber(value) : { type: 'string', value: termText(value) }
}

function goNumber(value: RegoNumber): GoArg {
  const text = writeNumber(value)
  if (!/[.eE]/.test(text)) {
    const integer = BigInt(text)
    return BigInt.asIntN(64, integer) === integer
      ? { type: 'int64', value: integer }
      : { type: '*big.Int', value: integer }
  }
  const double = toDouble(value)
  return Number.isFinite(double) ? { type: 'float64', value: double } : { type: 'string', value: text }
}

const names: ReadonlySet<string> = new Set(Object.keys(functions))

function renderTemplate({ patterns, spend }: BuiltinContext, template: Value, variables: Value): Value {
  const text = stringOf(template)
  const nodes = patterns.compiled('template', text, () => parseTemplate(text, names))
  return runTemplate(nodes, objectArg(variables), spend).replaceAll('<no value>', '<undefined>')
}

export const strings: BuiltinFamily = {
  sprintf: format,
  indexof_n: indexofN,
  'strings.any_prefix_match': anyAffix((text, affix) => text.startsWith(affix)),
  'strings.any_suffix_match': anyAffix((text, affix) => text.endsWith(affix)),
  'strings.count': count,
  'strings.render_template': renderTemplate,
  'strings.split_n': splitN,
}
