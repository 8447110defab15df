/** Keys that tokens are signed by and verified with: a PEM certificate, a PEM public key, a JWK or a set of them. */

import { isArray, RegoObject, type Value } from '../../value.ts'
import { decodeBase64, decodeBase64Url } from '../base64.ts'
import { BuiltinError } from '../builtin.ts'
import { type CurveName, ecPrivateKey, isOnCurve } from '../signature/curve.ts'
import { fromBytes } from '../signature/rsa.ts'
import { readCertificate } from '../x509/certificate.ts'
import { type PublicKey, readPublicKey } from '../x509/key.ts'
import { nextPem } from '../x509/pem.ts'
import { jsonIn } from './token.ts'

export type TokenKey =
  | { readonly kind: 'secret'; readonly secret: Uint8Array }
  | { readonly kind: 'public'; readonly key: PublicKey }
  | { readonly kind: 'private'; readonly key: SigningKey; readonly publicKey: PublicKey }

/** What is needed to sign. */
export type SigningKey =
  | { readonly kind: 'rsa'; readonly n: bigint; readonly e: bigint; readonly d: bigint }
  | { readonly kind: 'ec'; readonly curve: CurveName; readonly x: bigint; readonly y: bigint; readonly d: bigint }
  | { readonly kind: 'ed25519'; readonly seed: Uint8Array }

export interface NamedKey {
  /** The only algorithm it is for; empty where it says none. */
  readonly alg: string
  /** What headers call it; empty where it has no name. */
  readonly kid: string
  readonly key: TokenKey
}

export const algorithms: ReadonlySet<string> = new Set([
  ...['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'],
  ...['ES256', 'ES384', 'ES512', 'HS256', 'HS384', 'HS512', 'EdDSA'],
])

/** What keys may be for besides (RFC 7518 sections 4.1 and 5.1, RFC 8812, RFC 9864); any other name is a fault. */
const otherAlgorithms: ReadonlySet<string> = new Set([
  ...['none', 'ES256K', 'Ed25519', 'dir', 'RSA1_5', 'RSA-OAEP', 'RSA-OAEP-256', 'RSA-OAEP-384', 'RSA-OAEP-512'],
  ...['A128KW', 'A192KW', 'A256KW', 'A128GCMKW', 'A192GCMKW', 'A256GCMKW'],
  ...['ECDH-ES', 'ECDH-ES+A128KW', 'ECDH-ES+A192KW', 'ECDH-ES+A256KW'],
  ...['PBES2-HS256+A128KW', 'PBES2-HS384+A192KW', 'PBES2-HS512+A256KW'],
  ...['A128GCM', 'A192GCM', 'A256GCM', 'A128CBC-HS256', 'A192CBC-HS384', 'A256CBC-HS512'],
])

/** Keys for algorithms that no token is signed by are left out. */
export function readKeys(text: string): readonly NamedKey[] {
  const pem = nextPem(text)
  if (pem) {
    if (pem.rest !== '') throw new BuiltinError('extra data after a PEM certificate block')
    return [{ alg: '', kid: '', key: { kind: 'public', key: pemKey(pem.block) } }]
  }
  return readJwks(jsonIn(text)).filter(({ alg }) => alg === '' || algorithms.has(alg))
}

function pemKey({ type, bytes }: { readonly type: string; readonly bytes: Uint8Array }): PublicKey {
  if (type === 'CERTIFICATE') return readCertificate(bytes).publicKey
  if (type === 'PUBLIC KEY') return readPublicKey(bytes)
  throw new BuiltinError('failed to extract a Key from the PEM certificate')
}

/** How many keys of a set are read. */
const maxKeys = 1000

/** A JWK set (RFC 7517 section 5), or a single key. */
export function readJwks(value: Value): readonly NamedKey[] {
  if (!(value instanceof RegoObject)) throw new BuiltinError('failed to parse a JWK key (set): it is no object')
  const keys = value.get('keys')
  if (keys === undefined) return [readJwk(value)]
  if (!isArray(keys) || keys.length > maxKeys) throw new BuiltinError('failed to parse a JWK set')
  return keys.map((key) => {
    if (!(key instanceof RegoObject)) throw new BuiltinError('failed to parse a JWK: it is no object')
    return readJwk(key)
  })
}

function readJwk(jwk: RegoObject): NamedKey {
  const alg = optional(jwk, 'alg') ?? ''
  if (alg !== '' && !algorithms.has(alg) && !otherAlgorithms.has(alg)) {
    throw new BuiltinError(`failed to parse a JWK: its algorithm is ${alg}`)
  }
  return { alg, kid: optional(jwk, 'kid') ?? '', key: readMaterial(jwk) }
}

function readMaterial(jwk: RegoObject): TokenKey {
  const kty = optional(jwk, 'kty')
  switch (kty) {
    case 'oct':
      return { kind: 'secret', secret: bytesIn(jwk, 'k') }
    case 'RSA': {
      const publicKey = { kind: 'rsa', n: numberIn(jwk, 'n'), e: numberIn(jwk, 'e') } as const
      return withPrivate(jwk, publicKey, (d) => ({ ...publicKey, d: fromBytes(d) }))
    }
    case 'EC': {
      const publicKey = { kind: 'ec', curve: curveIn(jwk), x: numberIn(jwk, 'x'), y: numberIn(jwk, 'y') } as const
      if (!isOnCurve(publicKey)) throw new BuiltinError('failed to parse a JWK: its point is not on its curve')
      return withPrivate(jwk, publicKey, (d) => {
        const key = ecPrivateKey(publicKey.curve, fromBytes(d))
        if (!key || key.x !== publicKey.x || key.y !== publicKey.y) {
          throw new BuiltinError('failed to parse a JWK: its numbers do not belong together')
        }
        return { kind: 'ec', ...key }
      })
    }
    case 'OKP': {
      const bytes = bytesIn(jwk, 'x')
      const crv = optional(jwk, 'crv')
      if (crv === 'X25519') return { kind: 'public', key: { kind: 'unknown' } } // Nothing is signed with it.
      if (crv !== 'Ed25519' || bytes.length !== 32) {
        throw new BuiltinError(`failed to parse a JWK: its curve is ${crv}, or the key has the wrong length`)
      }
      return withPrivate(jwk, { kind: 'ed25519', bytes }, (seed) => {
        if (seed.length !== 32) throw new BuiltinError('failed to parse a JWK: "d" has the wrong length')
        return { kind: 'ed25519', seed }
      })
    }
    default:
      throw new BuiltinError(`failed to parse a JWK: its type is ${kty}`)
  }
}

function withPrivate(jwk: RegoObject, publicKey: PublicKey, make: (d: Uint8Array) => SigningKey): TokenKey {
  return jwk.has('d')
    ? { kind: 'private', key: make(bytesIn(jwk, 'd')), publicKey }
    : { kind: 'public', key: publicKey }
}

function curveIn(jwk: RegoObject): CurveName {
  const curve = optional(jwk, 'crv')
  if (curve === 'P-256' || curve === 'P-384' || curve === 'P-521') return curve
  throw new BuiltinError(`failed to parse a JWK: its curve is ${curve}`)
}

function optional(jwk: RegoObject, name: string): string | undefined {
  const value = jwk.get(name)
  if (value !== undefined && typeof value !== 'string') throw new BuiltinError(`failed to parse a JWK: bad "${name}"`)
  return value
}

const numberIn = (jwk: RegoObject, name: string): bigint => fromBytes(bytesIn(jwk, name))

/** Some write the other alphabet, which is told by its characters. */
function bytesIn(jwk: RegoObject, name: string): Uint8Array {
  const text = optional(jwk, name) ?? ''
  const bytes = decodeBase64Url(text) ?? decodeBase64(text)
  if (!bytes || bytes.length === 0) throw new BuiltinError(`failed to parse a JWK: bad "${name}"`)
  return bytes
}
