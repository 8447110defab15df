/**
 * Signatures without a key that anybody keeps: a fresh key signs the bundle, and an identity token of the CI vouches for
 * that key, because its audience is the key's thumbprint. What must hold is told in docs/BUNDLES.md.
 */

import {
  calculateJwkThumbprint,
  compactVerify,
  createLocalJWKSet,
  createRemoteJWKSet,
  customFetch,
  decodeProtectedHeader,
  importJWK,
  type JSONWebKeySet,
  type JWTVerifyGetKey,
  jwtVerify,
} from 'jose'
import { fromUtf8 } from '../core/bytes.ts'
import { messageOf } from '../core/fault.ts'
import { isObject, type Json, parseJson } from '../core/json.ts'
import type { KeylessVerification, SignatureAlgorithm, SignedBy } from './verification.ts'

export const keylessAlgorithm: SignatureAlgorithm = 'ES256'

/** Header parameter of a bundle's signature that holds the identity token. */
export const identityTokenHeader: string = 'writ-id-token'

/** Longest identity token, in characters. */
export const maxIdentityToken: number = 16 * 1024

/** How far two clocks may be apart, in seconds. */
const toleranceS = 60

/** Never a shared secret, and never none. */
const issuerAlgorithms = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA']

export interface PublicJwk {
  readonly kty: 'EC'
  readonly crv: 'P-256'
  readonly x: string
  readonly y: string
}

/** What an identity token has to be for, so that it vouches for this key and no other. */
export const audienceFor = async (jwk: PublicJwk): Promise<string> =>
  `writ-bundle:${await calculateJwkThumbprint({ ...jwk }, 'sha256')}`

export interface KeylessClaims {
  readonly claims: { readonly [name: string]: Json | undefined }
  readonly by: SignedBy
}

/** Throws an Error with the reason. */
export async function verifyKeyless(token: string, wanted: KeylessVerification): Promise<KeylessClaims> {
  const { jwk, identityToken } = readHeader(token)
  const key = await importJWK({ ...jwk }, keylessAlgorithm)
  const { payload } = await compactVerify(token, key, { algorithms: [keylessAlgorithm] }).catch(() => {
    throw new Error('the key that it carries did not make it')
  })
  const claims = parseJson(fromUtf8(payload))
  if (!isObject(claims)) throw new Error('what was signed is no JSON object')
  const { iat } = claims
  if (typeof iat !== 'number' || !Number.isSafeInteger(iat) || iat < 0)
    throw new Error('it does not say when it was made')
  const subject = await subjectOf(identityToken, await audienceFor(jwk), iat, wanted)
  return { claims, by: { issuer: wanted.issuer, subject, at: iat } }
}

function readHeader(token: string): { readonly jwk: PublicJwk; readonly identityToken: string } {
  const header = decodeProtectedHeader(token)
  if (header.alg !== keylessAlgorithm)
    throw new Error(`it is signed with ${JSON.stringify(header.alg)}, not ${keylessAlgorithm}`)
  const { kty, crv, x, y, ...more } = header.jwk ?? {}
  const known = kty === 'EC' && crv === 'P-256' && typeof x === 'string' && typeof y === 'string'
  if (!known || Object.keys(more).length > 0) throw new Error('it carries no public key of P-256')
  const identityToken: unknown = header[identityTokenHeader]
  if (typeof identityToken !== 'string' || identityToken.length > maxIdentityToken) {
    throw new Error('it carries no identity token')
  }
  return { jwk: { kty: 'EC', crv: 'P-256', x, y }, identityToken }
}

/** Who the issuer said it was, in a token for just that key that was good when the bundle was signed. */
async function subjectOf(token: string, audience: string, iat: number, wanted: KeylessVerification): Promise<string> {
  const { payload } = await jwtVerify(token, keysOf(wanted), {
    issuer: wanted.issuer,
    algorithms: issuerAlgorithms,
    currentDate: new Date(iat * 1000),
    clockTolerance: toleranceS,
    requiredClaims: ['sub', 'iat', 'exp', 'aud'],
  }).catch((cause: unknown) => {
    throw new Error(`the identity token does not hold: ${messageOf(cause)}`, { cause })
  })
  if (payload.aud !== audience) throw new Error('the identity token was made for another key or purpose')
  if ((payload.iat ?? 0) > iat + toleranceS) throw new Error('the identity token is younger than the signature')
  const { sub = '' } = payload
  if (!matches(wanted.subject, sub))
    throw new Error(`it was signed by ${JSON.stringify(sub)}, not ${JSON.stringify(wanted.subject)}`)
  return sub
}

/** Longest subject, in characters. */
const maxSubject = 2048

/** `*` stands for anything but `/` and `:`, between which CI systems put names that others choose. */
export function matches(pattern: string, subject: string): boolean {
  if (subject.length > maxSubject) return false
  const parts = pattern.split(/\*+/).map((part) => part.replace(/[\\^$.|?+()[\]{}/]/g, '\\$&'))
  return new RegExp(`^${parts.join('[^/:]*')}$`, 'u').test(subject)
}

const remote = new WeakMap<KeylessVerification, JWTVerifyGetKey>()

function keysOf(wanted: KeylessVerification): JWTVerifyGetKey {
  if (typeof wanted.keys !== 'string') return createLocalJWKSet(wanted.keys as unknown as JSONWebKeySet)
  const known = remote.get(wanted)
  if (known) return known
  const made = createRemoteJWKSet(new URL(wanted.keys), { timeoutDuration: 10_000, [customFetch]: boundedFetch })
  remote.set(wanted, made)
  return made
}

/** Longest answer of an issuer, in bytes. */
const maxAnswer = 1024 ** 2

/** As `fetch`, for answers that are read whole. */
export async function boundedFetch(url: string, options: RequestInit): Promise<Response> {
  const answer = await fetch(url, options)
  const chunks: Uint8Array<ArrayBuffer>[] = []
  let length = 0
  for (const reader = answer.body?.getReader(); reader; ) {
    const { done, value } = await reader.read()
    if (done) break
    length += value.length
    if (length > maxAnswer) {
      await reader.cancel()
      throw new Error(`the answer is longer than ${maxAnswer} bytes`)
    }
    chunks.push(value as Uint8Array<ArrayBuffer>)
  }
  return new Response(new Blob(chunks), { status: answer.status })
}
