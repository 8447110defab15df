import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { and, eq } from 'drizzle-orm'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Auditor, openAuditor } from '../../../audit/node/auditor.ts'
import { type LogPlace, reportPlace, verifyPlace } from '../../../audit/node/examine.ts'
import { readVerifierKey, sourcesIn } from '../../../audit/node/logfolder.ts'
import { pack } from '../../../audit/node/packed.ts'
import { type FileSigner, openFileSigner } from '../../../audit/node/signer.ts'
import { openStore, type Store } from '../../../audit/node/store.ts'
import { checkpoints, leaves, outcomes, records } from '../../../audit/store/schema.ts'
import { formatVerification } from '../../../audit/verify/format.ts'
import { concat, toBase64, utf8 } from '../../../core/bytes.ts'
import type { TrustDomain } from '../../../core/spiffe.ts'
import { Producer, sha256, startMs, testRoot, verifyTestHead } from './producer.ts'

/** A real auditor over an embedded store and a log folder; what it made is verified, then tampered with. */
let dir: string
let store: Store
let signer: FileSigner
let auditor: Auditor
let place: LogPlace
let orders: Producer
let offset = 0

const send = (partition: number, producer: Producer, ...lines: Uint8Array[]): Promise<void> =>
  auditor.ingest(partition, [
    {
      offset: String(offset++),
      key: producer.name,
      value: concat(...lines.flatMap((line) => [line, utf8('\n')])).slice(0, -1),
    },
  ])

const end = {
  code: 'completed' as const,
  request_bytes: 0,
  response_bytes: 9,
  duration_us: 1500,
  upstream: '127.0.0.1:80',
}

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'writ-examine-'))
  store = await openStore({ kind: 'pglite' })
  signer = await openFileSigner({ dir: join(dir, 'signer'), name: 'bank.example/audit', sha256 })
  let nowNs = BigInt(startMs) * 1_000_000n
  auditor = await openAuditor({
    store,
    logDir: join(dir, 'log'),
    signer,
    trustDomain: 'bank.example' as TrustDomain,
    cluster: 'test',
    software: 'test',
    verifyHead: verifyTestHead,
    rootsOf: () => [testRoot],
    now: () => (nowNs += 1_000_000n),
    random: (length) => crypto.getRandomValues(new Uint8Array(length)),
    sha256,
    onEvent: () => undefined,
  })
  const control = new Producer('writ/control')
  const trust = {
    kind: 'trust',
    trust_domain: 'bank.example' as TrustDomain,
    sequence: 1,
    roots: [toBase64(testRoot)],
  } as const
  await send(0, control, control.start(), control.write(trust), control.head())
  orders = new Producer('orders')
  await send(0, orders, orders.start())
  for (let i = 0; i < 60; i++) {
    await send(
      0,
      orders,
      ...Array.from({ length: 5 }, (_, n) =>
        orders.decision({ verdict: n % 2 ? 'deny' : 'allow', path: `/orders/${n}` }),
      ),
      orders.write({
        kind: 'outcomes',
        outcomes: [
          { seq: orders.seq - 1, status: 200, ...end },
          { seq: orders.seq - 3, status: 403, ...end },
        ],
      }),
      orders.head(),
    )
  }
  await auditor.checkpoint()
  // An outcome told twice: the first counts, and both are in the log.
  await send(0, orders, orders.write({ kind: 'outcomes', outcomes: [{ seq: 5, status: 500, ...end }] }), orders.head())
  const billing = new Producer('billing')
  await send(1, billing, billing.start(), billing.decision(), billing.head())
  await auditor.checkpoint()
  const key = await readVerifierKey(join(dir, 'signer', 'log.pub'), sha256)
  place = { dir: join(dir, 'log'), key, verifyHead: verifyTestHead, sha256, db: store.db }
})

afterAll(async () => {
  await auditor.close()
  await signer.close()
  await store.close()
  await rm(dir, { recursive: true, force: true })
})

const told = async (): Promise<readonly string[]> => {
  const { verification } = await verifyPlace(place)
  expect(verification.ok).toBe(verification.findings.every(({ level }) => level !== 'broken'))
  return verification.findings
    .filter(({ level }) => level !== 'note')
    .map(({ code, shard, index, what }) => `${code} ${shard}/${index ?? '-'} ${what}`)
}

test('what a real auditor made verifies, folder and tables, with every kept checkpoint', async () => {
  const { verification, compared } = await verifyPlace(place)
  expect(verification.findings.filter(({ level }) => level !== 'note')).toEqual([])
  expect(verification.ok).toBe(true)
  expect(verification.shards.map(({ shard, kept }) => [shard, kept])).toEqual([
    [0, 2],
    [1, 1],
  ])
  expect(verification.trust.from).toBe('log')
  expect(compared!.outcomes).toBe(121)
  const text = formatVerification(verification, compared)
  expect(text.split('\n')[0]).toBe('verified')
  expect(text).toContain('3 kept checkpoints that this log extends')
})

test('a report over folder and tables passes', async () => {
  const report = await reportPlace(place, { range: {} })
  expect(new Set(report.checks.map(({ verdict }) => verdict))).toEqual(new Set(['pass']))
})

const at = (index: number) => and(eq(records.shard, 0), eq(records.index, index))
/** Changes the tables, looks, and puts them back. */
async function changed(change: () => Promise<unknown>, back: () => Promise<unknown>): Promise<readonly string[]> {
  await change()
  try {
    return await told()
  } finally {
    await back()
  }
}

test('one column changed in one row is found and named, whatever the column', async () => {
  const [row] = await store.db.select().from(records).where(at(20))
  for (const [column, value] of [
    ['verdict', 'allow'],
    ['caller', 'spiffe://bank.example/nobody'],
    ['path', null],
    ['at', '2026-11-23T11:00:00Z'],
    ['reasons', ['x']],
  ] as const) {
    const found = await changed(
      () =>
        store.db
          .update(records)
          .set({ [column]: value })
          .where(at(20)),
      () =>
        store.db
          .update(records)
          .set({ [column]: row![column] })
          .where(at(20)),
    )
    expect(found).toHaveLength(1)
    expect(found[0]).toMatch(new RegExp(`^row_differs 0/20 records.${column} is .*, its leaf says `))
  }
  expect(await told()).toEqual([])
})

test('a row taken away, and one added, are found', async () => {
  const [row] = await store.db.select().from(records).where(at(30))
  expect(
    await changed(
      () => store.db.delete(records).where(at(30)),
      () => store.db.insert(records).values(row!),
    ),
  ).toEqual(['row_missing 0/30 records has no row for it'])

  const shard1 = eq(outcomes.shard, 1)
  expect(
    await changed(
      () =>
        store.db.insert(outcomes).values({
          epoch: orders.epoch,
          seq: 2,
          shard: 1,
          index: 1,
          status: 200,
          code: 'completed',
          requestBytes: 0,
          responseBytes: 0,
          durationUs: 1,
          upstream: '',
        }),
      () => store.db.delete(outcomes).where(shard1),
    ),
  ).toEqual(['row_extra 1/1 outcomes has a row that no leaf made'])
})

test('an outcome changed or taken away is found', async () => {
  const [row] = await store.db.select().from(outcomes).where(eq(outcomes.seq, 12))
  const of12 = eq(outcomes.seq, 12)
  expect(
    await changed(
      () => store.db.update(outcomes).set({ status: 201 }).where(of12),
      () => store.db.update(outcomes).set({ status: row!.status }).where(of12),
    ),
  ).toEqual([`row_differs 0/${row!.index} outcomes.status is 201, its leaf says 200`])
  expect(
    await changed(
      () => store.db.delete(outcomes).where(of12),
      () => store.db.insert(outcomes).values(row!),
    ),
  ).toEqual([`row_missing 0/${row!.index} outcomes has no row for it`])
})

test('a leaf changed in its table is found', async () => {
  const of = and(eq(leaves.shard, 0), eq(leaves.index, 40))
  const [row] = await store.db.select().from(leaves).where(of)
  const found = await changed(
    () =>
      store.db
        .update(leaves)
        .set({ bytes: utf8('{}') })
        .where(of),
    () => store.db.update(leaves).set({ bytes: row!.bytes }).where(of),
  )
  expect(found).toEqual(['row_differs 0/40 leaves.bytes is not what the log holds'])
  expect(
    await changed(
      () =>
        store.db
          .update(leaves)
          .set({ hash: new Uint8Array(32) })
          .where(of),
      () => store.db.update(leaves).set({ hash: row!.hash }).where(of),
    ),
  ).toEqual(['row_differs 0/40 leaves.hash is not the hash of its bytes'])
})

test('a checkpoint that was kept and is not of this log is found', async () => {
  const [row] = await store.db.select().from(checkpoints).where(eq(checkpoints.shard, 1))
  const found = await changed(
    () => store.db.insert(checkpoints).values({ ...row!, size: 1, shard: 0 }),
    () => store.db.delete(checkpoints).where(and(eq(checkpoints.shard, 0), eq(checkpoints.size, 1))),
  )
  expect(found).toEqual([
    expect.stringMatching(/^checkpoint_forked 0\/- a kept checkpoint: it is of bank.example\/audit\/1/),
  ])
})

test('a byte flipped in a copy of the folder is found without the tables', async () => {
  const copy = join(dir, 'copy')
  await cp(place.dir, copy, { recursive: true })
  const path = join(copy, '0', 'tile', 'entries', '000.gz')
  const bytes = gunzipSync(await readFile(path))
  bytes[bytes.length - 100]! ^= 1
  await writeFile(path, await pack(bytes))
  const { verification, compared } = await verifyPlace({
    dir: copy,
    key: place.key,
    verifyHead: verifyTestHead,
    sha256,
  })
  expect(verification.findings[0]).toMatchObject({ code: 'leaf_mismatch', shard: 0, index: 255 })
  expect(compared).toBeUndefined()
  expect(formatVerification(verification)).toMatch(/^BROKEN\n/)

  await rm(join(copy, '1'), { recursive: true })
  const less = await verifyPlace({ ...place, dir: copy })
  expect(less.verification.findings.map(({ what }) => what)).toContain(
    'the tables hold shard 1, the log folder does not',
  )
})

test('a key is read from its text or its file, and from nothing else', async () => {
  const text = signer.verifierKey
  expect((await readVerifierKey(` ${text}\n`, sha256)).name).toBe('bank.example/audit')
  await expect(readVerifierKey(text.replace('+', '-'), sha256)).rejects.toMatchObject({ code: 'usage' })
  await expect(readVerifierKey(join(dir, 'signer', 'log.key'), sha256)).rejects.toMatchObject({ code: 'usage' })
  await expect(sourcesIn(join(dir, 'nowhere'))).rejects.toMatchObject({ code: 'not_found' })
})
