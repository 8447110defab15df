/** Signs JWT-SVIDs with a key of its own, which belongs to an authority as its issuer does. */

import { createPrivateKey, createPublicKey, type KeyObject, sign } from 'node:crypto'
import { toBase64Url, toHex, utf8 } from '../../core/bytes.ts'
import { WritError } from '../../core/fault.ts'
import type { JwtKey } from '../../core/identity.ts'
import type { RandomBytes } from '../../core/ports.ts'
import type { SpiffeId } from '../../core/spiffe.ts'
import { sha256Hex, spkiOf } from './crypto.ts'

/** Life of a token unless another is asked for: five minutes, since nothing takes it back before its end. */
export const jwtMs: number = 5 * 60_000
/** How far a token begins in the past, for clocks that are behind. */
const backdateMs = 60_000

export interface JwtRequest {
  readonly id: SpiffeId
  /** Whom the token is shown to, one or several; nobody else takes it. */
  readonly audience: string | readonly string[]
  /** Life of the token in milliseconds. Default five minutes. */
  readonly ttlMs?: number | undefined
}

export interface MintedJwt {
  readonly token: string
  /** Its `jti`. */
  readonly serial: string
  readonly notBeforeMs: number
  readonly notAfterMs: number
}

/** An ES256 key, and what the world sees of it. */
export interface JwtSigner {
  readonly key: KeyObject
  readonly publicKey: JwtKey
}

/** Throws `certificate_invalid` where the PEM is no P-256 key. */
export function jwtSignerOf(keyPem: string): JwtSigner {
  const key = privateKeyIn(keyPem)
  if (key?.asymmetricKeyDetails?.namedCurve !== 'prime256v1') {
    throw new WritError('certificate_invalid', 'the key of tokens is not a P-256 key', {
      cure: 'restore the authority from a backup',
    })
  }
  const { x, y } = createPublicKey(key).export({ format: 'jwk' })
  const kid = sha256Hex(spkiOf(keyPem)).slice(0, 32)
  return { key, publicKey: { kid, alg: 'ES256', kty: 'EC', crv: 'P-256', x: x!, y: y! } }
}

function privateKeyIn(pem: string): KeyObject | undefined {
  try {
    return createPrivateKey(pem)
  } catch {
    return undefined
  }
}

const headerOf = ({ kid }: JwtKey): string => toBase64Url(utf8(JSON.stringify({ alg: 'ES256', kid, typ: 'JWT' })))

/** JWT-SVID sections 2 and 3: `alg`, `kid`, `typ` and nothing else in the header. Whoever calls keeps the record. */
export function mintJwtSvid(
  { key, publicKey }: JwtSigner,
  { id, audience, ttlMs = jwtMs }: JwtRequest,
  nowMs: number,
  random: RandomBytes,
): MintedJwt {
  const serial = toHex(random(16))
  const nowS = Math.floor(nowMs / 1000)
  const notBeforeS = nowS - backdateMs / 1000
  const expS = nowS + Math.ceil(ttlMs / 1000)
  const claims = { sub: id, aud: audience, iat: nowS, nbf: notBeforeS, exp: expS, jti: serial }
  const signed = `${headerOf(publicKey)}.${toBase64Url(utf8(JSON.stringify(claims)))}`
  // RFC 7518 section 3.4: r and s, 32 bytes each.
  const signature = sign('sha256', utf8(signed), { key, dsaEncoding: 'ieee-p1363' })
  const token = `${signed}.${toBase64Url(signature)}`
  return { token, serial, notBeforeMs: notBeforeS * 1000, notAfterMs: expS * 1000 - 1 }
}
