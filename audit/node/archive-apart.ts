/** Archiving in a thread of its own: to pack a file takes a second of CPU, in which nobody else would have an answer. */

import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { type FaultCode, WritError } from '../../core/fault.ts'
import type { Archived } from './archive.ts'
import type { S3Settings } from './objects/place.ts'

export interface ArchiveTask {
  /** Folder of the shard's log. */
  readonly dir: string
  readonly shard: number
  readonly before: number
  /** A folder or s3://bucket/prefix. */
  readonly out: string
  readonly s3?: S3Settings
}

export type ArchiveAnswer =
  | { readonly archived: Archived }
  | { readonly code: FaultCode; readonly message: string; readonly cure?: string }

/** Beside this file, as source or as compiled. */
const workerFile = new URL(
  import.meta.url.endsWith('.ts') ? './archive-worker.ts' : './archive-worker.js',
  import.meta.url,
)

export interface ArchiveDue {
  readonly logDir: string
  readonly shard: number
  readonly archive: string
  readonly s3?: S3Settings
  /** Ends it at once; what it left undone the next run does. */
  readonly signal?: AbortSignal
}

/** As `archiveBefore`, and with the same faults; `unavailable` where it was ended. */
export async function archiveApart(before: number, due: ArchiveDue): Promise<Archived> {
  const { logDir, shard, archive, s3, signal } = due
  const task: ArchiveTask = { dir: join(logDir, String(shard)), shard, before, out: archive, ...(s3 && { s3 }) }
  const worker = new Worker(workerFile, { workerData: task })
  try {
    const answer = await new Promise<ArchiveAnswer>((resolve, reject) => {
      worker.once('message', resolve)
      worker.once('error', reject)
      const end = (): void => reject(new WritError('unavailable', 'archiving was ended before it was done'))
      if (signal?.aborted) end()
      signal?.addEventListener('abort', end, { once: true })
      worker.once('exit', (code) => reject(new WritError('internal', `the archiver ended with ${code}`)))
    })
    if ('archived' in answer) return answer.archived
    throw new WritError(answer.code, answer.message, answer.cure === undefined ? {} : { cure: answer.cure })
  } finally {
    await worker.terminate()
  }
}
