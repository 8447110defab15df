/** JWT-SVIDs by the letter of the SPIFFE JWT-SVID standard. A token is read strictly here before jose sees it. */

import { compactVerify } from 'jose'
import { fromBase64Url, fromUtf8 } from '../core/bytes.ts'
import type { Identified, IdentityRefusal, JwtKey } from '../core/identity.ts'
import { isObject, type Json, parseJson } from '../core/json.ts'
import type { Identify } from '../core/ports.ts'
import { parseSpiffeId, type SpiffeId, type TrustDomain, trustDomainOf } from '../core/spiffe.ts'

/** JWT-SVID section 2.1. Nothing symmetric, no `none`, no EdDSA. */
const algorithms: ReadonlySet<string> = new Set(
  ['RS', 'ES', 'PS'].flatMap((family) => [`${family}256`, `${family}384`, `${family}512`]),
)

/** Longest token that is looked at, in characters; a longer one is refused. Ids have 2048 at most. */
const maxToken = 8192
const maxAudiences = 64
/** The last second of the year 9999: what is later has no form in records. */
const maxSeconds = 253_402_300_799

/** A compact JWS whose form is right; nobody has vouched for it yet. */
export interface Jws {
  readonly token: string
  readonly alg: string
  readonly kid: string | undefined
  readonly payload: Uint8Array
  readonly signature: Uint8Array
}

/**
 * Three parts in the one right base64url form, and a header without surprises. jose takes other forms too, under which
 * one signature would stand for many texts.
 */
export function readJws(token: string): { readonly jws: Jws } | { readonly wrong: string } {
  if (token.length > maxToken) return { wrong: `a token of more than ${maxToken} characters` }
  const [headerText, payloadText, signatureText, ...rest] = token.split('.')
  // Three parts: five would be a JWE, and JSON serialisations have none (section 2).
  if (headerText === undefined || !payloadText || !signatureText || rest.length > 0) {
    return { wrong: 'a token that is not in three parts' }
  }
  const headerBytes = fromBase64Url(headerText)
  const payload = fromBase64Url(payloadText)
  const signature = fromBase64Url(signatureText)
  if (!headerBytes || !payload || !signature) return { wrong: 'a token that is not base64url' }
  const header = objectOf(headerBytes)
  if (!header) return { wrong: 'a token whose header is no JSON object' }
  const { alg, kid, typ, ...others } = header
  if (typeof alg !== 'string' || !algorithms.has(alg)) return { wrong: 'a token signed by an algorithm not allowed' }
  if (typ !== undefined && typ !== 'JWT' && typ !== 'JOSE') return { wrong: 'a token of another type' } // Section 2.3.
  if (kid !== undefined && (typeof kid !== 'string' || kid === '')) return { wrong: 'a token with a bad key id' }
  const [unknown] = Object.keys(others)
  if (unknown !== undefined) return { wrong: 'a token with header fields that a JWT-SVID does not have' } // Section 2.
  return { jws: { token, alg, kid, payload, signature } }
}

/** Does its signature hold under this key? False, never a throw, if not. */
export async function isSignedBy({ token, alg }: Jws, key: JwtKey): Promise<boolean> {
  if (key.alg !== undefined && key.alg !== alg) return false
  try {
    await compactVerify(token, key, { algorithms: [alg] })
    return true
  } catch {
    return false
  }
}

/** Does its signature hold under this key? False, never a throw, if not. */
export type VerifyJws = (jws: Jws, key: JwtKey) => boolean | Promise<boolean>

export interface Claims {
  readonly id: SpiffeId
  readonly audiences: readonly string[]
  /** `jti` where it is lower-case hex, as in tokens of our own issuer; else empty. */
  readonly serial: string
  readonly notBeforeMs: number
  /** The last millisecond in which the token is good (RFC 7519 section 4.1.4). */
  readonly notAfterMs: number
}

/** JWT-SVID section 3. */
export function readClaims(payload: Uint8Array): { readonly claims: Claims } | { readonly wrong: string } {
  const claims = objectOf(payload)
  if (!claims) return { wrong: 'a token whose claims are no JSON object' }
  const { sub, aud, exp, nbf = 0, jti } = claims
  const id = typeof sub === 'string' ? parseSpiffeId(sub) : undefined
  if (!id) return { wrong: 'a subject that is no SPIFFE ID of a workload' }
  const audiences = typeof aud === 'string' ? [aud] : aud
  if (!isTexts(audiences)) return { wrong: 'a token without an audience' }
  if (!isSeconds(exp)) return { wrong: 'a token without a readable end' }
  if (!isSeconds(nbf)) return { wrong: 'a token without a readable start' }
  const serial = typeof jti === 'string' && /^[0-9a-f]{1,64}$/.test(jti) ? jti : ''
  return {
    claims: { id, audiences, serial, notBeforeMs: Math.ceil(nbf * 1000), notAfterMs: Math.ceil(exp * 1000) - 1 },
  }
}

const isTexts = (value: unknown): value is readonly string[] =>
  Array.isArray(value) &&
  value.length > 0 &&
  value.length <= maxAudiences &&
  value.every((text) => typeof text === 'string')

const isSeconds = (value: Json | undefined): value is number =>
  typeof value === 'number' && value >= 0 && value <= maxSeconds

function objectOf(bytes: Uint8Array): { readonly [key: string]: Json | undefined } | undefined {
  try {
    const value = parseJson(fromUtf8(bytes))
    return isObject(value) ? value : undefined
  } catch {
    return undefined
  }
}

export interface JwtIdentifyOptions {
  /** The keys of this trust domain and of no other; undefined where there is no bundle for it. */
  readonly keysOf: (trustDomain: TrustDomain) => readonly JwtKey[] | undefined
  /** Our own name as callers give it when they ask for a token; tokens for others are refused. */
  readonly audience: string
  /** Ids and serials (`jti`) that are refused. Default none: tokens live for minutes. */
  readonly denied?: () => ReadonlySet<string>
  /** Default one that runs anywhere. */
  readonly verify?: VerifyJws
}

/** Who is at the other end, by the token of this one request. Nothing is remembered: the next may bring another. */
export function makeJwtIdentify(options: JwtIdentifyOptions): Identify {
  return async ({ evidence }, nowMs) => {
    if (evidence.kind === 'none') return refuse('identity_missing', 'no token')
    if (evidence.kind !== 'jwt') return refuse('identity_invalid', 'only tokens are taken here')
    return judge(evidence.token, nowMs, options)
  }
}

async function judge(token: string, nowMs: number, options: JwtIdentifyOptions): Promise<Identified> {
  const read = readJws(token)
  if ('wrong' in read) return refuse('identity_invalid', read.wrong)
  const { jws } = read
  // Optional on paper, but without it keys would have to be tried one by one; every issuer sets it.
  if (jws.kid === undefined) return refuse('identity_invalid', 'a token without a key id')
  const said = readClaims(jws.payload)
  if ('wrong' in said) return refuse('identity_invalid', said.wrong)
  const { id, audiences, serial, notBeforeMs, notAfterMs } = said.claims

  const trustDomain = trustDomainOf(id)
  const keys = options.keysOf(trustDomain)
  if (!keys) return refuse('identity_untrusted', `no trust bundle for ${trustDomain}`)
  const key = keys.find(({ kid }) => kid === jws.kid)
  if (!key) return refuse('identity_untrusted', `a key that is none of ${trustDomain}'s`)
  if (!(await (options.verify ?? isSignedBy)(jws, key)))
    return refuse('identity_invalid', 'a signature that does not hold')

  if (!audiences.includes(options.audience)) return refuse('identity_invalid', 'a token for another audience')
  if (nowMs > notAfterMs) return refuse('identity_expired', `not valid after ${time(notAfterMs)}`)
  if (nowMs < notBeforeMs) return refuse('identity_expired', `not valid before ${time(notBeforeMs)}`)
  const denied = options.denied?.()
  if (denied?.has(id)) return refuse('identity_revoked', `${id} is on the deny list`)
  if (denied?.has(serial)) return refuse('identity_revoked', `token ${serial} is on the deny list`)
  return { ok: true, identity: { id, trustDomain, proof: 'jwt', serial, notBeforeMs, notAfterMs } }
}

const refuse = (code: IdentityRefusal, detail: string): Identified => ({ ok: false, code, detail })

const time = (ms: number): string => new Date(ms).toISOString()

/** Trust Domain and Bundle section 4.1: a key without `kid` or of another `use` is none of these. */
export function readJwtKey(value: unknown): JwtKey | undefined {
  if (!isObject(value)) return undefined
  const { kid, use, kty, alg, key_ops: operations } = value
  if (use !== 'jwt-svid' || typeof kid !== 'string' || kid === '' || kid.length > 256) return undefined
  if (alg !== undefined && (typeof alg !== 'string' || !algorithms.has(alg))) return undefined
  if (operations !== undefined && !(Array.isArray(operations) && operations.includes('verify'))) return undefined
  const common = { kid, ...(alg === undefined ? {} : { alg }) }
  const number = (name: string): string | undefined => {
    const text = value[name]
    return typeof text === 'string' && text.length <= 1400 && fromBase64Url(text)?.length ? text : undefined
  }
  const [x, y, n, e] = [number('x'), number('y'), number('n'), number('e')]
  const { crv } = value
  if (kty === 'EC' && typeof crv === 'string' && /^P-(?:256|384|521)$/.test(crv) && x && y) {
    return { ...common, kty, crv, x, y }
  }
  return kty === 'RSA' && n && e ? { ...common, kty, n, e } : undefined
}
