/** What is wrong in a mesh file: where, what, and what to do about it. */

export interface Problem {
  /** An error stops the file; a warning is something that works, but hardly as meant. */
  readonly level: 'error' | 'warning'
  /** `HTTPRoute/orders`, or the number of a document that has no name yet. */
  readonly document: string
  /** From 1. */
  readonly line: number
  readonly column: number
  /** `spec.rules[0].matches[0].path.type`; empty where the whole document is meant. */
  readonly field: string
  readonly problem: string
  readonly cure: string
}

export type Path = readonly (string | number)[]

export interface Place {
  readonly line: number
  readonly column: number
}

/** One document that has the right shape, and where each of its fields stands in the text. */
export interface Placed<Spec> {
  readonly label: string
  readonly name: string
  /** RFC 3339, or undefined: Gateway API ranks equal routes by age first. */
  readonly createdAt: string | undefined
  readonly spec: Spec
  readonly at: (path: Path) => Place
}

/** `spec.rules[0].name`. */
export const fieldOf = (path: Path): string =>
  path.map((step, index) => (typeof step === 'number' ? `[${step}]` : index === 0 ? step : `.${step}`)).join('')

export function problemAt(
  placed: Pick<Placed<unknown>, 'label' | 'at'>,
  path: Path,
  problem: string,
  cure: string,
  level: Problem['level'] = 'error',
): Problem {
  return { level, document: placed.label, ...placed.at(path), field: fieldOf(path), problem, cure }
}

/** In the order of the text. */
export const byPlace = (a: Problem, b: Problem): number => a.line - b.line || a.column - b.column
