/** When somebody outside put a date to a checkpoint: time stamp authorities, and witnesses of the policy. */

import { cosignaturesOf } from '../log/cosignature.ts'
import { witnessKeys } from '../log/policy.ts'
import { readStamp } from '../verify/stamps.ts'
import type { VerifyParts } from '../verify/verify.ts'
import type { Ending } from './gather/facts/fact.ts'
import type { PinnedSource } from './pinned.ts'

type Anchors = Ending['anchors']

/** Of a time stamp its imprint is compared with the checkpoint; its signature is for openssl to judge. */
export async function anchorsOf(
  sources: readonly PinnedSource[],
  parts: Pick<VerifyParts, 'policy' | 'verifyNote' | 'timestampFault'> & {
    readonly stampMs?: (token: Uint8Array) => number | undefined
  },
): Promise<Anchors> {
  const anchors: Anchors[number][] = []
  for (const source of sources) {
    anchors.push(...(await stampOf(source, parts)))
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

/** The newest one that is of its checkpoint. */
async function stampOf(
  { shard, read, pin }: PinnedSource,
  { timestampFault, stampMs }: Parameters<typeof anchorsOf>[1],
): Promise<Anchors> {
  if (!timestampFault || !stampMs || pin.stamps === 0) return []
  const number = String(pin.stamps).padStart(6, '0')
  const { fault } = await readStamp(read, pin.stamps, timestampFault)
  const token = fault === undefined ? await read(`timestamps/${number}.tsr`) : undefined
  const atMs = token && stampMs(token)
  return atMs === undefined ? [] : [{ kind: 'timestamp', shard, atMs }]
}
