/** Bytes of every table with its TOAST, of every index, and of the log's files. */

import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type pg from 'pg'

export interface Size {
  readonly name: string
  readonly bytes: number
}

export async function sizesOf(database: pg.Client, logDir: string): Promise<readonly Size[]> {
  const { rows } = await database.query(`
    select regexp_replace(coalesce(t.relname, c.relname), '_(other|[0-9]{8})$', '') as name,
      case when c.relkind = 'i' then
        coalesce(nullif(regexp_replace(regexp_replace(c.relname, '_(other|[0-9]{8})', ''), '^[a-z]+_', ''), ''), 'key')
      end as index,
      sum(case when c.relkind = 'i' then pg_relation_size(c.oid) else pg_table_size(c.oid) end)::float8 as bytes
    from pg_class c left join pg_index i on i.indexrelid = c.oid left join pg_class t on t.oid = i.indrelid
    where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'i') group by 1, 2 order by 3 desc`)
  const sizes: Size[] = rows
    .filter(({ bytes }) => bytes > 100_000)
    .map(({ name, index, bytes }) => ({ name: index ? `${name}, index ${index}` : name, bytes }))
  if (logDir === '') return sizes
  const tiles = { name: 'log folder, hash tiles', bytes: 0 }
  const bundles = { name: 'log folder, entry bundles', bytes: 0 }
  for (const entry of await readdir(logDir, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue
    const path = join(entry.parentPath, entry.name)
    const of = path.includes('/entries/') ? bundles : tiles
    of.bytes += (await stat(path)).size
  }
  const all = [...sizes, tiles, bundles]
  const sum = (list: readonly Size[]): number => list.reduce((total, { bytes }) => total + bytes, 0)
  const buffer = all.filter(({ name }) => name.startsWith('chunks'))
  return [
    ...all,
    { name: '**hot, without the buffer of chunks**', bytes: sum(all) - sum(buffer) },
    { name: '**hot, with it**', bytes: sum(all) },
  ]
}
