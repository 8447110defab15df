import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import fc from 'fast-check'
import { afterAll, expect, test } from 'vitest'
import { decodeBundle, encodeBundle } from '../../../audit/log/tiles.ts'
import { openLogFolder, tileReader } from '../../../audit/node/folder.ts'
import { sourcesIn } from '../../../audit/node/logfolder.ts'
import { maxFileBytes, pack, unpackAtOnce, unpack as unpackInPool } from '../../../audit/node/packed.ts'
import { concat, utf8 } from '../../../core/bytes.ts'
import { run } from '../../parts/child.ts'
import { Mesh } from '../verify/log.ts'
import { leafHashOf, sha256 } from '../verify/producer.ts'

const dir = await mkdtemp(join(tmpdir(), 'writ-packed-'))
afterAll(() => rm(dir, { recursive: true }))

const leaves = new Mesh().calls(300).leaves
const entryOf = (bytes: Uint8Array) => ({ bytes, hash: leafHashOf(bytes) })
/** Both ways to unpack say the same. */
async function unpack(packed: Uint8Array): Promise<Uint8Array> {
  const read = await unpackInPool(packed)
  expect(Buffer.from(unpackAtOnce(packed)).equals(read)).toBe(true)
  return read
}
const isNoBundle = (bytes: Uint8Array): boolean => decodeBundle(bytes) === undefined

test('what was packed is unpacked, byte for byte', async () => {
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 2000 }), async (bytes) => {
      expect(new Uint8Array(await unpack(await pack(bytes)))).toEqual(bytes)
    }),
    { numRuns: 50 },
  )
})

test('a byte changed, added or cut leaves no bundle, or the bundle as it was', async () => {
  const bundle = encodeBundle(leaves.slice(0, 256))
  const packed = await pack(bundle)
  let same = 0
  await fc.assert(
    fc.asyncProperty(fc.nat(packed.length - 1), fc.nat(7), async (at, bit) => {
      const changed = packed.slice()
      changed[at]! ^= 1 << bit
      const read = await unpack(changed)
      if (Buffer.from(read).equals(bundle)) same++
      else expect(isNoBundle(read)).toBe(true)
    }),
    { numRuns: 300, examples: Array.from({ length: 10 }, (_, at) => [at, 0] as [number, number]) },
  )
  expect(same).toBeLessThan(3) // Only the spare bits before the checksum say nothing.
  expect(isNoBundle(await unpack(concat(packed, Uint8Array.of(0))))).toBe(true)
  expect(isNoBundle(await unpack(concat(packed, packed)))).toBe(true)
  expect(isNoBundle(await unpack(packed.slice(0, -1)))).toBe(true)
  expect(isNoBundle(await unpack(new Uint8Array(0)))).toBe(true)
})

test('a file that inflates to more than a bundle can be is none, one that is as large as a bundle can be is', async () => {
  expect((await unpack(await pack(new Uint8Array(maxFileBytes)))).length).toBe(maxFileBytes)
  expect(isNoBundle(await unpack(await pack(new Uint8Array(maxFileBytes + 1))))).toBe(true)
})

test('a whole bundle lies as gzip -n would pack it, a partial one as it is; readers see no difference', async () => {
  const shard = join(dir, '0')
  const folder = await openLogFolder(shard, sha256)
  await folder.append(leaves.map(entryOf))
  await folder.seal()
  const whole = encodeBundle(leaves.slice(0, 256))
  const packed = await readFile(join(shard, 'tile/entries/000.gz'))
  expect(packed.length).toBeLessThan(whole.length / 4)
  await expect(readFile(join(shard, 'tile/entries/000'))).rejects.toMatchObject({ code: 'ENOENT' })
  const rest = leaves.length - 256
  expect(new Uint8Array(await readFile(join(shard, `tile/entries/001.p/${rest}`)))).toEqual(
    encodeBundle(leaves.slice(256)),
  )

  const [source] = await sourcesIn(dir)
  for (const read of [tileReader(shard), source!.read]) {
    expect(Buffer.from((await read('tile/entries/000'))!).equals(whole)).toBe(true)
    expect(await read('tile/entries/002')).toBeUndefined()
  }

  await writeFile(join(dir, 'plain'), whole)
  await run('gzip', ['-n', join(dir, 'plain')])
  expect(Buffer.from(await unpack(await readFile(join(dir, 'plain.gz')))).equals(whole)).toBe(true)
  expect(isNoBundle(await unpack(concat(gzipSync(whole).subarray(0, 4), utf8('time'), packed.subarray(8))))).toBe(true)
})

test('a folder from before bundles were packed is read and grown as it is', async () => {
  const shard = join(dir, 'old')
  const first = await openLogFolder(shard, sha256)
  await first.append(leaves.slice(0, 256).map(entryOf))
  const root = await first.seal()
  await first.publish({
    checkpoint: { origin: 'o', size: 256, root },
    note: `o\n256\n${Buffer.from(root).toString('base64')}\n\n— o AAAAAAA=\n`,
  })
  const whole = encodeBundle(leaves.slice(0, 256))
  await rm(join(shard, 'tile/entries/000.gz'))
  await writeFile(join(shard, 'tile/entries/000'), whole)

  const again = await openLogFolder(shard, sha256)
  expect(again.size).toBe(256)
  expect(Buffer.from((await again.read('tile/entries/000'))!).equals(whole)).toBe(true)

  await rm(join(shard, 'tile/0/000')) // What is written again lies in one form only.
  const anew = await openLogFolder(shard, sha256)
  expect(anew.size).toBe(0)
  await anew.append(leaves.slice(0, 256).map(entryOf))
  await expect(readFile(join(shard, 'tile/entries/000'))).rejects.toMatchObject({ code: 'ENOENT' })
  await mkdir(join(shard, 'tile/entries/001'), { recursive: true })
  expect(await (await sourcesIn(dir))[0]!.read('tile/entries')).toBeUndefined()
})

test('a pipe in a log folder is no file of it, and nobody waits at it; what was read is given back', async () => {
  await mkdir(join(dir, '7/tile/0'), { recursive: true })
  await run('mkfifo', [join(dir, '7/tile/0/000')])
  const source = (await sourcesIn(dir)).find(({ shard }) => shard === 7)!
  expect(await source.read('tile/0/000')).toBeUndefined()

  const [first] = await sourcesIn(dir)
  const bundle = (await first!.read('tile/entries/000'))!
  expect(bundle.length).toBeGreaterThan(131_072)
  first!.release!(bundle)
  expect(bundle.length).toBe(0)
  const small = Buffer.from('what lies in a pool')
  first!.release!(small)
  expect(small.toString()).toBe('what lies in a pool')
})
