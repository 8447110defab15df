/** A compliance report of a log in a folder, at a URL or in an object store. */

import { access } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { isOriginOf } from '../../../core/log.ts'
import { parseEvent } from '../../../core/record.ts'
import { entryAt, newestCheckpoint, policyFile, witnessedFile } from '../../log/prove.ts'
import { verifyEd25519 } from '../../node/ed25519.ts'
import { type LogPlace, threadsFor } from '../../node/examine.ts'
import { sourcesIn } from '../../node/logfolder.ts'
import { quickSha256 } from '../../node/quick.ts'
import { readTimestamp, timestampFault } from '../../node/timestamp.ts'
import { countStamps } from '../../verify/stamps.ts'
import { type ComplianceParts, type ComplianceSettings, makeComplianceReport } from '../compliance.ts'
import type { KeptSums } from '../kept.ts'
import { type Pin, pinSources } from '../pinned.ts'

/** What runs in the threads that gather. Beside this file, as source or as compiled. */
export const gatheringThread: URL = new URL(
  import.meta.url.endsWith('.ts') ? './gather-worker.ts' : './gather-worker.js',
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

/**
 * Where witnesses are asked: checkpoints that they cosigned and that have all that the log had when this was called, so that
 * each proof of the evidence has their word. Undefined where there are no witnesses, or they are later than `waitMs`.
 */
export async function witnessedPins(place: LogPlace, waitMs = 10_000): Promise<readonly Pin[] | undefined> {
  if (!(await access(join(place.dir, policyFile)).then(...answers))) return undefined
  const untilMs = performance.now() + waitMs
  const pins: Pin[] = []
  for (const { shard, read } of await sourcesIn(place.dir, place.s3)) {
    const stamps = await countStamps(read)
    const size = (await newestCheckpoint(read))?.checkpoint.size
    if (size === undefined) continue
    let seen = await newestCheckpoint(read, witnessedFile)
    while ((seen?.checkpoint.size ?? -1) < size && performance.now() < untilMs) {
      await setTimeout(100)
      seen = await newestCheckpoint(read, witnessedFile)
    }
    if (!seen || seen.checkpoint.size < size) return undefined
    pins.push({ shard, note: seen.note, witnessed: seen.note, stamps })
  }
  return pins.length === 0 ? undefined : pins
}

const answers = [() => true, () => false] as const

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
