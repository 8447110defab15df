/** `writ audit hold` and `writ audit retain`: what is kept for a case, and what goes with age. */

import { join } from 'node:path'
import { Command } from 'commander'
import { holdColumns } from '../audit/keep/hold.ts'
import type { Archived } from '../audit/node/archive.ts'
import { sourcesIn } from '../audit/node/logfolder.ts'
import { liftHold, listHolds, setHold } from '../audit/node/orders.ts'
import { archiveDue, planRetention, type RetainPlan, runRetention } from '../audit/node/retain.ts'
import { openStore, type Store } from '../audit/node/store.ts'
import { parseMoment } from '../audit/query/moment.ts'
import type { KeepingSettings } from '../control/mesh/keeping.ts'
import { WritError } from '../core/fault.ts'
import { formatMs, parseTime } from '../core/time.ts'
import { repeated } from './options.ts'
import { compileMeshOnly, readMesh } from './wire/config.ts'
import { storeOf } from './wire/log.ts'

interface StoreOptions {
  readonly file: string
  readonly state: string
  readonly json?: boolean
}

const ofMesh = (name: string, description: string): Command =>
  new Command(name)
    .description(description)
    .requiredOption('-f, --file <mesh.yaml>', 'the mesh file; names the store')
    .option('--state <dir>', "the auditor's state folder", '.writ')
    .option('--json', 'print JSON')

async function withStore(
  options: StoreOptions,
  use: (store: Store, logDir: string, keeping: KeepingSettings) => Promise<unknown>,
): Promise<void> {
  const { settings } = compileMeshOnly(await readMesh(options.file), options.file)
  const logDir = join(options.state, 'log')
  const store = await openStore(storeOf(settings.store, join(options.state, 'store')), logDir)
  try {
    const said = await use(store, logDir, settings.keeping)
    process.stdout.write(options.json || typeof said !== 'string' ? `${JSON.stringify(said, null, 2)}\n` : said)
  } finally {
    await store.close()
  }
}

interface SetOptions extends StoreOptions {
  readonly filter: readonly string[]
  readonly from?: string
  readonly until?: string
  readonly by: string
  readonly reason: string
}

export const holdCommand = (): Command => {
  const hold = new Command('hold').description('keep records for a case, however old they are; set and lifted by name')
  hold.addCommand(
    ofMesh('set', 'hold what fits every filter, from now on until it is lifted; the auditor writes an entry of it')
      .argument('<case>', 'name of the case, used once')
      .option('--filter <column=value>', `one of ${holdColumns.join(', ')}; more than once`, repeated, [])
      .option('--from <time>', 'only records from then on')
      .option('--until <time>', 'only records before')
      .requiredOption('--by <name>', 'who says so')
      .requiredOption('--reason <text>', 'why')
      .action((name: string, options: SetOptions) =>
        withStore(options, async (store) => {
          const { by, reason } = options
          const times = { ...timeOf('from', options.from), ...timeOf('until', options.until) }
          const filter = filterOf(options.filter)
          await setHold(store, { kind: 'log', action: 'held', case: name, filter, ...times, by, reason })
          return `${name} is held\n`
        }),
      ),
  )
  hold.addCommand(
    ofMesh('lift', 'hold it no more; the auditor writes an entry of it')
      .argument('<case>', 'name of the case')
      .requiredOption('--by <name>', 'who says so')
      .requiredOption('--reason <text>', 'why')
      .action((name: string, options: StoreOptions & { readonly by: string; readonly reason: string }) =>
        withStore(options, async (store) => {
          await liftHold(store, name, options.by, options.reason)
          return `${name} is held no more\n`
        }),
      ),
  )
  hold.addCommand(
    ofMesh('list', 'every hold there was').action((options: StoreOptions) =>
      withStore(options, async (store) => {
        const all = await listHolds(store.db)
        if (options.json) return all
        const lines = all.map(({ body, lifted }) => {
          const filter = Object.entries(body.filter ?? {}).map(([column, value]) => `${column}=${value}`)
          return `${body.case}  ${lifted ? 'lifted' : 'held'}  ${filter.join(' ') || 'everything'}  ${body.by}: ${body.reason}\n`
        })
        return lines.join('') || 'no hold\n'
      }),
    ),
  )
  return hold
}

export const retainCommand = (): Command =>
  ofMesh('retain', 'take away entries that are older than a time; what a hold covers and all hashes stay')
    .requiredOption('--older-than <time>', 'such as 400d, or a time', moment)
    .option(
      '--archive <place>',
      'put what goes into this archive first, a folder or s3://bucket/prefix (default: as the mesh file says)',
    )
    .option('--plan', 'only say what would go, and what holds keep')
    .addHelpText('after', '\nThe auditor must run: it writes and signs an entry of what goes before anything does.')
    .action(
      (options: StoreOptions & { readonly olderThan: string; readonly archive?: string; readonly plan?: boolean }) =>
        withStore(options, async (store, logDir, { s3, retention }) => {
          const plans: RetainPlan[] = []
          const { olderThan, archive = retention?.archive } = options
          for (const { shard } of await sourcesIn(logDir)) {
            const parts = { store, logDir, shard, olderThan, s3, ...(archive !== undefined && { archive }) }
            plans.push(await (options.plan ? planRetention(parts) : runRetention(parts)))
          }
          return options.json ? plans : plans.map((plan) => planText(plan, options.plan === true)).join('')
        }),
    )

export const archiveCommand = (): Command =>
  ofMesh('archive', 'write entries that are older than a time as Parquet, whole and provable; takes nothing away')
    .requiredOption('--older-than <time>', 'such as 400d, or a time', moment)
    .requiredOption(
      '--out <place>',
      'folder or s3://bucket/prefix of the archive; to one that is there what is new is added',
    )
    .action((options: StoreOptions & { readonly olderThan: string; readonly out: string }) =>
      withStore(options, async (store, logDir, { s3 }) => {
        const done: Archived[] = []
        for (const { shard } of await sourcesIn(logDir)) {
          done.push(await archiveDue(options.out, { store, logDir, shard, s3, olderThan: options.olderThan }))
        }
        return options.json ? done : done.map(archivedText).join('')
      }),
    )

function archivedText({ shard, from, before, files, bytes }: Archived): string {
  if (files === 0) return `log ${shard}: nothing new is old enough\n`
  const each = Math.round(bytes / (before - from))
  return `log ${shard}: entries ${from} to ${before - 1} in ${files} ${files === 1 ? 'file' : 'files'}, ${each} bytes each\n`
}

function planText({ shard, from, before, stay, holds, bytes }: RetainPlan, planned: boolean): string {
  if (from === before) return `log ${shard}: nothing is old enough\n`
  const held = Object.entries(holds).map(([name, count]) => `  ${name} keeps ${count}\n`)
  const gone = `${before - from - stay} entries (${bytes} bytes) from ${from} to ${before - 1}`
  return `log ${shard}: ${gone} ${planned ? 'would go' : 'went'}; ${stay} of them stay\n${held.join('')}`
}

function filterOf(pairs: readonly string[]): Readonly<Record<string, string>> {
  const filter: Record<string, string> = {}
  for (const pair of pairs) {
    const at = pair.indexOf('=')
    const column = holdColumns.find((one) => one === pair.slice(0, at))
    if (!column || at === pair.length - 1) {
      throw new WritError('usage', `${pair} is no filter`, { cure: `COLUMN=VALUE, of ${holdColumns.join(', ')}` })
    }
    filter[column] = pair.slice(at + 1)
  }
  return filter
}

const timeOf = (name: 'from' | 'until', text: string | undefined): { readonly [name: string]: string } =>
  text === undefined ? {} : { [name]: moment(text) }

/** A time, or so long ago. */
function moment(text: string): string {
  const ns = parseTime(text)
  if (ns !== undefined) return text
  const ms = parseMoment(text, Date.now(), 'time')

  return formatMs(ms)
}
