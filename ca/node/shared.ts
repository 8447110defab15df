/**
 * What several control planes of one trust domain share in PostgreSQL: the authority's state, join tokens, tokens of platforms
 * that were shown, recovery keys, the deny list, entries made by command, and which bundle each workload has. Whoever changes
 * something tells the others by NOTIFY.
 */

import pg from 'pg'
import { messageOf, WritError } from '../../core/fault.ts'
import { parseSpiffeId, type SpiffeId } from '../../core/spiffe.ts'
import type { HeldToken, TokenStore } from '../join.ts'
import type { StoredDocument } from './document.ts'
import { maxShown, type Once, shownSkewMs } from './once.ts'
import { maxBound, type RecoveryStore, tooManyBound } from './recovery.ts'
import { maxTokens, tooManyTokens } from './tokens.ts'

/** What a workload said of the bundle it has. */
export interface Applied {
  readonly workload: string
  /** Sequence of its bundle; undefined leaves what it said before. */
  readonly trust: number | undefined
  /** End of its certificate, milliseconds since 1970. */
  readonly notAfterMs: number
}

export interface SharedState {
  document(name: string): StoredDocument
  readonly tokens: TokenStore
  readonly recovery: RecoveryStore
  /** Tokens of platforms that were shown. */
  readonly once: Once
  /** Kept where it differs from what was said before. */
  applied(one: Applied): Promise<void>
  /** Workloads whose certificates hold at that time and that have an older bundle than `trust`. */
  behind(trust: number, nowMs: number): Promise<readonly string[]>
  /** What everybody's certificate is: one row for each id, of whoever said it last. */
  readonly leaves: {
    put(leaves: readonly SharedLeaf[]): Promise<void>
    /** Those that hold still and have less than a third of their life left; 1,000 at most, the first to end first. */
    late(nowMs: number): Promise<readonly SharedLeaf[]>
  }
  close(): Promise<void>
}

export interface SharedLeaf {
  readonly id: SpiffeId
  readonly notBeforeMs: number
  readonly notAfterMs: number
}

type Query = (text: string, values?: readonly unknown[]) => Promise<readonly Record<string, unknown>[]>

const channel = 'writ_ca'
/** Of the advisory locks: one for the tables' making, one for each document by its name. */
const tablesLock = 7_418_201

const tables = `
create schema if not exists writ_ca;
create table if not exists writ_ca.documents (name text primary key, version bigint not null, body text not null);
create table if not exists writ_ca.join_tokens (digest text primary key, id text not null, expires_at_ms bigint not null);
create table if not exists writ_ca.recovery_keys (digest text primary key, id text not null, registered boolean not null,
  serial text not null, not_after_ms bigint not null);
create table if not exists writ_ca.shown (digest text primary key, until_ms bigint not null);
create table if not exists writ_ca.leaves (id text primary key, not_before_ms bigint not null, not_after_ms bigint not null);
create table if not exists writ_ca.applied (workload text primary key, trust bigint not null, not_after_ms bigint not null);
`

/** Wait before a listener that was cut tries again, in milliseconds. */
const listenAgainMs = 1000

/** Rejects with `store_unavailable` where the database does not answer; so does every call later on. */
export async function openShared(url: string): Promise<SharedState> {
  const pool = new pg.Pool({
    ...{
      connectionString: url,
      max: 4,
      connectionTimeoutMillis: 5000,
      statement_timeout: 10_000,
      query_timeout: 15_000,
    },
    application_name: 'writ-ca',
  })
  pool.on('error', () => undefined) // The next query takes another connection and tells its caller.
  pool.on('connect', (client) => client.on('error', () => undefined))
  const subscribers = new Set<() => void>()
  const tell = (): void => {
    for (const changed of [...subscribers]) changed()
  }
  const query: Query = async (text, values = []) => {
    try {
      return (await pool.query(text, [...values])).rows
    } catch (cause) {
      throw unavailable(cause)
    }
  }
  await locked(pool, tablesLock, () => query(tables))
  const listener = listen(url, tell)
  const notify = (): Promise<unknown> => query(`notify ${channel}`)
  const tokenRoom = roomIn(query, 'writ_ca.join_tokens', 'expires_at_ms', maxTokens)
  const keyRoom = roomIn(query, 'writ_ca.recovery_keys', 'not_after_ms', maxBound)
  const shownRoom = roomIn(query, 'writ_ca.shown', 'until_ms', maxShown)

  return {
    document: (name) => ({
      async read() {
        const [row] = await query('select version, body from writ_ca.documents where name = $1', [name])
        return row && { version: Number(row['version']), text: String(row['body']) }
      },
      async swap(version, text) {
        const rows =
          version === 0
            ? await query('insert into writ_ca.documents values ($1, 1, $2) on conflict do nothing returning version', [
                name,
                text,
              ])
            : await query(
                'update writ_ca.documents set version = version + 1, body = $3 where name = $1 and version = $2 returning version',
                [name, version, text],
              )
        if (rows.length === 0) return false
        await notify()
        return true
      },
      exclusive: (work) => locked(pool, lockOf(name), work),
      subscribe(changed) {
        subscribers.add(changed)
        return () => subscribers.delete(changed)
      },
    }),
    tokens: {
      async put({ digest, id, expiresAtMs }: HeldToken, nowMs) {
        if (!(await tokenRoom(nowMs))) throw tooManyTokens()
        await query('insert into writ_ca.join_tokens values ($1, $2, $3)', [digest, id, expiresAtMs])
      },
      async take(digest) {
        const [row] = await query('delete from writ_ca.join_tokens where digest = $1 returning id, expires_at_ms', [
          digest,
        ])
        const id = row && parseSpiffeId(String(row['id']))
        return id && { digest, id, expiresAtMs: Number(row['expires_at_ms']) }
      },
    },
    recovery: {
      async find(digest) {
        const [row] = await query('select * from writ_ca.recovery_keys where digest = $1', [digest])
        const id = row && parseSpiffeId(String(row['id']))
        const { registered, serial, not_after_ms } = row ?? {}
        return (
          id && {
            digest,
            id,
            registered: registered === true,
            serial: String(serial),
            notAfterMs: Number(not_after_ms),
          }
        )
      },
      async put({ digest, id, registered, serial, notAfterMs }, forgetMs) {
        const values = [digest, id, registered, serial, notAfterMs]
        if (await keyRoom(forgetMs)) {
          await query(
            `insert into writ_ca.recovery_keys values ($1, $2, $3, $4, $5) on conflict (digest) do update set
             id = excluded.id, registered = excluded.registered, serial = excluded.serial, not_after_ms = excluded.not_after_ms`,
            values,
          )
          return
        }
        const known = await query(
          `update writ_ca.recovery_keys set id = $2, registered = $3, serial = $4, not_after_ms = $5 where digest = $1
           returning digest`,
          values,
        )
        if (known.length === 0) throw tooManyBound()
      },
    },
    once: {
      async take(digest, notAfterMs, nowMs) {
        if (!(await shownRoom(nowMs))) return false
        const rows = await query(
          `insert into writ_ca.shown values ($1, $2) on conflict (digest) do update set until_ms = excluded.until_ms
           where shown.until_ms < $3 returning digest`,
          [digest, notAfterMs + shownSkewMs, nowMs],
        )
        return rows.length === 1
      },
    },
    async applied({ workload, trust, notAfterMs }) {
      await query(
        `insert into writ_ca.applied values ($1, coalesce($2::bigint, 0), $3) on conflict (workload) do update
         set trust = coalesce($2::bigint, applied.trust), not_after_ms = excluded.not_after_ms
         where (applied.trust, applied.not_after_ms) is distinct from (coalesce($2, applied.trust), excluded.not_after_ms)`,
        [workload, trust, notAfterMs],
      )
    },
    async behind(trust, nowMs) {
      const rows = await query(
        'select workload from writ_ca.applied where trust < $1 and not_after_ms > $2 order by workload limit 1000',
        [trust, nowMs],
      )
      return rows.map((row) => String(row['workload']))
    },
    leaves: {
      async put(leaves) {
        await query(
          `insert into writ_ca.leaves select * from unnest($1::text[], $2::bigint[], $3::bigint[])
           on conflict (id) do update set not_before_ms = excluded.not_before_ms, not_after_ms = excluded.not_after_ms
           where leaves.not_after_ms <> excluded.not_after_ms`,
          [leaves.map(({ id }) => id), leaves.map((one) => one.notBeforeMs), leaves.map((one) => one.notAfterMs)],
        )
      },
      async late(nowMs) {
        const rows = await query(
          `select * from writ_ca.leaves where not_after_ms > $1 and (not_after_ms - $1) * 3 < not_after_ms - not_before_ms
           order by not_after_ms limit 1000`,
          [nowMs],
        )
        return rows.flatMap(({ id, not_before_ms, not_after_ms }) => {
          const parsed = parseSpiffeId(String(id))
          return parsed ? [{ id: parsed, notBeforeMs: Number(not_before_ms), notAfterMs: Number(not_after_ms) }] : []
        })
      },
    },
    async close() {
      await listener.close()
      await pool.end()
    },
  }
}

/**
 * Whether a table has room for one more row. What ended before `beforeMs` is deleted and the rest counted once for a
 * hundredth of its rows, since both take as long as it is large: several control planes go over `max` by that much each.
 */
function roomIn(query: Query, table: string, endsAt: string, max: number): (beforeMs: number) => Promise<boolean> {
  let left = 0
  let counting: Promise<boolean> | undefined
  const count = async (beforeMs: number): Promise<boolean> => {
    await query(`delete from ${table} where ${endsAt} < $1`, [beforeMs])
    const [row] = await query(`select count(*) as held from ${table}`)
    left = Math.min(max - Number(row!['held']), Math.ceil(max / 100))
    return left > 0
  }
  return async (beforeMs) => {
    while (left <= 0) {
      counting ??= count(beforeMs).finally(() => {
        counting = undefined
      })
      if (!(await counting)) return false
    }
    left--
    return true
  }
}

/** A number of the advisory locks that another name is unlikely to have; two that share one only wait for each other. */
function lockOf(name: string): number {
  let hash = 7
  for (const char of name) hash = (hash * 31 + char.charCodeAt(0)) % 1_000_000_007
  return hash
}

/** The lock is the session's: a process that dies lets go of it. */
async function locked<T>(pool: pg.Pool, key: number, work: () => Promise<T>): Promise<T> {
  const client = await pool.connect().catch((cause: unknown) => {
    throw unavailable(cause)
  })
  let broken: Error | undefined
  try {
    await client.query('select pg_advisory_lock($1)', [key]).catch((cause: unknown) => {
      throw unavailable(cause)
    })
    return await work()
  } finally {
    await client.query('select pg_advisory_unlock($1)', [key]).catch((error: Error) => {
      broken = error
    })
    client.release(broken)
  }
}

/** Hears of changes, and after each silence of the connection takes it that there were some. */
function listen(url: string, heard: () => void): { close(): Promise<void> } {
  let closed = false
  let client: pg.Client | undefined
  let timer: NodeJS.Timeout | undefined
  const again = (): void => {
    if (closed || timer) return
    timer = setTimeout(() => {
      timer = undefined
      void begin()
    }, listenAgainMs)
    timer.unref()
  }
  const begin = async (): Promise<void> => {
    const next = new pg.Client({
      connectionString: url,
      connectionTimeoutMillis: 5000,
      application_name: 'writ-ca listen',
    })
    client = next
    next.on('error', () => undefined)
    next.on('end', again)
    next.on('notification', heard)
    try {
      await next.connect()
      await next.query(`listen ${channel}`)
      heard()
    } catch {
      await next.end().catch(() => undefined)
      again()
    }
  }
  void begin()
  return {
    async close() {
      closed = true
      clearTimeout(timer)
      await client?.end().catch(() => undefined)
    },
  }
}

const unavailable = (cause: unknown): WritError =>
  cause instanceof WritError
    ? cause
    : new WritError('store_unavailable', `the database of the authority does not answer: ${messageOf(cause)}`, {
        cure: 'see that PostgreSQL runs and that the user may create a schema',
        cause,
      })
