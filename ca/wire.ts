/** Trust bundles and certificates as JSON between a workload and control. */

import { fromBase64, toBase64 } from '../core/bytes.ts'
import type { JwtKey, TrustBundle } from '../core/identity.ts'
import { isObject, type Json } from '../core/json.ts'
import { parseTrustDomain } from '../core/spiffe.ts'
import { readJwtKey } from './jwt.ts'
import { maxChain } from './path.ts'

/** What GET /v1/trust-bundles answers: whom to trust, and whose certificates are to be renewed at once. */
export interface TrustNews {
  readonly bundles: readonly TrustBundle[]
  /** Serial numbers of issuers, lower-case hex. */
  readonly distrusted: readonly string[]
}

/** Most roots and token keys of one trust domain, and most trust domains of one answer. More refuses the answer. */
const maxRoots = 16
const maxJwtKeys = 16
const maxDomains = 256
/** Most issuers that are distrusted at once: those of all authorities. */
const maxDistrusted = 64

/** What GET /v1/trust answers, and what stands in `trust` of POST /v1/join and /v1/renew. */
export function trustJson({ trustDomain, sequence, roots, jwtKeys }: TrustBundle): Json {
  return {
    trust_domain: trustDomain,
    sequence,
    roots: roots.map(toBase64),
    jwt_keys: jwtKeys?.map((key) => ({ ...key, use: 'jwt-svid' })),
  }
}

export function readTrust(value: unknown): TrustBundle | undefined {
  if (!isObject(value)) return undefined
  const { trust_domain, sequence } = value
  const trustDomain = typeof trust_domain === 'string' ? parseTrustDomain(trust_domain) : undefined
  const roots = readDers(value['roots'], maxRoots)
  if (!trustDomain || !roots || typeof sequence !== 'number' || !Number.isSafeInteger(sequence)) return undefined
  if (value['jwt_keys'] === undefined) return { trustDomain, sequence, roots }
  const jwtKeys = readJwtKeys(value['jwt_keys'])
  return jwtKeys && { trustDomain, sequence, roots, jwtKeys }
}

/** Keys of kinds that we do not know are passed over (Trust Domain and Bundle section 4.1); two of one name are not. */
function readJwtKeys(value: unknown): readonly JwtKey[] | undefined {
  if (!Array.isArray(value) || value.length > maxJwtKeys) return undefined
  const keys = value.flatMap((key) => readJwtKey(key) ?? [])
  return new Set(keys.map(({ kid }) => kid)).size === keys.length ? keys : undefined
}

/** What POST /v1/join and /v1/renew answer. */
export function issuedJson(issued: {
  readonly chain: readonly Uint8Array[]
  readonly bundles: readonly TrustBundle[]
}): Json {
  return { svid: issued.chain.map(toBase64), trust: issued.bundles.map(trustJson) }
}

export function readIssued(
  value: unknown,
): { readonly chain: readonly Uint8Array[]; readonly bundles: readonly TrustBundle[] } | undefined {
  if (!isObject(value)) return undefined
  const chain = readDers(value['svid'], maxChain)
  const bundles = readBundles(value)
  return chain && bundles && { chain, bundles }
}

/** The bundles in `trust`, one for each trust domain. */
export function readBundles(value: unknown): readonly TrustBundle[] | undefined {
  const list = isObject(value) ? value['trust'] : undefined
  if (!Array.isArray(list) || list.length > maxDomains) return undefined
  const bundles = list.map(readTrust)
  if (bundles.includes(undefined)) return undefined
  const domains = new Set(bundles.map((bundle) => bundle!.trustDomain))
  return domains.size === bundles.length ? (bundles as TrustBundle[]) : undefined
}

export const trustNewsJson = ({ bundles, distrusted }: TrustNews): Json => ({
  trust: bundles.map(trustJson),
  ...(distrusted.length > 0 && { distrusted: [...distrusted] }),
})

/** Of a control plane of before no issuer is distrusted. */
export function readTrustNews(value: unknown): TrustNews | undefined {
  const bundles = readBundles(value)
  const distrusted = (isObject(value) && value['distrusted']) ?? []
  if (!bundles || !Array.isArray(distrusted) || distrusted.length > maxDistrusted) return undefined
  return distrusted.every(isSerial) ? { bundles, distrusted } : undefined
}

const isSerial = (value: unknown): value is string => typeof value === 'string' && /^[0-9a-f]{1,64}$/.test(value)

/** A JWT-SVID, and how long it holds. */
export interface MintedToken {
  readonly token: string
  readonly serial: string
  readonly notAfterMs: number
}

/** What POST /v1/jwt answers. */
export const mintedJson = ({ token, serial, notAfterMs }: MintedToken): Json => ({
  token,
  serial,
  not_after: new Date(notAfterMs).toISOString(),
})

export function readMinted(value: unknown): MintedToken | undefined {
  if (!isObject(value)) return undefined
  const { token, serial, not_after } = value
  const notAfterMs = typeof not_after === 'string' ? Date.parse(not_after) : Number.NaN
  if (typeof token !== 'string' || typeof serial !== 'string' || Number.isNaN(notAfterMs)) return undefined
  return { token, serial, notAfterMs }
}

/** One to `most` certificates in base64. */
function readDers(value: unknown, most: number): readonly Uint8Array[] | undefined {
  if (!Array.isArray(value) || value.length === 0 || value.length > most) return undefined
  const ders = value.map((text) => (typeof text === 'string' && text !== '' ? fromBase64(text) : undefined))
  return ders.includes(undefined) ? undefined : (ders as Uint8Array[])
}
