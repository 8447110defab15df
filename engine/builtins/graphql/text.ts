/** Reads GraphQL text: graphql-js parses it, within limits, and refuses what gqlparser would refuse. */

import { type DocumentNode, Kind, Lexer, Location, parse, Source, TokenKind } from 'graphql'
import { BuiltinError, LimitError } from '../builtin.ts'

export interface TextLimits {
  /** Words, numbers, strings and marks. */
  readonly maxTokens: number
  /** Brackets of any kind within each other. */
  readonly maxDepth: number
}

/** Comparing the fields of a query with each other takes a time that grows with the square of their number. */
export const queryLimits: TextLimits = { maxTokens: 10_000, maxDepth: 200 }
export const schemaLimits: TextLimits = { maxTokens: 500_000, maxDepth: 200 }

/** Text may be empty but for comments. Throws a BuiltinError, or a LimitError where it is too long or too deep. */
export function parseText(text: string, limits: TextLimits): DocumentNode {
  const source = new Source(text)
  try {
    const lexer = new Lexer(source)
    if (countTokens(lexer, limits) === 0) return emptyDocument(lexer)
    return parse(source, { experimentalFragmentArguments: true })
  } catch (thrown) {
    const known = thrown instanceof BuiltinError || thrown instanceof LimitError
    throw known ? thrown : new BuiltinError(`GraphQL: ${(thrown as Error).message}`)
  }
}

/** The parser goes as deep as its text, so the depth is looked at first. */
function countTokens(lexer: Lexer, { maxTokens, maxDepth }: TextLimits): number {
  let depth = 0
  for (let count = 0; ; count++) {
    const { kind } = lexer.advance()
    if (kind === TokenKind.EOF) return count
    if (count === maxTokens) throw new LimitError(`GraphQL: more than ${maxTokens} tokens`)
    if (kind === TokenKind.BRACE_L || kind === TokenKind.BRACKET_L || kind === TokenKind.PAREN_L) depth++
    if (kind === TokenKind.BRACE_R || kind === TokenKind.BRACKET_R || kind === TokenKind.PAREN_R) depth--
    if (depth > maxDepth) throw new LimitError(`GraphQL: nested more than ${maxDepth} deep`)
  }
}

const emptyDocument = ({ token, source }: Lexer): DocumentNode => ({
  kind: Kind.DOCUMENT,
  definitions: [],
  loc: new Location(token, token, source),
})
