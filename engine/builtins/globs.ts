/**
 * regex.globs_match: is there a text, and not an empty one, that two patterns both match? They are made of characters,
 * dots, sets in brackets and escapes, each perhaps with * or +. Decided step by step over pairs of places, so that the
 * time grows with the product of their lengths and not, as by trial and error, with its power.
 */

import { BuiltinError } from './builtin.ts'

/** Code points, as ranges with both ends. */
type Ranges = readonly (readonly [number, number])[]

interface Token {
  readonly ranges: Ranges
  readonly flag: '' | '*' | '+'
}

const any: Ranges = [[0, 0x10ffff]]

const maxLength = 1000

export function globsMeet(a: string, b: string): boolean {
  const [x, y] = [tokensOf(a), tokensOf(b)]
  /** Places that some text leads to in both at once; `moved` once that text has a character. */
  const seen = new Set<number>()
  const ahead: (readonly [number, number, boolean])[] = [[0, 0, false]]
  const visit = (i: number, j: number, moved: boolean): void => {
    const place = (i * (y.length + 1) + j) * 2 + Number(moved)
    if (seen.has(place)) return
    seen.add(place)
    ahead.push([i, j, moved])
  }
  for (let next = ahead.pop(); next; next = ahead.pop()) {
    const [i, j, moved] = next
    const [s, t] = [x[i], y[j]]
    if (!s && !t && moved) return true
    if (s?.flag === '*') visit(i + 1, j, moved)
    if (t?.flag === '*') visit(i, j + 1, moved)
    if (!s || !t || !overlap(s.ranges, t.ranges)) continue
    for (const k of after(s, i)) for (const l of after(t, j)) visit(k, l, true)
  }
  return false
}

/** Where a pattern may stand once a token has matched a character. */
const after = ({ flag }: Token, at: number): readonly number[] => (flag === '' ? [at + 1] : [at, at + 1])

const overlap = (a: Ranges, b: Ranges): boolean =>
  a.some(([low, high]) => b.some(([from, to]) => low <= to && from <= high))

function tokensOf(pattern: string): readonly Token[] {
  const chars = [...pattern]
  if (chars.length > maxLength) throw new RangeError(`regex.globs_match: a glob is longer than ${maxLength} characters`)
  const tokens: Token[] = []
  for (let at = 0; at < chars.length; ) {
    const char = chars[at]!
    if (char === ']' || char === '*' || char === '+') throw new BuiltinError(`${char} where no glob has it`)
    let ranges: Ranges = any
    if (char === '[') [ranges, at] = setAt(chars, at + 1)
    else if (char === '.') at++
    else {
      const [code, next] = charAt(chars, at)
      ranges = [[code, code]]
      at = next
    }
    const flag = chars[at] === '*' || chars[at] === '+' ? (chars[at++] as '*' | '+') : ''
    tokens.push({ ranges, flag })
  }
  return tokens
}

/** What is between brackets, and where it ends. */
function setAt(chars: readonly string[], from: number): [Ranges, number] {
  const ranges: [number, number][] = []
  let open = false
  for (let at = from; at < chars.length; ) {
    if (chars[at] === ']') return [ranges, at + 1]
    if (chars[at] !== '-') {
      const [code, next] = charAt(chars, at)
      ranges.push([code, code])
      open = true
      at = next
      continue
    }
    const last = ranges.at(-1)
    const to = chars[at + 1]
    if (!open || !last || to === undefined || to === ']' || to === '-') throw new BuiltinError('a range has no end')
    const [code, next] = charAt(chars, at + 1)
    if (code < last[1]) throw new BuiltinError('a range is out of order')
    last[1] = code
    open = false
    at = next
  }
  throw new BuiltinError('found [ without matching ]')
}

function charAt(chars: readonly string[], at: number): [number, number] {
  const escaped = chars[at] === '\\'
  const char = chars[escaped ? at + 1 : at]
  if (char === undefined) throw new BuiltinError('a glob ends with an escape')
  return [char.codePointAt(0)!, at + (escaped ? 2 : 1)]
}
