/** Steps that a builtin takes for what it is given, before it begins: the same on every host, as all steps are. */

interface Cost {
  /** Default 1. */
  readonly perCharacter?: number
  /** Default 0. */
  readonly atLeast?: number
}

/** Keys and signatures: numbers of thousands of bits, raised to powers. A set of keys may hold one per 100 characters. */
const signature: Cost = { perCharacter: 20, atLeast: 20_000 }

/** Trees of objects, built from text. */
const tree: Cost = { perCharacter: 8 }

/** By the longest beginning of a builtin's name. */
const costs: readonly (readonly [string, Cost])[] = [
  ['io.jwt.encode_sign', { perCharacter: 20, atLeast: 200_000 }],
  ['io.jwt.', signature],
  ['crypto.x509.', signature],
  ['crypto.parse_private_keys', signature],
  ['graphql.', tree],
  ['json.match_schema', tree],
  ['json.verify_schema', tree],
  ['yaml.', tree],
  ['regex.', tree],
]

export function costOf(name: string, characters: number): number {
  const { perCharacter = 1, atLeast = 0 } = costs.find(([beginning]) => name.startsWith(beginning))?.[1] ?? {}
  return 1 + atLeast + perCharacter * characters
}
