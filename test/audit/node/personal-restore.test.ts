/** Personal fields of a store that was made again say what they said before: disclosed, withheld or erased. */

import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import fc from 'fast-check'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { parseVerifierKey } from '../../../audit/log/note.ts'
import { readKeys } from '../../../audit/node/archive-keys.ts'
import type { Auditor } from '../../../audit/node/auditor.ts'
import { makeBackup } from '../../../audit/node/backup.ts'
import { disclose } from '../../../audit/node/disclose.ts'
import { verifyPlace } from '../../../audit/node/examine.ts'
import { tileReader } from '../../../audit/node/folder.ts'
import { rebuildStore, restoreBackup } from '../../../audit/node/restore.ts'
import { archiveDue, runRetention } from '../../../audit/node/retain.ts'
import type { Store } from '../../../audit/node/store.ts'
import { openVault, type Vault } from '../../../audit/node/vault.ts'
import { withSealed } from '../../../audit/query/node/sealed.ts'
import { recordsUnder } from '../../../audit/store/disclosures.ts'
import { parseDisclosures } from '../../../audit/store/disclosures-again.ts'
import { utf8 } from '../../../core/bytes.ts'
import type { RecordSink, StreamMessage } from '../../../core/ports.ts'
import { decisionId, type RecordId } from '../../../core/record.ts'
import { formatTime } from '../../../core/time.ts'
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
import { decided, factsOf, recordedBy } from './personal-kit.ts'

let world: World
let auditor: Auditor
let vault: Vault
let dir: string
let opened: Store[]
/** All that the stream ever held. */
let stream: StreamMessage[]

const newStore = async (): Promise<Store> => {
  const store = await openTestStore()
  opened.push(store)
  return store
}

beforeEach(async () => {
  opened = []
  stream = []
  world = await makeWorld(await newStore())
  dir = await mkdtemp(join(tmpdir(), 'writ-personal-'))
  const files = (shard: number) => tileReader(join(world.dir, 'log', String(shard)))
  Object.assign(world.store.db.means!, { files })
  vault = await openVault(join(dir, 'keys'), new Uint8Array(32).fill(7))
  auditor = await world.open()
})
afterEach(async () => {
  await world.end()
  for (const store of opened) await store.close()
  await rm(dir, { recursive: true })
})

/** The auditor behind a stream that remembers. */
const remembered: Auditor = {
  get status() {
    return auditor.status
  },
  nextOffset: (partition: number) => auditor.nextOffset(partition),
  ingest: async (partition: number, messages: readonly StreamMessage[]) => {
    stream.push(...messages)
    await auditor.ingest(partition, messages)
  },
} as Auditor

const recorded = <T>(work: (sink: RecordSink) => Promise<T>, name = 'orders'): Promise<T> =>
  recordedBy(remembered, work, vault, name)

async function erase(subject: string): Promise<string> {
  const { blind, keys } = await vault.find(subject)
  const body = { kind: 'erased', subject: blind, keys, basis: 'GDPR 17', approver: 'carol' } as const
  const id = await recorded(async (sink) => (await sink.keep(body)) as RecordId, 'writ/control')
  await vault.destroy(blind)
  return decisionId(id)
}

/** Ann, who is erased, and Bea, who is not. */
async function twoSubjects(): Promise<{ readonly ann: RecordId; readonly bea: RecordId; readonly erased: string }> {
  const { ann, bea } = await recorded(async (sink) => ({
    ann: await decided(sink, factsOf('ann@bank.example')),
    bea: await decided(sink, factsOf('bea@bank.example')),
  }))
  return { ann, bea, erased: await erase('ann@bank.example') }
}

const stateIn = async (store: Store, of: RecordId) => (await disclose(store.db, vault, of, sha256))!
const backup = async (): Promise<string> => {
  await auditor.checkpoint()
  const out = join(dir, 'backup')
  const { verifierKey } = world.signer
  await makeBackup(out, {
    ...{ store: world.store, logDir: join(world.dir, 'log'), verifierKey, sha256, at: '2026-11-28T12:00:00Z' },
  })
  return out
}
const placeOf = (store: Store, logDir: string) => ({ store, logDir, verifyHead, sha256, now })
const restored = async (from: string): Promise<Store> => {
  const store = await newStore()
  await restoreBackup(from, placeOf(store, join(dir, 'restored')))
  return store
}

test('a store from a backup says erased of what was erased, by whose word, and opens what was not', async () => {
  const { ann, bea, erased } = await twoSubjects()
  const store = await restored(await backup())
  expect(await stateIn(store, ann)).toMatchObject({ state: 'erased', erasedBy: erased })
  expect(await stateIn(store, bea)).toMatchObject({
    ...{ state: 'disclosed', fields: { 'header x-user': 'bea@bank.example' } },
  })
  const rows = [0, 1, 2, 3, 4, 5, 6, 7].map((index) => ({ shard: 0, index })) as never
  const shown = await withSealed(store.db, rows)
  expect(shown).toEqual(await withSealed(world.store.db, rows))
  expect(JSON.stringify(shown)).toContain(`"erasedBy":"${erased}"`)
  expect(await recordsUnder(store.db, (await vault.find('bea@bank.example')).keys, 9)).toEqual([decisionId(bea)])
})

test('an erasure after the backup empties what the next one holds, and nothing of the former is left', async () => {
  const { bea } = await twoSubjects()
  const out = await backup()
  const [before] = await readdir(join(out, 'disclosures/0'))
  const again = await backup()
  expect(await readdir(join(again, 'disclosures/0'))).toEqual([before])
  await erase('bea@bank.example')
  await backup()
  const [after, ...more] = await readdir(join(out, 'disclosures/0'))
  expect([after === before, more]).toEqual([false, []])
  expect(await stateIn(await restored(out), bea)).toMatchObject({ state: 'erased' })
})

test('a backup whose disclosures were changed is not restored', async () => {
  await twoSubjects()
  const out = await backup()
  const [name] = await readdir(join(out, 'disclosures/0'))
  await writeFile(join(out, 'disclosures/0', name!), gzipSync('{}\n'))
  await expect(restored(out)).rejects.toMatchObject({ code: 'log_invalid', message: expect.stringContaining(name!) })
})

test('a store from the log folder alone has them once Kafka brings its records again', async () => {
  const { ann, bea, erased } = await twoSubjects()
  await auditor.checkpoint()
  const logDir = join(dir, 'lived-on')
  await cp(join(world.dir, 'log'), logDir, { recursive: true })
  const store = await newStore()
  await rebuildStore(world.signer.verifierKey, placeOf(store, logDir))
  expect(await stateIn(store, ann)).toMatchObject({ state: 'withheld' })
  expect(await stateIn(store, bea)).toMatchObject({ state: 'withheld' })
  const next = await world.open(store, { logDir })
  for (const sent of stream) await next.ingest(0, [sent])
  expect(next.status().tally).toMatchObject({ records: 0, anomalies: 0 })
  expect(await stateIn(store, ann)).toMatchObject({ state: 'erased', erasedBy: erased })
  expect(await stateIn(store, bea)).toMatchObject({ state: 'disclosed' })
})

async function pruned(out: string): Promise<void> {
  const orders = makeProducer('filler')
  let offset = Number(await auditor.nextOffset(0))
  const send = async (lines: readonly Uint8Array[]): Promise<void> => {
    await auditor.ingest(0, [message(offset++, orders.producer, lines)])
    await auditor.checkpoint()
  }
  await send([orders.start(), ...orders.decisions(600)])
  const parts = { store: world.store, logDir: join(world.dir, 'log'), shard: 0, olderThan: formatTime(now()) }
  await send(orders.decisions(10))
  await archiveDue(out, parts)
  const ticking = setInterval(() => void auditor.checkpoint().catch(() => undefined), 20)
  await runRetention({ ...parts, archive: out }).finally(() => clearInterval(ticking))
}
const brokenIn = async (archive: string): Promise<readonly string[]> => {
  const { verification } = await verifyPlace({
    ...{ dir: join(world.dir, 'log'), key: parseVerifierKey(sha256, world.signer.verifierKey)! },
    ...{ verifyHead, sha256, archive },
    pinned: [{ trustDomain, sequence: 0, fromMs: 0, roots: [Uint8Array.of(1)], id: '' }],
  })
  return verification.findings.filter(({ code }) => code.startsWith('archive')).map(({ what }) => what)
}
const keysName = '000000000000-000000000511.keys.gz'

test('a store from the archive says erased, withheld of what was pruned, and erased once that is erased too', async () => {
  const out = join(dir, 'archive')
  const { ann, bea, erased } = await twoSubjects()
  await pruned(out)
  expect(await disclose(world.store.db, vault, ann, sha256)).toBeUndefined()
  expect(await readdir(join(out, '0'))).toContain(keysName)
  expect(await brokenIn(out)).toEqual([])
  const logDir = join(dir, 'filled')
  await cp(join(world.dir, 'log'), logDir, { recursive: true })
  const store = await newStore()
  await rebuildStore(world.signer.verifierKey, { ...placeOf(store, logDir), archive: out })
  expect(await stateIn(store, ann)).toMatchObject({ state: 'erased', erasedBy: erased })
  expect(await stateIn(store, bea)).toMatchObject({ state: 'withheld' })
  const before = stream.length
  await erase('bea@bank.example')
  const next = await world.open(store, { logDir })
  const from = Number(await next.nextOffset(0).then((offset) => offset ?? 0))
  for (const [i, sent] of stream.slice(before).entries()) await next.ingest(0, [{ ...sent, offset: String(from + i) }])
  expect(await stateIn(store, bea)).toMatchObject({ state: 'erased' })
})

test('keys of an archive that are gone, others, or of records that are not in their file are named', async () => {
  const out = join(dir, 'archive')
  await twoSubjects()
  await pruned(out)
  const path = join(out, '0', keysName)
  const good = await readFile(path)
  await writeFile(path, gzipSync('{}\n'))
  expect(await brokenIn(out)).toEqual([`${keysName} is not the file that was written`])
  await rm(path)
  expect(await brokenIn(out)).toEqual([`${keysName} is gone`])
  const read = await readKeys(good)
  if ('wrong' in read) throw new Error(read.wrong)
  const stray = gzipSync(`${JSON.stringify({ ...read[0]!, seq: 999 })}\n`)
  await writeFile(path, stray)
  const sums = join(out, '0/SHA256SUMS')
  const digest = (bytes: Uint8Array) => Buffer.from(sha256(bytes)).toString('hex')
  await writeFile(sums, (await readFile(sums, 'utf8')).replace(digest(good), digest(stray)))
  expect(await brokenIn(out)).toEqual([expect.stringContaining('999, which is no record with digests')])
})

test('whatever lines there are, reading them as disclosures ends with an answer', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      parseDisclosures(bytes)
    }),
  )
  const line = { epoch: 'ab'.repeat(12), seq: 3, key: '0'.repeat(32), sealed: 'AA' }
  expect(parseDisclosures(utf8(`${JSON.stringify(line)}\n`))).toEqual([line])
  expect(parseDisclosures(utf8(JSON.stringify(line)))).toBeUndefined() // Cut short.
  for (const wrong of [{ seq: -1 }, { key: 'x' }, { sealed: 'a b' }, { epoch: 'no' }, { sealed: 7 }]) {
    expect(parseDisclosures(utf8(`${JSON.stringify({ ...line, ...wrong })}\n`))).toBeUndefined()
  }
})
