/** Public keys (SubjectPublicKeyInfo, RFC 5280 section 4.1.2.7) and the algorithms that certificates are signed by. */

import { equalBytes } from '../../../core/bytes.ts'
import { BuiltinError } from '../builtin.ts'
import { type CurveName, type EcPublicKey, readPoint } from '../signature/curve.ts'
import type { HashName } from '../signature/hash.ts'
import type { RsaPublicKey } from '../signature/rsa.ts'
import { DerReader, type Oid, oidText } from './der.ts'

export type PublicKey =
  | ({ readonly kind: 'rsa' } & RsaPublicKey)
  | ({ readonly kind: 'ec' } & EcPublicKey)
  | { readonly kind: 'ed25519'; readonly bytes: Uint8Array }
  /** Shown, but nothing is verified by it. */
  | { readonly kind: 'dsa'; readonly p: bigint; readonly q: bigint; readonly g: bigint; readonly y: bigint }
  | { readonly kind: 'unknown' }

/** Go's numbers for the algorithms of keys. */
export const keyAlgorithm: Readonly<Record<PublicKey['kind'], number>> = {
  unknown: 0,
  rsa: 1,
  dsa: 2,
  ec: 3,
  ed25519: 4,
}

export interface AlgorithmId {
  readonly oid: string
  /** With tag and length; empty where there are none. */
  readonly parameters: Uint8Array
}

export function readAlgorithm(der: DerReader): AlgorithmId {
  const oid = oidText(der.oid())
  return { oid, parameters: der.empty ? new Uint8Array() : der.any().whole }
}

export const curveOids: Readonly<Record<string, CurveName>> = {
  '1.2.840.10045.3.1.7': 'P-256',
  '1.3.132.0.34': 'P-384',
  '1.3.132.0.35': 'P-521',
}

export const rsaOid = '1.2.840.113549.1.1.1'
export const ecOid = '1.2.840.10045.2.1'
export const ed25519Oid = '1.3.101.112'
export const x25519Oid = '1.3.101.110'
const dsaOid = '1.2.840.10040.4.1'
const derNull = Uint8Array.of(5, 0)

/** `der` is a whole SubjectPublicKeyInfo. */
export function readPublicKey(der: Uint8Array): PublicKey {
  const info = new DerReader(der, 'public key').sequence()
  const { oid, parameters } = readAlgorithm(info.sequence())
  const bytes = info.wholeBytes()
  switch (oid) {
    case rsaOid:
      if (!equalBytes(parameters, derNull)) throw new BuiltinError('x509: RSA key missing NULL parameters')
      return readRsa(bytes)
    case ecOid: {
      const point = readPoint(curveOf(new DerReader(parameters, 'ECDSA parameters').oid()), bytes)
      if (!point) throw new BuiltinError('x509: the key is no uncompressed point of its curve')
      return { kind: 'ec', ...point }
    }
    case ed25519Oid:
      if (parameters.length > 0 || bytes.length !== 32) throw new BuiltinError('x509: malformed Ed25519 public key')
      return { kind: 'ed25519', bytes }
    case dsaOid: {
      const numbers = new DerReader(parameters, 'DSA parameters').sequence()
      const [p, q, g] = [numbers.integer(), numbers.integer(), numbers.integer()]
      return { kind: 'dsa', p, q, g, y: new DerReader(bytes, 'DSA public key').integer() }
    }
    default:
      return { kind: 'unknown' }
  }
}

export function curveOf(oid: Oid): CurveName {
  const curve = curveOids[oidText(oid)]
  if (!curve) throw new BuiltinError('x509: unsupported elliptic curve')
  return curve
}

function readRsa(bytes: Uint8Array): PublicKey {
  const der = new DerReader(bytes, 'RSA public key').sequence()
  const n = der.integer()
  const e = der.integer()
  if (n <= 0n || e <= 0n || e >= 1n << 63n) throw new BuiltinError('x509: RSA key with a number out of range')
  return { kind: 'rsa', n, e }
}

/** How a certificate is signed; `number` is Go's for it. */
export interface SignatureAlgorithm {
  readonly number: number
  readonly kind: 'pkcs1' | 'pss' | 'ec' | 'ed25519' | 'unknown'
  /** Undefined where nothing is verified with it. */
  readonly hash: HashName | undefined
}

const known: Readonly<Record<string, SignatureAlgorithm>> = {
  '1.2.840.113549.1.1.4': { number: 2, kind: 'pkcs1', hash: undefined }, // MD5
  '1.2.840.113549.1.1.5': { number: 3, kind: 'pkcs1', hash: 'sha1' },
  '1.3.14.3.2.29': { number: 3, kind: 'pkcs1', hash: 'sha1' },
  '1.2.840.113549.1.1.11': { number: 4, kind: 'pkcs1', hash: 'sha256' },
  '1.2.840.113549.1.1.12': { number: 5, kind: 'pkcs1', hash: 'sha384' },
  '1.2.840.113549.1.1.13': { number: 6, kind: 'pkcs1', hash: 'sha512' },
  '1.2.840.10040.4.3': { number: 7, kind: 'unknown', hash: undefined }, // DSA
  '2.16.840.1.101.3.4.3.2': { number: 8, kind: 'unknown', hash: undefined },
  '1.2.840.10045.4.1': { number: 9, kind: 'ec', hash: 'sha1' },
  '1.2.840.10045.4.3.2': { number: 10, kind: 'ec', hash: 'sha256' },
  '1.2.840.10045.4.3.3': { number: 11, kind: 'ec', hash: 'sha384' },
  '1.2.840.10045.4.3.4': { number: 12, kind: 'ec', hash: 'sha512' },
}

const unknown: SignatureAlgorithm = { number: 0, kind: 'unknown', hash: undefined }
const pssOid = '1.2.840.113549.1.1.10'

export function readSignatureAlgorithm({ oid, parameters }: AlgorithmId): SignatureAlgorithm {
  if (oid === ed25519Oid) return parameters.length === 0 ? { number: 16, kind: 'ed25519', hash: undefined } : unknown
  if (oid === pssOid) return readPss(parameters)
  return known[oid] ?? unknown
}

const pssHashes: Readonly<Record<string, SignatureAlgorithm & { readonly salt: number }>> = {
  '2.16.840.1.101.3.4.2.1': { number: 13, kind: 'pss', hash: 'sha256', salt: 32 },
  '2.16.840.1.101.3.4.2.2': { number: 14, kind: 'pss', hash: 'sha384', salt: 48 },
  '2.16.840.1.101.3.4.2.3': { number: 15, kind: 'pss', hash: 'sha512', salt: 64 },
}

/** Of the many forms of RSASSA-PSS-params (RFC 4055 section 3.1) one per hash: MGF1 by the same, and as long a salt. */
function readPss(parameters: Uint8Array): SignatureAlgorithm {
  try {
    const der = new DerReader(parameters, 'PSS parameters').sequence()
    const hash = readAlgorithm(der.within(0xa0).sequence())
    const generator = readAlgorithm(der.within(0xa1).sequence())
    const inner = readAlgorithm(new DerReader(generator.parameters, 'MGF1 parameters').sequence())
    const salt = der.within(0xa2).small()
    const trailer = der.empty ? 1 : der.within(0xa3).small()
    const found = pssHashes[hash.oid]
    const plain = [hash, inner].every(({ parameters: own }) => own.length === 0 || equalBytes(own, derNull))
    const same = generator.oid === '1.2.840.113549.1.1.8' && inner.oid === hash.oid
    return found && plain && same && trailer === 1 && salt === found.salt ? found : unknown
  } catch (thrown) {
    if (thrown instanceof BuiltinError) return unknown
    throw thrown
  }
}
