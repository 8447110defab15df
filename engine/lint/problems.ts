/** What OPA's compiler finds wrong, as it says it in JSON: where, what, and what it would have taken. */

import { isObject, type Json, parseJson } from '../../core/json.ts'

export interface Problem {
  /** Undefined where it is of no one place, such as a package outside of the manifest's roots. */
  readonly place: Place | undefined
  /** OPA's own: `rego_parse_error`, `rego_compile_error`, `rego_type_error`. */
  readonly code: string
  readonly message: string
  readonly cure: string | undefined
}

/** Row and column count from 1. */
export interface Place {
  readonly file: string
  readonly row: number
  readonly column: number
}

/** Undefined where that is no list of errors. */
export function readProblems(text: string): readonly Problem[] | undefined {
  const answer = parseJson(text)
  const errors = isObject(answer) ? answer['errors'] : undefined
  if (!Array.isArray(errors)) return undefined
  return (errors as readonly Json[]).map((error) => {
    const { message, code, location, details } = isObject(error) ? error : {}
    return {
      place: placeOf(location),
      code: typeof code === 'string' ? code : 'rego_compile_error',
      message: [typeof message === 'string' ? message.trim() : 'no reason was given', detailOf(details)].join(''),
      cure: cureOf(details),
    }
  })
}

export function placeOf(location: Json | undefined): Place | undefined {
  const { file, row, col } = isObject(location) ? location : {}
  if (typeof file !== 'string' || typeof row !== 'number') return undefined
  return { file, row, column: typeof col === 'number' ? Math.max(1, col) : 1 }
}

/** Two types that cannot be equal, or what a function was given. */
function detailOf(details: Json | undefined): string {
  const { a, b, have, want } = isObject(details) ? details : {}
  if (isObject(a) && isObject(b)) return `: ${typeName(a)} is never ${typeName(b)}`
  if (Array.isArray(have) && isObject(want)) {
    const args = Array.isArray(want['args']) ? (want['args'] as readonly Json[]) : []
    return `: has ${(have as readonly Json[]).map(typeName).join(', ')}, takes ${args.map(typeName).join(', ')}`
  }
  return ''
}

function typeName(type: Json): string {
  const { type: name, of } = isObject(type) ? type : {}
  if (name === 'any' && Array.isArray(of)) return (of as readonly Json[]).map(typeName).join(' or ')
  return typeof name === 'string' ? name : 'any'
}

function cureOf(details: Json | undefined): string | undefined {
  const { ref, pos, oneOf } = isObject(details) ? details : {}
  if (!Array.isArray(ref) || typeof pos !== 'number' || !Array.isArray(oneOf)) return undefined
  const names = (oneOf as readonly Json[]).filter((name) => typeof name === 'string').toSorted()
  const step: unknown = (ref as readonly Json[])[pos]
  const given = isObject(step) ? step['value'] : undefined
  const close = typeof given === 'string' ? names.filter((name) => distance(name, given) <= 2) : []
  if (close.length > 0) return `it may be ${close.join(' or ')}`
  return names.length > 0 ? `there are ${names.join(', ')}` : undefined
}

/** Letters to change, add or take away (Levenshtein). Names are short; what is long is cut. */
function distance(a: string, b: string): number {
  const [one, other] = [a.slice(0, 64), b.slice(0, 64)]
  let row = Array.from({ length: other.length + 1 }, (_, i) => i)
  for (let i = 1; i <= one.length; i++) {
    const next = [i]
    for (let j = 1; j <= other.length; j++) {
      const change = row[j - 1]! + (one[i - 1] === other[j - 1] ? 0 : 1)
      next.push(Math.min(change, row[j]! + 1, next[j - 1]! + 1))
    }
    row = next
  }
  return row.at(-1)!
}
