/** What a log asks of a witness (C2SP tlog-witness), and when the witness may agree. Whose state it is, its keeper says. */

import { equalBytes, fromBase64, fromUtf8, toBase64 } from '../../core/bytes.ts'
import type { Checkpoint } from '../../core/log.ts'
import type { Sha256 } from '../../core/ports.ts'
import { parseAnyCheckpoint } from './checkpoint.ts'
import { hashBytes, verifyConsistency } from './merkle.ts'
import { parseNote } from './note.ts'

export interface AddCheckpoint {
  /** Size of the checkpoint that the witness is thought to have cosigned last; 0 for none. */
  readonly old: number
  /** RFC 6962 consistency proof from there. */
  readonly proof: readonly Uint8Array[]
  /** The signed checkpoint. */
  readonly note: string
}

/** A request, in bytes: proofs take 3 KiB at most, the rest is for signatures. */
export const maxRequestBytes: number = 64 * 1024

const maxProof = 63

export const formatAddCheckpoint = ({ old, proof, note }: AddCheckpoint): string =>
  [`old ${old}`, ...proof.map(toBase64), '', note].join('\n')

/** A request with the checkpoint that its note speaks of, nothing verified, or undefined where it is none. */
export function parseAddCheckpoint(
  bytes: Uint8Array,
): (AddCheckpoint & { readonly text: string; readonly checkpoint: Checkpoint }) | undefined {
  const text = bytes.length <= maxRequestBytes ? textOf(bytes) : undefined
  const cut = text?.indexOf('\n\n') ?? -1
  if (text === undefined || cut < 0) return undefined
  const [first, ...rest] = text.slice(0, cut).split('\n')
  const old = /^old (0|[1-9]\d{0,15})$/.exec(first!)
  if (!old || !Number.isSafeInteger(Number(old[1])) || rest.length > maxProof) return undefined
  const proof: Uint8Array[] = []
  for (const line of rest) {
    const hash = fromBase64(line)
    if (hash?.length !== hashBytes) return undefined
    proof.push(hash)
  }
  const note = text.slice(cut + 2)
  const signed = parseNote(note)
  const checkpoint = signed && parseAnyCheckpoint(signed.text)
  return checkpoint && { old: Number(old[1]), proof, note, text: signed.text, checkpoint }
}

function textOf(bytes: Uint8Array): string | undefined {
  try {
    return fromUtf8(bytes)
  } catch {
    return undefined
  }
}

export type Judged =
  | { readonly kind: 'extends' }
  /** 400: it says that the log was larger before. */
  | { readonly kind: 'senseless' }
  /** 409: the witness is elsewhere, at this size. */
  | { readonly kind: 'stale'; readonly size: number }
  /** 422: another tree, or nothing that shows it is the same. Where the log signed it, this is evidence. */
  | { readonly kind: 'inconsistent' }

/** In the order of the standard; whose signature is on it was settled before. `last` is what was cosigned last. */
export function judgeCheckpoint(
  {
    old,
    proof,
    checkpoint,
  }: { readonly old: number; readonly proof: readonly Uint8Array[]; readonly checkpoint: Checkpoint },
  last: Checkpoint | undefined,
  sha256: Sha256,
): Judged {
  const { size, root } = checkpoint
  if (old > size) return { kind: 'senseless' }
  const known = last?.size ?? 0
  if (old !== known) return { kind: 'stale', size: known }
  if (size === 0 && !equalBytes(root, sha256(new Uint8Array(0)))) return { kind: 'inconsistent' }
  if (old === 0) return proof.length === 0 ? { kind: 'extends' } : { kind: 'inconsistent' }
  return verifyConsistency(sha256, old, size, proof, last!.root, root) ? { kind: 'extends' } : { kind: 'inconsistent' }
}
