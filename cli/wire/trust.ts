/** Keeps a process's trust bundles the newest that control has, as soon as it has them. */

import type { LiveIdentity } from '../../ca/node/rotate.ts'
import { trustDomainOf } from '../../core/spiffe.ts'
import type { MeshClient } from './mesh-client.ts'
import { pause } from './pause.ts'

/** Wait after a question that nobody answered, in milliseconds. */
const retryMs = 500

/** Ends with `signal`. While control is away, the bundles that are there stay in force. */
export async function followTrust(
  client: Pick<MeshClient, 'trustBundles'>,
  source: LiveIdentity,
  signal: AbortSignal,
  applied: () => void = () => {},
): Promise<void> {
  let tag: string | undefined
  while (!signal.aborted) {
    try {
      const next = await client.trustBundles(tag, signal)
      if (!next) continue
      source.setBundles(next.bundles)
      tag = next.tag
      applied()
    } catch {
      await pause(retryMs, signal)
    }
  }
}

/** Sequence of the bundle of our own trust domain; 0 where there is none. */
export function ownSequence(source: Pick<LiveIdentity, 'current'>): number {
  const { svid, bundles } = source.current()
  return bundles.get(trustDomainOf(svid.id))?.sequence ?? 0
}
