/** A JWT (RFC 7519) as strangers write it, read strictly before any key is asked: by its own text it proves nothing. */

import { fromBase64Url, fromUtf8 } from '../../core/bytes.ts'
import { Decimal, type Exact, isExactObject, readExact } from '../../core/exact.ts'
import { audiencesOf } from '../../core/input-token.ts'

/** Longest token, in characters. A longer one is refused unread. */
export const maxToken = 16_384
const maxAudiences = 64
/** The last second of the year 9999. */
const maxSeconds = 253_402_300_799

/** All that verify with a public key (RFC 7518 section 3.1, RFC 8037, RFC 9864): `none` and HMAC are not among them. */
export const tokenAlgorithms: readonly string[] = [
  ...['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'],
  ...['ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519'],
]

/** RFC 8725 section 3.11: a token of another kind is not taken for one of access, whoever signed it. */
const types: ReadonlySet<string> = new Set(['jwt', 'at+jwt', 'application/jwt', 'application/at+jwt'])

type Members = { readonly [name: string]: Exact | undefined }

export interface ReadToken {
  readonly text: string
  readonly alg: string
  readonly kid: string | undefined
  readonly claims: Members
  readonly issuer: string
  readonly subject: string | undefined
  readonly audiences: readonly string[]
  /** Milliseconds since 1970; by the issuer's clock. */
  readonly notBeforeMs: number
  /** The last millisecond in which it is good (RFC 7519 section 4.1.4). */
  readonly notAfterMs: number
}

export type TokenRead =
  | { readonly ok: true; readonly token: ReadToken }
  | { readonly ok: false; readonly wrong: string }

const wrong = (wrong: string): TokenRead => ({ ok: false, wrong })

/** Never throws. Keys that a header brings or points to (`jwk`, `jku`, `x5c`, `x5u`) are passed over. */
export function readToken(text: string): TokenRead {
  if (text.length > maxToken) return wrong(`a token of more than ${maxToken} characters`)
  const parts = text.split('.')
  if (parts.length !== 3 || parts.includes('')) return wrong('a token that is not in three parts')
  const [headerBytes, payloadBytes, signature] = parts.map(fromBase64Url)
  if (!headerBytes || !payloadBytes || !signature) return wrong('a token that is not base64url')
  const header = objectIn(headerBytes)
  if (!header) return wrong('a token whose header is no JSON object, or has a name twice')
  const { alg, kid, typ } = header
  if (typeof alg !== 'string' || !tokenAlgorithms.includes(alg)) return wrong('a token that no public key can verify')
  if (kid !== undefined && (typeof kid !== 'string' || kid === '' || kid.length > 256)) {
    return wrong('a token with a bad key id')
  }
  if (typ !== undefined && (typeof typ !== 'string' || !types.has(typ.toLowerCase()))) {
    return wrong('a token of another type')
  }
  // RFC 7515 section 4.1.11, RFC 7797: what must be understood is not understood here.
  if (header['crit'] !== undefined || header['b64'] !== undefined) return wrong('a token with extensions')
  const claims = objectIn(payloadBytes)
  return claims
    ? readClaims(text, alg, kid, claims)
    : wrong('a token whose claims are no JSON object, or have a name twice')
}

function readClaims(text: string, alg: string, kid: string | undefined, claims: Members): TokenRead {
  const { iss, sub, aud } = claims
  if (typeof iss !== 'string') return wrong('a token without an issuer')
  if (sub !== undefined && typeof sub !== 'string') return wrong('a token whose subject is no text')
  const audiences = audiencesOf(aud)
  if (!audiences || audiences.length > maxAudiences) return wrong('a token without a readable audience')
  const exp = secondsOf(claims['exp'])
  const [nbf, iat] = [claims['nbf'], claims['iat']].map((value) => (value === undefined ? 0 : secondsOf(value)))
  if (exp === undefined) return wrong('a token without a readable end')
  if (nbf === undefined || iat === undefined) return wrong('a token without a readable start')
  const token: ReadToken = {
    ...{ text, alg, kid, claims, issuer: iss, subject: sub, audiences },
    notBeforeMs: Math.ceil(Math.max(nbf, iat) * 1000),
    notAfterMs: Math.ceil(exp * 1000) - 1,
  }
  return { ok: true, token }
}

function secondsOf(value: Exact | undefined): number | undefined {
  const seconds = value instanceof Decimal ? Number(value.text) : value
  return typeof seconds === 'number' && seconds >= 0 && seconds <= maxSeconds ? seconds : undefined
}

function objectIn(bytes: Uint8Array): Members | undefined {
  try {
    const read = readExact(fromUtf8(bytes))
    return read.ok && isExactObject(read.value) ? read.value : undefined
  } catch {
    return undefined // No UTF-8.
  }
}
