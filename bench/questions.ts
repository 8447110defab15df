/**
 * `npm run bench:questions`: fills a PostgreSQL of its own with decisions over four weeks and asks what an auditor asks.
 * Prints tables: the time and the CPU of each question, first with PostgreSQL's buffers empty, and bytes by table.
 * Usage: node bench/questions.ts [--rows 200000] [--days 28]
 */

import { mkdtemp, rm } from 'node:fs/promises'
import { loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import pg from 'pg'
import { openStore, type Store } from '../audit/node/store.ts'
import type { LogFiles } from '../audit/store/schema.ts'
import { startPostgres } from '../test/parts/postgres.ts'
import { type Filled, fillStore } from './audit/fill.ts'
import { type Ask, finds, tenQuestions } from './audit/questions.ts'
import { sizesOf } from './audit/sizes.ts'
import { costOf } from './measure.ts'

const { values } = parseArgs({
  options: { rows: { type: 'string', default: '200000' }, days: { type: 'string', default: '28' } },
})
const say = (text: string): void => console.error(`${new Date().toISOString().slice(11, 19)} ${text}`)
const row = (...cells: readonly (string | number)[]): void => console.log(`| ${cells.join(' | ')} |`)

const settings = {
  ...{ shared_buffers: '1GB', max_wal_size: '8GB', work_mem: '16MB', synchronous_commit: 'off' },
  ...{ full_page_writes: 'off', wal_level: 'minimal', max_wal_senders: '0', autovacuum: 'off' },
}
const postgres = await startPostgres({ settings })
const folder = await mkdtemp(join(tmpdir(), 'writ-questions-'))
try {
  await run()
} finally {
  await postgres.remove()
  await rm(folder, { recursive: true, force: true, maxRetries: 5 })
}
process.exit(0)

async function run(): Promise<void> {
  const endMs = Math.floor(Date.now() / 3_600_000) * 3_600_000
  const began = performance.now()
  const filling = await openStore({ kind: 'postgres', url: postgres.url, statementTimeoutMs: 600_000 })
  const filled = await fillStore({
    ...{
      store: filling,
      logDir: join(folder, 'log'),
      rows: Number(values.rows),
      days: Number(values.days),
      endMs,
      say,
    },
  })
  await filling.close()
  say(`${filled.decisions} decisions, ${filled.leaves} leaves in ${Math.round((performance.now() - began) / 1000)} s`)
  await postgres.restart()
  const store = withFiles(await openStore({ kind: 'postgres', url: postgres.url }), filled.files)
  console.log(`Load ${loadavg()[0]!.toFixed(1)} at the beginning.\n`)
  row('question', 'rows', 'first ms', 'again ms', 'CPU ms of it')
  row('---', '---', '---', '---', '---')
  for (const one of tenQuestions(store, endMs)) await ask(one)
  for (const one of await finds(store, endMs, filled.leaves)) await ask(one)
  console.log(`\nLoad ${loadavg()[0]!.toFixed(1)} at the end.\n`)
  await store.close()
  await sizes(filled)
}

/** CPU is that of PostgreSQL and of this process together: what the question takes on a machine of its own. */
async function ask({ name, ask: answer }: Ask): Promise<void> {
  const cpu = (): number => costOf(postgres.pid()!).cpuMs + process.cpuUsage().user / 1000
  const timed = async (): Promise<readonly [number, number, number]> => {
    const [at, from] = [performance.now(), cpu()]
    const rows = await answer()
    return [rows, Math.round(performance.now() - at), Math.round(cpu() - from)]
  }
  const [rows, first] = await timed()
  const [, again, spent] = await timed()
  row(name, rows, first, again, spent)
}

async function sizes({ leaves, pieceLeaves }: Filled): Promise<void> {
  const client = new pg.Client({ connectionString: postgres.url })
  await client.connect()
  row('what', 'MiB', 'bytes a leaf')
  row('---', '---', '---')
  const print = (name: string, bytes: number, of: number): void =>
    row(name, (bytes / 1024 ** 2).toFixed(1), (bytes / of).toFixed(1))
  for (const { name, bytes } of await sizesOf(client, '')) print(name, bytes, leaves)
  const files = (await sizesOf(client, join(folder, 'log', 'first'))).filter(({ name }) =>
    name.startsWith('log folder'),
  )
  for (const { name, bytes } of files) print(`${name}, of the first piece`, bytes, pieceLeaves)
  await client.end()
}

function withFiles(store: Store, files: LogFiles): Store {
  return { ...store, db: Object.assign(store.db, { means: { ...store.db.means!, files } }) }
}
