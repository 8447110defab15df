import { cp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { decodeArchive, encodeArchive } from '../../../audit/archive/file.ts'
import { leafHash } from '../../../audit/log/merkle.ts'
import { parseVerifierKey } from '../../../audit/log/note.ts'
import { openArchive } from '../../../audit/node/archive.ts'
import { verifyPlace } from '../../../audit/node/examine.ts'
import { tileReader } from '../../../audit/node/folder.ts'
import { rebuildStore } from '../../../audit/node/restore.ts'
import { archiveDue, runRetention } from '../../../audit/node/retain.ts'
import type { Store } from '../../../audit/node/store.ts'
import { asc } from '../../../audit/store/drizzle.ts'
import { records } from '../../../audit/store/schema.ts'
import { toHex } from '../../../core/bytes.ts'
import { formatTime } from '../../../core/time.ts'
import { needs, pathOf } from '../../parts/needs.ts'
import { runPython } from '../../parts/python.ts'
import {
  makeProducer,
  makeWorld,
  message,
  now,
  openTestStore,
  sha256,
  trustDomain,
  verifyHead,
  type World,
} from './auditor-fixture.ts'

const withPython = needs('python')

let store: Store
let world: World
let out: string
/** Rows of the log before anything was pruned. */
let whole: readonly unknown[]
let leaves: readonly string[]
const name = '0/000000000000-000000000511.parquet'

/** 700 old entries, of which 512 are archived in two files and pruned, and 300 that stay. */
beforeAll(async () => {
  store = await openTestStore()
  world = await makeWorld(store)
  out = join(world.dir, 'archive')
  const logDir = join(world.dir, 'log')
  Object.assign(store.db.means!, { files: (shard: number) => tileReader(join(logDir, String(shard))) })
  const auditor = await world.open()
  const orders = makeProducer()
  let offset = 0
  const send = async (lines: readonly Uint8Array[]) => {
    await auditor.ingest(0, [message(offset++, orders.producer, lines)])
    await auditor.checkpoint()
  }
  await send([orders.start(), ...orders.decisions(700), orders.outcomes(1, 2)])
  const olderThan = formatTime(now())
  await send(orders.decisions(300))
  const parts = { store, logDir, shard: 0, olderThan }
  whole = await rowsOf(store)
  leaves = (await world.log()).map((event) => JSON.stringify(event))
  expect(await archiveDue(out, parts)).toMatchObject({ from: 0, before: 512, files: 1 })
  expect(await archiveDue(out, parts)).toMatchObject({ from: 512, before: 512, files: 0 })
  const ticking = setInterval(() => void auditor.checkpoint().catch(() => undefined), 20)
  await runRetention({ ...parts, archive: out }).finally(() => clearInterval(ticking))
  await send(orders.decisions(600))
  const later = runRetention({ ...parts, olderThan: formatTime(now()), archive: out })
  const again = setInterval(() => void auditor.checkpoint().catch(() => undefined), 20)
  await later.finally(() => clearInterval(again))
})
afterAll(async () => {
  await world?.end()
  await store?.close()
})

const rowsOf = ({ db }: Store) => db.select().from(records).orderBy(asc(records.index))
async function found(archive = out): Promise<readonly string[]> {
  const { verification } = await verifyPlace({
    ...{ dir: join(world.dir, 'log'), key: parseVerifierKey(sha256, world.signer.verifierKey)! },
    ...{ verifyHead, sha256, archive },
    pinned: [{ trustDomain, sequence: 0, fromMs: 0, roots: [Uint8Array.of(1)], id: '' }],
  })
  return verification.findings.filter(({ level }) => level === 'broken').map(({ code, index }) => `${code} ${index}`)
}
/** A copy of the archive with one file of it changed. */
async function changed(file: string, change: (bytes: Buffer) => Uint8Array | undefined): Promise<string> {
  const copy = join(world.dir, 'changed')
  await rm(copy, { recursive: true, force: true })
  await cp(out, copy, { recursive: true })
  const bytes = change(await readFile(join(copy, file)))
  if (bytes) await writeFile(join(copy, file), bytes)
  else await rm(join(copy, file))
  return copy
}
const unpacked = async (bytes: Uint8Array) => {
  const archive = await openArchive(bytes)
  if ('wrong' in archive) throw new Error(archive.wrong)
  return archive
}
/** The same file written again with other leaves, as somebody would who has our program. */
async function rewritten(change: (leaves: Uint8Array[]) => void): Promise<string> {
  const { head, leaves: was } = await unpacked(await readFile(join(out, name)))
  const bytes = was.map((leaf) => leaf.bytes.slice())
  change(bytes)
  return changed(name, () => encodeArchive({ ...head, last: head.first + bytes.length - 1 }, bytes, compress))
}
const { zstdCompressSync: compress } = await import('node:zlib')

test('each retention adds a file, and the archive holds against the log that lost what is in it', async () => {
  expect((await readdir(join(out, '0'))).sort()).toEqual([
    '000000000000-000000000511.parquet',
    expect.stringMatching(/^000000000512-/),
    'SHA256SUMS',
  ])
  expect(await found()).toEqual([])
})

test('leaves are in it byte for byte, with the hashes of their bundles and a checkpoint over them', async () => {
  const { head, leaves: archived } = await unpacked(await readFile(join(out, name)))
  expect(archived.map(({ bytes }) => Buffer.from(bytes).toString())).toEqual(leaves.slice(0, 512))
  expect(head).toMatchObject({
    shard: 0,
    first: 0,
    last: 511,
    checkpoint: expect.stringContaining('bank.example/audit/0\n'),
  })
  const tile = await readFile(join(world.dir, 'log/0/tile/0/000'))
  expect(toHex(leafHash(sha256, archived[3]!.bytes))).toBe(tile.subarray(96, 128).toString('hex'))
  expect(head.nodes).toHaveLength(2)
})

test('a leaf that was altered, dropped, or put in the place of another is named', async () => {
  expect(await found(await rewritten((all) => void (all[7]![20]! ^= 1)))).toContain('leaf_mismatch 7')
  const swapped = await found(await rewritten((all) => void all.splice(9, 2, all[10]!, all[9]!)))
  expect(swapped).toEqual(['archive_invalid 0', 'leaf_mismatch 9', 'leaf_mismatch 10'])
  expect(await found(await rewritten((all) => void all.pop()))).toContain('archive_invalid 0')
})

test('a file that is gone, cut short or flipped anywhere is named', async () => {
  expect(await found(await changed(name, () => undefined))).toContain('archive_missing 0')
  expect(await found(await changed(name, (bytes) => bytes.subarray(0, 2000)))).toContain('archive_invalid 0')
  const { length } = await readFile(join(out, name))
  for (const at of [0, 5, length >> 1, length - 400, length - 6]) {
    const flipped = await changed(name, (bytes) => {
      bytes[at]! ^= 4
      return bytes
    })
    expect(await found(flipped)).toContain('archive_invalid 0')
  }
})

test('a store is filled from it again: rows and leaves of what was pruned, and they verify', async () => {
  const logDir = join(world.dir, 'filled')
  await cp(join(world.dir, 'log'), logDir, { recursive: true })
  const other = await openTestStore()
  try {
    const parts = { store: other, logDir, verifyHead, sha256, now, archive: out }
    const { shards, verification } = await rebuildStore(world.signer.verifierKey, parts)
    expect(shards).toMatchObject([{ from: 0 }])
    const broken = verification.findings.filter(({ level, code }) => level === 'broken' && code !== 'head_invalid')
    expect(broken).toEqual([]) // No roots are pinned here.
    expect((await rowsOf(other)).slice(0, whole.length)).toEqual(whole)
    await expect(rebuildStore(world.signer.verifierKey, parts)).rejects.toMatchObject({ code: 'usage' })
  } finally {
    await other.close()
  }
})

test('nothing is put back from an archive that was changed', async () => {
  const logDir = join(world.dir, 'unfilled')
  await cp(join(world.dir, 'log'), logDir, { recursive: true })
  const other = await openTestStore()
  try {
    const archive = await rewritten((all) => void (all[7]![20]! ^= 1))
    const parts = { store: other, logDir, verifyHead, sha256, now, archive }
    await expect(rebuildStore(world.signer.verifierKey, parts)).rejects.toMatchObject({ code: 'log_invalid' })
    expect(await readFile(join(logDir, '0/minimum'), 'utf8')).not.toBe('0\n')
  } finally {
    await other.close()
  }
})

test('whatever bytes there are, reading them as an archive ends with an answer', async () => {
  const bytes = await readFile(join(out, name))
  const inflate = () => new Uint8Array(10)
  await fc.assert(
    fc.asyncProperty(fc.nat(bytes.length - 1), fc.nat(255), async (at, value) => {
      const other = Uint8Array.from(bytes)
      other[at] = value
      expect(await decodeArchive(other, inflate)).toBeTypeOf('object')
    }),
    { numRuns: 50 },
  )
  expect(await decodeArchive(Uint8Array.of(1, 2), inflate)).toHaveProperty('wrong')
})

withPython('Apache Arrow reads it, and what it reads hashes to what the tile says', async () => {
  const read = `
import json, sys, hashlib, pyarrow.parquet as pq
table = pq.read_table(sys.argv[1])
rows = table.to_pylist()
print(json.dumps({'columns': table.column_names, 'kinds': [r['kind'] for r in rows[:4]], 'caller': rows[3]['caller'],
  'hash': hashlib.sha256(b'\\0' + rows[3]['leaf']).hexdigest(), 'index': rows[3]['index'],
  'shard': json.loads(pq.read_schema(sys.argv[1]).metadata[b'writ'])['shard']}))
`
  const told = JSON.parse(await runPython(pathOf('python'), read, join(out, name)))
  const tile = await readFile(join(world.dir, 'log/0/tile/0/000'))
  expect(told).toMatchObject({ hash: tile.subarray(96, 128).toString('hex'), index: 3, shard: 0 })
  expect(told).toMatchObject({ kinds: ['start', 'start', 'decision', 'decision'], caller: 'spiffe://bank.example/web' })
})
