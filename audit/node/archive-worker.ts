/** What runs in the thread of `archiveApart`: one archiving, one answer. */

import { parentPort, workerData } from 'node:worker_threads'
import { messageOf, WritError } from '../../core/fault.ts'
import { archiveBefore, sha256 } from './archive.ts'
import type { ArchiveAnswer, ArchiveTask } from './archive-apart.ts'
import { archivePlace } from './archive-place.ts'
import { tileReader } from './folder.ts'

async function answerTo({ dir, shard, before, out, s3 }: ArchiveTask): Promise<ArchiveAnswer> {
  try {
    return {
      archived: await archiveBefore(before, { read: tileReader(dir), shard, out: archivePlace(out, s3), sha256 }),
    }
  } catch (thrown) {
    const { code, cure } = thrown instanceof WritError ? thrown : { code: 'internal' as const, cure: undefined }
    return { code, message: messageOf(thrown), ...(cure !== undefined && { cure }) }
  }
}

parentPort?.postMessage(await answerTo(workerData as ArchiveTask))
