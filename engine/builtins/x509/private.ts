/** Private keys: PKCS #1 (RFC 8017), PKCS #8 (RFC 5958) and SEC 1 (RFC 5915). */

import { equalBytes, toBase64Url } from '../../../core/bytes.ts'
import { BuiltinError } from '../builtin.ts'
import {
  type CurveName,
  type EcPrivateKey,
  ecPrivateKey,
  ed25519PublicKey,
  fieldLength,
  x25519PublicKey,
} from '../signature/curve.ts'
import { fromBytes, type RsaPrivateKey, toBytes } from '../signature/rsa.ts'
import { contextTagWithin, DerReader, tags } from './der.ts'
import { curveOf, ecOid, ed25519Oid, type PublicKey, readAlgorithm, rsaOid, x25519Oid } from './key.ts'
import { nextPem, type PemBlock } from './pem.ts'

export interface RsaParts extends RsaPrivateKey {
  readonly p: bigint
  readonly q: bigint
  readonly dp: bigint
  readonly dq: bigint
  readonly qi: bigint
}

export type PrivateKey =
  | ({ readonly kind: 'rsa' } & RsaParts)
  | ({ readonly kind: 'ec' } & EcPrivateKey)
  | { readonly kind: 'ed25519'; readonly seed: Uint8Array; readonly publicKey: Uint8Array }
  | { readonly kind: 'x25519'; readonly secret: Uint8Array; readonly publicKey: Uint8Array }

/** The keys in PEM text, in order; blocks of other kinds are passed over. */
export function readPrivateKeys(text: string): readonly PrivateKey[] {
  const keys: PrivateKey[] = []
  for (let found = nextPem(text); found; found = nextPem(found.rest)) {
    const key = readBlock(found.block)
    if (key) keys.push(key)
  }
  return keys
}

function readBlock({ type, bytes }: PemBlock): PrivateKey | undefined {
  if (type === 'RSA PRIVATE KEY') return readPkcs1(bytes)
  if (type === 'PRIVATE KEY') return readPkcs8(bytes)
  return type === 'EC PRIVATE KEY' ? readSec1(bytes, undefined) : undefined
}

/** Whichever of the three it is. */
export function readAnyPrivateKey(der: Uint8Array): PrivateKey {
  for (const read of [readPkcs1, readPkcs8, (bytes: Uint8Array) => readSec1(bytes, undefined)]) {
    try {
      return read(der)
    } catch (thrown) {
      if (!(thrown instanceof BuiltinError)) throw thrown
    }
  }
  throw new BuiltinError('tls: failed to parse private key')
}

function readPkcs1(bytes: Uint8Array): PrivateKey {
  const outer = new DerReader(bytes, 'RSA private key')
  const der = outer.sequence()
  outer.end()
  if (der.integer() !== 0n) throw new BuiltinError('x509: unsupported private key version')
  const [n, e, d, p, q] = [der.integer(), der.integer(), der.integer(), der.integer(), der.integer()]
  return { kind: 'rsa', ...rsaParts(n, e, d, p, q) }
}

/** The rest follows from these five; where they do not belong together there is no key. */
export function rsaParts(n: bigint, e: bigint, d: bigint, p: bigint, q: bigint): RsaParts {
  const fits = p > 1n && q > 1n && p * q === n && e > 0n && d > 0n
  if (!fits || (d * e) % (p - 1n) !== 1n || (d * e) % (q - 1n) !== 1n) {
    throw new BuiltinError('x509: the numbers of the RSA key do not belong together')
  }
  return { n, e, d, p, q, dp: d % (p - 1n), dq: d % (q - 1n), qi: inverse(q, p) }
}

/** Of a prime modulus: the extended Euclidean algorithm. */
function inverse(value: bigint, modulus: bigint): bigint {
  let [a, b, x, y] = [value % modulus, modulus, 1n, 0n]
  while (a > 1n && b > 0n) {
    const quotient = a / b
    ;[a, b] = [b, a % b]
    ;[x, y] = [y, x - quotient * y]
  }
  return ((x % modulus) + modulus) % modulus
}

function readPkcs8(bytes: Uint8Array): PrivateKey {
  const der = new DerReader(bytes, 'PKCS #8 private key').sequence()
  der.integer()
  const { oid, parameters } = readAlgorithm(der.sequence())
  const content = der.read(tags.octetString)
  switch (oid) {
    case rsaOid:
      return readPkcs1(content)
    case ecOid:
      return readSec1(content, curveOf(new DerReader(parameters, 'EC parameters').oid()))
    case ed25519Oid:
      return ed25519Key(seedOf(content))
    case x25519Oid: {
      const secret = seedOf(content)
      return { kind: 'x25519', secret, publicKey: x25519PublicKey(secret) }
    }
    default:
      throw new BuiltinError(`x509: PKCS#8 wrapping contained private key with unknown algorithm: ${oid}`)
  }
}

export const ed25519Key = (seed: Uint8Array): PrivateKey => ({
  kind: 'ed25519',
  seed,
  publicKey: ed25519PublicKey(seed),
})

/** CurvePrivateKey (RFC 8410 section 7). */
function seedOf(content: Uint8Array): Uint8Array {
  const seed = new DerReader(content, 'curve private key').read(tags.octetString)
  if (seed.length !== 32) throw new BuiltinError(`x509: invalid private key length: ${seed.length}`)
  return seed
}

/** Its own curve counts only where nothing around it names one. */
function readSec1(bytes: Uint8Array, named: CurveName | undefined): PrivateKey {
  const der = new DerReader(bytes, 'EC private key').sequence()
  if (der.integer() !== 1n) throw new BuiltinError('x509: unknown EC private key version')
  const d = fromBytes(der.read(tags.octetString))
  const own = der.optional(contextTagWithin(0))
  const curve = named ?? (own && curveOf(new DerReader(own, 'EC parameters').oid()))
  if (!curve) throw new BuiltinError('x509: unknown elliptic curve')
  const key = ecPrivateKey(curve, d)
  if (!key) throw new BuiltinError('x509: invalid elliptic curve private key value')
  return { kind: 'ec', ...key }
}

export function belongTogether(key: PrivateKey, publicKey: PublicKey): boolean {
  if (key.kind === 'rsa' && publicKey.kind === 'rsa') return key.n === publicKey.n && key.e === publicKey.e
  if (key.kind === 'ec' && publicKey.kind === 'ec') {
    return key.curve === publicKey.curve && key.x === publicKey.x && key.y === publicKey.y
  }
  return key.kind === 'ed25519' && publicKey.kind === 'ed25519' && equalBytes(key.publicKey, publicKey.bytes)
}

/** The members of its JWK (RFC 7517, RFC 7518, RFC 8037). */
export function jwkOf(key: PrivateKey): Readonly<Record<string, string>> {
  switch (key.kind) {
    case 'rsa': {
      const { n, e, d, p, q, dp, dq, qi } = key
      const members = Object.entries({ n, e, d, p, q, dp, dq, qi })
      return { kty: 'RSA', ...Object.fromEntries(members.map(([name, value]) => [name, numberText(value)])) }
    }
    case 'ec': {
      const length = fieldLength(key.curve)
      const [d, x, y] = [key.d, key.x, key.y].map((number) => toBase64Url(toBytes(number, length)))
      return { kty: 'EC', crv: key.curve, d: d!, x: x!, y: y! }
    }
    case 'ed25519':
      return { kty: 'OKP', crv: 'Ed25519', d: toBase64Url(key.seed), x: toBase64Url(key.publicKey) }
    case 'x25519':
      return { kty: 'OKP', crv: 'X25519', d: toBase64Url(key.secret), x: toBase64Url(key.publicKey) }
  }
}

const numberText = (value: bigint): string => toBase64Url(toBytes(value, Math.ceil(value.toString(16).length / 2)))
