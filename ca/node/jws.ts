/** Signatures of tokens by node:crypto, at once and without the detours of WebCrypto. */

import { constants, createPublicKey, type KeyObject, verify } from 'node:crypto'
import { utf8 } from '../../core/bytes.ts'
import type { JwtKey } from '../../core/identity.ts'
import type { VerifyJws } from '../jwt.ts'
import { derOfPair, publicKeyOf } from './crypto.ts'

/** RFC 7518 section 3.4: each algorithm has its curve, and r and s have its length. */
const curves: Readonly<Record<string, { readonly crv: string; readonly bytes: number }>> = {
  ES256: { crv: 'P-256', bytes: 64 },
  ES384: { crv: 'P-384', bytes: 96 },
  ES512: { crv: 'P-521', bytes: 132 },
}

/** Keys of bundles are the same objects for as long as their bundle is in use. */
const known = new WeakMap<JwtKey, KeyObject | 'none'>()

/** As `isSignedBy` (ca/jwt.ts) does it, for a token that was read: false, never a throw, where it does not hold. */
export const verifyJws: VerifyJws = ({ token, alg, signature }, key) => {
  if (key.alg !== undefined && key.alg !== alg) return false
  const object = keyObjectOf(key)
  if (object === 'none') return false
  const hash = `sha${alg.slice(2)}`
  const signed = utf8(token.slice(0, token.lastIndexOf('.')))
  try {
    const curve = curves[alg]
    if (curve) {
      if (key.kty !== 'EC' || key.crv !== curve.crv || signature.length !== curve.bytes) return false
      return verify(hash, signed, object, derOfPair(signature)) // node:crypto takes much longer over the pair itself.
    }
    if (key.kty !== 'RSA') return false
    if (alg.startsWith('RS'))
      return verify(hash, signed, { key: object, padding: constants.RSA_PKCS1_PADDING }, signature)
    const { RSA_PKCS1_PSS_PADDING: padding, RSA_PSS_SALTLEN_DIGEST: saltLength } = constants
    return alg.startsWith('PS') && verify(hash, signed, { key: object, padding, saltLength }, signature)
  } catch {
    return false
  }
}

function keyObjectOf(key: JwtKey): KeyObject | 'none' {
  const before = known.get(key)
  if (before) return before
  const object = readKey(key)
  known.set(key, object)
  return object
}

/** RSA keys of less than 2048 bits count for nothing (RFC 7518 section 3.3). */
function readKey(key: JwtKey): KeyObject | 'none' {
  try {
    const { alg: _, kid: __, ...jwk } = key
    // As SubjectPublicKeyInfo, under which OpenSSL verifies faster than under one that came as a JWK.
    const object = publicKeyOf(createPublicKey({ key: jwk, format: 'jwk' }).export({ type: 'spki', format: 'der' }))
    const bits = object.asymmetricKeyDetails?.modulusLength
    return bits !== undefined && bits < 2048 ? 'none' : object
  } catch {
    return 'none'
  }
}
