/** Is a server who it must be? The one check of those of our processes that call somebody. */

import type { IdentityState } from '../../core/identity.ts'
import type { SpiffeId } from '../../core/spiffe.ts'
import { identifyChain } from '../identify.ts'
import { verifySignature } from './crypto.ts'

/** Why this chain is not `expect`, or undefined where it is. */
export function whyNot(
  chain: readonly Uint8Array[],
  expect: SpiffeId,
  { bundles, denied = new Set() }: Pick<IdentityState, 'bundles'> & Partial<Pick<IdentityState, 'denied'>>,
  nowMs: number,
): string | undefined {
  const answer = identifyChain(chain, { bundles, denied }, nowMs, verifySignature)
  if (!answer.ok) return answer.detail
  return answer.identity.id === expect ? undefined : `it is ${answer.identity.id}`
}
