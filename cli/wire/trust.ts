/** Long polls of what control says of trust and of entries: each newest state, for as long as the signal lets them. */

import { type Followed, followBundles, followEntries } from '../../ca/node/attest.ts'
import type { CaRequest } from '../../ca/node/client.ts'
import { messageOf } from '../../core/fault.ts'
import type { TrustBundle } from '../../core/identity.ts'
import type { RevisedEntry } from '../../core/workload.ts'
import { pause } from './sidecar.ts'

type Reach = () => Pick<CaRequest, 'url' | 'expect' | 'nowMs' | 'state'>

/** Never rejects; a problem is told once until it is over. */
export const followTrustOf = (
  reach: Reach,
  each: (bundles: readonly TrustBundle[]) => void,
  signal: AbortSignal,
  onProblem: (text: string) => void,
): Promise<void> => followOf((etag) => followBundles({ ...reach(), etag, signal }), each, signal, onProblem)

export const followEntriesOf = (
  reach: Reach,
  each: (entries: readonly RevisedEntry[]) => void,
  signal: AbortSignal,
  onProblem: (text: string) => void,
): Promise<void> => followOf((etag) => followEntries({ ...reach(), etag, signal }), each, signal, onProblem)

async function followOf<T>(
  ask: (etag: string | undefined) => Promise<Followed<T> | undefined>,
  each: (value: T) => void,
  signal: AbortSignal,
  onProblem: (text: string) => void,
): Promise<void> {
  let etag: string | undefined
  for (let failures = 0; !signal.aborted; ) {
    try {
      const next = await ask(etag)
      failures = 0
      if (!next || signal.aborted) continue
      each(next.value)
      etag = next.etag
    } catch (thrown) {
      if (signal.aborted) return
      if (failures++ === 0) onProblem(`goes on with what it has: ${messageOf(thrown)}`)
      await pause(Math.min(250 * 2 ** failures, 10_000), signal)
    }
  }
}
