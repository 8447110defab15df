/** Proofs that the checkpoint which evidence stands under extends those that outsiders put their word to. */

import type { Sha256 } from '../../core/ports.ts'
import { parseCheckpoint } from '../log/checkpoint.ts'
import { consistencyProof, verifyConsistency } from '../log/merkle.ts'
import { parseNote } from '../log/note.ts'
import { hashesFromTiles, type TileReader } from '../log/tiles.ts'
import { formatAddCheckpoint } from '../log/witness.ts'

/** An earlier checkpoint, as a signed note, and the path of its proof. */
export interface Earlier {
  readonly note: string
  readonly path: string
}

/**
 * By their path, in the form that witnesses are asked in (C2SP tlog-witness). Of one that the log does not extend, or that is
 * of another log, there is none.
 */
export async function extensionsOf(
  read: TileReader,
  note: string,
  earlier: readonly Earlier[],
  sha256: Sha256,
): Promise<ReadonlyMap<string, string>> {
  const files = new Map<string, string>()
  const now = parseCheckpoint(parseNote(note)?.text ?? '')
  for (const one of now ? earlier : []) {
    const then = parseCheckpoint(parseNote(one.note)?.text ?? '')
    if (!now || !then || then.origin !== now.origin || then.size > now.size || then.size === 0) continue
    const proof = await consistencyProof(sha256, then.size, now.size, hashesFromTiles(sha256, read, now.size))
    if (!verifyConsistency(sha256, then.size, now.size, proof, then.root, now.root)) continue
    files.set(one.path, formatAddCheckpoint({ old: then.size, proof, note }))
  }
  return files
}

/** Of time stamps, by the paths of an evidence folder: `0/000001.note`. */
export const stampedEarlier = (shard: number, stamps: ReadonlyMap<string, Uint8Array>): readonly Earlier[] =>
  [...stamps]
    .filter(([path]) => path.startsWith(`${shard}/`) && path.endsWith('.note'))
    .map(([path, bytes]) => ({
      note: new TextDecoder().decode(bytes),
      path: `timestamps/${path.replace(/note$/, 'consistency')}`,
    }))
