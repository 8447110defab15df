/**
 * An archive file: a range of leaves of one log as Parquet. The leaf stands in it byte for byte, so that it can be hashed
 * again; the other columns are made from it, for tools that read Parquet and know nothing of a log.
 */

import { parquetMetadata, parquetReadObjects } from 'hyparquet'
import { ByteWriter, type ColumnSource, ParquetWriter, schemaFromColumnData } from 'hyparquet-writer'
import { messageOf } from '../../core/fault.ts'
import { isObject, parseJson } from '../../core/json.ts'
import { type AuditEvent, parseEvent } from '../../core/record.ts'
import { tileWidth } from '../log/tiles.ts'
import { recordRowOf } from '../store/row.ts'

export const archiveVersion = 1

/** Leaves of a file at most: 128 bundles, which take some 50 MiB of memory. */
export const maxArchiveLeaves = 32_768

/** Bytes of a page before it is compressed: what one leaf has in common with those before it is found within it. */
const pageBytes = 8 << 20

/** What a page may become when it is inflated; one leaf more than a page. */
export const maxPageBytes: number = pageBytes + 0x10000 + (1 << 20)

/** What a file says of itself, under `writ` in its metadata. */
export interface ArchiveHead {
  readonly v: typeof archiveVersion
  readonly shard: number
  readonly first: number
  readonly last: number
  /** RFC 6962 hashes of the whole bundles in it, in order, lower-case hex: level 8 of the tree. */
  readonly nodes: readonly string[]
  /** A signed checkpoint that covers all of it. */
  readonly checkpoint: string
}

export interface ArchivedLeaf {
  readonly index: number
  readonly bytes: Uint8Array
  /** The columns beside it as they stand in the file. */
  readonly columns: ArchiveColumns
}

export interface Archive {
  readonly head: ArchiveHead
  readonly leaves: readonly ArchivedLeaf[]
}

const names = ['kind', 'producer', 'caller', 'target', 'method', 'verdict', 'code'] as const

/** `at` in milliseconds since 1970. */
export type ArchiveColumns = { readonly at: number | null } & {
  readonly [name in (typeof names)[number]]: string | null
}

/** What the columns of a leaf are. A leaf that is no record has none. */
export function columnsOf(event: AuditEvent | undefined): ArchiveColumns {
  const row = event && recordRowOf(event)
  const texts = Object.fromEntries(names.map((name) => [name, row?.[name] ?? null]))
  const ms = row ? Date.parse(row.at) : Number.NaN
  return { at: Number.isNaN(ms) ? null : ms, ...texts } as ArchiveColumns
}

/** `compress` is zstd's. */
export function encodeArchive(
  head: ArchiveHead,
  leaves: readonly Uint8Array[],
  compress: (page: Uint8Array) => Uint8Array,
): Uint8Array {
  const rows = leaves.map((bytes) => {
    const parsed = parseEvent(bytes)
    return columnsOf('event' in parsed ? parsed.event : undefined)
  })
  const columnData: ColumnSource[] = [
    {
      ...{ name: 'index', type: 'INT64', nullable: false, encoding: 'DELTA_BINARY_PACKED' },
      data: leaves.map((_, i) => BigInt(head.first + i)),
    },
    { name: 'at', type: 'TIMESTAMP', nullable: true, data: rows.map(({ at }) => (at === null ? null : new Date(at))) },
    ...names.map(
      (name): ColumnSource => ({ name, type: 'STRING', nullable: true, data: rows.map((row) => row[name]) }),
    ),
    {
      ...{ name: 'leaf', type: 'BYTE_ARRAY', nullable: false, encoding: 'DELTA_LENGTH_BYTE_ARRAY', statistics: false },
      data: leaves as Uint8Array[],
    },
  ]
  const bytes = new ByteWriter()
  const writer = new ParquetWriter({
    writer: bytes,
    schema: schemaFromColumnData({ columnData }),
    codec: 'ZSTD',
    compressors: { ZSTD: compress },
    kvMetadata: [{ key: 'writ', value: JSON.stringify(head) }],
    createdBy: 'Writ',
  })
  writer.write({ columnData, rowGroupSize: maxArchiveLeaves, pageSize: pageBytes })
  writer.finish()
  return bytes.getBytes().slice()
}

/** Reads what a stranger may have made. `inflate` throws where a page would be longer than `limit`. */
export async function decodeArchive(
  bytes: Uint8Array,
  inflate: (page: Uint8Array, limit: number) => Uint8Array,
): Promise<Archive | { readonly wrong: string }> {
  try {
    const file = bytes.slice().buffer
    const metadata = parquetMetadata(file)
    const said = metadata.key_value_metadata?.find(({ key }) => key === 'writ')?.value
    const head = headOf(said === undefined ? undefined : parseJson(said))
    if (!head) return { wrong: 'it says of itself neither shard nor range, or is of another version' }
    const count = head.last - head.first + 1
    if (metadata.num_rows !== BigInt(count)) return { wrong: `it has ${metadata.num_rows} rows where ${count} belong` }
    const ZSTD = (page: Uint8Array): Uint8Array => inflate(page, maxPageBytes)
    if (metadata.row_groups.length !== 1) return { wrong: `it has ${metadata.row_groups.length} row groups, not one` }
    // One after the other: of columns that are read together the library lets all but the first failure go unhandled.
    const rows: Record<string, unknown>[] = Array.from({ length: count }, () => ({}))
    for (const column of ['index', 'at', ...names, 'leaf']) {
      const read = await parquetReadObjects({ file, metadata, columns: [column], compressors: { ZSTD }, utf8: false })
      if (read.length !== count) return { wrong: `column ${column} has ${read.length} values where ${count} belong` }
      for (const [i, row] of read.entries()) rows[i]![column] = row[column]
    }
    const leaves = rows.map(leafOf)
    const bad = leaves.indexOf(undefined)
    if (bad >= 0) return { wrong: `row ${bad} is not in the form of a leaf` }
    return { head, leaves: leaves as readonly ArchivedLeaf[] }
  } catch (thrown) {
    return { wrong: messageOf(thrown) }
  }
}

function headOf(value: unknown): ArchiveHead | undefined {
  if (!isObject(value)) return undefined
  const { v, shard, first, last, nodes, checkpoint } = value
  if (v !== archiveVersion || typeof checkpoint !== 'string') return undefined
  if (![shard, first, last].every((one) => Number.isSafeInteger(one) && (one as number) >= 0)) return undefined
  const count = (last as number) - (first as number) + 1
  if ((first as number) % tileWidth !== 0 || count < 1 || count > maxArchiveLeaves) return undefined
  if (!Array.isArray(nodes) || !nodes.every((node) => typeof node === 'string')) return undefined
  return value as unknown as ArchiveHead
}

function leafOf(row: { readonly [name: string]: unknown }): ArchivedLeaf | undefined {
  const { index, leaf, at } = row
  if (typeof index !== 'bigint' || !(leaf instanceof Uint8Array)) return undefined
  const columns = Object.fromEntries(names.map((name) => [name, row[name] ?? null]))
  const ms = at instanceof Date ? at.getTime() : null
  return { index: Number(index), bytes: leaf, columns: { at: ms, ...columns } as ArchiveColumns }
}
