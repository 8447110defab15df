/** Rows as Parquet, a row group at a time, so that any number of them takes the memory of one group. */

import { ByteWriter, type ColumnSource, ParquetWriter, schemaFromColumnData } from 'hyparquet-writer'
import type { DecisionRow } from '../answer.ts'

/** Rows of a group. */
const groupRows = 20_000

const text = (name: string, of: (row: DecisionRow) => string | null, nullable = true) => ({
  name,
  type: 'STRING' as const,
  nullable,
  of,
})
const long = (name: string, of: (row: DecisionRow) => number | null, nullable = true) => ({
  name,
  type: 'INT64' as const,
  nullable,
  of: (row: DecisionRow) => {
    const value = of(row)
    return value === null ? null : BigInt(value)
  },
})
const flag = (name: string, of: (row: DecisionRow) => boolean) => ({
  name,
  type: 'BOOLEAN' as const,
  nullable: false,
  of,
})

interface ParquetColumn {
  readonly name: string
  readonly type: 'STRING' | 'INT64' | 'BOOLEAN' | 'TIMESTAMP'
  readonly nullable: boolean
  readonly of: (row: DecisionRow) => string | bigint | boolean | Date | null
}

const columns: readonly ParquetColumn[] = [
  text('id', (row) => row.id, false),
  long('shard', (row) => row.shard, false),
  long('index', (row) => row.index, false),
  text('time', (row) => row.time, false),
  { name: 'at', type: 'TIMESTAMP' as const, nullable: false, of: (row: DecisionRow) => new Date(row.time) },
  text('kind', (row) => row.kind ?? (row.told ? 'opa_decision' : 'decision'), false),
  text('direction', (row) => row.direction || null),
  text('caller', (row) => row.caller),
  text('target', (row) => row.target),
  text('service', (row) => row.service),
  text('method', (row) => row.method),
  text('path', (row) => row.path),
  text('verdict', (row) => row.verdict || null),
  text('code', (row) => row.code || null),
  flag('enforced', (row) => row.enforced),
  text('by', (row) => row.by),
  text('bundle', (row) => row.bundle),
  text('revision', (row) => row.revision),
  text('reasons', (row) => (row.reasons.length === 0 ? null : JSON.stringify(row.reasons))),
  text('request_id', (row) => row.requestId),
  text('trace_id', (row) => row.traceId),
  text('source_address', (row) => row.sourceAddress),
  text('serial', (row) => row.serial),
  text('outcome', (row) => row.outcome),
  long('status', (row) => row.status),
  long('duration_us', (row) => row.durationUs),
  text('upstream', (row) => row.upstream),
  text('attempts', (row) => row.attempts && JSON.stringify(row.attempts)),
  text('stopped', (row) => row.stopped),
  flag('attested', (row) => row.attested),
  flag('covered', (row) => row.covered),
  text('sealed', (row) => (row.sealed ? JSON.stringify(row.sealed) : null)),
]

export async function* parquetOf(pages: AsyncIterable<readonly DecisionRow[]>): AsyncGenerator<Uint8Array> {
  const bytes = new ByteWriter()
  const empty = columnsOf([])
  const writer = new ParquetWriter({
    writer: bytes,
    schema: schemaFromColumnData({ columnData: empty }),
    createdBy: 'Writ',
  })
  let group: DecisionRow[] = []
  const write = async (): Promise<Uint8Array> => {
    await writer.write({ columnData: columnsOf(group), rowGroupSize: groupRows })
    group = []
    return taken(bytes)
  }
  for await (const page of pages) {
    group.push(...page)
    if (group.length >= groupRows) yield await write()
  }
  if (group.length > 0) yield await write()
  await writer.finish()
  yield taken(bytes)
}

const columnsOf = (rows: readonly DecisionRow[]): ColumnSource[] =>
  columns.map(({ name, type, nullable, of }) => ({ name, type, nullable, data: rows.map(of) }))

/** What is in the buffer, which is then begun anew; the writer's count of all that it wrote goes on. */
function taken(writer: ByteWriter): Uint8Array {
  const chunk = writer.getBytes().slice()
  writer.index = 0
  return chunk
}
