/** An entry of a log folder that is to be believed: it has the hash that the signed tree has at its place. */

import { equalBytes, toHex } from '../../core/bytes.ts'
import { WritError } from '../../core/fault.ts'
import type { Sha256 } from '../../core/ports.ts'
import { parseEvent } from '../../core/record.ts'
import { type HashAt, leafHash } from '../log/merkle.ts'
import type { ArrivedRecord } from '../store/arrival.ts'

/** Throws `log_invalid` where it is another, or no record. `hashAt` is of the signed tree. */
export async function signedEntry(
  bytes: Uint8Array,
  index: number,
  hashAt: HashAt,
  sha256: Sha256,
): Promise<ArrivedRecord> {
  const hash = leafHash(sha256, bytes)
  const parsed = parseEvent(bytes)
  if ('wrong' in parsed || !equalBytes(hash, await hashAt(0, index))) {
    throw new WritError('log_invalid', `entry ${index} is not the one that was signed`, { cure: otherCopy })
  }
  return { event: parsed.event, bytes, hash, hashHex: toHex(hash) }
}

export const otherCopy = 'take another copy of the folder: `writ audit verify --log` names what is broken in this one'
