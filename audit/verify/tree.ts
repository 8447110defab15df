/**
 * The Merkle tree of one shard, from its files: the signed checkpoint, every tile against its parent, every leaf
 * against its tile. Hands on the leaves in order, a bundle at a time.
 */

import { equalBytes, fromUtf8, toHex } from '../../core/bytes.ts'
import { messageOf } from '../../core/fault.ts'
import { type Checkpoint, isOriginOf } from '../../core/log.ts'
import type { Sha256 } from '../../core/ports.ts'
import { parseCheckpoint } from '../log/checkpoint.ts'
import { foldBytes, type HashAt, hashBytes, leafHash, type QuickSha256, rootAt } from '../log/merkle.ts'
import { type Ed25519Verify, type NoteKey, openNote } from '../log/note.ts'
import { minimumIndex } from '../log/prove.ts'
import {
  carriedPath,
  decodeCarried,
  hashesFromTiles,
  placesIn,
  type TileReader,
  tilePath,
  tileWidth,
  widthOf,
} from '../log/tiles.ts'
import type { FindingCode, Findings } from './finding.ts'

export interface TreeSource {
  readonly shard: number
  /** Paths as C2SP tlog-tiles has them, from the shard's own folder: `checkpoint`, `tile/0/000`. */
  readonly read: TileReader
  /** Reading takes no time but the processor's, so that nothing is gained by asking before. Default false. */
  readonly isNear?: boolean
  /** Takes back the memory of a file that was read, where nobody looks at it any more. Without it, that is found out later. */
  readonly release?: (file: Uint8Array) => void
}

/** A leaf in its place. `hash` is what the signed tree says of it, in lower-case hex. */
export interface PlacedLeaf {
  readonly index: number
  readonly hash: string
  /** What holds its bytes, and where they begin and end: a million views of a file take longer than to read it. */
  readonly file: Uint8Array
  readonly from: number
  readonly to: number
}

export const bytesOf = ({ file, from, to }: PlacedLeaf): Uint8Array => file.subarray(from, to)

export interface OpenedCheckpoint extends Checkpoint {
  readonly note: string
}

export async function openCheckpoint(
  source: TreeSource,
  keys: readonly NoteKey[],
  verify: Ed25519Verify,
  findings: Findings,
): Promise<OpenedCheckpoint | undefined> {
  const bytes = await source.read('checkpoint')
  if (!bytes) {
    findings.add({ level: 'broken', code: 'checkpoint_missing', shard: source.shard, what: 'there is no checkpoint' })
    return undefined
  }
  const read = await readCheckpoint(textOf(bytes), source.shard, keys, verify)
  if ('wrong' in read) {
    const what = `checkpoint: ${read.wrong}`
    findings.add({ level: 'broken', code: 'checkpoint_invalid', shard: source.shard, what })
    return undefined
  }
  return read
}

/** Opens a signed checkpoint of this shard by one of these keys. */
export async function readCheckpoint(
  note: string,
  shard: number,
  keys: readonly NoteKey[],
  verify: Ed25519Verify,
): Promise<OpenedCheckpoint | { readonly wrong: string }> {
  const opened = await openNote(note, keys, verify)
  if (!opened.ok) return { wrong: opened.detail }
  const checkpoint = parseCheckpoint(opened.text)
  if (!checkpoint) return { wrong: 'not in the form of origin, size and root' }
  if (!isOriginOf(checkpoint.origin, shard)) {
    return { wrong: `it is of ${checkpoint.origin}, not of shard ${shard}` }
  }
  return { ...checkpoint, note }
}

/** Root of the first `size` leaves as the tiles have it, or what stood in the way. */
export async function rootOf(
  hashAt: HashAt,
  size: number,
  sha256: Sha256,
): Promise<Uint8Array | { readonly wrong: string }> {
  try {
    return await rootAt(sha256, size, hashAt)
  } catch (thrown) {
    return { wrong: messageOf(thrown) }
  }
}

/** Files that may be missing before a shard is given up: a checkpoint may speak of more than there is time to miss. */
export const maxMissing = 2000

/** Leaves from the first to before the last of a range. */
export interface LeafRange {
  readonly from: number
  readonly to: number
}

/** A tree whose root was computed, and held against the one that was signed. */
export interface OpenTree {
  /** Looks at the tiles above the leaves of a range. */
  readonly above: (range: LeafRange) => Promise<void>
  /** The leaves of a range, a bundle at a time; none where it was given up. */
  readonly leaves: (range: LeafRange) => AsyncGenerator<readonly PlacedLeaf[]>
  /** Too many files are missing: nothing more is read of it. */
  readonly isOver: () => boolean
}

/** All leaves of a tree, or those of a range of it, with the tiles above them up to the signed root. */
export async function* readTree(
  source: TreeSource,
  checkpoint: Checkpoint,
  sha256: Sha256,
  quick: QuickSha256,
  findings: Findings,
  range: LeafRange = { from: 0, to: checkpoint.size },
): AsyncGenerator<readonly PlacedLeaf[]> {
  const tree = await openTree(source, checkpoint, sha256, quick, findings)
  await tree.above(range)
  yield* tree.leaves(range)
}

/** `findings` is told what is wrong with what is read. */
export async function openTree(
  source: TreeSource,
  checkpoint: Checkpoint,
  sha256: Sha256,
  quick: QuickSha256,
  findings: Findings,
): Promise<OpenTree> {
  const { size } = checkpoint
  let missing = 0
  const add = (code: FindingCode, what: string, index?: number): void => {
    if (code === 'tile_missing' || code === 'entries_missing') missing++
    findings.add({ level: 'broken', code, shard: source.shard, ...(index !== undefined && { index }), what })
  }
  let isOver = false
  const gaveUp = (): boolean => {
    if (isOver || missing <= maxMissing) return isOver
    isOver = true
    add('too_many', `more than ${maxMissing} files are missing: the rest of this shard is not verified`)
    return true
  }

  const root = await rootOf(hashesFromTiles(sha256, source.read, size), size, sha256)
  const rooted = !('wrong' in root) && equalBytes(root, checkpoint.root)
  if ('wrong' in root) add('tile_missing', `the root cannot be computed: ${root.wrong}`)
  else if (!rooted) {
    add('root_mismatch', `the tiles hash to ${toHex(root)} where the checkpoint signs ${toHex(checkpoint.root)}`)
  }
  const parents = { ...source, read: rememberLast(source.read) }
  const trusted = (level: number, index: number, tile: Tile): Promise<boolean> =>
    tile.width < tileWidth ? Promise.resolve(rooted) : agreesWithParent(parents, level, index, tile, size, quick, add)

  async function above(range: LeafRange): Promise<void> {
    for (let level = 1; widthOf(level, 0, size) > 0; level++) {
      const { first, end } = tilesOf(level, range)
      for (let index = first; index < end && widthOf(level, index, size) > 0; index++) {
        const tile = await readTile(source, level, index, size, add)
        if (gaveUp()) return
        if (tile) await trusted(level, index, tile)
      }
    }
  }

  async function* leaves(range: LeafRange): AsyncGenerator<readonly PlacedLeaf[]> {
    if (isOver) return
    const minimum = await minimumIndex(source.read)
    const { first, end } = tilesOf(0, range)
    const paths = pathsOfLeaves(size, minimum, first, end)
    const ahead = source.isNear ? source : { ...source, read: readAhead(source.read, paths) }
    for (let index = first; index < end && widthOf(0, index, size) > 0; index++) {
      const tile = await readTile(ahead, 0, index, size, add)
      const isTrusted = tile !== undefined && (await trusted(0, index, tile))
      if ((index + 1) * tileWidth <= minimum) {
        if (gaveUp()) return
        if (tile) yield within(await placeCarried(source, index, tile, sha256, add), range)
        continue
      }
      const entries = await readEntries(ahead, index, size, add)
      if (gaveUp()) return
      if (entries) yield within(placeLeaves(entries, index * tileWidth, tile, isTrusted, quick, add), range)
    }
  }

  return { above, leaves, isOver: () => isOver }
}

function within(leaves: readonly PlacedLeaf[], { from, to }: LeafRange): readonly PlacedLeaf[] {
  const [first, last] = [leaves[0], leaves.at(-1)]
  if (!first || !last || (first.index >= from && last.index < to)) return leaves
  return leaves.filter(({ index }) => index >= from && index < to)
}

/** Tiles of a level that have hashes above leaves of a range. */
const tilesOf = (level: number, { from, to }: LeafRange): { readonly first: number; readonly end: number } => ({
  first: Math.floor(from / tileWidth ** (level + 1)),
  end: Math.ceil(to / tileWidth ** (level + 1)),
})

/** Files of leaves that are read, and inflated, while those before them are verified; at most 16 MiB each. */
const filesAhead = 6

function* pathsOfLeaves(size: number, minimum: number, first: number, end: number): Generator<string> {
  for (let index = first; index < end && widthOf(0, index, size) > 0; index++) {
    const width = widthOf(0, index, size)
    yield tilePath(0, index, width)
    if ((index + 1) * tileWidth > minimum) yield tilePath('entries', index, width)
  }
}

/** A reader that fetches what will be asked for before it is, where it is asked for in that order. */
function readAhead(read: TileReader, paths: Iterator<string>): TileReader {
  const held = new Map<string, Promise<Uint8Array | undefined>>()
  const fill = (): void => {
    while (held.size < filesAhead) {
      const next = paths.next()
      if (next.done) return
      const reading = read(next.value)
      reading.catch(() => undefined) // Thrown where it is awaited.
      held.set(next.value, reading)
    }
  }
  return (path) => {
    fill()
    const reading = held.get(path)
    held.delete(path)
    return reading ?? read(path)
  }
}

/** One tile stands above 256 others. */
function rememberLast(read: TileReader): TileReader {
  let last: { readonly path: string; readonly bytes: Uint8Array | undefined } | undefined
  return async (path) => {
    if (last?.path !== path) last = { path, bytes: await read(path) }
    return last.bytes
  }
}

interface Tile {
  readonly path: string
  readonly width: number
  readonly bytes: Uint8Array
}

type Add = (code: FindingCode, what: string, index?: number) => void

/** A partial tile may be gone once the full one is there, which then begins alike. */
async function readEither(source: TreeSource, level: number | 'entries', index: number, width: number) {
  const path = tilePath(level, index, width)
  const bytes = await source.read(path)
  if (bytes || width === tileWidth) return { path, bytes, width }
  return { path: tilePath(level, index), bytes: await source.read(tilePath(level, index)), width: tileWidth }
}

async function readTile(
  source: TreeSource,
  level: number,
  index: number,
  size: number,
  add: Add,
): Promise<Tile | undefined> {
  const width = widthOf(level, index, size)
  const file = await readEither(source, level, index, width)
  const at = level === 0 ? index * tileWidth : undefined
  if (!file.bytes) {
    add('tile_missing', `${tilePath(level, index, width)} is not there`, at)
    return undefined
  }
  if (file.bytes.length !== file.width * hashBytes) {
    add('tile_invalid', `${file.path} has ${file.bytes.length} bytes where ${file.width * hashBytes} belong`, at)
    return undefined
  }
  return { path: file.path, width, bytes: file.bytes.subarray(0, width * hashBytes) }
}

/** RFC 6962: a full tile's own root is one hash of the tile above it. The topmost full tile is the signed root itself. */
async function agreesWithParent(
  source: TreeSource,
  level: number,
  index: number,
  tile: Tile,
  size: number,
  quick: QuickSha256,
  add: Add,
): Promise<boolean> {
  const parent = Math.floor(index / tileWidth)
  const width = widthOf(level + 1, parent, size)
  const file = await readEither(source, level + 1, parent, width)
  const from = (index % tileWidth) * hashBytes
  const said = file.bytes?.subarray(from, from + hashBytes)
  if (said?.length !== hashBytes) return false // Found and named when that tile is read itself.
  if (equalBytes(foldBytes(quick, tile.bytes, 0, tileWidth), said)) return true
  add(
    'tile_mismatch',
    `${tile.path} does not hash to what ${file.path} says of it`,
    level === 0 ? index * 256 : undefined,
  )
  return false
}

/** A bundle, and where its entries are, as `placesIn` says. */
interface Entries {
  readonly file: Uint8Array
  readonly places: Int32Array
}

async function readEntries(source: TreeSource, index: number, size: number, add: Add): Promise<Entries | undefined> {
  const width = widthOf(0, index, size)
  const file = await readEither(source, 'entries', index, width)
  if (!file.bytes) {
    add('entries_missing', `${tilePath('entries', index, width)} is not there`, index * tileWidth)
    return undefined
  }
  const places = placesIn(file.bytes)
  if (!places) {
    add('entries_missing', `${file.path} is cut short or is no entry bundle`, index * tileWidth)
    return undefined
  }
  return { file: file.bytes, places: file.width > width ? places.subarray(0, width + 1) : places }
}

/** Entries that a pruning left, each against the hash that its tile has. */
async function placeCarried(
  source: TreeSource,
  index: number,
  tile: Tile,
  sha256: Sha256,
  add: Add,
): Promise<readonly PlacedLeaf[]> {
  const file = await source.read(carriedPath(index))
  const entries = file ? decodeCarried(file) : []
  if (!entries) add('entries_missing', `${carriedPath(index)} is cut short or is none`, index * tileWidth)
  return (entries ?? []).flatMap(({ at, bytes }) => {
    const hash = toHex(leafHash(sha256, bytes))
    const place = index * tileWidth + at
    if (toHex(tile.bytes.subarray(at * hashBytes, (at + 1) * hashBytes)) === hash)
      return [{ index: place, hash, file: bytes, from: 0, to: bytes.length }]
    add('leaf_mismatch', `leaf ${place}, which a pruning left, does not hash to what its tile says`, place)
    return []
  })
}

/** RFC 6962 section 2.1: a leaf is hashed with a zero before it, which is put over its length for so long. */
function leafHex(quick: QuickSha256, file: Uint8Array, from: number, to: number): string {
  const before = from - 1
  const was = file[before]!
  file[before] = 0
  const hash = quick.hex(new Uint8Array(file.buffer, file.byteOffset + before, to - before))
  file[before] = was
  return hash
}

const hexDigits = 2 * hashBytes

/** Compares leaves with their tile. Names what is altered, what is missing and what stands in another's place. */
function placeLeaves(
  { file, places }: Entries,
  first: number,
  tile: Tile | undefined,
  isTrusted: boolean,
  quick: QuickSha256,
  add: Add,
): readonly PlacedLeaf[] {
  const count = places.length - 1
  const said = tile && quick.text(tile.bytes)
  const leaves: PlacedLeaf[] = []
  let asSaid = said === undefined || count === tile?.width
  for (let i = 0; i < count; i++) {
    const [from, to] = [places[i]!, places[i + 1]! - 2]
    const hash = leafHex(quick, file, from, to)
    asSaid &&= said === undefined || said.startsWith(hash, i * hexDigits)
    leaves.push({ index: first + i, hash, file, from, to })
  }
  return asSaid || !tile ? leaves : placeOdd(leaves, first, tile, said!, isTrusted, add)
}

/** The same of those that are not as their tile, whose hashes are `said`, has them. */
function placeOdd(
  leaves: readonly PlacedLeaf[],
  first: number,
  tile: Tile,
  said: string,
  isTrusted: boolean,
  add: Add,
): readonly PlacedLeaf[] {
  const places = new Map<string, number>()
  for (let i = 0; i < tile.width; i++) places.set(said.slice(i * hexDigits, (i + 1) * hexDigits), i)
  const found = leaves.map(({ hash }) => places.get(hash))
  if (leaves.length !== tile.width) {
    for (let i = 0; i < tile.width; i++) {
      if (!found.includes(i)) add('leaf_missing', `leaf ${first + i} is not in its bundle`, first + i)
    }
  }
  const placed: PlacedLeaf[] = []
  leaves.forEach((leaf, i) => {
    const place = found[i]
    if (place === undefined || (leaves.length === tile.width && place !== i)) {
      const why = place === undefined ? 'does not hash to what its tile says' : `is the one of index ${first + place}`
      if (isTrusted) add('leaf_mismatch', `leaf ${first + i} ${why}`, first + i)
      else add('tile_mismatch', `${tile.path} at ${i} is not the hash of leaf ${first + i}`, first + i)
    }
    // A record is judged by what was signed: an altered leaf keeps the place and hash that the tree gives it.
    const at = place ?? (leaves.length === tile.width ? i : undefined)
    if (at === undefined) return
    const hash = isTrusted ? said.slice(at * hexDigits, (at + 1) * hexDigits) : leaf.hash
    placed.push({ ...leaf, index: first + at, hash })
  })
  return placed.sort((a, b) => a.index - b.index)
}

function textOf(bytes: Uint8Array): string {
  try {
    return fromUtf8(bytes)
  } catch {
    return ''
  }
}
