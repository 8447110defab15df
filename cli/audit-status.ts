/** `writ audit status`: how far the log is, what went with age, and where it is published and archived. */

import { join } from 'node:path'
import { Command } from 'commander'
import { minimumIndex, newestCheckpoint, witnessedFile } from '../audit/log/prove.ts'
import { archivedFiles } from '../audit/node/archive.ts'
import { archivePlace } from '../audit/node/archive-place.ts'
import { sourcesIn } from '../audit/node/logfolder.ts'
import { s3Place } from '../audit/node/objects/place.ts'
import { openObjects } from '../audit/node/objects/s3.ts'
import { objectReader } from '../audit/node/objects/source.ts'
import { dueMs, type RetentionState, readRetention } from '../audit/node/retention.ts'
import type { KeepingSettings } from '../control/mesh/keeping.ts'
import { messageOf } from '../core/fault.ts'
import { compileMeshOnly, readMesh } from './wire/config.ts'

/** What cannot be asked says why. */
type Asked = { readonly entries: number } | { readonly fault: string }

export interface ShardStatus {
  readonly shard: number
  /** Under the newest signed checkpoint, and under the newest that its witnesses cosigned. */
  readonly entries: number
  readonly witnessed?: number
  /** Entries before it went with age. */
  readonly pruned: number
  readonly published?: Asked
  /** Entries up to there are in the archive. */
  readonly archived?: Asked
  readonly retention_fault?: string
}

export interface AuditStatus {
  readonly shards: readonly ShardStatus[]
  readonly publish?: { readonly to: string; readonly every_ms: number }
  readonly retention?: {
    readonly keep_ms: number
    readonly every_ms: number
    readonly archive?: string
    readonly last_run_at?: string
    readonly due_at?: string
  }
}

export const auditStatusCommand = (): Command =>
  new Command('status')
    .description('show how far the log is, what went with age, and where it is published and archived')
    .requiredOption('-f, --file <mesh.yaml>', 'the mesh file; says where the log is published and how long it stays')
    .option('--state <dir>', "the auditor's state folder", '.writ')
    .option('--json', 'print JSON')
    .action(async (options: { readonly file: string; readonly state: string; readonly json?: boolean }) => {
      const { keeping } = compileMeshOnly(await readMesh(options.file), options.file).settings
      const status = await auditStatus(join(options.state, 'log'), keeping)
      process.stdout.write(options.json ? `${JSON.stringify(status, null, 2)}\n` : statusText(status))
    })

async function auditStatus(logDir: string, keeping: KeepingSettings): Promise<AuditStatus> {
  const { publish, retention } = keeping
  const ran = await readRetention(logDir)
  const shards: ShardStatus[] = []
  for (const { shard, read } of await sourcesIn(logDir)) {
    const newest = await newestCheckpoint(read)
    const witnessed = await newestCheckpoint(read, witnessedFile)
    const fault = retention && ran?.shards.find((one) => one.shard === shard)?.fault
    shards.push({
      ...{ shard, entries: newest?.checkpoint.size ?? 0, pruned: await minimumIndex(read) },
      ...(witnessed && { witnessed: witnessed.checkpoint.size }),
      ...(publish && { published: await asked(() => publishedAt(publish.to, shard, keeping)) }),
      ...(retention?.archive !== undefined && {
        archived: await asked(() => archivedIn(retention.archive!, shard, keeping)),
      }),
      ...(fault !== undefined && { retention_fault: fault }),
    })
  }
  return {
    shards,
    ...(publish && { publish: { to: publish.to, every_ms: publish.everyMs } }),
    ...(retention && { retention: retentionOf(retention, ran) }),
  }
}

function retentionOf(
  { keepMs, everyMs, archive }: NonNullable<KeepingSettings['retention']>,
  ran: RetentionState | undefined,
): NonNullable<AuditStatus['retention']> {
  const times = ran && { last_run_at: ran.at, due_at: new Date(dueMs(ran, everyMs)).toISOString() }
  return { keep_ms: keepMs, every_ms: everyMs, ...(archive !== undefined && { archive }), ...times }
}

async function asked(ask: () => Promise<number>): Promise<Asked> {
  try {
    return { entries: await ask() }
  } catch (thrown) {
    return { fault: messageOf(thrown) }
  }
}

async function publishedAt(to: string, shard: number, { s3 }: KeepingSettings): Promise<number> {
  const objects = openObjects(s3Place(to, s3), { tries: 1 }).below(String(shard))
  return (await newestCheckpoint(objectReader(objects)))?.checkpoint.size ?? 0
}

async function archivedIn(archive: string, shard: number, { s3 }: KeepingSettings): Promise<number> {
  const last = (await archivedFiles(archivePlace(archive, s3), shard)).at(-1)
  return last ? last.last + 1 : 0
}

export function statusText({ shards, publish, retention }: AuditStatus): string {
  const lines = shards.flatMap((one) => [
    `log ${one.shard}      ${one.entries} entries${one.witnessed === undefined ? '' : `, ${one.witnessed} of them witnessed`}`,
    ...(one.pruned > 0 ? [`  gone       ${one.pruned} of them with age; their hashes stay`] : []),
    ...(one.published ? [`  published  ${textOf(one.published)}`] : []),
    ...(one.archived ? [`  archived   ${textOf(one.archived)}`] : []),
    ...(one.retention_fault === undefined ? [] : [`  retention  nothing went: ${one.retention_fault}`]),
  ])
  const days = (ms: number): string => (ms % 86_400_000 === 0 ? `${ms / 86_400_000}d` : `${ms / 3_600_000}h`)
  if (publish) lines.push(`publish    ${publish.to}, every ${publish.every_ms / 1000} s`)
  if (retention) {
    const { keep_ms, every_ms, archive = 'nowhere', last_run_at, due_at } = retention
    lines.push(`retention  entries stay ${days(keep_ms)}; archived ${archive}; every ${days(every_ms)}`)
    lines.push(
      last_run_at
        ? `           last ${last_run_at.slice(0, 19)}Z, next ${due_at?.slice(0, 19)}Z`
        : '           it has not run yet',
    )
  } else lines.push('retention  entries stay for good')
  return `${lines.join('\n')}\n`
}

const textOf = (asked: Asked): string => ('fault' in asked ? `not known: ${asked.fault}` : `${asked.entries} entries`)
