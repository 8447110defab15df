import { mkdtemp, rm, stat } from 'node:fs/promises'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { consistencyProof, Frontier, leafHash } from '../../../audit/log/merkle.ts'
import { newestCheckpoint } from '../../../audit/log/prove.ts'
import { openAuditor } from '../../../audit/node/auditor.ts'
import { tileReader } from '../../../audit/node/folder.ts'
import { type FileSigner, openFileSigner } from '../../../audit/node/signer.ts'
import { openSignerClient } from '../../../audit/node/signer-client.ts'
import type { Store } from '../../../audit/node/store.ts'
import { sql } from '../../../audit/store/drizzle.ts'
import { checkpoints, offsets } from '../../../audit/store/schema.ts'
import { type AdminDoor, openSocketDoor } from '../../../control/node/admin-door.ts'
import { signerRoutes } from '../../../control/node/signer-door.ts'
import { utf8 } from '../../../core/bytes.ts'
import type { CheckpointSigner } from '../../../core/ports.ts'
import {
  makeProducer,
  makeWorld,
  message,
  openTestStore,
  random,
  sha256,
  trustDomain,
  type World,
} from './auditor-fixture.ts'

/** A signer that is apart: what the one in the process does, over a socket, also when either was killed. */

const name = 'bank.example/audit'
const origin = 'bank.example/audit/0'
let dir: string
let signer: FileSigner
let door: AdminDoor
let client: CheckpointSigner
const socketPath = (): string => join(dir, 'signer.sock')
const start = async (at = 'signer', as = name): Promise<void> => {
  signer = await openFileSigner({ dir: join(dir, at), name: as, sha256 })
  door = await openSocketDoor(
    socketPath(),
    signerRoutes(signer, () => undefined),
  )
}
const stop = async (): Promise<void> => {
  await door.close()
  await signer.close()
}
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'writ-signer-client-'))
  await start()
  client = await openSignerClient({ socketPath: socketPath(), name, sha256 })
})
afterEach(async () => {
  await stop()
  await rm(dir, { recursive: true })
})

const tree = (size: number, salt = '') => {
  const frontier = new Frontier(sha256)
  for (let i = 0; i < size; i++) frontier.append(leafHash(sha256, utf8(`${salt}${i}`)))
  return { origin, size, root: frontier.root() }
}
const hashAt = (level: number, index: number) => {
  const part = new Frontier(sha256)
  for (let i = index * 2 ** level; i < (index + 1) * 2 ** level; i++) part.append(leafHash(sha256, utf8(String(i))))
  return part.root()
}
const proof = (old: number, size: number) => consistencyProof(sha256, old, size, hashAt)

test('it signs, remembers and refuses a fork as the one in the process does', async () => {
  expect(client.verifierKey).toBe(signer.verifierKey)
  expect(await client.last(origin)).toBeUndefined()
  const signed = await client.sign(tree(5), [])
  expect(signed).toEqual(await signer.sign(tree(5), []))
  expect(await client.last(origin)).toEqual(tree(5))
  await expect(client.sign(tree(9, 'other'), await proof(5, 9))).rejects.toMatchObject({
    code: 'fork',
    cure: expect.stringContaining('nothing was signed'),
  })
  await client.sign(tree(9), await proof(5, 9))
  expect(await signer.last(origin)).toEqual(tree(9))
})

test('only its owner can open the socket', async () => {
  expect((await stat(socketPath())).mode & 0o777).toBe(0o600)
})

test('while it is away calls fail as unavailable, and hold once it is back', async () => {
  await client.sign(tree(5), [])
  await stop()
  await expect(client.sign(tree(9), await proof(5, 9))).rejects.toMatchObject({ code: 'unavailable' })
  await expect(client.last(origin)).rejects.toMatchObject({ code: 'unavailable' })
  await expect(openSignerClient({ socketPath: socketPath(), name, sha256 })).rejects.toMatchObject({
    code: 'unavailable',
    cure: expect.stringContaining('writ signer'),
  })
  await start()
  expect((await client.sign(tree(9), await proof(5, 9))).checkpoint).toEqual(tree(9))
})

test('a signer by another name is refused, and so is one that came back with another key', async () => {
  await expect(
    openSignerClient({ socketPath: socketPath(), name: 'shop.example/audit', sha256 }),
  ).rejects.toMatchObject({ code: 'config_invalid' })
  await stop()
  await start('other')
  await expect(client.sign(tree(5), [])).rejects.toMatchObject({ code: 'unavailable' })
})

test('what listens there and is no signer is not believed', async () => {
  await stop()
  let answer = ''
  const server = createServer((_, response) => response.end(answer))
  await new Promise<void>((resolve) => server.listen(socketPath(), resolve))
  for (answer of ['', '{}', 'null', '{"note":"x"}', `{"checkpoint":"${'x'.repeat(100)}"}`, 'x'.repeat(50_000)]) {
    await expect(client.sign(tree(5), [])).rejects.toMatchObject({ code: 'unavailable' })
    await expect(
      client.last(origin).then((last) => last ?? Promise.reject({ code: 'unavailable' })),
    ).rejects.toMatchObject({ code: 'unavailable' })
  }
  await new Promise((resolve) => server.close(resolve))
  await start()
})

let store: Store
let world: World
beforeAll(async () => {
  store = await openTestStore()
})
afterAll(() => store.close())
const auditorWith = (over: CheckpointSigner) =>
  openAuditor({
    ...{ store, logDir: join(world.dir, 'log'), signer: over, trustDomain, cluster: 'main', software: 'writ test' },
    ...{ random, sha256, rootsOf: () => [], verifyHead: () => ({ ok: true }) as const },
    now: () => BigInt(Date.now()) * 1_000_000n,
    onEvent: (event) => world.events.push(event),
  })
const publishedSize = async () => (await newestCheckpoint(tileReader(join(world.dir, 'log', '0'))))?.checkpoint.size

test('an auditor goes on when it or its signer came back, and a store that was rolled back is refused', async () => {
  world = await makeWorld(store)
  try {
    const producer = makeProducer()
    let offset = 0
    const send = (to: { ingest: Awaited<ReturnType<typeof auditorWith>>['ingest'] }, count: number) =>
      to.ingest(0, [message(offset++, producer.producer, producer.decisions(count))])
    const first = await auditorWith(client)
    await send(first, 5)
    await first.checkpoint()
    const before = await publishedSize()
    expect(before).toBeGreaterThan(4)

    await stop() // The signer is gone: records are taken in, and nothing is signed.
    await send(first, 300)
    await expect(first.checkpoint()).rejects.toMatchObject({ code: 'unavailable' })
    expect(await publishedSize()).toBe(before)
    await start()
    await first.checkpoint()
    const grown = await publishedSize()
    expect(grown).toBeGreaterThan(before! + 299)
    await first.close()

    const again = await openSignerClient({ socketPath: socketPath(), name, sha256 })
    const second = await auditorWith(again)
    await second.nextOffset(0)
    await send(second, 1)
    await second.checkpoint()
    expect(await publishedSize()).toBeGreaterThan(grown!)
    await second.close()

    await store.db.execute(sql`delete from batches where last >= 10`)
    await store.db.delete(checkpoints)
    await store.db.update(offsets).set({ nextOffset: '1' })
    const third = await auditorWith(again)
    await expect(third.nextOffset(0)).rejects.toMatchObject({ code: 'fork' })
    await third.close()
  } finally {
    await world.end()
  }
})
