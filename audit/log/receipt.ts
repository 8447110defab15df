/** Proof that one entry is in the log, as a file that stands alone (C2SP tlog-proof). */

import { fromBase64, toBase64 } from '../../core/bytes.ts'
import type { Checkpoint, Receipt } from '../../core/log.ts'
import type { Sha256 } from '../../core/ports.ts'
import { parseCheckpoint } from './checkpoint.ts'
import { hashBytes, verifyInclusion } from './merkle.ts'
import { type Ed25519Verify, type NoteKey, openNote, parseNote } from './note.ts'

const firstLine = 'c2sp.org/tlog-proof@v1'

/** A path of a tree below 2^53 leaves is no longer. */
const maxPath = 53

export const formatReceipt = (receipt: Receipt): string =>
  [firstLine, `index ${receipt.index}`, ...receipt.path.map(toBase64), '', receipt.note].join('\n')

/** Reads a proof file; `extra` data, which nothing vouches for, is passed over. Nothing is verified yet. */
export function parseReceipt(text: string): Receipt | undefined {
  const cut = text.indexOf('\n\n')
  if (cut < 0) return undefined
  const lines = text.slice(0, cut).split('\n')
  if (lines.shift() !== firstLine) return undefined
  if (lines[0]?.startsWith('extra ') && fromBase64(lines.shift()!.slice(6)) === undefined) return undefined
  const index = /^index (0|[1-9]\d{0,15})$/.exec(lines.shift() ?? '')
  if (!index || !Number.isSafeInteger(Number(index[1])) || lines.length > maxPath) return undefined
  const path: Uint8Array[] = []
  for (const line of lines) {
    const hash = fromBase64(line)
    if (hash?.length !== hashBytes) return undefined
    path.push(hash)
  }
  const note = text.slice(cut + 2)
  return parseNote(note) ? { index: Number(index[1]), path, note } : undefined
}

export type VerifiedReceipt =
  | { readonly ok: true; readonly checkpoint: Checkpoint; readonly signedBy: readonly NoteKey[] }
  | { readonly ok: false; readonly detail: string }

/** Is the entry with this leaf hash in a log that one of `keys` signed? Which origin that must be is the caller's rule. */
export async function verifyReceipt(
  receipt: Receipt,
  leaf: Uint8Array,
  keys: readonly NoteKey[],
  sha256: Sha256,
  verify: Ed25519Verify,
): Promise<VerifiedReceipt> {
  const opened = await openNote(receipt.note, keys, verify)
  if (!opened.ok) return opened
  const checkpoint = parseCheckpoint(opened.text)
  if (!checkpoint) return { ok: false, detail: 'the note is not a checkpoint' }
  const { size, root } = checkpoint
  return verifyInclusion(sha256, leaf, receipt.index, size, receipt.path, root)
    ? { ok: true, checkpoint, signedBy: opened.signedBy }
    : { ok: false, detail: `entry ${receipt.index} is not in the tree of ${size}` }
}
