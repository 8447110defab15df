/** Collector tokens: who may hand in which records, and in whose name. Only their hashes are kept. */

import { createHash, randomBytes } from 'node:crypto'
import { closeSync, fsyncSync, openSync, readFileSync, renameSync, writeSync } from 'node:fs'
import { z } from 'zod'
import { messageOf, WritError } from '../../core/fault.ts'
import { parseJson } from '../../core/json.ts'
import { parseSpiffeId, type SpiffeId } from '../../core/spiffe.ts'

/** Tokens that are kept at once. */
const maxTokens = 4096

/** What a token is good for, and for nothing else: an edge function's records, or an OPA's decision logs. */
export type CollectorRight = 'records' | 'logs'

export interface CollectorTokens {
  /** A new token for this workload, good for `ttlMs`; shown here once and kept nowhere. Default right `records`. */
  create(workload: SpiffeId, ttlMs: number, right?: CollectorRight): string
  /** Whom a token speaks for; undefined where it is unknown, over, or good for something else. */
  find(token: string, right?: CollectorRight): SpiffeId | undefined
}

const file = z.strictObject({
  v: z.literal(1),
  tokens: z
    .array(
      z.strictObject({
        sha256: z.string().regex(/^[0-9a-f]{64}$/),
        workload: z.custom<SpiffeId>((it) => typeof it === 'string' && parseSpiffeId(it) !== undefined),
        until_ms: z.int(),
        right: z.literal('logs').exactOptional(),
      }),
    )
    .max(maxTokens),
})

export function openCollectorTokens(path: string, nowMs: () => number): CollectorTokens {
  const tokens = new Map(read(path).map((token) => [token.sha256, token]))
  return {
    create(workload, ttlMs, right = 'records') {
      for (const [key, token] of tokens) if (token.until_ms <= nowMs()) tokens.delete(key)
      if (tokens.size >= maxTokens) {
        throw new WritError('in_use', `there are ${maxTokens} collector tokens`, { cure: 'wait until some are over' })
      }
      const token = `wc_${randomBytes(32).toString('base64url')}`
      const sha256 = digest(token)
      tokens.set(sha256, { sha256, workload, until_ms: nowMs() + ttlMs, ...(right === 'logs' && { right }) })
      try {
        write(path, JSON.stringify({ v: 1, tokens: [...tokens.values()] }))
      } catch (thrown) {
        tokens.delete(sha256)
        throw thrown
      }
      return token
    },
    find(token, right = 'records') {
      // Looked up by digest: what the time tells of a digest tells nothing of a token.
      const found = tokens.get(digest(token))
      return found && nowMs() < found.until_ms && (found.right ?? 'records') === right ? found.workload : undefined
    },
  }
}

const digest = (token: string): string => createHash('sha256').update(token).digest('hex')

function read(path: string): z.infer<typeof file>['tokens'] {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw new WritError('unavailable', `${path}: ${messageOf(thrown)}`, {
      cure: 'check its owner and mode',
      cause: thrown,
    })
  }
  const tokens = file.safeParse(parseJson(text))
  if (tokens.success) return tokens.data.tokens
  throw new WritError('version', `${path} is not a file of collector tokens that this program reads`, {
    cure: 'move it away and make new tokens',
  })
}

/** Whole or not at all: a new file beside it, synced, then renamed. */
function write(path: string, text: string): void {
  const next = `${path}.next`
  const fd = openSync(next, 'w', 0o600)
  try {
    writeSync(fd, text)
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
  renameSync(next, path)
}
