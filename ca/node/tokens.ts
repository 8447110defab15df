/** Outstanding join tokens: in one file that is replaced whole, or in memory. */

import { WritError } from '../../core/fault.ts'
import { isObject } from '../../core/json.ts'
import { parseSpiffeId } from '../../core/spiffe.ts'
import type { HeldToken, TokenStore } from '../join.ts'
import { listIn, readText, replaceText } from './files.ts'

/** Most tokens that may be outstanding. One more is refused. */
export const maxTokens = 1000

export const tooManyTokens = (): WritError =>
  new WritError('unavailable', `${maxTokens} join tokens are outstanding`, {
    cure: 'redeem some, or wait ten minutes for them to expire',
  })

export function memoryTokens(): TokenStore {
  return tokensOver(new Map(), () => {})
}

/** One process has this file at a time: who takes a token writes the file before anyone hears of it. */
export function fileTokens(path: string): TokenStore {
  return tokensOver(load(path), (tokens) => replaceText(path, `${JSON.stringify([...tokens.values()])}\n`))
}

function tokensOver(tokens: Map<string, HeldToken>, save: (tokens: Map<string, HeldToken>) => void): TokenStore {
  return {
    async put(token, nowMs) {
      for (const [digest, { expiresAtMs }] of tokens) if (expiresAtMs < nowMs) tokens.delete(digest)
      if (tokens.size >= maxTokens) throw tooManyTokens()
      tokens.set(token.digest, token)
      save(tokens)
    },
    async take(digest) {
      const token = tokens.get(digest)
      if (!token) return undefined
      tokens.delete(digest)
      save(tokens)
      return token
    },
  }
}

function load(path: string): Map<string, HeldToken> {
  const cure = 'remove the file; tokens that were given out must then be made anew'
  const tokens = listIn(readText(path) ?? '[]', readToken, { of: 'join tokens', place: path, cure })
  return new Map(tokens.map((token) => [token.digest, token]))
}

function readToken(value: unknown): HeldToken | undefined {
  if (!isObject(value)) return undefined
  const { digest, id: name, expiresAtMs } = value
  const id = typeof name === 'string' ? parseSpiffeId(name) : undefined
  if (typeof digest !== 'string' || !id || typeof expiresAtMs !== 'number') return undefined
  return { digest, id, expiresAtMs }
}
