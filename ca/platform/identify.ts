/** Whose proof of a platform it is, by the registration entries that control has: a token, or a certificate from before. */

import type { Evidence, Identified } from '../../core/identity.ts'
import type { Proven, ProvePlatform } from '../../core/platform.ts'
import { type SpiffeId, trustDomainOf } from '../../core/spiffe.ts'
import type { RevisedEntry } from '../../core/workload.ts'
import { matching } from '../entries.ts'

export interface PlatformParts {
  readonly prove: ProvePlatform
  /** Chains whose key the connection has proven. Default none proves a node. */
  readonly proveChain?: (chain: readonly Uint8Array[], nowMs: number) => Proven
  readonly entries: () => readonly RevisedEntry[]
  /** Ids that are refused. */
  readonly denied: () => ReadonlySet<string>
}

export type PlatformIdentified =
  | (Extract<Identified, { ok: true }> & {
      readonly entry: RevisedEntry
      /** What was shown, as records name it. */
      readonly evidence: string
      /** SHA-256 of what was shown, and whether it may come again before it ends. */
      readonly digest: string
      readonly reuse: boolean
    })
  | Extract<Identified, { ok: false }>

/** `want` chooses among several identities. */
export async function identifyPlatform(
  { prove, proveChain, entries, denied }: PlatformParts,
  shown: Evidence,
  want: SpiffeId | undefined,
  nowMs: number,
): Promise<PlatformIdentified> {
  const proven =
    shown.kind === 'platform'
      ? await prove(shown.token, nowMs)
      : shown.kind === 'x509'
        ? proveChain?.(shown.chain, nowMs)
        : undefined
  if (!proven) return { ok: false, code: 'identity_missing', detail: 'no proof of a platform that is taken here' }
  if (!proven.ok) return proven
  const { selectors, evidence, digest, reuse, notBeforeMs, notAfterMs } = proven
  const chosen = chooseEntry(entries(), selectors, want)
  if ('wrong' in chosen) return { ok: false, code: 'identity_untrusted', detail: `${evidence}: ${chosen.wrong}` }
  const { entry } = chosen
  if (denied().has(entry.id)) return { ok: false, code: 'identity_revoked', detail: `${entry.id} is on the deny list` }
  const { id } = entry
  const serial = digest.slice(0, 32)
  const identity = { id, trustDomain: trustDomainOf(id), proof: 'platform', serial, notBeforeMs, notAfterMs } as const
  return { ok: true, identity, entry, evidence, digest, reuse }
}

/** Of several identities none is guessed. */
function chooseEntry(
  entries: readonly RevisedEntry[],
  selectors: ReadonlySet<string>,
  want: SpiffeId | undefined,
): { readonly entry: RevisedEntry } | { readonly wrong: string } {
  const found = matching(entries, undefined, selectors).filter(({ id }) => want === undefined || id === want)
  const ids = new Set(found.map(({ id }) => id))
  if (ids.size > 1) return { wrong: 'several identities are registered for what it proves; name one' }
  return found[0] ? { entry: found[0] } : { wrong: 'nothing is registered for what it proves' }
}
