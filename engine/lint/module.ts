/** A Rego file as `opa parse --format json --json-include locations,comments` gives it, in the words of the linter. */

import { isObject, type Json } from '../../core/json.ts'
import { type Place, placeOf } from './problems.ts'
import { stepsOf } from './terms.ts'

export interface Module {
  readonly file: string
  /** Steps below `data`. */
  readonly package: readonly string[]
  readonly packagePlace: Place
  readonly imports: readonly Import[]
  readonly rules: readonly Rule[]
  readonly comments: readonly { readonly row: number; readonly text: string }[]
  readonly isTest: boolean
  /** Whether its whole package is an entry point. */
  readonly packageIsEntrypoint: boolean
}

export interface Import {
  /** From `data` or `input` on. */
  readonly path: readonly string[]
  readonly name: string
  readonly place: Place
}

export interface Rule {
  /** Steps below `data`, up to the first that is not fixed. */
  readonly path: readonly string[]
  readonly name: string
  readonly place: Place
  readonly isDefault: boolean
  readonly isEntrypoint: boolean
  readonly args: readonly Json[]
  /** Its own, and one for each `else`. */
  readonly bodies: readonly Body[]
}

export interface Body {
  readonly place: Place
  /** What the rule is where this body holds; undefined for a member of a set. */
  readonly value: Json | undefined
  /** The member of a set, or key of an object. */
  readonly key: Json | undefined
  /** Steps of the head that are not fixed. */
  readonly head: readonly Json[]
  readonly expressions: readonly Json[]
}

/** Throws an Error on what OPA does not print. */
export function readModule(file: string, parsed: Json): Module {
  const { package: own, imports, rules, comments, annotations } = objectOf(parsed)
  const { path, location } = objectOf(own)
  const steps = stepsOf(path)
  const place = placeIn(file, location)
  return {
    file,
    package: steps.slice(1),
    packagePlace: place,
    imports: listOf(imports).map((one) => readImport(file, objectOf(one))),
    rules: listOf(rules).map((rule) => readRule(file, steps.slice(1), objectOf(rule))),
    comments: listOf(comments).flatMap((comment) => {
      const { Text: text, Location: at } = objectOf(comment)
      return typeof text === 'string' ? [{ row: placeIn(file, at).row, text: fromBase64(text) }] : []
    }),
    isTest: file.endsWith('_test.rego'),
    packageIsEntrypoint: listOf(annotations).some((one) => {
      const { scope, entrypoint } = objectOf(one)
      return entrypoint === true && scope === 'package'
    }),
  }
}

type Members = { readonly [name: string]: Json | undefined }

function readImport(file: string, { path, alias, location }: Members): Import {
  const steps = stepsOf(objectOf(path)['value'])
  return { path: steps, name: typeof alias === 'string' ? alias : (steps.at(-1) ?? ''), place: placeIn(file, location) }
}

function readRule(file: string, packageSteps: readonly string[], rule: Members): Rule {
  const head = objectOf(rule['head'])
  const ref = listOf(head['ref'])
  const fixed = stepsOf(ref)
  return {
    path: [...packageSteps, ...fixed],
    name: fixed.join('.'),
    place: placeIn(file, rule['location']),
    isDefault: rule['default'] === true,
    isEntrypoint: listOf(rule['annotations']).some((one) => objectOf(one)['entrypoint'] === true),
    args: listOf(head['args']),
    bodies: bodiesOf(file, rule, ref.slice(fixed.length)),
  }
}

function bodiesOf(file: string, rule: Members, dynamic: readonly Json[]): readonly Body[] {
  const bodies: Body[] = []
  for (let at: Members | undefined = rule; at; at = isObject(at['else']) ? at['else'] : undefined) {
    const head = objectOf(at['head'])
    bodies.push({
      place: placeIn(file, at['location']),
      value: head['value'],
      key: head['key'],
      head: dynamic,
      expressions: listOf(at['body']),
    })
  }
  return bodies
}

function placeIn(file: string, location: Json | undefined): Place {
  const { row, column } = placeOf(location) ?? { row: 1, column: 1 }
  return { file, row, column }
}

export const objectOf = (value: Json | undefined): Members => (isObject(value) ? value : {})

export const listOf = (value: Json | undefined): readonly Json[] =>
  Array.isArray(value) ? (value as readonly Json[]) : []

function fromBase64(text: string): string {
  try {
    return new TextDecoder().decode(Uint8Array.from(atob(text), (char) => char.charCodeAt(0)))
  } catch {
    return ''
  }
}
