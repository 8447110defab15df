/** When somebody outside put a date to a checkpoint: time stamp authorities, and witnesses of the policy. */

import { cosignaturesOf } from '../log/cosignature.ts'
import { witnessKeys } from '../log/policy.ts'
import { readStamp } from '../verify/stamps.ts'
import type { VerifyParts } from '../verify/verify.ts'
import type { Ending } from './gather/facts/fact.ts'
import type { PinnedSource } from './pinned.ts'

type Anchors = Ending['anchors']

/**
 * Of a time stamp its imprint is compared with the checkpoint; its signature is for openssl to judge. All stamps from `fromMs`
 * on, and the one before them; of cosignatures a log keeps the newest alone.
 */
export async function anchorsOf(
  sources: readonly PinnedSource[],
  parts: Pick<VerifyParts, 'policy' | 'verifyNote' | 'timestampFault'> & {
    readonly stampMs?: (token: Uint8Array) => number | undefined
  },
  fromMs: number,
): Promise<Anchors> {
  const anchors: Anchors[number][] = []
  for (const source of sources) {
    for (let number = source.pin.stamps; number > 0; number--) {
      const atMs = await stampOf(source, number, parts)
      if (atMs === undefined) continue
      anchors.push({ kind: 'timestamp', shard: source.shard, atMs })
      if (atMs < fromMs) break
    }
    if (!parts.policy) continue
    const keys = witnessKeys(parts.policy)
    for (const note of [source.pin.note, source.pin.witnessed]) {
      const cosigned = note ? await cosignaturesOf(note, keys, parts.verifyNote) : undefined
      if (!cosigned?.ok) continue
      for (const { time } of cosigned.cosignatures) {
        anchors.push({ kind: 'cosignature', shard: source.shard, atMs: time * 1000 })
      }
    }
  }
  return anchors
}

/** Its time, if it is of its checkpoint. */
async function stampOf(
  { read }: PinnedSource,
  number: number,
  { timestampFault, stampMs }: Parameters<typeof anchorsOf>[1],
): Promise<number | undefined> {
  if (!timestampFault || !stampMs) return undefined
  const { fault } = await readStamp(read, number, timestampFault)
  const token = fault === undefined ? await read(`timestamps/${String(number).padStart(6, '0')}.tsr`) : undefined
  return token && stampMs(token)
}

/**
 * Longest time in milliseconds, within the time of the report and from the first time stamp on, in which nobody stamped a
 * shard; undefined where none was stamped by its end.
 */
export function longestUnstamped(anchors: Anchors, fromMs: number, toMs: number): number | undefined {
  const stamps = anchors.filter(({ kind }) => kind === 'timestamp')
  const gaps = [...Map.groupBy(stamps, ({ shard }) => shard).values()].flatMap((of) => {
    const times = of.map(({ atMs }) => atMs).sort((a, b) => a - b)
    return times
      .filter((atMs) => atMs < toMs)
      .map((atMs, i) => Math.min(times[i + 1] ?? toMs, toMs) - Math.max(atMs, fromMs))
  })
  return gaps.length === 0 ? undefined : Math.max(0, ...gaps)
}
