/** Signature algorithms and keys that count here: ECDSA on P-256 and P-384, Ed25519, RSA of 2048 bits and more. */

import { equalBytes, fromHex, toHex } from '../core/bytes.ts'
import { bitStringBytes, type Der, listOf, malformed, oidText, readDer, tags, walk } from './der.ts'

export type SignatureAlgorithm =
  | 'ecdsa-sha256'
  | 'ecdsa-sha384'
  | 'ecdsa-sha512'
  | 'ed25519'
  | 'rsa-sha256'
  | 'rsa-sha384'
  | 'rsa-sha512'

/** Kinds that certificates are given for. */
export type OwnKeyKind = 'p256' | 'p384' | 'ed25519'

export type KeyKind = OwnKeyKind | 'rsa'

/** Does this signature over these bytes hold under this key (SubjectPublicKeyInfo)? False, never a throw, if not. */
export type VerifySignature = (check: {
  readonly algorithm: SignatureAlgorithm
  readonly spki: Uint8Array
  readonly signed: Uint8Array
  readonly signature: Uint8Array
}) => boolean

/** Whole AlgorithmIdentifiers, so that parameters are fixed too (RFC 5758 section 3.2, RFC 8410 section 3, RFC 4055 section 5). */
const signatureAlgorithms: ReadonlyMap<string, SignatureAlgorithm> = new Map([
  ['300a06082a8648ce3d040302', 'ecdsa-sha256'],
  ['300a06082a8648ce3d040303', 'ecdsa-sha384'],
  ['300a06082a8648ce3d040304', 'ecdsa-sha512'],
  ['300506032b6570', 'ed25519'],
  ['300d06092a864886f70d01010b0500', 'rsa-sha256'],
  ['300d06092a864886f70d01010c0500', 'rsa-sha384'],
  ['300d06092a864886f70d01010d0500', 'rsa-sha512'],
])

const p256 = fromHex('301306072a8648ce3d020106082a8648ce3d030107')!
const p384 = fromHex('301006072a8648ce3d020106052b81040022')!
const ed25519 = fromHex('300506032b6570')!
const rsa = fromHex('300d06092a864886f70d0101010500')!

export interface ReadAlgorithm {
  readonly oid: string
  /** Undefined for every algorithm that does not count. */
  readonly name: SignatureAlgorithm | undefined
}

export function readAlgorithm(der: Der): ReadAlgorithm {
  const oid = listOf(der, 'signature algorithm')[0]!
  if (oid.tag !== tags.oid) throw malformed('signature algorithm without a name')
  return { oid: oidText(oid.body), name: signatureAlgorithms.get(toHex(der.whole)) }
}

/** Which kind of key this SubjectPublicKeyInfo holds, or undefined for one that does not count. */
export function keyKindOf(spki: Der): KeyKind | undefined {
  const parts = walk(spki, tags.sequence, 'public key')
  const algorithm = parts.take(tags.sequence, 'key algorithm').whole
  const key = bitStringBytes(parts.take(tags.bitString, 'key bits'), 'key bits')
  parts.end('public key')
  if (equalBytes(algorithm, p256)) return key.length === 65 && key[0] === 4 ? 'p256' : undefined
  if (equalBytes(algorithm, p384)) return key.length === 97 && key[0] === 4 ? 'p384' : undefined
  if (equalBytes(algorithm, ed25519)) return key.length === 32 ? 'ed25519' : undefined
  if (equalBytes(algorithm, rsa)) return goodRsa(key) ? 'rsa' : undefined
  return undefined
}

/** 2048 to 8192 bits, so that neither forging nor verifying is cheap to abuse, with an odd exponent of up to 4 bytes. */
function goodRsa(key: Uint8Array): boolean {
  const parts = walk(readDer(key), tags.sequence, 'RSA key')
  const modulus = parts.take(tags.integer, 'RSA modulus').body
  const exponent = parts.take(tags.integer, 'RSA exponent').body
  parts.end('RSA key')
  if (modulus[0]! >= 0x80 || exponent[0]! >= 0x80) return false
  const magnitude = modulus[0] === 0 ? modulus.subarray(1) : modulus
  const bits = magnitude.length * 8 - Math.clz32(magnitude[0] ?? 0) + 24
  const odd = (exponent[exponent.length - 1]! & 1) === 1
  return bits >= 2048 && bits <= 8192 && odd && exponent.length <= 5 && !(exponent.length === 1 && exponent[0] === 1)
}

/** An ECDSA algorithm wants a key on a curve of its, Ed25519 one of its own, and an RSA algorithm an RSA key. */
export const fits = (algorithm: SignatureAlgorithm, key: KeyKind): boolean =>
  algorithm.split('-')[0] === (key === 'p256' || key === 'p384' ? 'ecdsa' : key)

/** The one algorithm that a key of each kind signs with; RSA keys sign nothing here. */
export const algorithmOfKey: { readonly [kind in OwnKeyKind]: SignatureAlgorithm } = {
  p256: 'ecdsa-sha256',
  p384: 'ecdsa-sha384',
  ed25519: 'ed25519',
}

export const isOwnKind = (kind: KeyKind | undefined): kind is OwnKeyKind => kind !== undefined && kind in algorithmOfKey

/** An AlgorithmIdentifier, DER. */
export const algorithmDer = (name: SignatureAlgorithm): Uint8Array => algorithmDers.get(name)!
const algorithmDers = new Map([...signatureAlgorithms].map(([der, name]) => [name, fromHex(der)!]))
