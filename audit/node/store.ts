/** Opens the store: PostgreSQL over a bounded pool, or PGlite in a folder of its own. */

import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { PGlite, type Transaction } from '@electric-sql/pglite'
import { drizzle as drizzlePg } from 'drizzle-orm/node-postgres'
import { drizzle as drizzleLite } from 'drizzle-orm/pglite'
import pg from 'pg'
import { from as copyFrom } from 'pg-copy-streams'
import { messageOf, WritError } from '../../core/fault.ts'
import { migrate } from '../store/migrate.ts'
import { type Db, type Means, schema } from '../store/schema.ts'
import { upgrade } from '../store/upgrade.ts'
import { compress, decompress } from './compress.ts'
import { tileReader } from './folder.ts'
import { type FolderLock, lockFolder } from './lock.ts'
import { templateFor } from './template.ts'

export type StoreSettings =
  /** Without `dir` everything is in memory and gone when the store is closed. */
  | { readonly kind: 'pglite'; readonly dir?: string }
  | {
      readonly kind: 'postgres'
      /** `postgres://user:password@host:port/database`. */
      readonly url: string
      /** Connections at most; more wait. Default 8. */
      readonly connections?: number
      /** Time after which the server gives up a statement, in milliseconds. Default 30 000. */
      readonly statementTimeoutMs?: number
    }

export interface Store {
  readonly db: Db
  /**
   * All of `work`, or nothing. What the driver throws becomes `store_unavailable`; whether a failed commit was kept
   * after all cannot be told from it, so whoever writes asks the store again.
   */
  transaction<T>(work: (tx: Db) => Promise<T>): Promise<T>
  /** A lock that one process has at a time, or undefined where another has it. To be released before the store is closed. */
  lock(key: number): Promise<StoreLock | undefined>
  close(): Promise<void>
}

export interface StoreLock {
  /** False once the connection that it lives on is known to be gone. */
  held(): boolean
  release(): Promise<void>
}

/** `logDir` is the log folder, one folder per shard below it: leaves that the tables no longer have are read there. */
export async function openStore(settings: StoreSettings, logDir?: string): Promise<Store> {
  const files = logDir === undefined ? {} : { files: (shard: number) => tileReader(join(logDir, String(shard))) }
  const opened = settings.kind === 'pglite' ? await openLite(settings.dir, files) : openPostgres(settings, files)
  const store: Store = {
    ...opened,
    transaction: async (work) => {
      try {
        return await opened.transaction(work)
      } catch (thrown) {
        throw storeFault(thrown)
      }
    },
  }
  try {
    await migrate(store.db)
    await upgrade(store)
    return store
  } catch (thrown) {
    await opened.close().catch(() => undefined)
    throw storeFault(thrown)
  }
}

type Files = Pick<Means, 'files'>

function openPostgres(settings: StoreSettings & { readonly kind: 'postgres' }, files: Files): Store {
  const timeoutMs = settings.statementTimeoutMs ?? 30_000
  const pool = new pg.Pool({
    connectionString: settings.url,
    max: settings.connections ?? 8,
    connectionTimeoutMillis: 5_000,
    idleTimeoutMillis: 30_000,
    statement_timeout: timeoutMs,
    query_timeout: timeoutMs + 5_000, // A server that no longer answers cannot time its own statements out.
    idle_in_transaction_session_timeout: timeoutMs,
    application_name: 'writ',
    // What PostgreSQL reckons for a view over many partitions is too much, and machine code takes longer to make than
    // the answer. Not in the URL's options, which a pooler between us and the server would refuse.
    onConnect: (client) => client.query('set jit = off'),
  })
  pool.on('error', () => undefined) // An idle connection was cut; the next query takes another and tells its caller.
  // One in use that was cut says so beside the query that fails, and unheard that would end the process.
  pool.on('connect', (client) => client.on('error', () => undefined))
  const dbOver = (client: pg.Pool | pg.PoolClient): Db =>
    withMeans(drizzlePg(client, { schema }), files, async (command, lines) => {
      const own = client instanceof pg.Pool ? await client.connect() : undefined
      try {
        await pipeline(Readable.from([Buffer.from(lines)]), (own ?? (client as pg.PoolClient)).query(copyFrom(command)))
      } finally {
        own?.release()
      }
    })
  return {
    db: dbOver(pool),
    transaction: async (work) => {
      const client = await pool.connect()
      let broken: Error | undefined
      try {
        await client.query('begin')
        const done = await work(dbOver(client))
        await client.query('commit')
        return done
      } catch (thrown) {
        await client.query('rollback').catch((error: Error) => (broken = error))
        throw thrown
      } finally {
        client.release(broken)
      }
    },
    lock: (key) => lockIn(pool, key),
    close: () => pool.end(),
  }
}

/** An advisory lock of a session of its own: the server gives it up when that ends, however it does. */
async function lockIn(pool: pg.Pool, key: number): Promise<StoreLock | undefined> {
  const client = await pool.connect()
  let held = false
  client.once('end', () => (held = false))
  client.once('error', () => (held = false))
  try {
    const { rows } = await client.query<{ got: boolean }>('select pg_try_advisory_lock($1) as got', [key])
    held = rows[0]!.got
  } catch (thrown) {
    client.release(true)
    throw storeFault(thrown)
  }
  if (!held) {
    client.release()
    return undefined
  }
  return {
    held: () => held,
    release: async () => {
      held = false
      client.release(true)
    },
  }
}

/** The database with what a store can do besides SQL. */
function withMeans(db: object, files: Files, copy: (command: string, lines: string) => Promise<void>): Db {
  const copyIn: Means['copyIn'] = (table, columns, lines) =>
    copy(`copy ${table} (${columns.map((name) => `"${name}"`).join(', ')}) from stdin`, lines)
  return Object.assign(db, { means: { copyIn, compress, decompress, ...files } satisfies Means }) as unknown as Db
}

async function openLite(dir: string | undefined, files: Files): Promise<Store> {
  if (dir === undefined) return lite(await liteIn(undefined), undefined, files)
  await mkdir(dir, { recursive: true, mode: 0o700 })
  const lock = lockFolder(dir)
  try {
    return await lite(await liteIn(join(dir, 'pg')), lock, files)
  } catch (thrown) {
    lock.release()
    throw storeFault(thrown)
  }
}

async function liteIn(dataDir: string | undefined): Promise<PGlite> {
  const loadDataDir = await templateFor(dataDir, process.env)
  return new PGlite({ ...(dataDir !== undefined && { dataDir }), ...(loadDataDir && { loadDataDir }) })
}

async function lite(client: PGlite, lock: FolderLock | undefined, files: Files): Promise<Store> {
  await client.waitReady
  const close = async (): Promise<void> => {
    await client.close()
    lock?.release()
  }
  const dbOver = (over: PGlite | Transaction): Db =>
    withMeans(drizzleLite(over as PGlite, { schema }), files, async (command, lines) => {
      await over.query(command.replace(/stdin$/, "'/dev/blob'"), [], { blob: new Blob([lines]) })
    })
  return {
    db: dbOver(client),
    transaction: (work) => client.transaction((tx) => work(dbOver(tx))),
    lock: async () => ({ held: () => true, release: async () => undefined }), // The folder's lock is one already.
    close,
  }
}

/** Everything a driver throws as the one fault it means to us; our own pass unchanged. */
export function storeFault(thrown: unknown): WritError {
  if (thrown instanceof WritError) return thrown
  const cause = thrown instanceof Error && thrown.cause instanceof Error ? thrown.cause : thrown
  return new WritError('store_unavailable', `the store refused: ${messageOf(cause)}`, {
    cause: thrown,
    cure: 'check that the database answers, has room, and that its user owns the tables',
  })
}

/** SQLSTATE 23505: two writers took the same key, and this one came second. */
export function isTaken(thrown: unknown): boolean {
  for (let at = thrown; at instanceof Error; at = at.cause) if ('code' in at && at.code === '23505') return true
  return false
}
