/**
 * One shard's log on disk, as static files (C2SP tlog-tiles): whole tiles once, partial ones for each checkpoint, whole
 * bundles gzipped. What the files lack is given again by the caller, from the store; the bytes are the same every time.
 */

import { existsSync } from 'node:fs'
import { readFile, rm, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { concat } from '../../core/bytes.ts'
import { WritError } from '../../core/fault.ts'
import type { SignedCheckpoint } from '../../core/log.ts'
import type { Sha256 } from '../../core/ports.ts'
import { foldBytes, foldHashes, hashBytes, nodeHash } from '../log/merkle.ts'
import { checkpointFile, minimumIndex, newestCheckpoint, witnessedFile } from '../log/prove.ts'
import { encodeBundle, type TileReader, tilePath, tileWidth } from '../log/tiles.ts'
import { isMissing, makeFolder, syncFolder, writeWhole } from './durable.ts'
import { isPacked, pack, packedPath, unpackAtOnce } from './packed.ts'
import { quickSha256 } from './quick.ts'

export interface FolderEntry {
  readonly hash: Uint8Array
  readonly bytes: Uint8Array
}

export interface LogFolder {
  /** Entries taken in; the next one that is appended has this index. */
  readonly size: number
  /** The checkpoint that strangers see. Its signature is theirs to check. */
  readonly published: SignedCheckpoint | undefined
  readonly read: TileReader
  /** After a rejection the folder is to be opened anew. */
  append(entries: readonly FolderEntry[]): Promise<void>
  /** Puts all that was appended on disk to last, and gives the root over it. */
  seal(): Promise<Uint8Array>
  publish(signed: SignedCheckpoint): Promise<void>
  /** Publishes a checkpoint's note with cosignatures; `met` where they are the quorum. */
  publishCosigned(signed: SignedCheckpoint, met: boolean): Promise<void>
}

/** Reads files of the log below `dir`; bundles come as they were before they were packed. */
export const tileReader =
  (dir: string): TileReader =>
  async (path) => {
    const packed = isPacked(path) && (await readIfThere(join(dir, packedPath(path))))
    return packed ? unpackAtOnce(packed) : readIfThere(join(dir, path))
  }

/** Undefined where there is no such file. */
export async function readIfThere(path: string): Promise<Uint8Array | undefined> {
  try {
    return await readFile(path)
  } catch (thrown) {
    if (isMissing(thrown)) return undefined
    throw thrown
  }
}

export async function openLogFolder(dir: string, sha256: Sha256): Promise<LogFolder> {
  await makeFolder(dir)
  const read = tileReader(dir)
  let published = await newestCheckpoint(read)
  let size = await wholeSize(dir, published?.checkpoint.size ?? 0, await minimumIndex(read))
  const rows = await readRows(read, size, sha256)
  let entries: Uint8Array[] = []
  const touched = new Set<string>()
  /** Tiles that have a partial file. */
  let partials = published ? tilesAtEdge(published.checkpoint.size) : []

  const write = async (path: string, bytes: Uint8Array): Promise<void> => {
    const whole = join(dir, path)
    if (!touched.has(dirname(whole))) await makeFolder(dirname(whole))
    touched.add(dirname(whole))
    await writeWhole(whole, bytes)
  }

  const append = async (entry: FolderEntry): Promise<void> => {
    entries.push(entry.bytes)
    const row = (rows[0] ??= [])
    row.push(entry.hash)
    size++
    if (row.length < tileWidth) return
    const bundle = tilePath('entries', size / tileWidth - 1)
    await write(packedPath(bundle), await pack(encodeBundle(entries)))
    await rm(join(dir, bundle), { force: true }) // As it lay before bundles were packed; two would be one too many.
    entries = []
    for (let level = 0; rows[level]?.length === tileWidth; level++) {
      const full = rows[level]!
      const tile = concat(...full)
      await write(tilePath(level, size / tileWidth ** (level + 1) - 1), tile)
      ;(rows[level + 1] ??= []).push(foldBytes(quickSha256, tile, 0, tileWidth))
      rows[level] = []
    }
  }

  return {
    get size() {
      return size
    },
    get published() {
      return published
    },
    read,
    append: async (list) => {
      for (const entry of list) await append(entry)
    },
    seal: async () => {
      if (entries.length > 0)
        await write(tilePath('entries', Math.floor(size / tileWidth), entries.length), encodeBundle(entries))
      for (const [level, row] of rows.entries()) {
        const index = Math.floor(size / tileWidth ** (level + 1))
        if (row.length > 0) await write(tilePath(level, index, row.length), concat(...row))
      }
      for (const folder of touched) await syncFolder(folder)
      touched.clear()
      return rootOf(sha256, rows)
    },
    publish: async (signed) => {
      await writeWhole(join(dir, checkpointFile), signed.note)
      await syncFolder(dir)
      published = signed
      // Partial tiles stay for every size that was published, until the whole tile is there (tlog-tiles).
      const edge = tilesAtEdge(size)
      for (const tile of partials)
        if (!edge.includes(tile)) await rm(join(dir, `${tile}.p`), { recursive: true, force: true })
      partials = edge
    },
    publishCosigned: async (signed, met) => {
      if (published?.checkpoint.size === signed.checkpoint.size) {
        await writeWhole(join(dir, checkpointFile), signed.note)
        published = signed
      }
      if (met) await writeWhole(join(dir, witnessedFile), signed.note)
      await syncFolder(dir)
    },
  }
}

/** The tiles at the right edge of a tree, by the paths they have when they are whole. */
function tilesAtEdge(size: number): readonly string[] {
  const tiles = [tilePath('entries', Math.floor(size / tileWidth))]
  for (let level = 0; tileWidth ** level <= size; level++) {
    tiles.push(tilePath(level, Math.floor(size / tileWidth ** (level + 1))))
  }
  return tiles
}

/** Root of a tree whose right-edge hashes are `rows`, lowest level first. */
function rootOf(sha256: Sha256, rows: readonly (readonly Uint8Array[])[]): Uint8Array {
  let root: Uint8Array | undefined
  for (const row of rows) {
    for (let end = row.length; end > 0; ) {
      const width = end & -end // The smallest perfect subtree is the rightmost.
      const peak = foldHashes(sha256, row.slice(end - width, end))
      root = root ? nodeHash(sha256, peak, root) : peak
      end -= width
    }
  }
  return root ?? sha256(new Uint8Array(0))
}

/**
 * How many entries the files hold for sure: what the checkpoint covers was synced before it, so up to there a file
 * that is there is right; from the first that is not, everything is written again. Whole bundles only.
 */
async function wholeSize(dir: string, published: number, minimum: number): Promise<number> {
  let size = published - (published % tileWidth)
  for (let level = 0; tileWidth ** (level + 1) <= size; level++) {
    const leavesPerTile = tileWidth ** (level + 1)
    for (let index = 0; (index + 1) * leavesPerTile <= size; index++) {
      const tile = await stat(join(dir, tilePath(level, index))).catch(() => undefined)
      const pruned = (index + 1) * tileWidth <= minimum
      const bundle = level > 0 || pruned || hasBundle(dir, tilePath('entries', index))
      if (tile?.size !== tileWidth * hashBytes || !bundle) size = index * leavesPerTile
    }
  }
  return size
}

const hasBundle = (dir: string, path: string): boolean =>
  [packedPath(path), path].some((name) => existsSync(join(dir, name)))

/** The hashes at the right edge of a tree of `size`, level by level, from the whole tiles below them. */
async function readRows(read: TileReader, size: number, sha256: Sha256): Promise<Uint8Array[][]> {
  const rows: Uint8Array[][] = [[]]
  for (let level = 1; tileWidth ** level <= size; level++) {
    const below = size / tileWidth ** level
    const last = Math.floor(below)
    const row: Uint8Array[] = []
    for (let index = last - (last % tileWidth); index < last; index++) {
      const tile = await read(tilePath(level - 1, index))
      if (!tile) throw new WritError('log_invalid', `${tilePath(level - 1, index)} went away while it was read`)
      row.push(foldHashes(sha256, hashesIn(tile)))
    }
    rows.push(row)
  }
  return rows
}

function hashesIn(tile: Uint8Array): Uint8Array[] {
  const hashes: Uint8Array[] = []
  for (let at = 0; at < tile.length; at += hashBytes) hashes.push(tile.slice(at, at + hashBytes))
  return hashes
}
