/** What a signed checkpoint says (C2SP tlog-checkpoint): three lines of origin, size and root. */

import { fromBase64, toBase64 } from '../../core/bytes.ts'
import type { Checkpoint } from '../../core/log.ts'
import { hashBytes } from './merkle.ts'

export const formatCheckpoint = (checkpoint: Checkpoint): string =>
  `${checkpoint.origin}\n${checkpoint.size}\n${toBase64(checkpoint.root)}\n`

const shape = /^([^\n]{1,1024})\n(0|[1-9]\d{0,15})\n([A-Za-z0-9+/]{43}=)\n$/

/** Exactly the form above. Extension lines, which tlog-checkpoint advises against, are refused: we sign none. */
export function parseCheckpoint(text: string): Checkpoint | undefined {
  const match = shape.exec(text)
  if (!match) return undefined
  const size = Number(match[2])
  const root = fromBase64(match[3]!)
  if (!Number.isSafeInteger(size) || root?.length !== hashBytes) return undefined
  return { origin: match[1]!, size, root }
}

/** As `parseCheckpoint`, for logs of others, whose checkpoints may have extension lines. Nobody vouches for those. */
export function parseAnyCheckpoint(text: string): Checkpoint | undefined {
  const end = /^(?:[^\n]+\n){3}/.exec(text)?.[0].length
  if (end === undefined || !/^(?:[^\n]+\n)*$/.test(text.slice(end))) return undefined
  return parseCheckpoint(text.slice(0, end))
}
