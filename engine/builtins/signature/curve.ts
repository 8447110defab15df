/** Signatures on elliptic curves: ECDSA on the NIST curves, and Ed25519. */

import { ed25519, x25519 } from '@noble/curves/ed25519.js'
import { p256, p384, p521 } from '@noble/curves/nist.js'
import { fromBytes, toBytes } from './rsa.ts'

export type CurveName = 'P-256' | 'P-384' | 'P-521'

const curves = { 'P-256': p256, 'P-384': p384, 'P-521': p521 } as const

/** A point of a curve, which the caller found to be on it. */
export interface EcPublicKey {
  readonly curve: CurveName
  readonly x: bigint
  readonly y: bigint
}

export interface EcPrivateKey extends EcPublicKey {
  readonly d: bigint
}

/** Bytes of one coordinate. */
export const fieldLength = (curve: CurveName): number => curves[curve].Point.Fp.BYTES

export const isOnCurve = ({ curve, x, y }: EcPublicKey): boolean => {
  try {
    curves[curve].Point.fromAffine({ x, y }).assertValidity()
    return true
  } catch {
    return false
  }
}

/** The uncompressed form (SEC 1 section 2.3.4); undefined where it is another or no point of the curve. */
export function readPoint(curve: CurveName, bytes: Uint8Array): EcPublicKey | undefined {
  const length = fieldLength(curve)
  if (bytes.length !== 1 + 2 * length || bytes[0] !== 4) return undefined
  const x = fromBytes(bytes.subarray(1, 1 + length))
  const point = { curve, x, y: fromBytes(bytes.subarray(1 + length)) }
  return isOnCurve(point) ? point : undefined
}

/** The key of a secret number; undefined where it is not between 0 and the order of the curve. */
export function ecPrivateKey(curve: CurveName, d: bigint): EcPrivateKey | undefined {
  const { Point } = curves[curve]
  if (d <= 0n || d >= Point.Fn.ORDER) return undefined
  return { curve, d, ...Point.BASE.multiply(d).toAffine() }
}

/** `r` and `s` are any numbers; a digest longer than the curve's order is cut (FIPS 186-5 section 6.4.2). */
export function verifyEcdsa(key: EcPublicKey, digest: Uint8Array, r: bigint, s: bigint): boolean {
  const curve = curves[key.curve]
  const order = curve.Point.Fn.ORDER
  if (r <= 0n || s <= 0n || r >= order || s >= order) return false
  const length = curve.Point.Fn.BYTES
  const signature = new Uint8Array([...toBytes(r, length), ...toBytes(s, length)])
  return curve.verify(signature, digest, uncompressed(key), { prehash: false, lowS: false })
}

/** `r` and `s` beside each other (RFC 7518 section 3.4). Deterministic (RFC 6979), so that a replay signs the same. */
export function signEcdsa(key: EcPrivateKey, digest: Uint8Array): Uint8Array {
  const curve = curves[key.curve]
  return curve.sign(digest, toBytes(key.d, curve.Point.Fn.BYTES), { prehash: false, lowS: false })
}

/** RFC 8032 section 5.1.7. */
export const verifyEd25519 = (key: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean => {
  try {
    return ed25519.verify(signature, message, key, { zip215: false })
  } catch {
    return false
  }
}

export const signEd25519 = (seed: Uint8Array, message: Uint8Array): Uint8Array => ed25519.sign(message, seed)

export const ed25519PublicKey = (seed: Uint8Array): Uint8Array => ed25519.getPublicKey(seed)
export const x25519PublicKey = (secret: Uint8Array): Uint8Array => x25519.getPublicKey(secret)

const uncompressed = ({ curve, x, y }: EcPublicKey): Uint8Array => {
  const length = fieldLength(curve)
  return new Uint8Array([4, ...toBytes(x, length), ...toBytes(y, length)])
}
