/** One function for everything that can prove a name. Shells that take several kinds of evidence ask this one. */

import type { Evidence, Identified, IdentityRefusal } from '../core/identity.ts'
import type { ProvePlatform } from '../core/platform.ts'
import type { Identify, IdentifyAny } from '../core/ports.ts'
import { type SpiffeId, trustDomainOf } from '../core/spiffe.ts'
import type { RevisedEntry } from '../core/workload.ts'
import { matching } from './entries.ts'

export interface IdentifyAnyParts {
  /** Chains, and what a listener has declared. */
  readonly x509: Identify
  /** JWT-SVIDs. Default none is taken. */
  readonly jwt?: Identify
  /** Tokens of platforms. Default none is taken. */
  readonly platform?: PlatformParts
}

export interface PlatformParts {
  readonly prove: ProvePlatform
  readonly entries: () => readonly RevisedEntry[]
  /** Ids that are refused. */
  readonly denied: () => ReadonlySet<string>
}

const refuse = (code: IdentityRefusal, detail: string): Identified => ({ ok: false, code, detail })

export function makeIdentifyAny({ x509, jwt, platform }: IdentifyAnyParts): IdentifyAny {
  const peerOf = (evidence: Evidence) => ({ evidence, address: '', port: 0 })
  return async (evidence, nowMs) => {
    switch (evidence.kind) {
      case 'none':
        return refuse('identity_missing', 'no certificate and no token')
      case 'jwt':
        return jwt ? jwt(peerOf(evidence), nowMs) : refuse('identity_invalid', 'no JWT-SVIDs are taken here')
      case 'platform':
        if (!platform) return refuse('identity_invalid', 'no tokens of platforms are taken here')
        return identifyPlatform(platform, evidence.token, undefined, nowMs)
      case 'x509':
      case 'declared':
        return x509(peerOf(evidence), nowMs)
    }
  }
}

export type PlatformIdentified =
  | (Extract<Identified, { ok: true }> & {
      readonly entry: RevisedEntry
      /** What was shown, as records name it. */
      readonly evidence: string
      /** SHA-256 of the token, and whether it may come again before it ends. */
      readonly digest: string
      readonly reuse: boolean
    })
  | Extract<Identified, { ok: false }>

/** Whose token it is, by the registration entries that control has for platforms. `want` chooses among several. */
export async function identifyPlatform(
  { prove, entries, denied }: PlatformParts,
  token: string,
  want: SpiffeId | undefined,
  nowMs: number,
): Promise<PlatformIdentified> {
  const proven = await prove(token, nowMs)
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
export function chooseEntry(
  entries: readonly RevisedEntry[],
  selectors: ReadonlySet<string>,
  want: SpiffeId | undefined,
): { readonly entry: RevisedEntry } | { readonly wrong: string } {
  const found = matching(entries, undefined, selectors).filter(({ id }) => want === undefined || id === want)
  const ids = new Set(found.map(({ id }) => id))
  if (ids.size > 1) return { wrong: 'several identities are registered for what it proves; name one' }
  return found[0] ? { entry: found[0] } : { wrong: 'nothing is registered for what it proves' }
}
