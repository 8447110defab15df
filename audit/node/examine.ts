/** Verifies a log in a folder; with a database, every row of its tables is held against the log too. */

import { isOriginOf, type SignedCheckpoint } from '../../core/log.ts'
import type { Sha256, VerifyHead } from '../../core/ports.ts'
import { isS3 } from '../keep/place.ts'
import type { NoteKey } from '../log/note.ts'
import type { LogPolicy } from '../log/policy.ts'
import type { Db } from '../store/schema.ts'
import type { TrustPeriod } from '../verify/trust.ts'
import { type Verification, type VerifyParts, verifyLog, withFindings } from '../verify/verify.ts'
import { archivePlace } from './archive-place.ts'
import { verifyArchive } from './archive-verify.ts'
import { compareRows, type RowsComparison } from './compare.ts'
import { verifyEd25519 } from './ed25519.ts'
import { sourcesIn } from './logfolder.ts'
import { isUrl } from './logurl.ts'
import type { S3Settings } from './objects/place.ts'
import { defaultThreads, openPartThreads, type PartThreads, type ThreadOptions } from './part-readers.ts'
import { quickSha256 } from './quick.ts'
import { timestampFault } from './timestamp.ts'

export interface LogPlace {
  /** Folder with a numbered folder per shard, or an http(s) URL or s3://bucket/prefix with the same. */
  readonly dir: string
  /** Where the object store is that `dir` or `archive` names. Default: as the environment says. */
  readonly s3?: S3Settings
  readonly key: NoteKey
  /** Keys of logs that others follow. */
  readonly formerKeys?: readonly NoteKey[]
  readonly verifyHead: VerifyHead
  readonly sha256: Sha256
  /** The tables to compare. */
  readonly db?: Db
  /** Roots to trust instead of those that the log announces. */
  readonly pinned?: readonly TrustPeriod[]
  /** Whose cosignatures are asked for. */
  readonly policy?: LogPolicy
  /** An archive to hold against the log, in a place of the same kinds. */
  readonly archive?: string
  /** Threads that read it, where it lies in a folder and no tables are compared; 1: none but this one. Default `defaultThreads`. */
  readonly threads?: number
  /** Leaves of a part that a thread reads; where a report is made, as it has. Default `threadLeaves`. */
  readonly partLeaves?: number
  /** Is told how many leaves were read, now and then. */
  readonly onProgress?: (leaves: number) => void
  /** Checkpoints from elsewhere that the log must extend: a witness's, or one that was kept. */
  readonly checkpoints?: readonly SignedCheckpoint[]
}

export interface Examined {
  readonly verification: Verification
  /** What of the tables was compared; undefined where none were given. */
  readonly compared: { readonly leaves: number; readonly outcomes: number } | undefined
  /** What of the archive was read; undefined where none was given. */
  readonly archived: { readonly files: number; readonly leaves: number } | undefined
}

export async function verifyPlace(place: LogPlace): Promise<Examined> {
  const rows = place.db && (await compareRows(place.db))
  const parts = await partsOf(place, rows)
  const threads = rows ? undefined : threadsFor(place)
  const verification = await verifyLog({ ...parts, ...(threads && { readers: threads }) }).finally(() =>
    threads?.close(),
  )
  const compared = rows ? withFindings(verification, await rows.finish()) : verification
  const archive =
    place.archive === undefined
      ? undefined
      : await verifyArchive(archivePlace(place.archive, place.s3), parts.sources, {
          sha256: place.sha256,
          keys: [place.key, ...(place.formerKeys ?? [])],
        })
  return {
    verification: archive ? withFindings(compared, archive.findings) : compared,
    compared: rows?.compared(),
    archived: archive && { files: archive.files, leaves: archive.leaves },
  }
}

/** Undefined where this thread reads all of it. */
export function threadsFor(
  { dir, threads = defaultThreads(), partLeaves }: LogPlace,
  more: Pick<ThreadOptions, 'file' | 'gather'> = {},
): PartThreads | undefined {
  if (threads < 2 || isUrl(dir) || isS3(dir)) return undefined
  return openPartThreads({ dir, threads, ...(partLeaves !== undefined && { leaves: partLeaves }), ...more })
}

/** In this order: what the tables say of checkpoints was read before, so that the folder is never behind them. */
async function partsOf(place: LogPlace, rows: RowsComparison | undefined): Promise<VerifyParts> {
  const { dir, key, formerKeys, verifyHead, sha256, pinned, policy, onProgress, checkpoints = [] } = place
  return {
    sources: await sourcesIn(dir, place.s3),
    key,
    ...(formerKeys && { formerKeys }),
    verifyNote: verifyEd25519,
    verifyHead,
    sha256,
    quick: quickSha256,
    ...(pinned && { pinned }),
    ...(policy && { policy }),
    timestampFault: (token, note) => timestampFault(token, sha256(note)),
    kept: (shard) => keptOf(shard, checkpoints, rows),
    ...(onProgress && { onProgress }),
    ...(rows && { onLeaves: rows.onLeaves }),
  }
}

async function* keptOf(
  shard: number,
  given: readonly SignedCheckpoint[],
  rows: RowsComparison | undefined,
): AsyncGenerator<string> {
  for (const { checkpoint, note } of given) if (isOriginOf(checkpoint.origin, shard)) yield note
  if (rows) yield* rows.kept(shard)
}
