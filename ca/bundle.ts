/** SPIFFE trust bundles as documents: a JWK set with a sequence and a refresh hint (Trust Domain and Bundle section 4). */

import { fromBase64, toBase64, toBase64Url } from '../core/bytes.ts'
import type { JwtKey, TrustBundle } from '../core/identity.ts'
import { isObject, type Json, parseJson } from '../core/json.ts'
import type { TrustDomain } from '../core/spiffe.ts'
import { bitStringBytes, readDer } from './der.ts'
import { readJwtKey } from './jwt.ts'
import { type Certificate, parseCertificate } from './x509.ts'

/** How often a bundle is asked for where it does not say, in seconds (Federation section 4.1). */
export const defaultRefreshS = 300

/**
 * Who polls our bundle asks three times at least while a new root is published and does not sign: the Federation standard
 * recommends three to five. In seconds; `publishMs` is how long that is, in milliseconds.
 */
export const refreshHintOf = (publishMs: number): number =>
  Math.max(1, Math.min(defaultRefreshS, Math.floor(publishMs / 3000)))
/** What is older than ours comes from a replica that is behind: of one that was withdrawn, a root would come back. */
export const newerOf = (ours: TrustBundle | undefined, theirs: TrustBundle): TrustBundle =>
  ours && ours.sequence > theirs.sequence ? ours : theirs

/** Longest bundle, in characters, and the most keys of one. A longer one is refused whole. */
export const maxBundleText: number = 1024 ** 2
const maxKeys = 256

export function bundleJson({ sequence, refreshHintS = defaultRefreshS, roots, jwtKeys = [] }: TrustBundle): Json {
  return {
    keys: [...roots.flatMap((der) => x509Key(der) ?? []), ...jwtKeys.map((key) => ({ ...key, use: 'jwt-svid' }))],
    spiffe_sequence: sequence,
    spiffe_refresh_hint: refreshHintS,
  }
}

/** `x509-svid` keys have one certificate in `x5c` and no `kid` (section 4.2.1), and the parameters that every JWK has. */
function x509Key(der: Uint8Array): { readonly [name: string]: Json } | undefined {
  const read = parseCertificate(der)
  const parameters = 'certificate' in read ? jwkOf(read.certificate) : undefined
  return parameters && { use: 'x509-svid', ...parameters, x5c: [toBase64(der)] }
}

/** RFC 7517 section 4, RFC 7518 sections 6.2 and 6.3, RFC 8037 section 2. Other keys have no form here. */
function jwkOf({ key, spki }: Certificate): { readonly [name: string]: Json } | undefined {
  if (!key) return undefined
  const bits = bitStringBytes(readDer(spki).items[1]!, 'key bits')
  if (key === 'ed25519') return { kty: 'OKP', crv: 'Ed25519', x: toBase64Url(bits) }
  if (key === 'rsa') {
    const [n, e] = readDer(bits).items.map(({ body }) => toBase64Url(body[0] === 0 ? body.subarray(1) : body))
    return { kty: 'RSA', n: n!, e: e! }
  }
  const size = (bits.length - 1) / 2 // After the byte 04 of an uncompressed point.
  const [x, y] = [bits.subarray(1, 1 + size), bits.subarray(1 + size)]
  return { kty: 'EC', crv: key === 'p256' ? 'P-256' : 'P-384', x: toBase64Url(x), y: toBase64Url(y) }
}

/** What another trust domain published, under the name that we asked for: no document says whose it is. */
export function readBundle(
  text: string,
  trustDomain: TrustDomain,
): { readonly bundle: TrustBundle } | { readonly wrong: string } {
  if (text.length > maxBundleText) return { wrong: `is longer than ${maxBundleText} characters` }
  const value = parsed(text)
  const keys = isObject(value) ? value['keys'] : undefined
  if (!isObject(value) || !Array.isArray(keys)) return { wrong: 'is no JWK set' }
  if (keys.length > maxKeys) return { wrong: `has more than ${maxKeys} keys` }
  const { spiffe_sequence: sequence = 0, spiffe_refresh_hint: hint } = value
  // Beyond 2^53 numbers that differ would read alike, and a change would go unseen.
  if (!isCount(sequence)) return { wrong: 'has a spiffe_sequence that is no number from 0 to 2^53' }
  if (hint !== undefined && !isCount(hint)) return { wrong: 'has a spiffe_refresh_hint that is no number of seconds' }
  const roots = keys.flatMap((key) => rootOf(key as Json) ?? [])
  const jwtKeys = keys.flatMap((key) => readJwtKey(key) ?? [])
  if (new Set(jwtKeys.map(({ kid }) => kid)).size < jwtKeys.length) return { wrong: 'has two JWT keys of one kid' }
  return {
    bundle: {
      trustDomain,
      sequence,
      roots,
      jwtKeys: jwtKeys as JwtKey[],
      ...(hint !== undefined && { refreshHintS: hint }),
    },
  }
}

function parsed(text: string): unknown {
  try {
    return parseJson(text)
  } catch {
    return undefined
  }
}

const isCount = (value: unknown): value is number =>
  typeof value === 'number' && Number.isSafeInteger(value) && value >= 0

/** Sections 4.1 and 4.2.1: elements without `kty`, `use` or `x5c` are passed over, and of `x5c` only the first counts. */
function rootOf(key: Json): Uint8Array | undefined {
  if (!isObject(key) || key['use'] !== 'x509-svid' || typeof key['kty'] !== 'string') return undefined
  const x5c = key['x5c']
  const first: unknown = Array.isArray(x5c) ? x5c[0] : undefined
  const der = typeof first === 'string' ? fromBase64(first) : undefined
  const read = der && parseCertificate(der)
  return read && 'certificate' in read && read.certificate.extensions.basicConstraints?.ca ? der : undefined
}
