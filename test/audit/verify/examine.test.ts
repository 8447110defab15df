import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Auditor, openAuditor } from '../../../audit/node/auditor.ts'
import { type LogPlace, verifyPlace } from '../../../audit/node/examine.ts'
import { readVerifierKey, sourcesIn } from '../../../audit/node/logfolder.ts'
import { pack } from '../../../audit/node/packed.ts'
import { type FileSigner, openFileSigner } from '../../../audit/node/signer.ts'
import { openStore, type Store } from '../../../audit/node/store.ts'
import { chunksOf } from '../../../audit/store/chunk.ts'
import { and, eq, sql } from '../../../audit/store/drizzle.ts'
import { readLeaves } from '../../../audit/store/leaves.ts'
import { checkpoints, meansOf } from '../../../audit/store/schema.ts'
import { rowsOf } from '../../../audit/store/sql.ts'
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
          { seq: orders.seq - 3, status: 403, ...end, attempts: ['10.0.0.1:80 503'], stopped: 'retry_limit' },
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

const run = (text: string): Promise<unknown> => store.db.execute(sql.raw(text))

/** Changes the tables, looks, and puts them back. */
async function changed(table: string, ...changes: readonly string[]): Promise<readonly string[]> {
  await run(`create table kept as select * from ${table}`)
  try {
    for (const change of changes) await run(change)
    return await told()
  } finally {
    await run(`delete from ${table}`)
    await run(`insert into ${table} overriding system value select * from kept`)
    await run('drop table kept')
  }
}

test('one column changed in one row is found and named, whatever the column', async () => {
  const other = (column: string, value: string) =>
    `insert into shapes (key, kind, direction, workload, listener, target, service, method, verdict, code, by, enforced,
      bundle, revision, policy_sha256, reasoned)
    select sha256('${column}'), kind, direction, workload, listener, target, service, method, verdict, code, by, enforced,
      bundle, revision, policy_sha256, reasoned from shapes where id = (select shape from rows where shard = 0 and index = 20);
    update shapes set ${column} = ${value} where key = sha256('${column}')`
  const shaped = (column: string) => `shape = (select id from shapes where key = sha256('${column}'))`
  await run("insert into names (key, name) values (sha256('nobody'), 'spiffe://bank.example/nobody')")
  for (const [column, change, before] of [
    ['verdict', shaped('verdict'), other('verdict', "'allow'")],
    ['enforced', shaped('enforced'), other('enforced', 'false')],
    ['caller', "caller = (select id from names where key = sha256('nobody'))", undefined],
    ['path', 'path = null', undefined],
    ['at', "at = '2026-11-23T11:00:00Z'", undefined],
    ['reasons', "reasons = array['x']", undefined],
    ['requestId', "request = '\\x0261'::bytea", undefined],
    ['sourceAddress', 'peer = null', undefined],
  ] as const) {
    for (const statement of before?.split(';') ?? []) await run(statement)
    const found = await changed('rows', `update rows set ${change} where shard = 0 and index = 20`)
    expect(found.filter((line) => line.includes(`records.${column} is`))).toHaveLength(1)
    for (const line of found) expect(line).toMatch(/^row_differs 0\/20 records\.\w+ is .*, its leaf says /)
  }
  expect(await told()).toEqual([])
})

test('an entry of a dictionary that was changed is found in every row that has it', async () => {
  const found = await changed('peers', "update peers set serial = 'ff' where serial is not null")
  expect(found.length).toBeGreaterThan(100)
  expect(found[0]).toMatch(/records.serial is "ff", its leaf says/)
})

test('a row taken away, and one added, are found', async () => {
  expect(await changed('rows', 'delete from rows where shard = 0 and index = 30')).toEqual([
    'row_missing 0/30 records has no row for it',
  ])
  expect(
    await changed(
      'ends',
      `insert into ends select at, 1, bucket, 1, run, array[2]::smallint[], codes[1:1], statuses[1:1], requests[1:1],
        responses[1:1], durations[1:1], upstreams[1:1] from ends where shard = 0 limit 1`,
    ),
  ).toEqual(['row_extra 1/1 outcomes has a row that no leaf made'])
  const twice = 'insert into rows select * from rows where shard = 0 and index = 30'
  expect(await changed('rows', twice)).toEqual(['row_extra 0/30 records has a row that no leaf made'])
})

test('an outcome changed or taken away is found', async () => {
  const [row] = await rowsOf<{ index: string }>(
    store.db.execute(sql`select index from outcomes where epoch = ${orders.epoch} and seq = 12`),
  )
  const at = `shard = 0 and index = ${row!.index}`
  const place = `array_position(seqs, 12::smallint)`
  expect(await changed('ends', `update ends set statuses[${place}] = 201 where ${at}`)).toEqual([
    `row_differs 0/${row!.index} outcomes.status is 201, its leaf says 200`,
  ])
  expect(await changed('ends', `update ends set tried = '{}' where ${at}`)).toEqual([
    expect.stringMatching(/ outcomes\.attempts is \[\], its leaf says \["10\.0\.0\.1:80 503"\]$/),
    expect.stringMatching(/ outcomes\.stopped is null, its leaf says "retry_limit"$/),
  ])
  const gone = await changed('ends', `delete from ends where ${at}`)
  expect(gone).toContain(`row_missing 0/${row!.index} outcomes has no row for it`)
})

test('rows of a store of before tell no attempts; behind one that does, such a row was changed', async () => {
  expect(await changed('ends', 'update ends set tried = null where index < 200')).toEqual([])
  expect(await changed('ends', 'update ends set tried = null')).toEqual([])
  const [first, ...rest] = await changed('ends', 'update ends set tried = null where index between 190 and 200')
  expect(first).toMatch(/^row_differs 0\/\d+ outcomes\.attempts is null, its leaf says \[/)
  expect(rest).not.toEqual([])
})

test('a leaf changed or taken away in its chunk is found; chunks that went from the beginning are the folder’s', async () => {
  const [chunk] = await rowsOf<{ first: string; last: string }>(
    store.db.execute(sql`select first, last from chunks where shard = 0 and first <= 40 order by first desc limit 1`),
  )
  const [first, last] = [Number(chunk!.first), Number(chunk!.last)]
  const leaves = await readLeaves(
    store.db,
    0,
    Array.from({ length: last - first + 1 }, (_, i) => first + i),
  )
  leaves[40 - first]!.bytes[5]! ^= 1
  const bytes = await meansOf(store.db).compress([...chunksOf(leaves)][0]!.bytes)
  const hex = Buffer.from(bytes).toString('hex')
  const at = `shard = 0 and first = ${first}`
  expect(await changed('chunks', `update chunks set bytes = '\\x${hex}' where ${at}`)).toEqual([
    'row_differs 0/40 chunks has other bytes than the log',
  ])
  const gone = await changed('chunks', `delete from chunks where ${at}`)
  expect(gone).toContain('row_missing 0/40 chunks has no leaf for it')
  expect(gone).toHaveLength(last - first + 1)
  expect(await changed('chunks', `delete from chunks where shard = 0 and first <= ${first}`)).toEqual([])
})

test('a checkpoint that was kept and is not of this log is found', async () => {
  const [row] = await store.db.select().from(checkpoints).where(eq(checkpoints.shard, 1))
  await store.db.insert(checkpoints).values({ ...row!, size: 1, shard: 0 })
  const found = await told()
  await store.db.delete(checkpoints).where(and(eq(checkpoints.shard, 0), eq(checkpoints.size, 1)))
  expect(found).toEqual([
    expect.stringMatching(/^checkpoint_forked 0\/- a kept checkpoint: it is of bank.example\/audit\/1/),
    expect.stringMatching(/^row_differs 0\/- checkpoints has size 1 and root /),
  ])
})

test('a checkpoint whose row says other than its note, or is of a shard that is not there, is found', async () => {
  const [found] = await changed(
    'checkpoints',
    'update checkpoints set root = set_byte(root, 0, 256 - get_byte(root, 0) - 1) where shard = 1',
  )
  expect(found).toMatch(/^row_differs 1\/- checkpoints has size 4 and root [0-9a-f]{64}, its note signs 4 and /)
  const moved = await changed('checkpoints', 'update checkpoints set shard = 7 where shard = 1')
  expect(moved).toContain('row_extra 7/- the tables hold shard 7, the log folder does not')
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
