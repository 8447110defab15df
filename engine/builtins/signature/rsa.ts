/** RSA signatures (RFC 8017): PKCS #1 v1.5 and PSS. On bigints, since a builtin cannot wait for WebCrypto. */

import { concat, equalBytes, fromHex, toHex } from '../../../core/bytes.ts'
import { type HashName, hashes } from './hash.ts'

export interface RsaPublicKey {
  readonly n: bigint
  readonly e: bigint
}

export interface RsaPrivateKey extends RsaPublicKey {
  readonly d: bigint
}

/** Shorter moduli prove nothing, as Go has it too; longer ones, in bits, would hold the policy up. */
const minModulusBits = 1024
const maxModulusBits = 8192
const maxPublicExponentBits = 31

/** DER of DigestInfo up to the digest (RFC 8017 section 9.2 note 1). */
const digestInfo: Readonly<Record<HashName, string>> = {
  sha1: '3021300906052b0e03021a05000414',
  sha256: '3031300d060960864801650304020105000420',
  sha384: '3041300d060960864801650304020205000430',
  sha512: '3051300d060960864801650304020305000440',
}

/** RFC 8017 section 8.2.2. */
export function verifyPkcs1(key: RsaPublicKey, hash: HashName, message: Uint8Array, signature: Uint8Array): boolean {
  const encoded = recovered(key, signature)
  const expected = pkcs1Encoded(hash, message, byteLength(key.n))
  return encoded !== undefined && expected !== undefined && equalBytes(encoded, expected)
}

/** RFC 8017 section 8.2.1. Undefined where the key is too short for the hash. */
export function signPkcs1(key: RsaPrivateKey, hash: HashName, message: Uint8Array): Uint8Array | undefined {
  const encoded = pkcs1Encoded(hash, message, byteLength(key.n))
  return encoded && signed(key, encoded)
}

/** How long a salt may be: as long as the digest, or as long as it says (which Go calls auto). */
export type SaltLength = 'digest' | 'any'

/** RFC 8017 section 8.1.2. */
export function verifyPss(
  key: RsaPublicKey,
  hash: HashName,
  message: Uint8Array,
  signature: Uint8Array,
  saltLength: SaltLength,
): boolean {
  const encoded = recovered(key, signature)
  if (!encoded) return false
  const bits = bitLength(key.n) - 1
  // One byte less than the modulus where its top bit begins a byte.
  const em = bits % 8 === 0 ? encoded.subarray(1) : encoded
  if (em.length < encoded.length && encoded[0] !== 0) return false
  return pssMatches(hash, message, em, bits, saltLength)
}

/** RFC 8017 section 8.1.1, with a salt as long as the digest. Undefined where the key is too short for the hash. */
export function signPss(
  key: RsaPrivateKey,
  hash: HashName,
  message: Uint8Array,
  random: (length: number) => Uint8Array,
): Uint8Array | undefined {
  const bits = bitLength(key.n) - 1
  const length = Math.ceil(bits / 8)
  const digest = hashes[hash](message)
  const zeros = length - 2 * digest.length - 2
  if (zeros < 0) return undefined
  const salt = random(digest.length)
  const h = hashes[hash](concat(new Uint8Array(8), digest, salt))
  const db = xor(concat(new Uint8Array(zeros), Uint8Array.of(1), salt), mask(hash, h, length - digest.length - 1))
  db[0]! &= 0xff >> (8 * length - bits)
  return signed(key, concat(db, h, Uint8Array.of(0xbc)))
}

/** EMSA-PSS-VERIFY (RFC 8017 section 9.1.2). */
function pssMatches(
  hash: HashName,
  message: Uint8Array,
  em: Uint8Array,
  bits: number,
  saltLength: SaltLength,
): boolean {
  const digest = hashes[hash](message)
  const dbLength = em.length - digest.length - 1
  if (dbLength < 1 || em[em.length - 1] !== 0xbc) return false
  const h = em.subarray(dbLength, em.length - 1)
  const spare = 8 * em.length - bits
  if (em[0]! >> (8 - spare) !== 0) return false
  const db = xor(em.subarray(0, dbLength), mask(hash, h, dbLength))
  db[0]! &= 0xff >> spare
  const one = db.findIndex((byte) => byte !== 0)
  if (one < 0 || db[one] !== 1) return false
  const salt = db.subarray(one + 1)
  if (saltLength === 'digest' && salt.length !== digest.length) return false
  return equalBytes(h, hashes[hash](concat(new Uint8Array(8), digest, salt)))
}

/** EMSA-PKCS1-v1_5 (RFC 8017 section 9.2). */
function pkcs1Encoded(hash: HashName, message: Uint8Array, length: number): Uint8Array | undefined {
  const info = concat(fromHex(digestInfo[hash])!, hashes[hash](message))
  if (length < info.length + 11) return undefined
  const padding = new Uint8Array(length - info.length - 3).fill(0xff)
  return concat(Uint8Array.of(0, 1), padding, Uint8Array.of(0), info)
}

/** MGF1 (RFC 8017 appendix B.2.1). */
function mask(hash: HashName, seed: Uint8Array, length: number): Uint8Array {
  const blocks: Uint8Array[] = []
  for (let i = 0; i * hashes[hash].outputLen < length; i++) {
    blocks.push(hashes[hash](concat(seed, Uint8Array.of(i >> 24, i >> 16, i >> 8, i))))
  }
  return concat(...blocks).subarray(0, length)
}

/** RSAVP1 on a signature of the right length (RFC 8017 section 5.2.2); undefined where there is none or the key is odd. */
function recovered({ n, e }: RsaPublicKey, signature: Uint8Array): Uint8Array | undefined {
  if (!isUsable({ n, e }) || signature.length !== byteLength(n)) return undefined
  const s = fromBytes(signature)
  return s < n ? toBytes(power(s, e, n), signature.length) : undefined
}

/** RSASP1 (RFC 8017 section 5.2.1); undefined where the parts of the key do not belong together. */
function signed({ n, e, d }: RsaPrivateKey, encoded: Uint8Array): Uint8Array | undefined {
  if (!isUsable({ n, e }) || bitLength(d) > maxModulusBits) return undefined
  const m = fromBytes(encoded)
  const s = power(m, d, n)
  return power(s, e, n) === m ? toBytes(s, byteLength(n)) : undefined
}

function isUsable({ n, e }: RsaPublicKey): boolean {
  const bits = bitLength(n)
  const odd = n % 2n === 1n && e % 2n === 1n
  return odd && e > 1n && bitLength(e) <= maxPublicExponentBits && bits >= minModulusBits && bits <= maxModulusBits
}

function power(base: bigint, exponent: bigint, modulus: bigint): bigint {
  let result = 1n
  let square = base % modulus
  for (let rest = exponent; rest > 0n; rest >>= 1n) {
    if (rest & 1n) result = (result * square) % modulus
    square = (square * square) % modulus
  }
  return result
}

function xor(a: Uint8Array, b: Uint8Array): Uint8Array {
  return a.map((byte, i) => byte ^ b[i]!)
}

const bitLength = (n: bigint): number => n.toString(2).length
const byteLength = (n: bigint): number => Math.ceil(bitLength(n) / 8)

export const fromBytes = (bytes: Uint8Array): bigint => (bytes.length === 0 ? 0n : BigInt(`0x${toHex(bytes)}`))

export const toBytes = (n: bigint, length: number): Uint8Array => fromHex(n.toString(16).padStart(2 * length, '0'))!
