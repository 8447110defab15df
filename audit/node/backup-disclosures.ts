/**
 * Disclosures in a backup: what came beside records, sealed under keys that are elsewhere, as gzipped lines of JSON. The
 * tree says nothing of them; each value has a digest in its leaf. A piece has a name of its own for each content, and one
 * that did not change is not written again.
 */

import { readdir, readFile, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { toHex } from '../../core/bytes.ts'
import type { Sha256 } from '../../core/ports.ts'
import {
  countDisclosures,
  type DisclosureCounts,
  disclosuresBetween,
  putBackDisclosures,
  type RecordDisclosure,
} from '../store/disclosures-again.ts'
import { makeFolder, syncFolder, writeWhole } from './durable.ts'
import { packDisclosures, unpackDisclosures } from './packed-disclosures.ts'
import type { Store } from './store.ts'

export interface DisclosurePiece extends DisclosureCounts {
  /** SHA-256 of its file, hex. */
  readonly sha256: string
}

/** Indexes of a piece. Of the longest disclosures it has 90 MB, and of usual ones one. */
const width = 2048
const maxPieceBytes = 128 << 20

const folderOf = (dir: string, shard: number): string => join(dir, 'disclosures', String(shard))
const nameOf = ({ first, sha256 }: DisclosurePiece): string =>
  `${String(first).padStart(12, '0')}-${sha256.slice(0, 16)}.gz`

/** Below the folder of the backup. */
export const pieceFile = (shard: number, piece: DisclosurePiece): string =>
  join('disclosures', String(shard), nameOf(piece))

/** Writes what changed since `earlier`, and gives all pieces of entries before `size`. */
export async function copyDisclosures(
  out: string,
  shard: number,
  size: number,
  earlier: readonly DisclosurePiece[],
  { store: { db }, sha256 }: { readonly store: Store; readonly sha256: Sha256 },
): Promise<readonly DisclosurePiece[]> {
  const known = new Map(earlier.map((piece) => [piece.first, piece]))
  const pieces: DisclosurePiece[] = []
  for (const counts of await countDisclosures(db, shard, size, width)) {
    const before = known.get(counts.first)
    if (before && isSame(before, counts) && (await isThere(join(out, pieceFile(shard, before))))) {
      pieces.push(before)
      continue
    }
    const { first } = counts
    const rows = await disclosuresBetween(db, shard, first, Math.min(size, first + width))
    const bytes = await packDisclosures(rows)
    const piece = { ...countsOf(first, rows), sha256: toHex(sha256(bytes)) }
    await makeFolder(folderOf(out, shard), 0o700)
    await writeWhole(join(out, pieceFile(shard, piece)), bytes, 0o600)
    pieces.push(piece)
  }
  if (pieces.length > 0) await syncFolder(folderOf(out, shard))
  return pieces
}

const isThere = async (path: string): Promise<boolean> => (await stat(path).catch(() => undefined)) !== undefined

const isSame = (one: DisclosureCounts, other: DisclosureCounts): boolean =>
  one.rows === other.rows && one.open === other.open && one.erased === other.erased

/** Of what was read: more may have been erased since it was counted. */
const countsOf = (first: number, rows: readonly RecordDisclosure[]): DisclosureCounts => ({
  ...{ first, rows: rows.length },
  open: rows.filter(({ sealed }) => sealed).length,
  erased: rows.filter(({ sealed }) => sealed === null).length,
})

/** Takes away what no manifest names any more: what was pruned, and what an erasure has emptied. */
export async function dropDisclosures(
  out: string,
  shards: readonly { readonly shard: number; readonly disclosures?: readonly DisclosurePiece[] }[],
): Promise<void> {
  const named = new Map(shards.map(({ shard, disclosures = [] }) => [String(shard), new Set(disclosures.map(nameOf))]))
  for (const shard of await readdir(join(out, 'disclosures')).catch(() => [])) {
    for (const name of await readdir(join(out, 'disclosures', shard))) {
      if (!named.get(shard)?.has(name)) await rm(join(out, 'disclosures', shard, name), { force: true })
    }
  }
}

/** Undefined where it is gone, or is not the one that was written. */
export async function readPiece(
  dir: string,
  shard: number,
  piece: DisclosurePiece,
  sha256: Sha256,
): Promise<readonly RecordDisclosure[] | undefined> {
  const known = typeof piece.sha256 === 'string' && Number.isSafeInteger(piece.first) && !/[^0-9a-f]/.test(piece.sha256)
  const bytes = known && (await readFile(join(dir, pieceFile(shard, piece))).catch(() => undefined))
  if (!bytes || toHex(sha256(bytes)) !== piece.sha256) return undefined
  return unpackDisclosures(bytes, maxPieceBytes)
}

/** Once the store has every row of the log: those that are there get back what came beside them. */
export async function restoreDisclosures(
  dir: string,
  shard: number,
  pieces: readonly DisclosurePiece[],
  { store, sha256 }: { readonly store: Store; readonly sha256: Sha256 },
): Promise<void> {
  for (const piece of pieces) {
    const rows = await readPiece(dir, shard, piece, sha256)
    if (rows) await store.transaction((tx) => putBackDisclosures(tx, rows))
  }
}
