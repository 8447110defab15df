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
import { concat, toHex } from '../../core/bytes.ts'
import { WritError } from '../../core/fault.ts'
import { algorithmOfKey, type OwnKeyKind, type VerifySignature } from '../algorithms.ts'
import { bitStringBytes, readDer } from '../der.ts'

/** Bad keys and bad signatures are both simply false. */
export const verifySignature: VerifySignature = ({ algorithm, spki, signed, signature }) => {
  const [type, hash] = algorithm.split('-')
  try {
    const key = knownKey(spki)
    return key.asymmetricKeyType === (type === 'ecdsa' ? 'ec' : type) && verify(hash, signed, key, signature)
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
 * A key pair, on P-256 unless another kind is asked for. The encodings are asked for at once: in Node 20 a later `export({ format: 'jwk' })` of a key that
 * was generated synchronously can hang the process for good.
 */
export function newKeyPair(kind: OwnKeyKind = 'p256'): KeyPair {
  const publicKeyEncoding = { type: 'spki', format: 'der' } as const
  const privateKeyEncoding = { type: 'pkcs8', format: 'pem' } as const
  const namedCurve = kind === 'p256' ? 'P-256' : 'P-384'
  const { publicKey, privateKey } =
    kind === 'ed25519'
      ? generateKeyPairSync('ed25519', { publicKeyEncoding, privateKeyEncoding })
      : generateKeyPairSync('ec', { namedCurve, publicKeyEncoding, privateKeyEncoding })
  return { spki: new Uint8Array(publicKey), keyPem: privateKey }
}

export const privateKeyOf = (keyPem: string): KeyObject => createPrivateKey(keyPem)

/** SubjectPublicKeyInfo of the public half of a private key. */
export const spkiOf = (keyPem: string): Uint8Array =>
  new Uint8Array(createPublicKey(createPrivateKey(keyPem)).export({ type: 'spki', format: 'der' }))

/** Which kind a key is, of those that sign here. Throws `certificate_invalid` for another. */
export function kindOf(key: KeyObject): OwnKeyKind {
  const { asymmetricKeyType: type, asymmetricKeyDetails: details } = key
  if (type === 'ed25519') return 'ed25519'
  if (details?.namedCurve === 'prime256v1') return 'p256'
  if (details?.namedCurve === 'secp384r1') return 'p384'
  throw new WritError('certificate_invalid', `a key of the kind ${details?.namedCurve ?? type}`, {
    cure: 'make a key on P-256 or P-384, or of Ed25519',
  })
}

/** By the algorithm that goes with the key, in the form that certificates carry: ECDSA as DER. */
export function signDer(key: KeyObject, bytes: Uint8Array): Uint8Array {
  const [, hash] = algorithmOfKey[kindOf(key)].split('-')
  return new Uint8Array(sign(hash ?? null, bytes, key))
}

/** RFC 5280 section 4.2.1.2 method 1 wants SHA-1 over the key bits; it names a key and protects nothing. */
export const keyIdOf = (spki: Uint8Array): Uint8Array => sha1(bitStringBytes(readDer(spki).items[1]!, 'key bits'))

/** r and s, each of half the length, as the DER that certificates carry (RFC 3279 section 2.2.3). */
export function derOfPair(pair: Uint8Array): Uint8Array {
  const half = pair.length / 2
  const [r, s] = [integerOf(pair, 0, half), integerOf(pair, half, pair.length)]
  const length = r.length + s.length
  return concat(Uint8Array.from(length < 0x80 ? [0x30, length] : [0x30, 0x81, length]), r, s)
}

/** A positive INTEGER in the fewest bytes. */
function integerOf(bytes: Uint8Array, from: number, to: number): Uint8Array {
  let first = from
  while (first < to - 1 && bytes[first] === 0) first++
  const pad = bytes[first]! > 0x7f ? 1 : 0
  const der = new Uint8Array(2 + pad + to - first)
  der[0] = 2
  der[1] = pad + to - first
  der.set(bytes.subarray(first, to), 2 + pad)
  return der
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

const sha1 = (bytes: Uint8Array): Uint8Array => new Uint8Array(createHash('sha1').update(bytes).digest())

export const sha256Hex = (bytes: Uint8Array): string => toHex(createHash('sha256').update(bytes).digest())
