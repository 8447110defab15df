/** `npm run bench:questions`: fills a PostgreSQL of its own and asks. Draft. */
import { parseArgs } from 'node:util'
import { mkdtemp, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startPostgres } from '../test/parts/postgres.ts'
import { openStore } from '../audit/node/store.ts'
import { fillStore } from './audit/fill.ts'
const { values } = parseArgs({ options: { rows: { type: 'string', default: '200000' }, leaves: { type: 'boolean', default: false } } })
const settings = { shared_buffers: '1GB', max_wal_size: '8GB', synchronous_commit: 'off', full_page_writes: 'off', wal_level: 'minimal', max_wal_senders: '0', autovacuum: 'off', work_mem: '16MB' }
const postgres = await startPostgres({ settings })
const folder = await mkdtemp(join(tmpdir(), 'writ-questions-'))
console.log(postgres.url, folder)
const endMs = Math.floor(Date.now() / 3600000) * 3600000
const store = await openStore({ kind: 'postgres', url: postgres.url, statementTimeoutMs: 600_000 })
const at = Date.now()
const say = (t: string) => console.log(((Date.now() - at) / 1000).toFixed(0), t)
const filled = await fillStore({ store, rows: Number(values.rows), days: 28, endMs, say, logDir: join(folder, 'log') })
await writeFile(`/tmp/scale/db-${values.rows}.json`, JSON.stringify({ url: postgres.url, folder, endMs, ...filled }))
console.log(filled); if (process.env.ONCE) { await postgres.remove(); process.exit(0) }
process.on('SIGTERM', async () => { await postgres.remove(); process.exit(0) })
setInterval(() => undefined, 1000)
