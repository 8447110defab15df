import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { openAuditor } from '../../../audit/node/auditor.ts'
import { verifyPlace } from '../../../audit/node/examine.ts'
import { readVerifierKey } from '../../../audit/node/logfolder.ts'
import { openFileSigner } from '../../../audit/node/signer.ts'
import { openStore, type Store } from '../../../audit/node/store.ts'
import { sql } from '../../../audit/store/drizzle.ts'
import { rowsOf } from '../../../audit/store/sql.ts'
import type { Verification } from '../../../audit/verify/verify.ts'
import { concat, toBase64, utf8 } from '../../../core/bytes.ts'
import type { TrustDomain } from '../../../core/spiffe.ts'
import { type Change, changeCount, missedOf, type Roll, type Target } from './changes.ts'
import { Producer, sha256, startMs, testRoot, verifyTestHead } from './producer.ts'

/**
 * Random changes of the store's rows, chunks, checkpoints and dictionaries, each found and named by
 * `writ audit verify --database`. Not of them: a checkpoint taken away, which others keep, and a chunk at the beginning,
 * which is how the buffer empties.
 */

const count = changeCount(20)
const trustDomain = 'bank.example' as TrustDomain
let dir: string
let store: Store
let verify: () => Promise<Verification>

const end = {
  code: 'completed' as const,
  request_bytes: 0,
  response_bytes: 9,
  duration_us: 1500,
  upstream: '127.0.0.1:80',
}

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'writ-row-changes-'))
  store = await openStore({ kind: 'pglite' })
  const signer = await openFileSigner({ dir: join(dir, 'signer'), name: 'bank.example/audit', sha256 })
  let nowNs = BigInt(startMs) * 1_000_000n
  const auditor = await openAuditor({
    ...{ store, signer, trustDomain, sha256, cluster: 'test', software: 'test', verifyHead: verifyTestHead },
    logDir: join(dir, 'log'),
    rootsOf: () => [testRoot],
    now: () => (nowNs += 1_000_000n),
    random: (length) => crypto.getRandomValues(new Uint8Array(length)),
    onEvent: () => undefined,
  })
  let offset = 0
  const send = ({ name }: Producer, ...lines: Uint8Array[]): Promise<void> =>
    auditor.ingest(0, [
      {
        offset: String(offset++),
        key: name,
        value: concat(...lines.flatMap((line) => [line, utf8('\n')])).slice(0, -1),
      },
    ])
  const control = new Producer('writ/control')
  const roots = [toBase64(testRoot)]
  const trust = { kind: 'trust', trust_domain: trustDomain, sequence: 1, roots } as const
  await send(control, control.start(), control.write(trust), control.head())
  const orders = new Producer('orders')
  await send(orders, orders.start())
  for (let i = 0; i < 30; i++) {
    const decisions = Array.from({ length: 5 }, (_, n) =>
      orders.decision({ verdict: n % 2 ? 'deny' : 'allow', path: `/orders/${i * 5 + n}` }),
    )
    const outcomes = [1, 3].map((back) => ({ seq: orders.seq - back, status: 200 + i, ...end }))
    await send(orders, ...decisions, orders.write({ kind: 'outcomes', outcomes }), orders.head())
    if (i % 5 === 4) await auditor.checkpoint()
  }
  await auditor.close()
  await signer.close()
  const key = await readVerifierKey(join(dir, 'signer', 'log.pub'), sha256)
  const place = { dir: join(dir, 'log'), key, verifyHead: verifyTestHead, sha256, db: store.db }
  verify = async () => (await verifyPlace(place)).verification
})
afterAll(async () => {
  await store.close()
  await rm(dir, { recursive: true, force: true })
})

const run = (text: string): Promise<unknown> => store.db.execute(sql.raw(text))
const ask = <T extends object>(text: string): Promise<readonly T[]> => rowsOf<T>(store.db.execute(sql.raw(text)))

/** Columns that say something of a leaf or a checkpoint, by what they hold. */
const columns: Readonly<Record<string, Readonly<Record<string, Kind>>>> = {
  rows: {
    ...{
      at: 'time',
      index: 'number',
      seq: 'number',
      shard: 'number',
      run: 'id',
      shape: 'id',
      caller: 'id',
      peer: 'id',
    },
    ...{ request: 'bytes', trace: 'bytes', path: 'text', reasons: 'texts' },
  },
  ends: {
    ...{ index: 'number', bucket: 'number', shard: 'number', run: 'id', seqs: 'numbers', codes: 'numbers' },
    ...{ statuses: 'numbers', requests: 'numbers', responses: 'numbers', durations: 'numbers', upstreams: 'numbers' },
  },
  chunks: { shard: 'number', first: 'number', last: 'number', bytes: 'bytes' },
  checkpoints: { shard: 'number', size: 'number', root: 'bytes', note: 'text' },
  runs: { epoch: 'text', producer: 'text' },
  names: { name: 'text' },
  peers: { serial: 'text', source_address: 'text' },
  shapes: {
    ...{ kind: 'text', direction: 'text', workload: 'text', listener: 'text', target: 'text', service: 'text' },
    ...{
      method: 'text',
      verdict: 'text',
      code: 'text',
      by: 'text',
      enforced: 'flag',
      bundle: 'text',
      revision: 'text',
    },
    ...{ policy_sha256: 'text', reasoned: 'flag' },
  },
}
type Kind = 'number' | 'id' | 'numbers' | 'text' | 'texts' | 'bytes' | 'time' | 'flag'

/** Of a column that is no null, another value; of one that is, some value. */
function other(column: string, kind: Kind, roll: Roll): string {
  const by = 1 + roll(9)
  const where = roll(1_000_000)
  switch (kind) {
    case 'number':
    case 'id':
      return `coalesce(${column}, 0) + ${by}`
    case 'numbers':
      return `array[${column}[1] + ${by}] || ${column}[2:]`
    case 'text':
      return `coalesce(overlay(${column} placing '${'xyz'[roll(3)]}' from 1 + ${roll(1000)} % greatest(length(${column}), 1)), 'x')`
    case 'texts':
      return `coalesce(${column}, '{}') || array['x']`
    case 'bytes':
      return `coalesce(set_bit(${column}, ${where} % bit_length(${column}), 1 - get_bit(${column}, ${where} % bit_length(${column}))),
        '\\x0261')`
    case 'time':
      return `${column} + interval '${by} ms'`
    case 'flag':
      return `not coalesce(${column}, false)`
  }
}

interface Picked {
  readonly table: string
  readonly part: string
  readonly tid: string
  readonly index: number
  readonly last: number
}

/** Columns that say where in the log a row stands. */
const placeOf: Readonly<Record<string, readonly [string, string]>> = {
  rows: ['index', 'index'],
  ends: ['index', 'index'],
  chunks: ['first', 'last'],
  checkpoints: ['size', 'size'],
}

async function pick(table: string, roll: Roll): Promise<Picked> {
  const [first, last] = placeOf[table] ?? ['id', 'id']
  const found = await ask<{ part: string; tid: string; first: string; last: string }>(
    `select tableoid::regclass as part, ctid as tid, ${first} as first, ${last} as last from ${table} order by ${first}`,
  )
  // The first chunk may go; a change that reaches it is one of its content.
  const row = found[table === 'chunks' ? 1 + roll(found.length - 1) : roll(found.length)]!
  return { table, part: row.part, tid: row.tid, index: Number(row.first), last: Number(row.last) }
}

const at = ({ part, tid }: Picked, table: string): string =>
  `${table}.tableoid = '${part}'::regclass and ${table}.ctid = '${tid}'`

const leafTables = ['rows', 'ends'] as const

/** What is changed, and where a finding has to point: a way for each table that it makes sense of. */
const ways: Readonly<
  Record<string, (roll: Roll) => Promise<{ readonly rows: readonly Picked[]; readonly sql: string }>>
> = {
  flip: async (roll) => {
    const table = Object.keys(columns)[roll(8)]!
    const row = await pick(table, roll)
    const [column, kind] = Object.entries(columns[table]!)[roll(Object.keys(columns[table]!).length)]!
    return {
      rows: [row],
      sql: `update ${table} set ${column} = ${other(column, kind, roll)} where ${at(row, row.table)}`,
    }
  },
  delete: async (roll) => {
    const row = await pick(['rows', 'ends', 'chunks'][roll(3)]!, roll)
    return { rows: [row], sql: `delete from ${row.table} where ${at(row, row.table)}` }
  },
  insert: async (roll) => {
    const row = await pick(leafTables[roll(2)]!, roll)
    const copied = Object.keys(columns[row.table]!).concat(row.table === 'ends' ? ['at'] : [])
    // Told twice as it is, or as if it were of another leaf.
    const to = roll(2) === 0 ? row : await pick('rows', roll)
    const values = copied.map((column) => (column === 'index' ? `${to.index}` : column))
    return {
      rows: [{ ...row, index: to.index, last: to.index }],
      sql: `insert into ${row.table} (${copied}) select ${values} from ${row.table} where ${at(row, row.table)}`,
    }
  },
  reorder: async (roll) => {
    const table = ['rows', 'ends', 'chunks', 'checkpoints'][roll(4)]!
    const [a, b] = [await pick(table, roll), await pick(table, roll)]
    const column = { rows: 'index', ends: 'index', chunks: 'bytes', checkpoints: 'note' }[table]!
    const swapped = `(${at(a, 't')} and ${at(b, 'o')}) or (${at(b, 't')} and ${at(a, 'o')})`
    return { rows: [a, b], sql: `update ${table} t set ${column} = o.${column} from ${table} o where ${swapped}` }
  },
  truncate: async (roll) => {
    const table = ['rows', 'ends', 'chunks', 'checkpoints'][roll(4)]!
    const row = await pick(table, roll)
    if (table === 'rows' || table === 'ends')
      return { rows: [row], sql: `delete from ${table} where index >= ${row.index}` }
    const cut = table === 'chunks' ? `bytes = substr(bytes, 1, ${roll(100)})` : `note = left(note, ${roll(100)})`
    return { rows: [row], sql: `update ${table} set ${cut} where ${at(row, row.table)}` }
  },
}

/** All that a reader of the store is told of the log, in one number. */
async function content(): Promise<string> {
  const own = (
    await ask<{ name: string }>("select attname as name from pg_attribute where attrelid = 'records'::regclass")
  )
    .map(({ name }) => name)
    .filter((name) => !/_id$|_key$/.test(name) || name === 'request_id' || name === 'trace_id')
  const [row] = await ask<{ all: string }>(`select md5(concat(
    (select string_agg(r::text, '' order by r::text) from (select ${own} from records) r),
    (select string_agg(o::text, '' order by o::text) from (select epoch, seq, shard, index, code, status, request_bytes,
      response_bytes, duration_us, upstream from outcomes) o),
    (select string_agg(c::text, '' order by c::text) from chunks c),
    (select string_agg(k::text, '' order by k::text) from (select shard, size, root, note from checkpoints) k))) as all`)
  return row!.all
}

/** A finding at the place of each row; a dictionary's entry stands in rows anywhere. */
function isNamed({ findings }: Verification, rows: readonly Picked[]): boolean {
  const broken = findings.filter(({ level }) => level === 'broken')
  return rows.every(({ table, index, last }) => {
    // One moved to a shard that there is not is named by that shard.
    if (table === 'checkpoints') return broken.some(({ what }) => /checkpoint|the tables hold shard/.test(what))
    const said = broken.filter(({ code }) => code.startsWith('row_'))
    if (!(table in placeOf)) return said.some(({ index }) => index !== undefined)
    return said.some(({ index: found }) => found !== undefined && index <= found && found <= last)
  })
}

test(
  `${count} random changes of rows are each found and named`,
  async () => {
    const before = await content()
    const rows: Target = {
      verify,
      change: async (roll): Promise<Change | undefined> => {
        const how = Object.keys(ways)[roll(5)]!
        const way = await ways[how]!(roll)
        await run('begin')
        const undo = async (): Promise<void> => void (await run('rollback'))
        const made = await run(way.sql).then(
          () => true,
          () => false, // A constraint of the tables refuses it.
        )
        if (made && (await content()) !== before) {
          return { what: `${how}: ${way.sql}`, isNamed: (result) => isNamed(result, way.rows), undo }
        }
        await undo()
        return undefined
      },
    }
    expect(await missedOf(rows, count)).toEqual([])
    const whole = await verify()
    expect(whole.findings.filter(({ level }) => level !== 'note')).toEqual([])
  },
  60 * 60_000,
)
