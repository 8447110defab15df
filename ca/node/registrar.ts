/** Gives certificates for join tokens and for certificates that still hold, and records each before it leaves. */

import { WritError } from '../../core/fault.ts'
import type { Identity, TrustBundle } from '../../core/identity.ts'
import type { RandomBytes, RecordSink } from '../../core/ports.ts'
import type { IssuanceBody } from '../../core/record.ts'
import { type SpiffeId, trustDomainOf } from '../../core/spiffe.ts'
import { formatMs } from '../../core/time.ts'
import { activeOf } from '../authorities.ts'
import { parseCsr } from '../csr.ts'
import { formatToken, parseToken, promisedRoot, rootDigest, secretDigest, type TokenStore, tokenMs } from '../join.ts'
import type { Authority } from './authority.ts'
import type { IssuedLeaf } from './authority-sign.ts'
import { verifySignature } from './crypto.ts'
import type { MintedJwt } from './jwt.ts'

export interface Issued extends IssuedLeaf {
  /** The bundles that the newcomer starts with. */
  readonly bundles: readonly TrustBundle[]
}

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

export interface RegistrarOptions {
  readonly authority: Authority
  readonly tokens: TokenStore
  readonly sink: RecordSink
  readonly nowMs: () => number
  readonly random: RandomBytes
  /** Life of the certificates, in milliseconds. Default one hour. */
  readonly svidTtlMs?: number
  /** Bundles of trust domains that this one federates with. Default none. */
  readonly foreign?: () => readonly TrustBundle[]
}

export function makeRegistrar(options: RegistrarOptions): Registrar {
  const { authority, tokens, sink, nowMs, random } = options

  /** The request proves a key; the name comes from the token or the identity alone. */
  async function issue(
    id: SpiffeId,
    csrDer: Uint8Array,
    action: 'issued' | 'renewed',
    evidence: string,
  ): Promise<Issued> {
    const key = provenKey(csrDer)
    if ('wrong' in key) return refuse(id, evidence, new WritError('certificate_invalid', key.wrong, { cure: csrCure }))
    const ttl = options.svidTtlMs === undefined ? {} : { ttlMs: options.svidTtlMs }
    const leaf = authority.issue({ id, spki: key.spki, ...ttl })
    await sink.keep(issuanceBody(action, id, evidence, leaf)) // Kept first: no certificate is out there unrecorded.
    return { ...leaf, bundles: [authority.bundle(), ...(options.foreign?.() ?? [])] }
  }

  async function refuse(id: SpiffeId, evidence: string, fault: WritError): Promise<never> {
    await sink.keep({ ...issuanceBody('refused', id, evidence), reason: fault.message })
    throw fault
  }

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
      return issue(held.id, csrDer, 'issued', evidence)
    },

    async renew(identity, csrDer) {
      refuseOthers(identity, 'renew a certificate')
      return issue(identity.id, csrDer, 'renewed', `svid:${identity.serial}`)
    },

    reissue: (id, csrDer, evidence) => issue(id, csrDer, 'issued', evidence),

    async mintJwt(identity, audience) {
      refuseOthers(identity, 'have a token')
      const minted = await authority.mintJwt({ id: identity.id, audience })
      await sink.keep({
        ...issuanceBody('issued', identity.id, `svid:${identity.serial}`, minted),
        audience: audienceText(audience),
      })
      return minted
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

/** Audiences have no spaces (control/node/mesh-routes.ts), so they stand in one text. */
export const audienceText = (audience: string | readonly string[]): string =>
  typeof audience === 'string' ? audience : audience.join(' ')

export const csrCure = 'send a PKCS#10 request for a P-256 key, signed with that key'

const tokenFault = (message: string): WritError =>
  new WritError('token_invalid', message, { cure: 'make a new token and redeem it once, within ten minutes' })

export function provenKey(csrDer: Uint8Array): { readonly spki: Uint8Array } | { readonly wrong: string } {
  const read = parseCsr(csrDer)
  if ('wrong' in read) return { wrong: `a bad certificate request: ${read.wrong}` }
  const { spki, key, algorithm, info, signature } = read.request
  if (key !== 'p256' || algorithm.name !== 'ecdsa-sha256') return { wrong: 'a certificate request that is not P-256' }
  const proven = verifySignature({ algorithm: algorithm.name, spki, signed: info, signature })
  return proven ? { spki } : { wrong: 'a certificate request that its own key did not sign' }
}

export function issuanceBody(
  action: IssuanceBody['action'],
  subject: SpiffeId,
  evidence: string,
  leaf?: Pick<IssuedLeaf, 'serial' | 'notBeforeMs' | 'notAfterMs'>,
): IssuanceBody {
  return {
    kind: 'issuance',
    action,
    subject,
    serial: leaf?.serial ?? '',
    not_before: leaf ? formatMs(leaf.notBeforeMs) : '',
    not_after: leaf ? formatMs(leaf.notAfterMs) : '',
    evidence,
  }
}
