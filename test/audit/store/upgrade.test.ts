import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { openStore, type Store, type StoreSettings } from '../../../audit/node/store.ts'
import { findDecisions } from '../../../audit/query/node/find.ts'
import { sql } from '../../../audit/store/drizzle.ts'
import { readLeaves } from '../../../audit/store/leaves.ts'
import { migrate, versions } from '../../../audit/store/migrate.ts'
import { recallShard } from '../../../audit/store/recall.ts'
import { rowsOf } from '../../../audit/store/sql.ts'
import { type UpgradedStore, upgrade } from '../../../audit/store/upgrade.ts'
import { needs } from '../../parts/needs.ts'
import { type RunningPostgres, startPostgres } from '../../parts/postgres.ts'
import { Mesh } from '../verify/log.ts'
import { leafHashOf } from '../verify/producer.ts'

/** A store in which nothing is but the tables of version 1 and leaves, as a release before had it. */
async function oldStore(settings: StoreSettings, leaves: readonly Uint8Array[]): Promise<Store> {
  const store = await openStore(settings)
  await store.db.execute(sql`drop schema public cascade`)
  await store.db.execute(sql`create schema public`)
  for (const statement of versions[0]!) await store.db.execute(sql.raw(statement))
  await store.db.execute(sql`create table writ_schema (version integer primary key)`)
  await store.db.execute(sql`insert into writ_schema values (1)`)
  for (const [index, bytes] of leaves.entries()) {
    await store.db.execute(sql`insert into leaves values (0, ${index}, ${leafHashOf(bytes)}, ${bytes})`)
  }
  const { epoch, name } = new Mesh().orders
  await store.db.execute(sql`insert into epochs values (${epoch}, ${name}, 0, 1, 'x', 0, false, now(), now())`)
  return store
}

/** What opening such a store does. */
async function openAgain(store: UpgradedStore): Promise<void> {
  await migrate(store.db)
  await upgrade(store)
}

const end = {
  code: 'completed',
  status: 200,
  request_bytes: 0,
  response_bytes: 9,
  upstream: 'a:1',
  duration_us: 7,
} as const

function meshOf(calls: number): Mesh {
  const mesh = new Mesh().calls(calls)
  for (const status of [200, 500]) {
    mesh.leaves.push(mesh.orders.write({ kind: 'outcomes', outcomes: [{ seq: 1, ...end, status }] }))
  }
  return mesh
}

const onPostgres = needs('postgres')
let server: RunningPostgres | undefined
beforeAll(async () => {
  if (onPostgres.name !== 'skip') server = await startPostgres()
}, 120_000)
afterAll(() => server?.remove())

describe.each([
  { name: 'PGlite', here: test, settings: (): StoreSettings => ({ kind: 'pglite' }) },
  { name: 'PostgreSQL', here: onPostgres, settings: (): StoreSettings => ({ kind: 'postgres', url: server!.url }) },
])('$name:', ({ here, settings }) => {
  here(
    'a store of version 1 is made anew from its leaves, over several steps, and the old tables are gone',
    async () => {
      const mesh = meshOf(900)
      const store = await oldStore(settings(), mesh.leaves)
      try {
        await openAgain(store)
        expect((await recallShard(store.db, 0)).size).toBe(mesh.leaves.length)
        const indexes = [...mesh.leaves.keys()]
        const kept = await readLeaves(store.db, 0, indexes)
        expect(kept.map(({ bytes }) => Buffer.from(bytes).toString())).toEqual(
          mesh.leaves.map((leaf) => Buffer.from(leaf).toString()),
        )
        const { rows } = await findDecisions(store.db, { limit: 1000 })
        expect(rows).toHaveLength(900)
        expect(rows.at(-1)).toMatchObject({ path: '/orders/0', status: 200 }) // The first of two ends counts.
        const old = await rowsOf(
          store.db.execute(sql`select to_regclass('leaves') as a, to_regclass('leaves_v1') as b`),
        )
        expect(old).toEqual([{ a: null, b: null }])
      } finally {
        await store.close()
      }
    },
  )

  here('an upgrade that was interrupted goes on where it ended; a leaf that was changed stops it', async () => {
    const mesh = meshOf(600)
    const store = await oldStore(settings(), mesh.leaves)
    try {
      let steps = 0
      const dying = {
        db: store.db,
        transaction: async <T>(work: (tx: typeof store.db) => Promise<T>): Promise<T> => {
          if (steps++ === 1) throw new Error('killed')
          return store.transaction(work)
        },
      }
      await expect(openAgain(dying)).rejects.toThrow('killed')
      expect((await recallShard(store.db, 0)).size).toBe(512)
      await store.db.execute(sql`create table spare as select * from leaves_v1`)
      await store.db.execute(sql`update leaves_v1 set bytes = 'x' where index = 550`)
      await expect(upgrade(store)).rejects.toMatchObject({ code: 'log_invalid' })
      await store.db.execute(sql`update leaves_v1 set bytes = s.bytes from spare s where s.index = leaves_v1.index`)
      await upgrade(store)
      expect((await recallShard(store.db, 0)).size).toBe(mesh.leaves.length)
      expect((await findDecisions(store.db, { limit: 1000 })).rows).toHaveLength(600)
    } finally {
      await store.close()
    }
  })
})
