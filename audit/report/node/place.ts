/** A compliance report of a log in a folder, at a URL or in an object store. */

import { isOriginOf } from '../../../core/log.ts'
import { verifyEd25519 } from '../../node/ed25519.ts'
import type { LogPlace } from '../../node/examine.ts'
import { sourcesIn } from '../../node/logfolder.ts'
import { quickSha256 } from '../../node/quick.ts'
import { readTimestamp, timestampFault } from '../../node/timestamp.ts'
import { type ComplianceParts, type ComplianceSettings, makeComplianceReport } from '../compliance.ts'
import type { KeptSums } from '../kept.ts'

export async function compliancePlace(
  place: LogPlace,
  judge: ComplianceParts['judge'],
  settings: ComplianceSettings,
  sums?: KeptSums,
): ReturnType<typeof makeComplianceReport> {
  const { dir, key, formerKeys, verifyHead, sha256, pinned, policy, checkpoints = [] } = place
  return makeComplianceReport(
    {
      sources: await sourcesIn(dir, place.s3),
      key,
      ...(formerKeys && { formerKeys }),
      ...{ verifyNote: verifyEd25519, verifyHead, sha256, quick: quickSha256, judge, stampMs },
      ...(pinned && { pinned }),
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
