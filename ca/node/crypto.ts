/** Keys and signatures by node:crypto. */

import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  sign,
  verify,
} from 'node:crypto'
import { toHex } from '../../core/bytes.ts'
import type { VerifySignature } from '../algorithms.ts'

/** Bad keys and bad signatures are both simply false. */
export const verifySignature: VerifySignature = ({ algorithm, spki, signed, signature }) => {
  const [type, hash] = algorithm.split('-') as ['ecdsa' | 'rsa', string]
  try {
    const key = knownKey(spki)
    return key.asymmetricKeyType === (type === 'ecdsa' ? 'ec' : 'rsa') && verify(hash, signed, key, signature)
  } catch {
    return false
  }
}

export interface KeyPair {
  /** SubjectPublicKeyInfo, DER. */
  readonly spki: Uint8Array
  /** PKCS#8 PEM. */
  readonly keyPem: string
}

/**
 * A P-256 key pair. The encodings are asked for at once: in Node 20 a later `export({ format: 'jwk' })` of a key that
 * was generated synchronously can hang the process for good.
 */
export function newKeyPair(): KeyPair {
  const { publicKey, privateKey } = generateKeyPairSync('ec', {
    namedCurve: 'P-256',
    publicKeyEncoding: { type: 'spki', format: 'der' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  })
  return { spki: new Uint8Array(publicKey), keyPem: privateKey }
}

export const privateKeyOf = (keyPem: string): KeyObject => createPrivateKey(keyPem)

/** SubjectPublicKeyInfo of the public half of a private key. */
export const spkiOf = (keyPem: string): Uint8Array =>
  new Uint8Array(createPublicKey(createPrivateKey(keyPem)).export({ type: 'spki', format: 'der' }))

/** ECDSA over SHA-256 in the DER form that certificates carry. */
export const signDer = (key: KeyObject, bytes: Uint8Array): Uint8Array => new Uint8Array(sign('sha256', bytes, key))

/** r and s, each of half the length, as the DER that certificates carry (RFC 3279 section 2.2.3). */
export function derOfPair(pair: Uint8Array): Uint8Array {
  const integer = (bytes: Uint8Array): readonly number[] => {
    const first = bytes.findIndex((byte) => byte !== 0)
    const minimal = first < 0 ? [0] : [...bytes.subarray(first)]
    const positive = minimal[0]! > 0x7f ? [0, ...minimal] : minimal
    return [2, positive.length, ...positive]
  }
  const half = pair.length / 2
  const content = [...integer(pair.subarray(0, half)), ...integer(pair.subarray(half))]
  return Uint8Array.of(0x30, content.length, ...content)
}

/** ECDSA over SHA-256 as r and s, 64 bytes, which is how heads carry it (IEEE P1363). */
export const signPair = (key: KeyObject, bytes: Uint8Array): Uint8Array =>
  new Uint8Array(sign('sha256', bytes, { key, dsaEncoding: 'ieee-p1363' }))

/** Most keys that are kept as node:crypto wants them; the one that was used longest ago goes first. */
const maxKeys = 512
const keys = new Map<string, KeyObject>()

function knownKey(spki: Uint8Array): KeyObject {
  const name = Buffer.from(spki.buffer, spki.byteOffset, spki.length).toString('latin1')
  const key = keys.get(name) ?? publicKeyOf(spki)
  keys.delete(name)
  keys.set(name, key)
  if (keys.size > maxKeys) keys.delete(keys.keys().next().value!)
  return key
}

/** Throws where `spki` is no key. */
export const publicKeyOf = (spki: Uint8Array): KeyObject =>
  createPublicKey({ key: Buffer.from(spki), format: 'der', type: 'spki' })

/** As DER and with the key bare: Node takes half as long again for r and s, and for a key among options. */
export function verifyPair(key: KeyObject, bytes: Uint8Array, signature: Uint8Array): boolean {
  if (signature.length !== 64) return false
  try {
    return verify('sha256', bytes, key, derOfPair(signature))
  } catch {
    return false
  }
}

export const sha1 = (bytes: Uint8Array): Uint8Array => new Uint8Array(createHash('sha1').update(bytes).digest())

export const sha256Hex = (bytes: Uint8Array): string => toHex(createHash('sha256').update(bytes).digest())
