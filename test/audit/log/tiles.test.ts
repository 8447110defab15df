import fc from 'fast-check'
import { expect, test } from 'vitest'
import { consistencyProof, Frontier, inclusionProof, leafHash, rootAt } from '../../../audit/log/merkle.ts'
import {
  type CarriedEntry,
  decodeBundle,
  decodeCarried,
  encodeBundle,
  encodeCarried,
  findBundle,
  hashesFromTiles,
  readBundle,
  type TileReader,
  tilePath,
  widthOf,
} from '../../../audit/log/tiles.ts'
import { concat, toHex, utf8 } from '../../../core/bytes.ts'
import { sha256 } from './naive.ts'

test('paths are those of tlog-tiles', () => {
  expect(tilePath(0, 0)).toBe('tile/0/000')
  expect(tilePath(0, 273, 112)).toBe('tile/0/273.p/112')
  expect(tilePath('entries', 1234067)).toBe('tile/entries/x001/x234/067')
  expect(tilePath(2, 1000, 1)).toBe('tile/2/x001/000.p/1')
  expect(tilePath(5, 999)).toBe('tile/5/999')
})

test('a log of 70 000 has the tiles that the standard counts', () => {
  expect([widthOf(0, 272, 70_000), widthOf(0, 273, 70_000), widthOf(0, 274, 70_000)]).toEqual([256, 112, 0])
  expect([widthOf(1, 0, 70_000), widthOf(1, 1, 70_000), widthOf(2, 0, 70_000)]).toEqual([256, 17, 1])
  expect([widthOf(0, 0, 256), widthOf(0, 1, 256), widthOf(1, 0, 256), widthOf(1, 0, 255)]).toEqual([256, 0, 1, 0])
})

test('a bundle gives back its entries, and no cut bundle passes', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 256 }), (entries) => {
      const bundle = encodeBundle(entries)
      expect(decodeBundle(bundle)?.map(toHex)).toEqual(entries.map(toHex))
      const last = entries.at(-1)
      if (last?.length) expect(decodeBundle(bundle.subarray(0, -1))).toBeUndefined()
    }),
  )
})

test('an entry of 65 535 bytes fits, one more does not', () => {
  expect(decodeBundle(encodeBundle([new Uint8Array(65_535)]))![0]).toHaveLength(65_535)
  expect(() => encodeBundle([new Uint8Array(65_536)])).toThrow(RangeError)
})

test('any bytes are a bundle or refused; 257 entries are refused', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 600 }), (bytes) => {
      const entries = decodeBundle(bytes)
      if (entries) expect(toHex(encodeBundle(entries))).toBe(toHex(bytes))
    }),
  )
  expect(decodeBundle(new Uint8Array(2 * 256))).toHaveLength(256)
  expect(decodeBundle(new Uint8Array(2 * 257))).toBeUndefined()
})

const size = 70_000
const leaves = Array.from({ length: size }, (_, i) => leafHash(sha256, utf8(String(i))))

/** Tiles of the whole log, made the plain way: each level from all roots of the one below. */
function tilesOf(hashes: readonly Uint8Array[]): Map<string, Uint8Array> {
  const files = new Map<string, Uint8Array>()
  let row = hashes
  for (let level = 0; row.length > 0; level++) {
    const next: Uint8Array[] = []
    for (let i = 0; i * 256 < row.length; i++) {
      const part = row.slice(i * 256, (i + 1) * 256)
      files.set(tilePath(level, i, part.length), concat(...part))
      if (part.length < 256) continue
      const tree = new Frontier(sha256)
      for (const hash of part) tree.append(hash)
      next.push(tree.root())
    }
    row = next
  }
  return files
}
const files = tilesOf(leaves)
const reader: TileReader = async (path) => files.get(path)

test('a tree read from its tiles has the root and the proofs of its leaves', async () => {
  const tree = new Frontier(sha256)
  for (const leaf of leaves) tree.append(leaf)
  const fromTiles = hashesFromTiles(sha256, reader, size)
  expect(toHex(await rootAt(sha256, size, fromTiles))).toBe(toHex(tree.root()))
  const fromLeaves = (level: number, index: number) => {
    const part = new Frontier(sha256)
    for (let i = index * 2 ** level; i < (index + 1) * 2 ** level; i++) part.append(leaves[i]!)
    return part.root()
  }
  for (const index of [0, 65_535, 69_999]) {
    const path = await inclusionProof(sha256, index, size, fromTiles)
    expect(path.map(toHex)).toEqual((await inclusionProof(sha256, index, size, fromLeaves)).map(toHex))
  }
  const proof = await consistencyProof(sha256, 1234, size, fromTiles)
  expect(proof.map(toHex)).toEqual((await consistencyProof(sha256, 1234, size, fromLeaves)).map(toHex))
})

test('where a partial tile is gone, the full one serves; where both are, the log does not verify', async () => {
  const smaller = hashesFromTiles(sha256, reader, 300) // tile/0/001.p/44 is not there, tile/0/001 is.
  expect(toHex(await rootAt(sha256, 300, smaller))).toHaveLength(64)
  const none = hashesFromTiles(sha256, async (path) => (path === 'tile/0/001' ? undefined : reader(path)), 300)
  await expect(rootAt(sha256, 300, none)).rejects.toMatchObject({ code: 'log_invalid' })
})

test('a tile that is too short does not pass for one that is whole', async () => {
  const short: TileReader = async (path) => (await reader(path))?.subarray(0, -1)
  await expect(rootAt(sha256, size, hashesFromTiles(sha256, short, size))).rejects.toMatchObject({
    code: 'log_invalid',
  })
})

test('a bundle is read to the size asked for', async () => {
  const bundle = encodeBundle([utf8('a'), utf8('b'), utf8('c')])
  const read: TileReader = async (path) => (path === 'tile/entries/000' ? bundle : undefined)
  expect(await readBundle(read, 0, 2)).toEqual([utf8('a'), utf8('b')])
  await expect(readBundle(read, 0, 4)).rejects.toMatchObject({ code: 'log_invalid' })
})

test('a bundle is found by its size, or as the widest that is there; one that is gone or broken is none', async () => {
  const entries = Array.from({ length: 5 }, (_, i) => Uint8Array.of(i))
  const files = new Map([
    ['tile/entries/000.p/3', encodeBundle(entries.slice(0, 3))],
    ['tile/entries/000.p/5', encodeBundle(entries)],
    ['tile/entries/001.p/2', Uint8Array.of(0, 9, 1)],
  ])
  const read = async (path: string) => files.get(path)
  expect(await findBundle(read, 0, 3)).toEqual(entries.slice(0, 3))
  expect(await findBundle(read, 0)).toEqual(entries)
  expect(await findBundle(read, 0, 4)).toBeUndefined()
  expect(await findBundle(read, 1)).toBeUndefined()
  expect(await findBundle(read, 2)).toBeUndefined()
  await expect(readBundle(read, 0, 4)).rejects.toMatchObject({ code: 'log_invalid' })
})

test('entries that a pruned bundle carries are given back; whatever else is read as some is exactly their bytes', () => {
  const entries = fc
    .uniqueArray(fc.nat(255), { maxLength: 10 })
    .chain((places) =>
      fc.tuple(...places.sort((a, b) => a - b).map((at) => fc.record({ at: fc.constant(at), bytes: fc.uint8Array() }))),
    )
  fc.assert(
    fc.property(entries, fc.nat(), (given, cut) => {
      const file = encodeCarried(given)
      expect(decodeCarried(file)).toEqual(given)
      const [last] = given.slice(-1)
      if (!last) return
      const begin = file.length - 3 - last.bytes.length
      expect(decodeCarried(file.subarray(0, begin + 1 + (cut % (file.length - begin - 1))))).toBeUndefined()
      expect(decodeCarried(concat(file, encodeCarried([last])))).toBeUndefined() // Its place does not rise.
    }),
  )
  let read = 0
  const short = fc.array(fc.oneof(fc.constantFrom(0, 0, 1, 2), fc.nat(255)), { maxLength: 12 })
  fc.assert(
    fc.property(short, (numbers) => {
      const found: readonly CarriedEntry[] | undefined = decodeCarried(Uint8Array.from(numbers))
      if (!found) return
      read++
      expect([...encodeCarried(found)]).toEqual(numbers)
    }),
    { numRuns: 2000 },
  )
  expect(read).toBeGreaterThan(20)
})
