/** A compliance report of a log in a folder, at a URL or in an object store. */

import { isOriginOf } from '../../../core/log.ts'
import { parseEvent } from '../../../core/record.ts'
import { entryAt } from '../../log/prove.ts'
import { verifyEd25519 } from '../../node/ed25519.ts'
import { type LogPlace, threadsFor } from '../../node/examine.ts'
import { sourcesIn } from '../../node/logfolder.ts'
import { quickSha256 } from '../../node/quick.ts'
import { readTimestamp, timestampFault } from '../../node/timestamp.ts'
import { type ComplianceParts, type ComplianceSettings, makeComplianceReport } from '../compliance.ts'
import type { KeptSums } from '../kept.ts'
import { pinSources } from '../pinned.ts'

/** What runs in the threads that gather. Beside this file, as source or as compiled. */
export const gatheringThread: URL = new URL(
  import.meta.url.endsWith('.ts') ? './part-worker.ts' : './part-worker.js',
  import.meta.url,
)

export async function compliancePlace(
  place: LogPlace,
  judge: ComplianceParts['judge'],
  settings: ComplianceSettings,
  sums?: KeptSums,
): ReturnType<typeof makeComplianceReport> {
  const { dir, key, formerKeys, verifyHead, sha256, pinned, policy, partLeaves, onProgress, checkpoints = [] } = place
  const readersFor = (gather: unknown) => threadsFor(place, { file: gatheringThread, gather })
  return makeComplianceReport(
    {
      sources: await sourcesIn(dir, place.s3),
      key,
      ...(formerKeys && { formerKeys }),
      ...{ verifyNote: verifyEd25519, verifyHead, sha256, quick: quickSha256, judge, stampMs },
      ...(pinned && { pinned }),
      readersFor,
      ...(partLeaves !== undefined && { partLeaves }),
      ...(onProgress && { onProgress }),
      ...(sums && { sums }),
      ...(policy && { policy }),
      timestampFault: (token, note) => timestampFault(token, sha256(note)),
      kept: (shard) =>
        checkpoints.filter(({ checkpoint }) => isOriginOf(checkpoint.origin, shard)).map(({ note }) => note),
    },
    settings,
  )
}

/** `20270115080000Z`, perhaps with a fraction. */
function stampMs(token: Uint8Array): number | undefined {
  const read = readTimestamp(token)
  if ('wrong' in read) return undefined
  const [, year, month, day, hour, minute, second] = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)/.exec(read.time) ?? []
  return Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`)
}

/** Time of the first entry that is still there, in milliseconds since 1970; 0 where there is none. */
export async function beganMs(place: LogPlace): Promise<number> {
  const times: number[] = []
  for (const { checkpoint, read } of await pinSources(await sourcesIn(place.dir, place.s3))) {
    const first = checkpoint && checkpoint.size > 0 && (await entryAt(read, 0, checkpoint.size).catch(() => undefined))
    const parsed = first ? parseEvent(first) : undefined
    if (parsed && 'event' in parsed) times.push(Date.parse(parsed.event.timestamp))
  }
  return times.length === 0 ? 0 : Math.min(...times)
}
