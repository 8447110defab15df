/** Gives identities by registration entries: to agents for the workloads of their hosts, and for proofs of platforms. */

import { WritError } from '../../core/fault.ts'
import type { Evidence, Identity, IdentityRefusal } from '../../core/identity.ts'
import type { PlatformRoots } from '../../core/platform.ts'
import type { SpiffeId } from '../../core/spiffe.ts'
import type { RevisedEntry } from '../../core/workload.ts'
import { proveCertificate } from '../platform/certificate.ts'
import { identifyPlatform, type PlatformParts } from '../platform/identify.ts'
import { verifySignature } from './crypto.ts'
import { type Issued, type IssuingOptions, makeIssuing } from './issuing.ts'
import type { MintedJwt } from './jwt.ts'
import { makeOnce, type Once } from './once.ts'

export interface RegistrationOptions extends IssuingOptions {
  readonly nowMs: () => number
  /** Life of certificates whose entry says none, in milliseconds. */
  readonly svidTtlMs: number
  readonly platform: PlatformParts
  readonly roots: () => readonly PlatformRoots[]
  /** Tokens that were shown. Default this process alone knows them. */
  readonly once?: Once
}

export interface TokenAnswer extends MintedJwt {
  readonly id: SpiffeId
}

export interface Registration {
  /** Entries of the workloads that this agent serves. */
  entriesOf(agent: Identity): readonly RevisedEntry[]
  /** A certificate for a workload of this agent's. Rejects with `forbidden` where the entry is not under it. */
  issueFor(agent: Identity, entry: string, csrDer: Uint8Array): Promise<Issued>
  mintFor(agent: Identity, entry: string, audience: readonly string[]): Promise<MintedJwt>
  /**
   * A certificate for a token of a platform, or for a chain whose key the connection has proven. `source` is the address
   * that a stranger's refusal is counted under.
   */
  attest(shown: Evidence, csrDer: Uint8Array, want: SpiffeId | undefined, source: string): Promise<Issued>
  /** A short JWT-SVID for a token of a platform (RFC 8693). */
  exchange(token: string, audience: readonly string[], want: SpiffeId | undefined, source: string): Promise<TokenAnswer>
}

export function makeRegistration(options: RegistrationOptions): Registration {
  const { authority, sink, nowMs, roots, once = makeOnce() } = options
  const platform: PlatformParts = {
    ...options.platform,
    proveChain: (chain, atMs) => proveCertificate(chain, roots(), options.platform.denied(), atMs, verifySignature),
  }

  const { issue, mint, refuse } = makeIssuing(options)
  const certificate = ({ id, dns, ttlMs = options.svidTtlMs }: RevisedEntry, csrDer: Uint8Array, evidence: string) =>
    issue({ id, dns, ttlMs }, csrDer, 'issued', evidence)
  const token = ({ id, jwtTtlMs }: RevisedEntry, audience: readonly string[], evidence: string) =>
    mint({ id, audience, ttlMs: jwtTtlMs }, evidence)

  async function ofAgent(agent: Identity, name: string): Promise<RevisedEntry> {
    const entry = platform.entries().find((one) => one.name === name)
    if (entry && isOurs(agent) && entry.parent === agent.id && !platform.denied().has(entry.id)) return entry
    const fault = new WritError('forbidden', `${agent.id} serves no entry ${name}`, {
      cure: 'register the entry with this agent as its parent',
    })
    return refuse(entry?.id ?? agent.id, `svid:${agent.serial} entry:${name}`, fault)
  }

  /** A stranger's word: counted, not recorded one by one, so that nobody can fill the log with guesses. */
  function stranger(code: IdentityRefusal, detail: string, source: string): WritError {
    sink.refused({ listener: 'control/attest', source, code, detail })
    return new WritError(code === 'identity_revoked' ? 'forbidden' : 'unauthorized', `${code}: ${detail}`, {
      cure: 'register an entry without parent whose selectors this proves, and name its issuer in the mesh file',
    })
  }

  async function proven(shown: Evidence, want: SpiffeId | undefined, source: string) {
    const answer = await identifyPlatform(platform, shown, want, nowMs())
    if (!answer.ok) throw stranger(answer.code, answer.detail, source)
    if (!answer.reuse && !(await once.take(answer.digest, answer.identity.notAfterMs, nowMs()))) {
      throw stranger('identity_invalid', `${answer.evidence}: this token was shown before`, source)
    }
    return answer
  }

  return {
    entriesOf: (agent) =>
      isOurs(agent)
        ? platform.entries().filter(({ parent, id }) => parent === agent.id && !platform.denied().has(id))
        : [],

    async issueFor(agent, name, csrDer) {
      const entry = await ofAgent(agent, name)
      return certificate(entry, csrDer, `svid:${agent.serial} ${revisionOf(entry)}`)
    },

    async mintFor(agent, name, audience) {
      const entry = await ofAgent(agent, name)
      return token(entry, audience, `svid:${agent.serial} ${revisionOf(entry)}`)
    },

    async attest(shown, csrDer, want, source) {
      const { entry, evidence } = await proven(shown, want, source)
      return certificate(entry, csrDer, `${evidence} ${revisionOf(entry)}`)
    },

    async exchange(shown, audience, want, source) {
      const { entry, evidence } = await proven({ kind: 'platform', token: shown }, want, source)
      return { ...(await token(entry, audience, `${evidence} ${revisionOf(entry)}`)), id: entry.id }
    },
  }

  /** A token begets nothing here: only who holds a certificate's key speaks for the workloads of a host. */
  function isOurs({ proof, trustDomain }: Identity): boolean {
    return proof === 'x509' && trustDomain === authority.trustDomain
  }
}

const revisionOf = ({ name, revision }: RevisedEntry): string => `entry:${name}@${revision}`
