import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { openLogFolder } from '../../audit/node/folder.ts'
import { tendStore } from '../../audit/node/tend.ts'
import { sql } from '../../audit/store/drizzle.ts'
import { rowsOf } from '../../audit/store/sql.ts'
import { copyPiece, keepPiece } from '../../bench/audit/copies.ts'
import { openMesh } from '../../bench/audit/mesh.ts'
import { shard, writePiece } from '../../bench/audit/writer.ts'
import { sha256 } from '../../cli/wire/machine.ts'
import { openTestStore } from '../audit/node/auditor-fixture.ts'

const store = await openTestStore()
const dir = await mkdtemp(join(tmpdir(), 'writ-fill-'))
afterAll(async () => {
  await store.close()
  await rm(dir, { recursive: true })
})
const one = async (text: string): Promise<Record<string, unknown>> => {
  const [row] = await rowsOf<Record<string, unknown>>(store.db.execute(sql.raw(text)))
  return row!
}

const fromMs = Date.parse('2026-11-20T05:00:00Z')
const ms = 60 * 3_600_000
const leaves = await writePiece({
  ...{ store, folder: await openLogFolder(dir, sha256), first: 0, rows: 400, fromMs, toMs: fromMs + ms },
  decide: openMesh(fromMs + ms),
})
await store.db.transaction(async (tx) => {
  await keepPiece(tx)
  await copyPiece(tx, { copy: 1, leaves, ms })
})

test('a copy says of every record what its piece says, later, by another run and under ids of its own', async () => {
  const same = [
    'kind',
    'producer',
    'seq',
    'caller',
    'target',
    'method',
    'path',
    'verdict',
    'code',
    'reasons',
    'source_address',
  ]
  const columns = (of: string): string => same.map((name) => `${of}.${name}`).join(', ')
  const compared = await one(`select count(*)::integer as n,
      count(*) filter (where row(${columns('a')}) is distinct from row(${columns('b')}))::integer as differ,
      count(*) filter (where b.at <> a.at + interval '${ms} milliseconds' or a.epoch = b.epoch)::integer as moved,
      count(*) filter (where a.request_id = b.request_id or a.serial = b.serial)::integer as shared
    from records a join records b on b.shard = a.shard and b.index = a.index + ${leaves}`)
  expect(compared).toEqual({ n: leaves, differ: 0, moved: 0, shared: 0 })
  const ends = await one(`select count(*)::integer as n from outcomes a join outcomes b on b.index = a.index + ${leaves}
    and b.seq = a.seq and row(b.code, b.status, b.request_bytes, b.response_bytes, b.duration_us, b.upstream)
      = row(a.code, a.status, a.request_bytes, a.response_bytes, a.duration_us, a.upstream)`)
  expect(ends).toEqual({ n: 400 })
})

test('sums by the day and by the hour tell the same of any window, and what is not summed yet is in both', async () => {
  const windows = [
    ['2026-11-20T05:10:00Z', '2026-11-24T07:30:00Z'],
    ['2026-11-21T08:00:00Z', '2026-11-21T11:00:00Z'],
    ['-infinity', '2026-11-23T12:00:00Z'],
  ] as const
  const sums = (of: string, [since, until]: readonly [string, string]) =>
    one(`select count(distinct (caller, target, method))::integer as edges, sum(decisions)::integer as n,
        sum(outcomes)::integer as ends, sum(duration_us_sum)::integer as us, min(first_index)::integer as first,
        max(last_index)::integer as last, max(last_at)::text as at
      from ${of}('${since}', '${until}', 'any')`)
  const unsummed = await Promise.all(windows.map((window) => sums('writ_counted', window)))
  expect(unsummed).toEqual(await Promise.all(windows.map((window) => sums('writ_counted_hours', window))))
  await tendStore(store, [shard])
  for (const [i, window] of windows.entries()) {
    const summed = await sums('writ_counted', window)
    expect(summed).toEqual(await sums('writ_counted_hours', window))
    expect(summed['n'], window.join(' ')).toBe(unsummed[i]!['n'])
    expect(summed['n']).toBeGreaterThan(0)
  }
})

test('every certificate that was used in an hour is in the sums of that hour, with its last call', async () => {
  const [summed, counted] = [
    await one(
      `select count(*)::integer as n, max(index)::integer as last from writ_serials('2026-11-20', '2026-11-26')`,
    ),
    await one(`select count(*)::integer as n, max(last)::integer as last from (
      select max(index) as last from records where kind = 'decision' and serial is not null and caller is not null
      group by date_trunc('hour', at, 'UTC'), caller, serial, source_address) r`),
  ]
  expect(summed).toEqual(counted)
})
