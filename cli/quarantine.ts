/** `writ quarantine`: cuts a caller off everywhere for a time, shows what that would deny, and lets it in again. */

import { userInfo } from 'node:os'
import { join } from 'node:path'
import { Command } from 'commander'
import { parseMoment, parseSpan } from '../audit/query/moment.ts'
import type { Preview } from '../audit/query/preview.ts'
import { layTable, shortId } from '../audit/query/table.ts'
import { adminRequest } from '../control/node/client.ts'
import { WritError } from '../core/fault.ts'
import type { Json } from '../core/json.ts'

interface Options {
  readonly for?: string
  readonly reason?: string
  readonly by?: string
  readonly since: string
  readonly preview?: boolean
  readonly database?: string
  readonly lift?: boolean
  readonly state: string
  readonly json?: boolean
}

interface Listed {
  readonly id: string
  readonly until: string | null
  readonly reason: string
  readonly source: string
  readonly by?: string
}

export function quarantineCommand(): Command {
  const command = new Command('quarantine')
    .description(
      'have every proxy deny whatever a caller asks, for a time; `writ quarantine list` shows who is cut off',
    )
    .argument('<id>', 'SPIFFE id of the caller, the name of its Workload, or `list`')
    .option('--for <span>', 'how long: 30m, 2h, 7d; it is over by itself')
    .option('--reason <text>', 'why; it is recorded, and callers do not read it')
    .option('--by <name>', 'who orders it (default: the user of this machine)')
    .option('--preview', 'change nothing: show what the caller was let do lately, which would be denied')
    .option('--since <span>', 'how far back the preview looks', '24h')
    .option('--database <url>', 'with --preview: ask this PostgreSQL; the id is then a whole one')
    .option('--lift', 'let the caller in again')
    .option('--state <dir>', "the control process's state folder", '.writ')
    .option('--json', 'print JSON')
    .action(run)
  return command
}

async function run(id: string, options: Options): Promise<void> {
  const ask = (method: string, path: string, body?: Json): Promise<Json> =>
    adminRequest(join(options.state, 'admin.sock'), method, path, body)
  const print = (answer: Json, text: string): void => {
    process.stdout.write(options.json ? `${JSON.stringify(answer, null, 2)}\n` : `${text}\n`)
  }
  if (id === 'list') {
    const answer = await ask('GET', '/v1/quarantine')
    print(answer, listText((answer as unknown as { quarantine: readonly Listed[] }).quarantine))
    return
  }
  if (options.preview && options.database !== undefined) {
    const [{ openStore }, { previewOf }] = await Promise.all([
      import('../audit/node/store.ts'),
      import('../audit/query/node/preview.ts'),
    ])
    const nowMs = Date.now()
    const fromMs = parseMoment(options.since, nowMs, 'since')
    const store = await openStore({ kind: 'postgres', url: options.database })
    const preview = await previewOf(store.db, id, fromMs, nowMs).finally(() => store.close())
    print(preview as unknown as Json, previewText(preview))
    return
  }
  if (options.preview) {
    const query = new URLSearchParams({ caller: id, since: options.since })
    const answer = await ask('GET', `/v1/quarantine/preview?${query}`)
    print(answer, previewText(answer as unknown as Preview))
    return
  }
  const by = options.by ?? userInfo().username
  const reason = options.reason ?? (options.lift ? 'lifted' : undefined)
  if (reason === undefined) throw new WritError('usage', 'no --reason', { cure: 'say why: it is recorded' })
  if (options.lift) {
    const answer = await ask('POST', '/v1/quarantine/lift', { id, by, reason })
    const { id: caller, still_in_mesh_file } = answer as { id: string; still_in_mesh_file: boolean }
    print(
      answer,
      `${caller} is out of quarantine${still_in_mesh_file ? ' by command; the mesh file still names it' : ''}`,
    )
    return
  }
  const forMs = options.for === undefined ? undefined : parseSpan(options.for)
  if (forMs === undefined)
    throw new WritError('usage', 'no --for, or no span', { cure: 'say how long, as in --for 2h' })
  const answer = await ask('POST', '/v1/quarantine', { id, for_ms: forMs, reason, by })
  const { id: caller, until } = answer as { id: string; until: string }
  print(answer, `${caller} is in quarantine until ${until}; back with: writ quarantine ${caller} --lift`)
}

function listText(list: readonly Listed[]): string {
  if (list.length === 0) return 'nobody is in quarantine'
  const columns = [
    { title: 'CALLER', shrinksTo: 16 },
    { title: 'UNTIL' },
    { title: 'BY', shrinksTo: 8 },
    { title: 'REASON', shrinksTo: 16 },
  ]
  return layTable(
    columns,
    list.map(({ id, until, by, source, reason }) => [id, until ?? 'it is taken out', by ?? source, reason]),
  ).join('\n')
}

function previewText({ caller, reached, total, truncated, fromMs, toMs }: Preview): string {
  const span = `from ${new Date(fromMs).toISOString()} to ${new Date(toMs).toISOString()}`
  if (total === 0) return `${caller} was let do nothing ${span}`
  const columns = [
    { title: 'TARGET', shrinksTo: 16 },
    { title: 'OPERATION', shrinksTo: 16 },
    { title: 'COUNT', right: true },
    { title: 'LAST (UTC)' },
  ]
  const rows = reached.map((one) => [
    shortId(one.target) ?? '-',
    one.operation,
    String(one.count),
    one.last.slice(0, 19).replace('T', ' '),
  ])
  const more = truncated ? ['and more sorts of requests than are shown'] : []
  return [
    `${caller} was let do ${total} requests ${span}; all would be denied`,
    ...layTable(columns, rows),
    ...more,
  ].join('\n')
}
