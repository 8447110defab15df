/** A log as static files (C2SP tlog-tiles): tiles of 256 hashes, bundles of 256 entries, and reading hashes from them. */

import { WritError } from '../../core/fault.ts'
import type { Sha256 } from '../../core/ports.ts'
import { foldHashes, type HashAt, hashBytes } from './merkle.ts'

/** A file of the log by its path, or undefined where there is none. */
export type TileReader = (path: string) => Promise<Uint8Array | undefined>

export const tileWidth = 256

/** `tile/<L>/<N>`, with `.p/<W>` for a tile that is not full; `entries` is the level of bundles. */
export function tilePath(level: number | 'entries', index: number, width: number = tileWidth): string {
  const partial = width < tileWidth ? `.p/${width}` : ''
  return `tile/${level}/${groupsOfThree(index)}${partial}`
}

/** 1234067 is x001/x234/067. */
function groupsOfThree(index: number): string {
  let path = String(index % 1000).padStart(3, '0')
  for (let rest = Math.floor(index / 1000); rest > 0; rest = Math.floor(rest / 1000)) {
    path = `x${String(rest % 1000).padStart(3, '0')}/${path}`
  }
  return path
}

/** Entries of a pruned bundle that stay, where there are any. */
export const carriedPath = (index: number): string => `carried/${groupsOfThree(index)}`

export interface CarriedEntry {
  /** Place in the bundle. */
  readonly at: number
  readonly bytes: Uint8Array
}

/** Each entry after its place in one byte and its length in two. */
export function encodeCarried(entries: readonly CarriedEntry[]): Uint8Array {
  const file = new Uint8Array(entries.reduce((sum, { bytes }) => sum + 3 + bytes.length, 0))
  let end = 0
  for (const { at, bytes } of entries) {
    file.set([at, bytes.length >> 8, bytes.length & 255], end)
    file.set(bytes, end + 3)
    end += 3 + bytes.length
  }
  return file
}

/** Undefined where lengths do not add up or places do not rise. */
export function decodeCarried(file: Uint8Array): readonly CarriedEntry[] | undefined {
  const entries: CarriedEntry[] = []
  for (let from = 0; from < file.length; ) {
    if (from + 3 > file.length) return undefined
    const at = file[from]!
    const end = from + 3 + file[from + 1]! * 256 + file[from + 2]!
    if (end > file.length || at <= (entries.at(-1)?.at ?? -1)) return undefined
    entries.push({ at, bytes: file.subarray(from + 3, end) })
    from = end
  }
  return entries
}

/** How many hashes tile `index` of `level` has in a tree of `size`: 0 to 256. Level 0 also counts entries. */
export function widthOf(level: number, index: number, size: number): number {
  const hashes = Math.floor(size / tileWidth ** level)
  return Math.max(0, Math.min(tileWidth, hashes - index * tileWidth))
}

/** Entries one after the other, each after its length in two bytes, high byte first. */
export function encodeBundle(entries: readonly Uint8Array[]): Uint8Array {
  let length = 0
  for (const entry of entries) length += 2 + entry.length
  const bundle = new Uint8Array(length)
  let at = 0
  for (const entry of entries) {
    if (entry.length > 0xffff) throw new RangeError(`an entry of ${entry.length} bytes; 65535 is the most`)
    bundle[at] = entry.length >> 8
    bundle[at + 1] = entry.length & 255
    bundle.set(entry, at + 2)
    at += 2 + entry.length
  }
  return bundle
}

/**
 * Where the entries of a bundle begin, and last where one behind it would: each ends two bytes before the next begins.
 * Undefined where the lengths do not add up or there are more than 256.
 */
export function placesIn(bundle: Uint8Array): Int32Array | undefined {
  const places = new Int32Array(tileWidth + 1)
  let count = 0
  let at = 0
  while (at < bundle.length) {
    if (at + 2 > bundle.length || count === tileWidth) return undefined
    places[count++] = at + 2
    at += 2 + bundle[at]! * 256 + bundle[at + 1]!
    if (at > bundle.length) return undefined
  }
  places[count] = at + 2
  return places.subarray(0, count + 1)
}

/** The entries of a bundle; undefined where `placesIn` is. */
export function decodeBundle(bundle: Uint8Array): readonly Uint8Array[] | undefined {
  const places = placesIn(bundle)
  if (!places) return undefined
  return Array.from({ length: places.length - 1 }, (_, i) => bundle.subarray(places[i]!, places[i + 1]! - 2))
}

/** Tiles held in memory while proofs are made. A path to the root crosses at most 7 of them, a right edge 7 more. */
const tilesInMemory = 64

/** Hashes of a tree of `size`, read from its tiles. A missing or short tile throws `log_invalid`. */
export function hashesFromTiles(sha256: Sha256, read: TileReader, size: number): HashAt {
  const held = new Map<string, Promise<Uint8Array>>()
  const tile = (level: number, index: number): Promise<Uint8Array> => {
    const key = `${level}/${index}`
    const known = held.get(key)
    if (known) return known
    const loading = readTile(read, level, index, widthOf(level, index, size))
    held.set(key, loading)
    if (held.size > tilesInMemory) held.delete(held.keys().next().value!)
    return loading
  }
  return async (level, index) => {
    const tileLevel = Math.floor(level / 8)
    const count = 2 ** (level % 8)
    const first = index * count
    const bytes = await tile(tileLevel, Math.floor(first / tileWidth))
    const from = first % tileWidth
    const hashes: Uint8Array[] = []
    for (let i = from; i < from + count; i++) hashes.push(bytes.subarray(i * hashBytes, (i + 1) * hashBytes))
    if (hashes.at(-1)!.length !== hashBytes) throw notInTree(level, index, size)
    return foldHashes(sha256, hashes)
  }
}

/** The `width` hashes of a tile. Where a partial tile is gone, the full one has them too. */
async function readTile(read: TileReader, level: number, index: number, width: number): Promise<Uint8Array> {
  const bytes = await readEither(read, level, index, width)
  if (!bytes || bytes.length < width * hashBytes) throw unreadable(tilePath(level, index, width))
  return bytes.subarray(0, width * hashBytes)
}

/** The entries of bundle `index` in a log of `size`. A missing or broken bundle throws `log_invalid`. */
export async function readBundle(read: TileReader, index: number, size: number): Promise<readonly Uint8Array[]> {
  const width = widthOf(0, index, size)
  const entries = await findBundle(read, index, size)
  if (!entries || entries.length < width) throw unreadable(tilePath('entries', index, width))
  return entries
}

/** The same of a bundle that may be gone; where its size is not known, of the widest that is there. Broken is as good as gone. */
export async function findBundle(
  read: TileReader,
  index: number,
  size?: number,
): Promise<readonly Uint8Array[] | undefined> {
  const width = size === undefined ? tileWidth : widthOf(0, index, size)
  let bytes = await readEither(read, 'entries', index, width)
  for (let less = width - 1; size === undefined && !bytes && less > 0; less--) {
    bytes = await read(tilePath('entries', index, less))
  }
  return bytes && decodeBundle(bytes)?.slice(0, width)
}

async function readEither(read: TileReader, level: number | 'entries', index: number, width: number) {
  const bytes = await read(tilePath(level, index, width))
  return bytes || width === tileWidth ? bytes : read(tilePath(level, index))
}

const unreadable = (path: string): WritError =>
  new WritError('log_invalid', `${path} is missing or broken`, {
    cure: 'restore the log folder, or delete the shard in it and let the auditor rebuild it from its store',
  })

const notInTree = (level: number, index: number, size: number): WritError =>
  new WritError('log_invalid', `a tree of ${size} has no node ${index} at level ${level}`)
