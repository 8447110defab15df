import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { getTableConfig } from 'drizzle-orm/pg-core'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { openStore, type Store } from '../../../audit/node/store.ts'
import { getTableColumns, sql } from '../../../audit/store/drizzle.ts'
import { migrate, storeVersion } from '../../../audit/store/migrate.ts'
import { offsets, schema } from '../../../audit/store/schema.ts'
import { WritError } from '../../../core/fault.ts'

let store: Store
beforeAll(async () => {
  store = await openStore({ kind: 'pglite' })
})
afterAll(() => store.close())

const rowsOf = async (query: ReturnType<typeof sql>) =>
  ((await store.db.execute(query)) as unknown as { rows: { [name: string]: unknown }[] }).rows

test('the tables and views that the statements make are those that the schema names, column by column', async () => {
  for (const table of [
    schema.records,
    schema.outcomes,
    schema.epochs,
    schema.gaps,
    schema.offsets,
    schema.checkpoints,
  ]) {
    const { name, indexes } = getTableConfig(table)
    const made =
      await rowsOf(sql`select a.attname as name, a.attnotnull as required, format_type(a.atttypid, a.atttypmod) as type
      from pg_attribute a where a.attrelid = ${name}::regclass and a.attnum > 0 order by a.attnum`)
    const said = Object.values(getTableColumns(table)).map((column) => ({
      name: column.name,
      required: column.notNull || column.primary,
      type: column.getSQLType().replace('timestamp (6) with time zone', 'timestamp(6) with time zone'),
    }))
    // A view says of no column that it has to be there, and has others that are for joins.
    const isView = name === 'records' || name === 'outcomes'
    const named = made.filter((column) => said.some(({ name: one }) => one === column['name']))
    expect(isView ? named : made).toEqual(said.map((column) => (isView ? { ...column, required: false } : column)))
    const there = (await rowsOf(sql`select indexname as name from pg_indexes where tablename = ${name}`)).map(
      (row) => row['name'],
    )
    for (const index of indexes) expect(there).toContain(index.config.name)
  }
})

test('migrating again changes nothing; a store of a newer version is refused', async () => {
  await migrate(store.db)
  expect(await rowsOf(sql`select version from writ_schema`)).toEqual(
    Array.from({ length: storeVersion }, (_, i) => ({ version: i + 1 })),
  )
  await store.db.execute(sql`insert into writ_schema values (${storeVersion + 1})`)
  await expect(migrate(store.db)).rejects.toMatchObject({ code: 'version' })
  await store.db.execute(sql`delete from writ_schema where version > ${storeVersion}`)
  await migrate(store.db)
})

test('a transaction that throws leaves nothing; what the driver threw is store_unavailable, what we threw is ours', async () => {
  const write = (then: () => never) =>
    store.transaction(async (tx) => {
      await tx.insert(offsets).values({ shard: 9, nextOffset: '1', owner: 'a' })
      then()
    })
  await expect(
    write(() => {
      throw new Error('boom')
    }),
  ).rejects.toMatchObject({ code: 'store_unavailable', cure: expect.any(String) })
  await expect(
    write(() => {
      throw new WritError('fenced', 'x')
    }),
  ).rejects.toMatchObject({ code: 'fenced' })
  expect(await store.db.select().from(offsets)).toEqual([])
})

test('a database that does not answer is store_unavailable', async () => {
  await expect(openStore({ kind: 'postgres', url: 'postgres://nobody@127.0.0.1:1/none' })).rejects.toMatchObject({
    code: 'store_unavailable',
  })
})

test('a folder keeps its rows, and one process has it at a time', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'writ-store-'))
  try {
    const first = await openStore({ kind: 'pglite', dir })
    await first.db.insert(offsets).values({ shard: 1, nextOffset: '5', owner: 'a' })
    await expect(openStore({ kind: 'pglite', dir })).rejects.toMatchObject({ code: 'in_use' })
    await first.close()
    const lock = join(dir, 'lock')
    await writeFile(lock, '999999999 1\n') // Left by a process that died.
    const second = await openStore({ kind: 'pglite', dir })
    expect(await second.db.select().from(offsets)).toEqual([{ shard: 1, nextOffset: '5', owner: 'a' }])
    expect(await readFile(lock, 'utf8')).toContain(`"pid":${process.pid},`)
    await second.close()
  } finally {
    await rm(dir, { recursive: true })
  }
})
