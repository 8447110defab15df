/** Opens the store: PostgreSQL over a bounded pool, or PGlite in a folder of its own. */

import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { PGlite } from '@electric-sql/pglite'
import { drizzle as drizzlePg } from 'drizzle-orm/node-postgres'
import { drizzle as drizzleLite } from 'drizzle-orm/pglite'
import pg from 'pg'
import { messageOf, WritError } from '../../core/fault.ts'
import { migrate } from '../store/migrate.ts'
import { type Db, schema } from '../store/schema.ts'
import { type FolderLock, lockFolder } from './lock.ts'

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
  close(): Promise<void>
}

export async function openStore(settings: StoreSettings): Promise<Store> {
  const opened = settings.kind === 'pglite' ? await openLite(settings.dir) : openPostgres(settings)
  try {
    await migrate(opened.db)
  } catch (thrown) {
    await opened.close().catch(() => undefined)
    throw storeFault(thrown)
  }
  return {
    ...opened,
    transaction: async (work) => {
      try {
        return await opened.db.transaction(work)
      } catch (thrown) {
        throw storeFault(thrown)
      }
    },
  }
}

type Opened = Omit<Store, 'transaction'>

function openPostgres(settings: StoreSettings & { readonly kind: 'postgres' }): Opened {
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
  })
  pool.on('error', () => undefined) // An idle connection was cut; the next query takes another and tells its caller.
  // One in use that was cut says so beside the query that fails, and unheard that would end the process.
  pool.on('connect', (client) => client.on('error', () => undefined))
  return { db: drizzlePg(pool, { schema }) as unknown as Db, close: () => pool.end() }
}

async function openLite(dir: string | undefined): Promise<Opened> {
  if (dir === undefined) return lite(new PGlite(), undefined)
  await mkdir(dir, { recursive: true, mode: 0o700 })
  const lock = lockFolder(dir)
  try {
    return await lite(new PGlite(join(dir, 'pg')), lock)
  } catch (thrown) {
    lock.release()
    throw storeFault(thrown)
  }
}

async function lite(client: PGlite, lock: FolderLock | undefined): Promise<Opened> {
  await client.waitReady
  const close = async (): Promise<void> => {
    await client.close()
    lock?.release()
  }
  return { db: drizzleLite(client, { schema }) as unknown as Db, close }
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
