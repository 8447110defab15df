/** Gives certificates for join tokens and for certificates that still hold, and records each before it leaves. */

import { WritError } from '../../core/fault.ts'
import type { Identity } from '../../core/identity.ts'
import type { RandomBytes } from '../../core/ports.ts'
import { type SpiffeId, trustDomainOf } from '../../core/spiffe.ts'
import { activeOf } from '../authorities.ts'
import { formatToken, parseToken, promisedRoot, rootDigest, secretDigest, type TokenStore, tokenMs } from '../join.ts'
import { type Issued, type IssuingOptions, makeIssuing } from './issuing.ts'
import type { MintedJwt } from './jwt.ts'

export interface Registrar {
  /** Makes a token for one workload. Default life ten minutes, in milliseconds. */
  createToken(id: SpiffeId, ttlMs?: number): Promise<string>
  /** Redeems a token, once. `source` is the address that a stranger's refusal is counted under. */
  join(token: string, csrDer: Uint8Array, source?: string): Promise<Issued>
  /** A fresh certificate for a peer that proved its name by the one before. */
  renew(identity: Identity, csrDer: Uint8Array): Promise<Issued>
  /** A fresh certificate for a name that a recovery key proved (ca/node/recovery.ts). */
  reissue(id: SpiffeId, csrDer: Uint8Array, evidence: string): Promise<Issued>
  /** A JWT-SVID in the name of a peer that proved it by its certificate, to be shown to one audience or several. */
  mintJwt(identity: Identity, audience: string | readonly string[]): Promise<MintedJwt>
}

export interface RegistrarOptions extends IssuingOptions {
  readonly tokens: TokenStore
  readonly nowMs: () => number
  readonly random: RandomBytes
  /** Life of the certificates, in milliseconds. Default one hour. */
  readonly svidTtlMs?: number
}

export function makeRegistrar(options: RegistrarOptions): Registrar {
  const { authority, tokens, sink, nowMs, random } = options

  const { issue, mint, refuse } = makeIssuing(options)
  const certificate = (id: SpiffeId, csrDer: Uint8Array, action: 'issued' | 'renewed', evidence: string) =>
    issue({ id, ttlMs: options.svidTtlMs }, csrDer, action, evidence)

  return {
    async createToken(id, ttlMs = tokenMs) {
      if (trustDomainOf(id) !== authority.trustDomain) {
        throw new WritError('token_invalid', `${id} is not of the trust domain ${authority.trustDomain}`, {
          cure: `name a workload of spiffe://${authority.trustDomain}/`,
        })
      }
      const secret = random(32)
      await tokens.put({ digest: secretDigest(secret), id, expiresAtMs: nowMs() + ttlMs }, nowMs())
      const { root } = activeOf(authority.authorities())
      return formatToken({ secret, rootDigest: rootDigest(authority.trustDomain, root) })
    },

    async join(text, csrDer, source = '') {
      const token = parseToken(text)
      const digest = token && secretDigest(token.secret)
      const held = digest && (await tokens.take(digest))
      if (!held) {
        // A stranger's word: counted, not recorded one by one, so that nobody can fill the log with guesses.
        const fault = tokenFault(token ? 'this join token is unknown or was redeemed' : 'this is no join token')
        sink.refused({ listener: 'control/join', source, code: fault.code, detail: fault.message })
        throw fault
      }
      const evidence = `join-token:${held.digest.slice(0, 8)}`
      if (nowMs() > held.expiresAtMs) return refuse(held.id, evidence, tokenFault('this join token has expired'))
      if (!promisedRoot(authority.bundle(), token.rootDigest)) {
        return refuse(held.id, evidence, tokenFault('this join token promises a root that is none of ours'))
      }
      return certificate(held.id, csrDer, 'issued', evidence)
    },

    async renew(identity, csrDer) {
      refuseOthers(identity, 'renew a certificate')
      return certificate(identity.id, csrDer, 'renewed', `svid:${identity.serial}`)
    },

    reissue: (id, csrDer, evidence) => certificate(id, csrDer, 'issued', evidence),

    async mintJwt(identity, audience) {
      refuseOthers(identity, 'have a token')
      return mint({ id: identity.id, audience }, `svid:${identity.serial}`)
    },
  }

  /** A token begets nothing: only who holds a certificate's key can go on as that name. */
  function refuseOthers(identity: Identity, what: string): void {
    if (identity.proof === 'x509' && identity.trustDomain === authority.trustDomain) return
    throw new WritError('forbidden', `${identity.id} cannot ${what} here`, {
      cure: 'come with a certificate of this trust domain that still holds',
    })
  }
}

const tokenFault = (message: string): WritError =>
  new WritError('token_invalid', message, { cure: 'make a new token and redeem it once, within ten minutes' })
