/** How a workload gets its first certificate, renews it, and asks the control plane anything else. */

import type { IncomingHttpHeaders } from 'node:http'
import { equalBytes, fromUtf8, toBase64, utf8 } from '../../core/bytes.ts'
import { type FaultCode, WritError } from '../../core/fault.ts'
import type { IdentityState, Svid, TrustBundle } from '../../core/identity.ts'
import { isObject, type Json, parseJson } from '../../core/json.ts'
import { type SpiffeId, type TrustDomain, trustDomainOf } from '../../core/spiffe.ts'
import { newerOf } from '../bundle.ts'
import { parseToken, promisedRoot } from '../join.ts'
import { verifySvid } from '../svid.ts'
import { type MintedToken, readIssued, readMinted, readTrust } from '../wire.ts'
import { newKeyPair, privateKeyOf, verifySignature } from './crypto.ts'
import { call, type Reply } from './https.ts'
import { recoveryHeader, recoveryText } from './recovery-proof.ts'
import { whyNot } from './server.ts'
import { writeCsr } from './write.ts'

/** Longest answer that is about certificates, in bytes. */
const maxTrustBytes = 1024 ** 2

export interface Joined {
  readonly svid: Svid
  readonly bundles: ReadonlyMap<TrustDomain, TrustBundle>
}

export interface Reach {
  /** `https://host:port` of the control plane. */
  readonly url: string
  /** The control plane's own id: no other server is spoken to. */
  readonly expect: SpiffeId
  /** Default `Date.now`. */
  readonly nowMs?: () => number
  /** Time for each call, in milliseconds. Default 10 000. */
  readonly timeoutMs?: number
  /** PKCS#8 PEM of the key that stands for us when our certificate is over. Default there is none. */
  readonly recovery?: string
}

/**
 * First the trust bundle, from a server that nobody vouches for yet and that is told nothing; its digest stands in
 * the token. Then the token, on a second connection, to a server that this bundle vouches for.
 */
export async function joinMesh(options: Reach & { readonly token: string }): Promise<Joined> {
  const { expect, token } = options
  const promised = parseToken(token)
  if (!promised) {
    throw new WritError('token_invalid', 'this is no join token', {
      cure: 'copy the whole of what `writ token` printed',
    })
  }
  const bundle = await fetchTrust(options)
  const root = promisedRoot(bundle, promised.rootDigest)
  if (bundle.trustDomain !== trustDomainOf(expect) || !root) {
    throw new WritError('trust_mismatch', `${options.url} showed no root that the token promises`, {
      cure: 'make a new token where a new root signs by now; else check the address: somebody may stand in between',
    })
  }
  // What the digest does not cover is nobody's word yet: other roots and token keys come with the answer to the join.
  const { trustDomain, sequence } = bundle
  const bundles = new Map([[trustDomain, { trustDomain, sequence, roots: [root] }]])
  return obtain({ ...options, bundles, path: '/v1/join', with: { token } })
}

/** A new key and certificate under the same name, for a certificate that still holds. */
export function renewSvid(options: Reach & { readonly state: IdentityState }): Promise<Joined> {
  const { svid, bundles, denied } = options.state
  return obtain({ ...options, bundles, denied, svid, want: svid.id, path: '/v1/renew', with: {} })
}

/** A certificate under the name of one that is over, by the key that was bound to it. */
export function recoverSvid(options: Reach & { readonly recovery: string; readonly last: Joined }): Promise<Joined> {
  const { svid, bundles } = options.last
  return obtain({ ...options, bundles, want: svid.id, path: '/v1/recover', with: {} })
}

/** A JWT-SVID in our own name, to be shown to `audience`. */
export async function fetchJwtSvid(
  options: Reach & { readonly state: IdentityState; readonly audience: string | readonly string[] },
): Promise<MintedToken> {
  const body = { audience: options.audience }
  return mintAt({ ...options, path: '/v1/jwt', body })
}

/** What control mints for whoever shows this certificate. */
export async function mintAt(
  options: Reach & { readonly state: IdentityState; readonly path: string; readonly body: Json },
): Promise<MintedToken> {
  const reply = await caRequest({ ...options, method: 'POST', maxBytes: maxTrustBytes })
  const minted = reply.status === 200 ? readMinted(jsonOf(reply)) : undefined
  if (!minted) throw refusalOf(reply, options.url)
  return minted
}

export interface CaRequest extends Reach {
  readonly state: IdentityState
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE'
  /** With its query. */
  readonly path: string
  readonly body?: Json
  /** Sent as If-None-Match: an unchanged answer is a 304 without bytes. */
  readonly etag?: string
  /** How long the server may wait for news before it says 304, in seconds (RFC 7240). Default not at all. */
  readonly waitS?: number
  /** Ends the call early. */
  readonly signal?: AbortSignal
  /** Longest answer, in bytes. Default 16 MiB. */
  readonly maxBytes?: number
}

export interface CaReply {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly bytes: Uint8Array
}

/** Any other question to the control plane, with our certificate and the same checks. */
export function caRequest(options: CaRequest): Promise<CaReply> {
  const { url, method, path, body, etag, waitS, signal, state, timeoutMs, maxBytes } = options
  return call({
    url,
    method,
    path,
    svid: state.svid,
    judge: judgeServer({ ...options, ...state }),
    headers: {
      ...jsonHeaders,
      ...(etag === undefined ? {} : { 'if-none-match': etag }),
      ...(waitS === undefined ? {} : { prefer: `wait=${waitS}` }),
    },
    ...(body === undefined ? {} : { body: utf8(JSON.stringify(body)) }),
    timeoutMs,
    maxBytes,
    signal,
  })
}

const jsonHeaders = { accept: 'application/json', 'content-type': 'application/json' }

async function fetchTrust({ url, timeoutMs }: Reach): Promise<TrustBundle> {
  const judge = () => {} // Nothing secret is sent, and what comes back counts only by its digest.
  const reply = await call({ url, method: 'GET', path: '/v1/trust', judge, timeoutMs, maxBytes: maxTrustBytes })
  const bundle = reply.status === 200 ? readTrust(jsonOf(reply)) : undefined
  if (!bundle) throw refusalOf(reply, url)
  return bundle
}

interface Trusting extends Reach {
  readonly bundles: IdentityState['bundles']
  readonly denied?: IdentityState['denied']
}

export interface Obtain extends Trusting {
  /** Shown to the server. */
  readonly svid?: Pick<Svid, 'chain' | 'keyPem'>
  /** The only name that is taken. Default any of the trust domain. */
  readonly want?: SpiffeId
  readonly path: string
  /** Members of the request beside the `csr`. */
  readonly with: { readonly [name: string]: Json }
}

/** A new key, and the certificate that control gives for it. */
export async function obtain(options: Obtain): Promise<Joined> {
  const { url, path, svid, timeoutMs } = options
  const keys = newKeyPair()
  const csr = writeCsr(keys.spki, privateKeyOf(keys.keyPem))
  const body = utf8(JSON.stringify({ ...options.with, csr: toBase64(csr) }))
  const judge = judgeServer(options)
  const { recovery } = options
  const headers = { ...jsonHeaders, ...(recovery && { [recoveryHeader]: recoveryText(recovery, csr) }) }
  const reply = await call({
    url,
    method: 'POST',
    path,
    headers,
    body,
    judge,
    svid,
    timeoutMs,
    maxBytes: maxTrustBytes,
  })
  const issued = reply.status === 200 ? readIssued(jsonOf(reply)) : undefined
  if (!issued) throw refusalOf(reply, url)
  // Ours is never dropped by omission: without it we could not even renew.
  const bundles = new Map([
    ...options.bundles,
    ...issued.bundles.map((one) => [one.trustDomain, newerOf(options.bundles.get(one.trustDomain), one)] as const),
  ])
  return { svid: acceptSvid(issued.chain, keys, bundles, options), bundles }
}

/** A certificate is taken only for our own key, under our own trust domain, and under the name we had, if any. */
function acceptSvid(
  chain: readonly Uint8Array[],
  keys: { readonly spki: Uint8Array; readonly keyPem: string },
  bundles: IdentityState['bundles'],
  { expect, nowMs = Date.now, want, url }: Obtain,
): Svid {
  const refused = (why: string) =>
    new WritError('certificate_invalid', `${url} gave a certificate that is of no use: ${why}`, {
      cure: 'check the clocks of both machines, and which authority the control plane runs',
    })
  const answer = verifySvid(chain, bundles.get(trustDomainOf(expect))!, nowMs(), verifySignature)
  if (!answer.ok) throw refused(answer.detail)
  if (!equalBytes(answer.path[0]!.spki, keys.spki)) throw refused('it is for another key')
  const { id, serial, notBeforeMs, notAfterMs } = answer.identity
  if (want && want !== id) throw refused(`it names ${id} instead of ${want}`)
  return { id, chain, keyPem: keys.keyPem, serial, notBeforeMs, notAfterMs }
}

function judgeServer({ url, expect, bundles, denied, nowMs = Date.now }: Trusting) {
  return (chain: readonly Uint8Array[]): void => {
    const why = whyNot(chain, expect, { bundles, ...(denied && { denied }) }, nowMs())
    if (why === undefined) return
    throw new WritError('certificate_invalid', `${url} is not ${expect}: ${why}`, {
      cure: 'check the address; if it is right, somebody stands in between',
    })
  }
}

function jsonOf({ bytes }: Pick<Reply, 'bytes'>): Json | undefined {
  try {
    return parseJson(fromUtf8(bytes))
  } catch {
    return undefined
  }
}

const passedOn: readonly FaultCode[] = [
  'token_invalid',
  'certificate_invalid',
  'audit_unavailable',
  'unauthorized',
  'forbidden',
]

/** RFC 9457 problem details, where there are any, as the fault that the server meant. */
function refusalOf(reply: Pick<Reply, 'status' | 'bytes'>, url: string): WritError {
  const problem = jsonOf(reply)
  const text = (name: string): string | undefined => {
    const value = isObject(problem) ? problem[name] : undefined
    return typeof value === 'string' ? value.slice(0, 500) : undefined
  }
  const { status } = reply
  const byStatus: FaultCode = status === 401 ? 'unauthorized' : status === 403 ? 'forbidden' : 'unavailable'
  const code = passedOn.find((code) => code === text('code')) ?? byStatus
  return new WritError(code, `${url} refused with ${status}: ${text('detail') ?? 'no reason given'}`, {
    cure: text('cure') ?? 'see what the control plane reports',
  })
}
