/** The comments that stand right before a word, as gqlparser keeps them. */

import { type Location, type Token, TokenKind } from 'graphql'
import type { Comments } from './document.ts'

interface Placed {
  readonly loc?: Location | undefined
}

export const commentsBefore = (node: Placed | undefined): Comments | undefined =>
  node?.loc && commentsAhead(node.loc.startToken)

/** Before the brace that ends it, where one does. */
export const commentsBeforeEnd = (node: Placed): Comments | undefined =>
  node.loc?.endToken.kind === TokenKind.BRACE_R ? commentsAhead(node.loc.endToken) : undefined

/** Before a definition's keyword, after its description. */
export function commentsAfterDescription(node: Placed, description: Placed | undefined): Comments | undefined {
  let token: Token | null | undefined = description?.loc ? description.loc.endToken.next : node.loc?.startToken
  while (token?.kind === TokenKind.COMMENT) token = token.next
  return token ? commentsAhead(token) : undefined
}

/** Before the end of the text. */
export function commentsBeforeEof(document: Placed): Comments | undefined {
  let token: Token | null | undefined = document.loc?.endToken
  while (token && token.kind !== TokenKind.EOF) token = token.next
  return token ? commentsAhead(token) : undefined
}

function commentsAhead(token: Token): Comments | undefined {
  const list: { readonly Value: string }[] = []
  for (let at = token.prev; at?.kind === TokenKind.COMMENT; at = at.prev) list.unshift({ Value: `#${at.value}` })
  return list.length === 0 ? undefined : { List: list }
}
