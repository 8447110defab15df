import { cp, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { leafHash } from '../../../audit/log/merkle.ts'
import { formatVerifierKey, parseVerifierKey } from '../../../audit/log/note.ts'
import { verifyReceipt } from '../../../audit/log/receipt.ts'
import { type Auditor, type AuditorEvent, openAuditor } from '../../../audit/node/auditor.ts'
import { verifyEd25519 } from '../../../audit/node/ed25519.ts'
import { verifyPlace } from '../../../audit/node/examine.ts'
import { type NewLog, openNewLog } from '../../../audit/node/newlog.ts'
import { type FileSigner, openFileSigner } from '../../../audit/node/signer.ts'
import { openStore, type Store } from '../../../audit/node/store.ts'
import type { Verification } from '../../../audit/verify/verify.ts'
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
let offset: number
const events: AuditorEvent[] = []

const openAll = async (): Promise<void> => {
  store = await openStore({ kind: 'pglite', dir: join(dir, 'store') })
  signer = await openFileSigner({ dir: join(dir, 'signer'), name: 'bank.example/audit', sha256 })
  auditor = await openAuditor({
    ...{ store, signer, trustDomain, verifyHead, now, random, sha256 },
    logDir: join(dir, 'log'),
    cluster: 'main',
    software: 'writ test',
    rootsOf: () => [],
    onEvent: (event) => events.push(event),
  })
}
const closeAll = async (): Promise<void> => {
  await auditor.close()
  await signer.close()
  await store.close()
}
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'writ-newlog-'))
  offset = 0
  events.length = 0
  await openAll()
})
afterEach(async () => {
  await closeAll().catch(() => undefined)
  await rm(dir, { recursive: true })
})

const send = async (producer: Producer, lines: readonly Uint8Array[]): Promise<void> =>
  auditor.ingest(0, [message(offset++, producer.producer, lines)])

/** A copy of the store as it is now, beside the one of the log; `back` puts them in place of what is there then. */
async function copied(): Promise<() => Promise<void>> {
  await closeAll()
  const names = ['store', 'log']
  await cp(join(dir, 'store'), join(dir, 'store.copy'), { recursive: true })
  await openAll()
  return async () => {
    await closeAll()
    for (const name of names) {
      await rm(join(dir, name), { recursive: true })
      await cp(join(dir, `${name}.copy`), join(dir, name), { recursive: true })
    }
    await openAll()
  }
}

const newLog = (): Promise<NewLog> =>
  openNewLog({
    ...{ store, signer, trustDomain, now, random, sha256 },
    logDir: join(dir, 'log'),
    cluster: 'main',
    software: 'writ test',
    partition: 0,
    by: 'Ann',
    reason: 'the disk of the store died',
  })

const verified = async (more: Partial<Parameters<typeof verifyPlace>[0]> = {}): Promise<Verification> =>
  (
    await verifyPlace({
      dir: join(dir, 'log'),
      key: parseVerifierKey(sha256, signer.verifierKey)!,
      ...{ verifyHead, sha256, db: store.db },
      pinned: [{ trustDomain, sequence: 0, fromMs: 0, roots: [Uint8Array.of(1)], id: '' }],
      ...more,
    })
  ).verification

const found = ({ findings }: Verification, level: string): string[] =>
  findings.filter((one) => one.level === level).map(({ code, what }) => `${code}: ${what}`)

const allow = (count: number) => ({ counts: { allow: count, deny: 0, fault: 0 } })

/** 20 records, a copy, 11 more that are lost with all that could bring them back. */
async function lose(orders: Producer): Promise<{ readonly before: Uint8Array[] }> {
  const before = [orders.start(), ...orders.decisions(18), orders.head(allow(18))]
  await send(orders, before)
  await auditor.checkpoint()
  await cp(join(dir, 'log'), join(dir, 'log.copy'), { recursive: true })
  const tail = orders.decisions(2) // In the copy, under no checkpoint that is in it.
  await send(orders, tail)
  const back = await copied()
  offset = 2
  await send(orders, [...orders.decisions(10), orders.head(allow(30))])
  await auditor.checkpoint()
  await back()
  return { before: [...before, ...tail] }
}

test('after a loss that nothing replays a new log goes on, quotes the old one, and says what was lost', async () => {
  const orders = makeProducer()
  const { before } = await lose(orders)
  await expect(auditor.nextOffset(0)).rejects.toMatchObject({ code: 'fork' })
  const old = await signer.last('bank.example/audit/0')

  const opened = await newLog()
  expect(opened).toMatchObject({
    shard: 100_000,
    origin: 'bank.example/audit/0/2',
    previous: { origin: 'bank.example/audit/0', signed: { size: old!.size }, kept: { size: 23 } },
  })
  expect(await readFile(join(dir, 'log/100000/checkpoint'), 'utf8')).toMatch(/^bank\.example\/audit\/0\/2\n2\n/)
  expect(await signer.last('bank.example/audit/0')).toEqual(old) // Never a shorter one.

  // The epoch goes on: what comes again is dropped, what is gone is a gap, and what is new gets its receipt.
  expect(await auditor.nextOffset(0)).toBe('2')
  offset = 40
  await send(orders, before.slice(-2))
  const after = [...orders.decisions(5), orders.head(allow(35))]
  await send(orders, after)
  await auditor.checkpoint()
  expect(events.filter(({ kind }) => kind === 'anomaly')).toEqual([])
  const key = [parseVerifierKey(sha256, signer.verifierKey)!]
  const holds = async (seq: number, bytes: Uint8Array) => {
    const receipt = await auditor.findReceipt({ epoch: orders.epoch, seq })
    const answer = receipt && (await verifyReceipt(receipt, leafHash(sha256, bytes), key, sha256, verifyEd25519))
    return answer?.ok && answer.checkpoint.origin
  }
  expect(await holds(7, before[7]!)).toBe('bank.example/audit/0')
  expect(await holds(21, before[21]!)).toBe('bank.example/audit/0/kept')
  expect(await auditor.findReceipt({ epoch: orders.epoch, seq: 25 })).toBeUndefined()
  expect(await holds(33, after[0]!)).toBe('bank.example/audit/0/2')

  const verification = await verified()
  expect(found(verification, 'broken')).toEqual([])
  expect(found(verification, 'warning')).toEqual([
    `log_lost: of ${old!.size} leaves that were signed of bank.example/audit/0 23 are kept: ${old!.size - 23} are lost; ` +
      'a new log was opened by Ann: the disk of the store died',
    expect.stringMatching(/^gap_open: 11 records \(22 to 32\) missing/),
    expect.stringMatching(/^unattested: 2 records/),
  ])
  expect(verification.shards.map(({ origin, size }) => [origin, size])).toEqual([
    ['bank.example/audit/0', 23],
    ['bank.example/audit/0/2', 10],
  ])
})

test('a log whose key was lost with the rest is verified with both keys, and each signs its own log only', async () => {
  const orders = makeProducer()
  await lose(orders)
  const former = parseVerifierKey(sha256, signer.verifierKey)!
  await closeAll()
  await rm(join(dir, 'signer'), { recursive: true })
  await openAll()
  await newLog()
  expect(signer.verifierKey).not.toBe(formatVerifierKey(former))
  const key = parseVerifierKey(sha256, signer.verifierKey)!
  const both = await verified({ formerKeys: [former] })
  expect(found(both, 'broken')).toEqual([])
  expect(found(both, 'warning')[0]).toContain(
    'how many were signed the signer had forgotten; a new log was opened by Ann',
  )
  expect(both.shards.map(({ origin }) => origin)).toEqual(['bank.example/audit/0', 'bank.example/audit/0/2'])
  const [newKeyOnly] = found(await verified(), 'broken')
  expect(newKeyOnly).toBe('checkpoint_invalid: checkpoint: signed by no known key')
  // Whoever has the old key must not be able to begin a new log with it.
  const turned = await verified({ key: former, formerKeys: [key] })
  expect(found(turned, 'broken')).toContain('checkpoint_invalid: checkpoint: signed by no known key')
})

test('what somebody kept of the lost part fits the loss that was admitted, and more than that is a fork', async () => {
  const orders = makeProducer()
  await lose(orders)
  const old = (await signer.last('bank.example/audit/0'))!
  await newLog()
  const kept = (size: number, root = old.root) => ({ note: '', checkpoint: { origin: old.origin, size, root } })
  // Signed by nobody: the signature is judged elsewhere, so the signer of the log makes one on a copy of its memory.
  const elsewhere = join(dir, 'elsewhere')
  await cp(join(dir, 'signer'), elsewhere, { recursive: true })
  await rm(join(elsewhere, 'last'), { recursive: true })
  await rm(join(elsewhere, 'lock'), { force: true })
  const twin = await openFileSigner({ dir: elsewhere, name: 'bank.example/audit', sha256 })
  const signedTwin = async (size: number, root: Uint8Array) => {
    await rm(join(elsewhere, 'last', encodeURIComponent(old.origin)), { force: true })
    return twin.sign(kept(size, root).checkpoint, [])
  }
  expect((await verified({ checkpoints: [await signedTwin(old.size, old.root)] })).ok).toBe(true)
  await twin.close()
  const again = await openFileSigner({ dir: elsewhere, name: 'bank.example/audit', sha256 })
  await rm(join(elsewhere, 'last', encodeURIComponent(old.origin)))
  await again.close()
  const third = await openFileSigner({ dir: elsewhere, name: 'bank.example/audit', sha256 })
  const more = await third.sign(kept(old.size + 1, Uint8Array.from(old.root).fill(7)).checkpoint, [])
  expect(found(await verified({ checkpoints: [more] }), 'broken')).toEqual([
    `checkpoint_forked: a checkpoint over ${old.size + 1} leaves was signed, and the log that followed admits ${old.size}`,
  ])
  await third.close()
})

test('a log that lost nothing is not followed by another, and one that was ended is never signed again', async () => {
  const orders = makeProducer()
  await send(orders, [orders.start(), ...orders.decisions(5)])
  await auditor.checkpoint()
  await expect(newLog()).rejects.toMatchObject({ code: 'usage', message: expect.stringContaining('goes on as it is') })
  await lose(makeProducer('web'))
  const last = (await signer.last('bank.example/audit/0'))!
  await newLog()
  await expect(signer.sign({ ...last, size: last.size + 1 }, [])).rejects.toMatchObject({ code: 'fork' })
  await expect(signer.sign(last, [])).rejects.toMatchObject({ code: 'fork', message: expect.stringContaining('ended') })
})

test('a log that follows without a word of it, and one that was ended without another, are broken', async () => {
  const orders = makeProducer()
  await lose(orders)
  await newLog()
  await send(orders, orders.decisions(3))
  await auditor.checkpoint()
  expect((await verified()).ok).toBe(true)
  await rm(join(dir, 'log/0/checkpoint.kept'))
  expect(found(await verified({ db: undefined as never }), 'broken')[0]).toContain('log_unchained')
  await rm(join(dir, 'log/100000'), { recursive: true })
  await cp(join(dir, 'log/0'), join(dir, 'log/100000'), { recursive: true })
  expect((await verified({ db: undefined as never })).ok).toBe(false)
})
