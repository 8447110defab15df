import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Decrypter, generateX25519Identity, identityToRecipient } from 'age-encryption'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { parseVerifierKey } from '../../../audit/log/note.ts'
import { type Auditor, type AuditorEvent, openAuditor } from '../../../audit/node/auditor.ts'
import { type BackupManifest, makeBackup } from '../../../audit/node/backup.ts'
import { verifyPlace } from '../../../audit/node/examine.ts'
import { rebuildStore, restoreBackup } from '../../../audit/node/restore.ts'
import { type FileSigner, openFileSigner } from '../../../audit/node/signer.ts'
import { openStore, type Store } from '../../../audit/node/store.ts'
import { asc } from '../../../audit/store/drizzle.ts'
import { epochs, gaps, offsets, outcomes, records } from '../../../audit/store/schema.ts'
import { toHex } from '../../../core/bytes.ts'
import type { StreamMessage } from '../../../core/ports.ts'
import {
  makeProducer,
  message,
  now,
  type Producer,
  random,
  sha256,
  trustDomain,
  verifyHead,
} from './auditor-fixture.ts'

let dir: string
let store: Store
let signer: FileSigner
let auditor: Auditor
/** All that the stream ever held, at its offset. */
let stream: StreamMessage[]
const events: AuditorEvent[] = []
const opened: Store[] = []

const newStore = async (): Promise<Store> => {
  const one = await openStore({ kind: 'pglite' })
  opened.push(one)
  return one
}
const openOver = (over: Store, logDir: string, catchUp = false): Promise<Auditor> =>
  openAuditor({
    ...{ signer, trustDomain, verifyHead, now, random, sha256, logDir, catchUp },
    store: over,
    cluster: 'main',
    software: 'writ test',
    rootsOf: () => [],
    onEvent: (event) => events.push(event),
  })
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'writ-backup-'))
  stream = []
  events.length = 0
  store = await newStore()
  signer = await openFileSigner({ dir: join(dir, 'signer'), name: 'bank.example/audit', sha256 })
  auditor = await openOver(store, join(dir, 'log'))
})
afterEach(async () => {
  await auditor.close()
  await signer.close()
  for (const one of opened.splice(0)) await one.close()
  await rm(dir, { recursive: true })
})

const send = async (producer: Producer, lines: readonly Uint8Array[]): Promise<void> => {
  const sent = message(stream.length, producer.producer, lines)
  stream.push(sent)
  await auditor.ingest(0, [sent])
}
/** What the stream has from where the store wants it. */
const replayInto = async (to: Auditor): Promise<void> => {
  const from = Number(await to.nextOffset(0))
  for (const sent of stream.slice(from)) await to.ingest(0, [sent])
}
const backup = (more: Partial<Parameters<typeof makeBackup>[1]> = {}): Promise<BackupManifest> =>
  makeBackup(join(dir, 'backup'), {
    ...{ store, sha256, at: '2026-11-23T17:04:09Z' },
    logDir: join(dir, 'log'),
    verifierKey: signer.verifierKey,
    ...more,
  })
const restore = async (to: Store, from = 'backup') =>
  restoreBackup(join(dir, from), { store: to, logDir: join(dir, 'restored'), verifyHead, sha256, now })
const verified = async (of: Store, log: string) =>
  (
    await verifyPlace({
      dir: join(dir, log),
      key: parseVerifierKey(sha256, signer.verifierKey)!,
      ...{ verifyHead, sha256, db: of.db },
      pinned: [{ trustDomain, sequence: 0, fromMs: 0, roots: [Uint8Array.of(1)], id: '' }],
    })
  ).verification

/** Everything that the tables say, but for when the auditor itself wrote a row. */
const tablesOf = async ({ db }: Store) => ({
  records: await db.select().from(records).orderBy(asc(records.shard), asc(records.index)),
  outcomes: await db.select().from(outcomes).orderBy(asc(outcomes.epoch), asc(outcomes.seq)),
  epochs: (await db.select().from(epochs).orderBy(asc(epochs.epoch))).map((row) =>
    row.producer.endsWith('/writ/auditor') ? { ...row, startedAt: '', lastAt: '' } : row,
  ),
  gaps: await db.select().from(gaps).orderBy(asc(gaps.epoch), asc(gaps.first)),
})

const allow = (count: number) => ({ counts: { allow: count, deny: 0, fault: 0 } })

/** A log with everything in it: several epochs, a gap half closed, a bad head, outcomes, an equivocation, garbage. */
async function busy(): Promise<Producer> {
  const [orders, web] = [makeProducer(), makeProducer('web')]
  await send(orders, [orders.start(), ...orders.decisions(300), orders.outcomes(1, 2, 3), orders.head(allow(300))])
  const [start, a, b, c, d] = [web.start(), web.decision(), web.decision(), web.decision(), web.decision()]
  await send(web, [start, d]) // 1 to 3 are missing, and 2 comes late.
  await send(web, [b])
  await send(web, [web.head({ sig: 'AAAA' })])
  await send(web, [Uint8Array.from(a).fill(65, 5, 6), c.subarray(0, 20)])
  await send(orders, orders.decisions(40))
  return orders
}

describe('a backup', () => {
  test('restores to the same tables row for row, with gaps, heads and outcomes, from the log alone', async () => {
    await busy()
    await auditor.checkpoint()
    await backup()
    const other = await newStore()
    const { shards, verification } = await restore(other)
    const { size } = (await signer.last('bank.example/audit/0'))!
    expect(shards).toEqual([{ shard: 0, from: 0, size }])
    expect(verification.findings.filter(({ code }) => code.startsWith('row_'))).toEqual([])
    expect(await tablesOf(other)).toEqual(await tablesOf(store))
    expect((await tablesOf(store)).gaps.length).toBe(3)
    expect(await other.db.select({ nextOffset: offsets.nextOffset }).from(offsets)).toEqual([
      { nextOffset: String(stream.length) },
    ])
  })

  test('made under load: what came since is replayed, the same tree comes out, and only then is more signed', async () => {
    const orders = await busy()
    await auditor.checkpoint()
    const [manifest] = await Promise.all([
      backup(),
      send(orders, orders.decisions(20)).then(() => auditor.checkpoint()),
    ])
    await send(orders, orders.decisions(700))
    await auditor.checkpoint()
    const last = (await signer.last('bank.example/audit/0'))!
    expect(manifest.shards[0]!.size).toBeLessThan(last.size)

    const other = await newStore()
    await restore(other)
    await expect((await openOver(other, join(dir, 'restored'))).nextOffset(0)).rejects.toMatchObject({ code: 'fork' })
    const next = await openOver(other, join(dir, 'restored'), true)
    await next.nextOffset(0)
    await next.checkpoint() // Signs nothing: the signer would refuse what is shorter.
    await replayInto(next)
    await next.checkpoint()
    expect(await signer.last('bank.example/audit/0')).toEqual(last)
    expect(await readFile(join(dir, 'restored/0/checkpoint'), 'utf8')).toContain(`\n${last.size}\n`)
    const more = message(stream.length, orders.producer, [...orders.decisions(3), orders.head(allow(1063))])
    await next.ingest(0, [more])
    await next.checkpoint()
    expect((await signer.last('bank.example/audit/0'))!.size).toBe(last.size + 5) // With the start of this auditor.
    const { findings } = await verified(other, 'restored')
    expect(findings.filter(({ code }) => code.startsWith('row_') || code.startsWith('start_'))).toEqual([])
    await next.close()
  })

  test('a stream that brings something else is refused at the place that was signed, and nothing of it is signed', async () => {
    const orders = makeProducer()
    await send(orders, [orders.start(), ...orders.decisions(10)])
    await auditor.checkpoint()
    await backup()
    await send(orders, orders.decisions(20))
    await send(makeProducer('web'), [makeProducer('web').start()])
    await auditor.checkpoint()
    const last = await signer.last('bank.example/audit/0')
    const other = await newStore()
    await restore(other)
    stream[2] = message(2, 'spiffe://bank.example/web', [makeProducer('web').decision()])
    const next = await openOver(other, join(dir, 'restored'), true)
    await expect(replayInto(next)).rejects.toMatchObject({ code: 'fork', cure: expect.stringContaining('new-log') })
    expect(await signer.last('bank.example/audit/0')).toEqual(last)
    await next.close().catch(() => undefined)
  })

  test('a second one into the same folder takes what is new, and the first checkpoint is a beginning of it', async () => {
    const orders = await busy()
    await auditor.checkpoint()
    const first = await backup()
    await send(orders, orders.decisions(500))
    await auditor.checkpoint()
    const second = await backup()
    expect(second.shards[0]!.size).toBe(first.shards[0]!.size + 500)
    const other = await newStore()
    expect((await restore(other)).shards[0]!.size).toBe(second.shards[0]!.size)
  })

  test.each([
    ['a tile', 'log/0/tile/0/000'],
    ['a bundle', 'log/0/tile/entries/000'],
    ['the checkpoint', 'log/0/checkpoint'],
  ])('%s that was changed in it is not restored', async (_, path) => {
    await busy()
    await auditor.checkpoint()
    await backup()
    const bytes = await readFile(join(dir, 'backup', path))
    bytes[40]! ^= 1
    await writeFile(join(dir, 'backup', path), bytes)
    await expect(restore(await newStore())).rejects.toMatchObject({ code: 'log_invalid' })
  })

  test('is not made of a store that holds more than was signed: its offset would be ahead of its entries', async () => {
    const orders = await busy()
    await auditor.checkpoint()
    await send(orders, orders.decisions(1))
    await expect(backup({ waitMs: 0 })).rejects.toMatchObject({ code: 'unavailable' })
  })

  test('nothing is restored over anything that is there', async () => {
    await busy()
    await auditor.checkpoint()
    await backup()
    await expect(restore(store)).rejects.toMatchObject({ code: 'usage', message: expect.stringContaining('not empty') })
  })

  test('the signing key is in it only for whom it is named, and only encrypted', async () => {
    await busy()
    await auditor.checkpoint()
    const identity = await generateX25519Identity()
    const recipients = [await identityToRecipient(identity)]
    await backup({ secret: { path: join(dir, 'signer/log.key'), recipients } })
    const sealed = await readFile(join(dir, 'backup/log.key.age'))
    const decrypter = new Decrypter()
    decrypter.addIdentity(identity)
    const plain = await decrypter.decrypt(Uint8Array.from(sealed), 'text')
    expect(plain).toBe(await readFile(join(dir, 'signer/log.key'), 'utf8'))
    expect(toHex(Uint8Array.from(sealed))).not.toContain(toHex(new TextEncoder().encode(plain.split('\n')[1]!)))
    await expect(backup({ secret: { path: join(dir, 'signer/log.key'), recipients: ['bob'] } })).rejects.toMatchObject({
      code: 'usage',
    })
  })
})

test('a store that is behind its log folder is brought up from it, and the auditor goes on without a new log', async () => {
  const orders = await busy()
  await auditor.checkpoint()
  await backup()
  await send(orders, orders.decisions(400))
  await auditor.checkpoint()
  const last = (await signer.last('bank.example/audit/0'))!
  const other = await newStore()
  await restore(other)
  // The folder lived on: it has all that was signed.
  await rm(join(dir, 'restored'), { recursive: true })
  await cp(join(dir, 'log'), join(dir, 'restored'), { recursive: true })
  const parts = { store: other, logDir: join(dir, 'restored'), verifyHead, sha256, now }
  const { shards } = await rebuildStore(signer.verifierKey, parts)
  expect(shards).toEqual([{ shard: 0, from: last.size - 400, size: last.size }])
  expect((await tablesOf(other)).records).toEqual((await tablesOf(store)).records)
  const next = await openOver(other, join(dir, 'restored'))
  await replayInto(next) // From an earlier offset: all of it is known.
  expect(next.status().tally).toMatchObject({ records: 0, gaps: 0 })
  await next.close()
})
