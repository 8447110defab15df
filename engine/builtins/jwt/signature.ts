/** The algorithms of tokens (RFC 7518 section 3, RFC 8037): which key verifies and signs what. */

import { hmac } from '@noble/hashes/hmac.js'
import { BuiltinError } from '../builtin.ts'
import { fieldLength, signEcdsa, signEd25519, verifyEcdsa, verifyEd25519 } from '../signature/curve.ts'
import { type HashName, hashes } from '../signature/hash.ts'
import { sameMac } from '../signature/mac.ts'
import { fromBytes, signPkcs1, signPss, verifyPkcs1, verifyPss } from '../signature/rsa.ts'
import type { PublicKey } from '../x509/key.ts'
import type { TokenKey } from './keys.ts'

export type Verify = (key: TokenKey, message: Uint8Array, signature: Uint8Array) => boolean

const hashNames: Readonly<Record<string, HashName>> = { '256': 'sha256', '384': 'sha384', '512': 'sha512' }

/**
 * How `io.jwt.verify_*` verifies. It is less strict than `verifyAs`: it takes a salt of any length, an elliptic curve
 * key of any curve, and numbers of any length; but no private keys.
 */
export function loosely(algorithm: string): Verify {
  return (key, message, signature) => key.kind === 'public' && verify(algorithm, key.key, message, signature, true)
}

/** How `io.jwt.decode_verify` verifies by the algorithm that a header names; one that is unknown verifies nothing. */
export function verifyAs(algorithm: string, key: TokenKey, message: Uint8Array, signature: Uint8Array): boolean {
  if (key.kind === 'secret') return verifyHmac(algorithm, key.secret, message, signature)
  return verify(algorithm, key.kind === 'public' ? key.key : key.publicKey, message, signature, false)
}

export function verifyHmac(algorithm: string, secret: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  const hash = algorithm.startsWith('HS') ? hashNames[algorithm.slice(2)] : undefined
  return hash !== undefined && sameMac(hmac(hashes[hash], secret, message), signature)
}

function verify(
  algorithm: string,
  key: PublicKey,
  message: Uint8Array,
  signature: Uint8Array,
  loose: boolean,
): boolean {
  if (algorithm === 'EdDSA' || algorithm === 'Ed25519') {
    return key.kind === 'ed25519' && verifyEd25519(key.bytes, message, signature)
  }
  const hash = hashNames[algorithm.slice(2)]
  if (!hash) return false
  switch (algorithm.slice(0, 2)) {
    case 'RS':
      return key.kind === 'rsa' && verifyPkcs1(key, hash, message, signature)
    case 'PS':
      return key.kind === 'rsa' && verifyPss(key, hash, message, signature, loose ? 'any' : 'digest')
    case 'ES': {
      if (key.kind !== 'ec' || (!loose && signature.length !== 2 * fieldLength(key.curve))) return false
      const half = Math.floor(signature.length / 2)
      const [r, s] = [fromBytes(signature.subarray(0, half)), fromBytes(signature.subarray(half))]
      return verifyEcdsa(key, hashes[hash](message), r, s)
    }
    default:
      return false
  }
}

/** Throws a BuiltinError where the key is not for the algorithm. `random` gives what PSS is salted with. */
export function sign(
  algorithm: string,
  key: TokenKey,
  message: Uint8Array,
  random: (length: number) => Uint8Array,
): Uint8Array {
  const signature = signatureOf(algorithm, key, message, random)
  if (!signature) throw new BuiltinError(`the key cannot sign by ${algorithm}`)
  return signature
}

function signatureOf(
  algorithm: string,
  key: TokenKey,
  message: Uint8Array,
  random: (length: number) => Uint8Array,
): Uint8Array | undefined {
  const hash = hashNames[algorithm.slice(2)]
  if (key.kind === 'secret') {
    return algorithm.startsWith('HS') && hash ? hmac(hashes[hash], key.secret, message) : undefined
  }
  if (key.kind === 'public') return undefined
  const own = key.key
  if (own.kind === 'ed25519') return algorithm === 'EdDSA' ? signEd25519(own.seed, message) : undefined
  if (!hash) return undefined
  if (own.kind === 'ec') return algorithm.startsWith('ES') ? signEcdsa(own, hashes[hash](message)) : undefined
  if (algorithm.startsWith('RS')) return signPkcs1(own, hash, message)
  return algorithm.startsWith('PS') ? signPss(own, hash, message, random) : undefined
}
