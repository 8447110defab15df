import { readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { parseCheckpoint } from '../../../audit/log/checkpoint.ts'
import { consistencyProof, Frontier, leafHash, rootAt, verifyConsistency } from '../../../audit/log/merkle.ts'
import { openNote, parseVerifierKey } from '../../../audit/log/note.ts'
import { verifyReceipt } from '../../../audit/log/receipt.ts'
import { hashesFromTiles, readBundle } from '../../../audit/log/tiles.ts'
import type { Auditor } from '../../../audit/node/auditor.ts'
import { verifyEd25519 } from '../../../audit/node/ed25519.ts'
import { tileReader } from '../../../audit/node/folder.ts'
import { openFileSigner } from '../../../audit/node/signer.ts'
import type { Store } from '../../../audit/node/store.ts'
import { chunksOf } from '../../../audit/store/chunk.ts'
import { eq, sql } from '../../../audit/store/drizzle.ts'
import { readLeaves } from '../../../audit/store/leaves.ts'
import { checkpoints, meansOf, offsets } from '../../../audit/store/schema.ts'
import { toHex } from '../../../core/bytes.ts'
import type { Checkpoint } from '../../../core/log.ts'
import {
  makeProducer,
  makeWorld,
  message,
  openTestStore,
  type Producer,
  sha256,
  type World,
} from './auditor-fixture.ts'

let store: Store
let world: World
beforeAll(async () => {
  store = await openTestStore()
})
beforeEach(async () => {
  world = await makeWorld(store)
})
afterEach(() => world.end())
afterAll(() => store.close())

const shardDir = () => join(world.dir, 'log/0')

/** The checkpoint that strangers see, its signature checked. */
async function published(): Promise<Checkpoint & { note: string }> {
  const note = await readFile(join(shardDir(), 'checkpoint'), 'utf8')
  const opened = await openNote(note, [parseVerifierKey(sha256, world.signer.verifierKey)!], verifyEd25519)
  if (!opened.ok) throw new Error(opened.detail)
  return { ...parseCheckpoint(opened.text)!, note }
}

async function rootOfLeaves(size: number): Promise<string> {
  const tree = new Frontier(sha256)
  const leaves = await readLeaves(store.db, 0, [...Array(size).keys()])
  for (const { bytes } of leaves) tree.append(leafHash(sha256, bytes))
  return toHex(tree.root())
}

const filesOf = async (): Promise<string[]> =>
  (await readdir(shardDir(), { recursive: true, withFileTypes: true }))
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(shardDir().length + 1))
    .sort()

let offset = 0
beforeEach(() => {
  offset = 0
})
const send = (auditor: Auditor, producer: Producer, lines: readonly Uint8Array[]) =>
  auditor.ingest(0, [message(offset++, producer.producer, lines)])

test('every checkpoint is the root over the leaves, and extends the one before', async () => {
  const auditor = await world.open()
  const orders = makeProducer()
  let before: Checkpoint | undefined
  for (const lines of [
    [orders.start()],
    orders.decisions(3),
    orders.decisions(251),
    orders.decisions(1),
    orders.decisions(300),
  ]) {
    await send(auditor, orders, lines)
    await auditor.checkpoint()
    const now = await published()
    expect(toHex(now.root)).toBe(await rootOfLeaves(now.size))
    const hashAt = hashesFromTiles(sha256, tileReader(shardDir()), now.size)
    expect(toHex(await rootAt(sha256, now.size, hashAt))).toBe(toHex(now.root))
    if (before) {
      const proof = await consistencyProof(sha256, before.size, now.size, hashAt)
      expect(verifyConsistency(sha256, before.size, now.size, proof, before.root, now.root)).toBe(true)
    }
    before = now
  }
  expect(before!.size).toBe(557)
  const rows = await store.db.select().from(checkpoints).orderBy(checkpoints.size)
  expect(rows.map((row) => row.size)).toEqual([2, 5, 256, 257, 557])
  expect(rows.at(-1)!.note).toBe((await published()).note)
})

test('whole tiles are there once, partial ones for every published size until the whole one is, empty ones never', async () => {
  const auditor = await world.open()
  const orders = makeProducer()
  await send(auditor, orders, [orders.start(), ...orders.decisions(8)])
  await auditor.checkpoint()
  await send(auditor, orders, orders.decisions(10))
  await auditor.checkpoint()
  expect(await filesOf()).toEqual([
    'checkpoint',
    'tile/0/000.p/10',
    'tile/0/000.p/20',
    'tile/entries/000.p/10',
    'tile/entries/000.p/20',
  ])
  await send(auditor, orders, orders.decisions(236))
  await auditor.checkpoint()
  expect(await filesOf()).toEqual(['checkpoint', 'tile/0/000', 'tile/1/000.p/1', 'tile/entries/000.gz'])
})

test('the bundles hold the leaves verbatim', async () => {
  const auditor = await world.open()
  const orders = makeProducer()
  const lines = [orders.start(), ...orders.decisions(300)]
  await send(auditor, orders, lines)
  await auditor.checkpoint()
  const second = await readBundle(tileReader(shardDir()), 1, 302)
  expect(second.map(toHex)).toEqual(lines.slice(255).map(toHex))
})

test('no checkpoint is made of nothing, nor a second of the same tree', async () => {
  const auditor = await world.open()
  await auditor.nextOffset(0)
  await auditor.checkpoint()
  // Whoever verifies the folder would miss a checkpoint in it.
  expect(await readdir(join(world.dir, 'log')).catch(() => [])).toEqual([])
  const orders = makeProducer()
  await send(auditor, orders, [orders.start()])
  await auditor.checkpoint()
  await auditor.checkpoint()
  expect(world.events.filter((event) => event.kind === 'checkpoint')).toEqual([
    { kind: 'checkpoint', shard: 0, size: 2 },
  ])
})

test('a crash between commit and tiles: the next auditor writes what is missing and signs it', async () => {
  const first = await world.open()
  const orders = makeProducer()
  await send(first, orders, [orders.start(), ...orders.decisions(280)])
  await first.checkpoint()
  await send(first, orders, orders.decisions(300)) // Stored, and never signed by the first.
  const second = await world.open()
  expect(await second.nextOffset(0)).toBe('2')
  await second.checkpoint()
  expect((await published()).size).toBe(582)
  expect(toHex((await published()).root)).toBe(await rootOfLeaves(582))
})

test.each([
  ['one whole tile', ['tile/0/001']],
  ['one bundle', ['tile/entries/000.gz']],
  ['a partial tile and the checkpoint', ['tile/0/002.p/30', 'checkpoint']],
  ['everything', ['tile', 'checkpoint']],
])('%s gone from the disk is made again from the store', async (_, gone) => {
  const auditor = await world.open()
  const orders = makeProducer()
  await send(auditor, orders, [orders.start(), ...orders.decisions(540)])
  await auditor.checkpoint()
  const before = await filesOf()
  for (const path of gone) await rm(join(shardDir(), path), { recursive: true })
  const next = await world.open()
  await next.nextOffset(0)
  await send(next, orders, orders.decisions(1))
  await next.checkpoint()
  const now = await published()
  expect(now.size).toBe(544)
  expect(toHex(await rootAt(sha256, 544, hashesFromTiles(sha256, tileReader(shardDir()), 544)))).toBe(
    await rootOfLeaves(544),
  )
  for (const path of before) if (!path.includes('.p/')) expect(await filesOf()).toContain(path)
})

test('a signature that never came to be published is published by the next run', async () => {
  const auditor = await world.open()
  const orders = makeProducer()
  await send(auditor, orders, [orders.start()])
  await auditor.checkpoint()
  const { note } = await published()
  await rm(join(shardDir(), 'checkpoint'))
  await store.db.delete(checkpoints)
  const next = await world.open()
  await next.nextOffset(0)
  await next.checkpoint()
  expect((await published()).note).toBe(note)
  expect(await store.db.select({ size: checkpoints.size }).from(checkpoints)).toEqual([{ size: 2 }])
})

test('receipts verify, and there is none before the checkpoint that covers the record', async () => {
  const auditor = await world.open()
  const orders = makeProducer()
  const lines = [orders.start(), ...orders.decisions(300)]
  await send(auditor, orders, lines)
  expect(await auditor.findReceipt({ epoch: orders.epoch, seq: 7 })).toBeUndefined()
  await auditor.checkpoint()
  const keys = [parseVerifierKey(sha256, world.signer.verifierKey)!]
  for (const seq of [0, 7, 255, 300]) {
    const receipt = (await auditor.findReceipt({ epoch: orders.epoch, seq }))!
    expect(receipt.index).toBe(seq + 1)
    const verified = await verifyReceipt(receipt, leafHash(sha256, lines[seq]!), keys, sha256, verifyEd25519)
    expect(verified).toMatchObject({ ok: true, checkpoint: { origin: 'bank.example/audit/0', size: 302 } })
    const other = await verifyReceipt(receipt, leafHash(sha256, lines[seq === 0 ? 1 : 0]!), keys, sha256, verifyEd25519)
    expect(other).toMatchObject({ ok: false })
  }
  expect(await auditor.findReceipt({ epoch: orders.epoch, seq: 301 })).toBeUndefined()
})

test('a store that was rolled back is not signed and takes nothing in; one that was not goes on', async () => {
  const auditor = await world.open()
  const orders = makeProducer()
  await send(auditor, orders, [orders.start(), ...orders.decisions(5)])
  await auditor.checkpoint()
  const next = await world.open()
  expect(await next.nextOffset(0)).toBe('1')

  await store.db.execute(sql`delete from batches where last >= 5`)
  await store.db.update(offsets).set({ nextOffset: '0' }).where(eq(offsets.shard, 0))
  await expect(next.nextOffset(0)).rejects.toMatchObject({ code: 'fork', cure: expect.stringContaining('restore') })
  await expect(send(next, orders, orders.decisions(1))).rejects.toMatchObject({ code: 'fork' })
  await expect(next.checkpoint()).rejects.toMatchObject({ code: 'fork' })
  expect((await published()).size).toBe(7)
})

test('a leaf that was changed in the store is not signed once the tiles are made again from it', async () => {
  const auditor = await world.open()
  const orders = makeProducer()
  await send(auditor, orders, [orders.start(), ...orders.decisions(300)])
  await auditor.checkpoint()
  await rm(join(shardDir(), 'tile'), { recursive: true })
  const leaves = (await readLeaves(store.db, 0, [...Array(302).keys()])).map(({ bytes }) => ({ bytes }))
  leaves[3]!.bytes[20]! ^= 1
  const { compress } = meansOf(store.db)
  const [chunk] = chunksOf(leaves)
  await store.db.execute(sql`update chunks set bytes = ${await compress(chunk!.bytes)}`)
  const next = await world.open()
  await next.nextOffset(0)
  await send(next, orders, orders.decisions(1))
  await expect(next.checkpoint()).rejects.toMatchObject({ code: 'fork' })
  expect((await published()).size).toBe(302)

  await store.db.execute(sql`update chunks set bytes = 'nonsense' where first = 0`)
  const last = await world.open()
  await last.nextOffset(0)
  await expect(last.checkpoint()).rejects.toMatchObject({ code: 'log_invalid' })
})

test('a signer that forgot everything does not begin anew on a log that was published', async () => {
  const auditor = await world.open()
  const orders = makeProducer()
  await send(auditor, orders, [orders.start()])
  await auditor.checkpoint()
  await auditor.close()
  await world.signer.close()
  await rm(join(world.dir, 'signer'), { recursive: true })
  world.signer = await openFileSigner({ dir: join(world.dir, 'signer'), name: 'bank.example/audit', sha256 })
  const next = await world.open()
  await expect(next.nextOffset(0)).rejects.toMatchObject({ code: 'fork' })
})

test('a log folder that cannot be written stops no record, and is made good when it can be', async () => {
  const auditor = await world.open()
  const orders = makeProducer()
  await send(auditor, orders, [orders.start()])
  await auditor.checkpoint()
  await rm(join(shardDir(), 'tile'), { recursive: true })
  await writeFile(join(shardDir(), 'tile'), 'in the way')
  await send(auditor, orders, orders.decisions(300))
  await expect(auditor.checkpoint()).rejects.toMatchObject({ code: 'log_invalid' })
  await send(auditor, orders, orders.decisions(5))
  await rm(join(shardDir(), 'tile'))
  await auditor.checkpoint()
  expect((await published()).size).toBe(307)
  expect(toHex((await published()).root)).toBe(await rootOfLeaves(307))
})

test('an auditor that lost its partition to another stops signing it, without a false alarm', async () => {
  const [a, b] = [await world.open(), await world.open()]
  const orders = makeProducer()
  await send(a, orders, [orders.start()])
  await a.checkpoint()
  await b.nextOffset(0)
  await send(b, orders, orders.decisions(3))
  await b.checkpoint()
  await a.checkpoint()
  expect(world.events.filter((event) => event.kind === 'behind')).toEqual([])
  expect((await published()).size).toBe(6)
})

test('a second shard is a second log', async () => {
  const auditor = await world.open()
  const [orders, web] = [makeProducer(), makeProducer('web')]
  await auditor.ingest(0, [message(0, orders.producer, [orders.start()])])
  await auditor.ingest(1, [message(0, web.producer, [web.start(), web.decision()])])
  await auditor.checkpoint()
  expect(await readFile(join(world.dir, 'log/1/checkpoint'), 'utf8')).toMatch(/^bank\.example\/audit\/1\n3\n/)
  expect(auditor.status().shards).toEqual([
    { shard: 0, size: 2, checkpointed: 2, nextOffset: '1' },
    { shard: 1, size: 3, checkpointed: 3, nextOffset: '1' },
  ])
  expect((await store.db.execute(sql`select count(*)::integer as n from checkpoints`)) as unknown).toMatchObject({
    rows: [{ n: 2 }],
  })
})
