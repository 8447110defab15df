/**
 * What readers of the store see, alike on PostgreSQL 15 and PGlite. The log's leaves are the truth, and everything here
 * can be made again from them. `records` and `outcomes` are views: what lies below them is in tables.ts. A shard is a
 * partition of the stream and one Merkle log.
 */

import type { ColumnDataType } from 'drizzle-orm'
import {
  bigint,
  boolean,
  customType,
  integer,
  type PgColumn,
  type PgDatabase,
  type PgQueryResultHKT,
  type PgTableWithColumns,
  pgTable,
  primaryKey,
  text,
  timestamp,
} from 'drizzle-orm/pg-core'
import type { TileReader } from '../log/tiles.ts'

const bytea = (name: string) =>
  customType<{ data: Uint8Array; driverData: Uint8Array }>({ dataType: () => 'bytea' })(name)
const long = (name: string) => bigint(name, { mode: 'number' })
/** As text: `2026-11-23 17:04:09.123456+00`. A record's own time has nine digits; the last three are cut off here. */
const time = (name: string) => timestamp(name, { precision: 6, withTimezone: true, mode: 'string' })

/** A table by its rows: `null` in a member's type is a column that may be null. */
export type TableOf<Name extends string, Row> = PgTableWithColumns<{
  name: Name
  schema: undefined
  dialect: 'pg'
  columns: {
    [Member in keyof Row & string]: PgColumn<{
      name: string
      tableName: Name
      dataType: ColumnDataType
      columnType: string
      data: NonNullable<Row[Member]>
      driverParam: unknown
      notNull: null extends Row[Member] ? false : true
      hasDefault: false
      isPrimaryKey: boolean
      isAutoincrement: false
      hasRuntimeDefault: false
      enumValues: string[] | undefined
      baseColumn: unknown
      identity: undefined
      generated: undefined
    }>
  }
}>

/** One row per leaf, as a view. All kinds fill the members up to `at`, decisions also those after. Text has no NUL here. */
export interface RecordRow {
  readonly shard: number
  readonly index: number
  readonly kind: string
  readonly producer: string
  readonly epoch: string
  readonly seq: number
  readonly at: string
  readonly direction: string | null
  readonly workload: string | null
  readonly listener: string | null
  /** SPIFFE id that the source proved, or empty. */
  readonly caller: string | null
  /** Service asked for, or the workload's id where none was found. */
  readonly target: string | null
  readonly service: string | null
  readonly method: string | null
  readonly path: string | null
  readonly verdict: string | null
  readonly code: string | null
  readonly by: string | null
  readonly enforced: boolean | null
  readonly bundle: string | null
  readonly revision: string | null
  readonly policySha256: string | null
  readonly reasons: string[] | null
  /** Serial number of the caller's certificate, hex. */
  readonly serial: string | null
  readonly requestId: string | null
  readonly traceId: string | null
  readonly sourceAddress: string | null
}

export const records: TableOf<'records', RecordRow> = pgTable('records', {
  shard: integer('shard').notNull(),
  index: long('index').notNull(),
  kind: text('kind').notNull(),
  producer: text('producer').notNull(),
  epoch: text('epoch').notNull(),
  seq: long('seq').notNull(),
  at: time('at').notNull(),
  direction: text('direction'),
  workload: text('workload'),
  listener: text('listener'),
  caller: text('caller'),
  target: text('target'),
  service: text('service'),
  method: text('method'),
  path: text('path'),
  verdict: text('verdict'),
  code: text('code'),
  by: text('by'),
  enforced: boolean('enforced'),
  bundle: text('bundle'),
  revision: text('revision'),
  policySha256: text('policy_sha256'),
  reasons: text('reasons').array(),
  serial: text('serial'),
  requestId: text('request_id'),
  traceId: text('trace_id'),
  sourceAddress: text('source_address'),
})

/** How a decision ended, by the decision's id, as a view. `shard` and `index` are those of the outcomes leaf. */
export interface OutcomeRow {
  readonly epoch: string
  readonly seq: number
  readonly shard: number
  readonly index: number
  readonly code: string
  readonly status: number
  readonly requestBytes: number
  readonly responseBytes: number
  readonly durationUs: number
  readonly upstream: string
  /** What was tried in vain before, in order: `127.0.0.1:8443 503`. Null in rows of before version 10, which do not tell. */
  readonly attempts: string[] | null
  /** Why it was not tried again, though its rules ask for that. */
  readonly stopped: string | null
}

export const outcomes: TableOf<'outcomes', OutcomeRow> = pgTable('outcomes', {
  epoch: text('epoch').notNull(),
  seq: long('seq').notNull(),
  shard: integer('shard').notNull(),
  index: long('index').notNull(),
  code: text('code').notNull(),
  status: integer('status').notNull(),
  requestBytes: long('request_bytes').notNull(),
  responseBytes: long('response_bytes').notNull(),
  durationUs: long('duration_us').notNull(),
  upstream: text('upstream').notNull(),
  attempts: text('attempts').array(),
  stopped: text('stopped'),
})

/** How far a producer has come. */
export interface EpochRow {
  readonly epoch: string
  readonly producer: string
  readonly shard: number
  /** One more than the highest number seen. */
  readonly nextSeq: number
  /** Leaf hash of record `nextSeq - 1`. */
  readonly lastHash: Uint8Array
  /** The highest number that a verified head covers, -1 at first. */
  readonly attestedSeq: number
  /** It ended on purpose, with a verified head that said so. */
  readonly final: boolean
  readonly startedAt: string
  readonly lastAt: string
  /** The epoch that its first record quotes, '' where it quotes none; null where that is not known. */
  readonly previous: string | null
}

export const epochs: TableOf<'epochs', EpochRow> = pgTable('epochs', {
  epoch: text('epoch').primaryKey(),
  producer: text('producer').notNull(),
  shard: integer('shard').notNull(),
  nextSeq: long('next_seq').notNull(),
  lastHash: bytea('last_hash').notNull(),
  attestedSeq: long('attested_seq').notNull(),
  final: boolean('final').notNull(),
  startedAt: time('started_at').notNull(),
  lastAt: time('last_at').notNull(),
  previous: text('previous'),
})

/** Numbers that did not arrive (`closedIndex` null), or arrived late. Rows of one epoch never overlap. */
export interface GapRow {
  readonly epoch: string
  readonly first: number
  readonly last: number
  /** Index of the `gap` leaf that opened it, and of the one that closed it, in the epoch's shard. */
  readonly openedIndex: number
  readonly closedIndex: number | null
}

export const gaps: TableOf<'gaps', GapRow> = pgTable(
  'gaps',
  {
    epoch: text('epoch').notNull(),
    first: long('first').notNull(),
    last: long('last').notNull(),
    openedIndex: long('opened_index').notNull(),
    closedIndex: long('closed_index'),
  },
  (table) => [primaryKey({ columns: [table.epoch, table.first] })],
)

/** Where the stream is to be read on: the fence between two auditors that both think they own a shard. */
export interface OffsetRow {
  readonly shard: number
  /** Decimal. */
  readonly nextOffset: string
  readonly owner: string
}

export const offsets: TableOf<'offsets', OffsetRow> = pgTable('offsets', {
  shard: integer('shard').primaryKey(),
  nextOffset: text('next_offset').notNull(),
  owner: text('owner').notNull(),
})

/** A checkpoint that was published. */
export interface CheckpointRow {
  readonly shard: number
  readonly size: number
  readonly root: Uint8Array
  /** The C2SP signed note. */
  readonly note: string
  readonly at: string
}

export const checkpoints: TableOf<'checkpoints', CheckpointRow> = pgTable(
  'checkpoints',
  {
    shard: integer('shard').notNull(),
    size: long('size').notNull(),
    root: bytea('root').notNull(),
    note: text('note').notNull(),
    at: time('at').notNull(),
  },
  (table) => [primaryKey({ columns: [table.shard, table.size] })],
)

/** A log that was opened in the place of a partition's former one. A partition without a row has its first. */
export interface LogRow {
  readonly shard: number
  readonly partition: number
  readonly openedAt: string
}

export const logs: TableOf<'logs', LogRow> = pgTable('logs', {
  shard: integer('shard').primaryKey(),
  partition: integer('partition').notNull(),
  openedAt: time('opened_at').notNull(),
})

export const schema: Schema = { records, outcomes, epochs, gaps, offsets, checkpoints, logs }

export interface Schema extends Record<string, unknown> {
  readonly records: typeof records
  readonly outcomes: typeof outcomes
  readonly epochs: typeof epochs
  readonly gaps: typeof gaps
  readonly offsets: typeof offsets
  readonly checkpoints: typeof checkpoints
  readonly logs: typeof logs
}

/** Reads files of a shard's log, by the paths of C2SP tlog-tiles; undefined where there is none. */
export type LogFiles = (shard: number) => TileReader

/** What a store can do besides SQL. */
export interface Means {
  /** COPY of lines in PostgreSQL's text format, in the transaction of the database it stands on. */
  readonly copyIn: (table: string, columns: readonly string[], lines: string) => Promise<void>
  readonly compress: (bytes: Uint8Array) => Promise<Uint8Array>
  /** Throws where the bytes are damaged, or would become more than `limit`. */
  readonly decompress: (bytes: Uint8Array, limit: number) => Promise<Uint8Array>
  /** The log folder, which keeps leaves for longer than the tables do. */
  readonly files?: LogFiles
}

/** A drizzle database over these tables, whatever driver is below. */
export type Db = PgDatabase<PgQueryResultHKT, Schema> & { readonly means?: Means }

export function meansOf(db: Db): Means {
  if (db.means) return db.means
  throw new Error('a database that was not opened by openStore')
}
