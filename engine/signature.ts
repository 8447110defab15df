/**
 * Who made a bundle: the signature that OPA puts into `.signatures.json`, one JWT over the digest of every other file.
 * A bundle holds exactly the files that were signed, or it is refused.
 */

import { compactVerify, decodeJwt, decodeProtectedHeader, importSPKI } from 'jose'
import { equalBytes, fromHex, fromUtf8, utf8 } from '../core/bytes.ts'
import { messageOf, WritError } from '../core/fault.ts'
import { isObject, type Json, parseJson } from '../core/json.ts'
import { type KeylessClaims, verifyKeyless } from './keyless.ts'
import { isStructured, structureOf } from './structured.ts'
import type { TarFile } from './tar.ts'
import { formatValue, isArray, isNumber, RegoObject, type Value } from './value.ts'
import type {
  BundleVerification,
  KeylessVerification,
  SignatureAlgorithm,
  SignedBy,
  VerificationKey,
} from './verification.ts'

export const signaturesFile = '.signatures.json'

/**
 * Throws `policy_invalid` with the reason. `files` are those of the archive, the signature among them. Resolves with who
 * signed, where that is told by a name and not by a key.
 */
export async function verifyFiles(
  files: readonly TarFile[],
  verification: BundleVerification,
): Promise<SignedBy | undefined> {
  const token = tokenOf(files.find(({ name }) => name === signaturesFile))
  const { keyless } = verification
  const { claims, by } = keyless
    ? await namedClaims(token, keyless)
    : { claims: await verifiedClaims(token, verification), by: undefined }
  const signed = signedFiles(claims, verification.scope)
  for (const file of files) {
    if (file.name === signaturesFile) continue
    const expected = signed.get(file.name)
    if (!expected) throw refused(`${file.name} is not among the files that were signed`)
    signed.delete(file.name)
    if (!equalBytes(await digestOf(file, expected.algorithm), expected.digest)) {
      throw refused(`${file.name} is not what was signed`)
    }
  }
  const [missing] = signed.keys()
  if (missing !== undefined) throw refused(`${missing} was signed and is not there`)
  return by
}

const namedClaims = (token: string, keyless: KeylessVerification): Promise<KeylessClaims> =>
  verifyKeyless(token, keyless).catch((cause: unknown) => {
    throw refused(messageOf(cause), cause)
  })

function tokenOf(file: TarFile | undefined): string {
  if (!file) throw refused('it is not signed')
  const { signatures, plugin } = object(textOf(file)) ?? {}
  if (plugin !== undefined && plugin !== '' && plugin !== '_default') {
    throw refused(`it was signed by the plugin ${JSON.stringify(plugin)}, which is not known here`)
  }
  const [token, second] = Array.isArray(signatures) ? (signatures as readonly Json[]) : []
  if (typeof token !== 'string' || second !== undefined) throw refused(`${signaturesFile} does not hold one signature`)
  return token
}

/** What the token says, once a pinned key has proven it. Until then it only chooses among those keys. */
async function verifiedClaims(token: string, verification: BundleVerification): Promise<Members> {
  const { alg, id } = said(token)
  const wanted = verification.keyId ?? id
  const pinned =
    verification.keys.find((key) => key.id !== undefined && key.id === wanted) ??
    verification.keys.find((key) => key.id === undefined)
  if (!pinned) throw refused(wanted === undefined ? 'it names no key' : `no key ${JSON.stringify(wanted)} is trusted`)
  const { algorithm } = pinned
  if (alg !== algorithm) throw refused(`it is signed with ${JSON.stringify(alg)} where the key is for ${algorithm}`)
  const key = await importKey(pinned)
  const { payload } = await compactVerify(token, key, { algorithms: [algorithm] }).catch((cause: unknown) => {
    throw refused(`the key ${wanted === undefined ? '' : `${JSON.stringify(wanted)} `}did not make it`, cause)
  })
  const claims = object(decoded(payload))
  if (!claims) throw refused('what was signed is no JSON object')
  return claims
}

/** The header's `kid`, else the older `keyid` among the claims, which `opa sign --claims-file` writes. */
function said(token: string): { readonly alg: string | undefined; readonly id: string | undefined } {
  try {
    const { alg, kid } = decodeProtectedHeader(token)
    const { keyid } = kid ? {} : decodeJwt<{ keyid?: unknown }>(token)
    return { alg, id: kid || (typeof keyid === 'string' && keyid !== '' ? keyid : undefined) }
  } catch (cause) {
    throw refused('its signature is no JWT', cause)
  }
}

async function importKey({ algorithm, key }: VerificationKey): Promise<CryptoKey | Uint8Array> {
  if (algorithm.startsWith('HS')) return secretFor(algorithm, key)
  if (typeof key !== 'string') throw refused(`the key for ${algorithm} is not PEM`)
  return importSPKI(key, algorithm).catch((cause: unknown) => {
    throw refused(`the key is none for ${algorithm}: ${messageOf(cause)}`, cause)
  })
}

/** RFC 7518 section 3.2: a secret as long as the hash at least. */
export function secretFor(algorithm: SignatureAlgorithm, key: string | Uint8Array): Uint8Array {
  const secret = typeof key === 'string' ? utf8(key) : key
  const length = Number(algorithm.slice(2)) / 8
  if (secret.length < length) throw refused(`the secret for ${algorithm} is shorter than ${length} bytes`)
  return secret
}

type Members = { readonly [key: string]: Json | undefined }
type Signed = { readonly algorithm: string; readonly digest: Uint8Array }

function signedFiles({ files, scope = '' }: Members, wanted = ''): Map<string, Signed> {
  if (scope !== wanted) throw refused(`its scope is ${JSON.stringify(scope)} and not ${JSON.stringify(wanted)}`)
  if (!Array.isArray(files)) throw refused('it names no files')
  const signed = new Map<string, Signed>()
  for (const file of files as readonly Json[]) {
    const { name, hash, algorithm } = isObject(file) ? file : {}
    const digest = typeof hash === 'string' ? fromHex(hash.toLowerCase()) : undefined
    if (typeof name !== 'string' || !digest || signed.has(name)) throw refused('its list of files is not well-formed')
    if (typeof algorithm !== 'string' || !Object.hasOwn(digests, algorithm)) {
      throw refused(`${name} is hashed with ${JSON.stringify(algorithm)}; SHA-256, SHA-384 and SHA-512 are taken`)
    }
    signed.set(name, { algorithm, digest })
  }
  return signed
}

/** MD5, SHA-1 and their like, which OPA would still take, prove nothing. */
const digests = { 'SHA-256': true, 'SHA-384': true, 'SHA-512': true }

export async function digestOf(file: TarFile, algorithm: string): Promise<Uint8Array> {
  const bytes = isStructured(file.name) ? utf8(hashedText(file)) : file.bytes
  return new Uint8Array(await crypto.subtle.digest(algorithm, bytes as Uint8Array<ArrayBuffer>))
}

function hashedText(file: TarFile): string {
  try {
    return hashed(structureOf(file))
  } catch (cause) {
    throw refused(`${file.name} cannot be hashed: ${messageOf(cause)}`, cause)
  }
}

/** The JSON that OPA hashes: no spaces, members by the bytes of their names, numbers as they were written. */
function hashed(value: Value): string {
  if (typeof value === 'string') return goString(value)
  if (value === null || typeof value === 'boolean' || isNumber(value)) return formatValue(value)
  if (isArray(value)) return `[${value.map(hashed).join(',')}]`
  if (!(value instanceof RegoObject)) throw new TypeError('it is not JSON')
  return `{${value.entries.map(([key, member]) => `${goString(key as string)}:${hashed(member)}`).join(',')}}`
}

/** Go's encoder also escapes the two line ends that JavaScript once took for its own. */
function goString(text: string): string {
  if (!text.isWellFormed()) throw new TypeError('it holds a lone surrogate')
  return JSON.stringify(text).replaceAll('\u2028', '\\u2028').replaceAll('\u2029', '\\u2029')
}

const textOf = (file: TarFile): string => decoded(file.bytes, file.name)

function decoded(bytes: Uint8Array, name = 'what was signed'): string {
  try {
    return fromUtf8(bytes)
  } catch (cause) {
    throw refused(`${name} is not UTF-8`, cause)
  }
}

function object(text: string): Members | undefined {
  const value = parseJson(text)
  return isObject(value) ? value : undefined
}

const refused = (why: string, cause?: unknown): WritError =>
  new WritError('policy_invalid', `the policy bundle's signature does not hold: ${why}`, {
    cure: 'Have it signed with a key that is trusted here, or name the key, its id and the scope that it was signed with.',
    ...(cause === undefined ? {} : { cause }),
  })
