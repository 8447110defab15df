/** Long polls of what control says of trust and of entries: each newest state, for as long as the signal lets them. */

import { type Followed, followBundles, followEntries } from '../../ca/node/attest.ts'
import type { CaRequest } from '../../ca/node/client.ts'
import type { LiveIdentity } from '../../ca/node/rotate.ts'
import type { TrustNews } from '../../ca/wire.ts'
import { messageOf } from '../../core/fault.ts'
import { trustDomainOf } from '../../core/spiffe.ts'
import type { RevisedEntry } from '../../core/workload.ts'
import type { MeshClient } from './mesh-client.ts'
import { pause } from './pause.ts'

type Reach = () => Pick<CaRequest, 'url' | 'expect' | 'nowMs' | 'state'>

/** Never rejects; a problem is told once until it is over. */
export const followTrustOf = (
  reach: Reach,
  each: (news: TrustNews) => void,
  signal: AbortSignal,
  onProblem: (text: string) => void,
): Promise<void> => followOf((etag) => followBundles({ ...reach(), etag, signal }), each, signal, onProblem)

export const followEntriesOf = (
  reach: Reach,
  each: (entries: readonly RevisedEntry[]) => void,
  signal: AbortSignal,
  onProblem: (text: string) => void,
): Promise<void> => followOf((etag) => followEntries({ ...reach(), etag, signal }), each, signal, onProblem)

/** For a process with an identity of its own: its bundles are the newest that control has, as soon as it has them. */
export const followTrust = (
  client: Pick<MeshClient, 'trust'>,
  source: LiveIdentity,
  signal: AbortSignal,
  applied: () => void = () => {},
): Promise<void> =>
  followOf(
    (etag) => client.trust(etag, signal),
    ({ bundles, distrusted }) => {
      source.setBundles(bundles)
      source.setDistrusted(distrusted)
      applied()
    },
    signal,
    () => {}, // Who follows the snapshot too says that control is away.
  )

/** Sequence of the bundle of our own trust domain; 0 where there is none. */
export function ownSequence(source: Pick<LiveIdentity, 'current'>): number {
  const { svid, bundles } = source.current()
  return bundles.get(trustDomainOf(svid.id))?.sequence ?? 0
}

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
