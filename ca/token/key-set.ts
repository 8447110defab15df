/** An issuer's public keys as it publishes them (JWK set, RFC 7517), and which of them a token may be signed by. */

import { fromBase64Url, fromUtf8 } from '../../core/bytes.ts'
import { type Exact, isExactObject, readExact } from '../../core/exact.ts'
import type { TokenKey } from '../../core/token.ts'
import { tokenAlgorithms } from './read.ts'

/** Longest set, in bytes, and the most keys of one. A larger one is refused whole. */
export const maxKeySetBytes: number = 256 * 1024
export const maxKeys = 100
/** Shortest RSA modulus, in bytes (RFC 7518 section 3.3), and the longest number of a key, in characters: 8192 bits. */
const minModulus = 256
const maxNumber = 1400

export type KeySetRead =
  | { readonly ok: true; readonly keys: readonly TokenKey[] }
  | { readonly ok: false; readonly wrong: string }

const wrong = (wrong: string): KeySetRead => ({ ok: false, wrong })

/** Never throws. Keys for other ends, symmetric ones and those of unknown kinds are passed over. */
export function readTokenKeys(bytes: Uint8Array): KeySetRead {
  if (bytes.length > maxKeySetBytes) return wrong(`is longer than ${maxKeySetBytes} bytes`)
  let text: string
  try {
    text = fromUtf8(bytes)
  } catch {
    return wrong('is no UTF-8')
  }
  const read = readExact(text)
  if (!read.ok) return wrong(`is no JWK set: ${read.wrong}`)
  const keys = isExactObject(read.value) ? read.value['keys'] : undefined
  if (!Array.isArray(keys)) return wrong('is no JWK set: it has no list of keys')
  if (keys.length > maxKeys) return wrong(`has more than ${maxKeys} keys`)
  const isPrivate = (key: Exact): boolean => isExactObject(key) && key['d'] !== undefined
  if (keys.some(isPrivate)) return wrong('holds a private key, which is for its issuer alone')
  const usable = (keys as readonly Exact[]).flatMap((key) => readKey(key) ?? [])
  return usable.length === 0 ? wrong('has no key that can verify a token') : { ok: true, keys: usable }
}

function readKey(value: Exact): TokenKey | undefined {
  if (!isExactObject(value)) return undefined
  const { kty, kid, alg, use, crv, key_ops: operations } = value
  if (use !== undefined && use !== 'sig') return undefined
  if (operations !== undefined && !(Array.isArray(operations) && operations.includes('verify'))) return undefined
  if (kid !== undefined && (typeof kid !== 'string' || kid === '' || kid.length > 256)) return undefined
  if (alg !== undefined && (typeof alg !== 'string' || !tokenAlgorithms.includes(alg))) return undefined
  const common = { ...(kid === undefined ? undefined : { kid }), ...(alg === undefined ? undefined : { alg }) }
  const number = (name: string): string | undefined => {
    const text = value[name]
    return typeof text === 'string' && text.length <= maxNumber && fromBase64Url(text)?.length ? text : undefined
  }
  const [x, y, n, e] = [number('x'), number('y'), number('n'), number('e')]
  if (kty === 'EC' && typeof crv === 'string' && /^P-(?:256|384|521)$/.test(crv) && x && y) {
    return { ...common, kty, crv, x, y }
  }
  if (kty === 'OKP' && crv === 'Ed25519' && x) return { ...common, kty, crv, x }
  return kty === 'RSA' && n && e && fromBase64Url(n)!.length >= minModulus ? { ...common, kty, n, e } : undefined
}

/** What a key must be for an algorithm: a token's header may not choose another one for it. */
function fits(alg: string, key: TokenKey): boolean {
  if (key.alg !== undefined && key.alg !== alg) return false
  switch (alg) {
    case 'ES256':
      return key.kty === 'EC' && key.crv === 'P-256'
    case 'ES384':
      return key.kty === 'EC' && key.crv === 'P-384'
    case 'ES512':
      return key.kty === 'EC' && key.crv === 'P-521'
    case 'EdDSA':
    case 'Ed25519':
      return key.kty === 'OKP'
    default:
      return /^[RP]S/.test(alg) && key.kty === 'RSA'
  }
}

/**
 * The one key that a header means. A token that names none is taken where only one key fits; of two that are named alike
 * neither is tried, since each trial is work that a stranger asks for.
 */
export function keyFor(
  { alg, kid }: { readonly alg: string; readonly kid: string | undefined },
  keys: readonly TokenKey[],
): TokenKey | undefined {
  const fitting = keys.filter((key) => (kid === undefined || key.kid === kid) && fits(alg, key))
  return fitting.length === 1 ? fitting[0] : undefined
}

/** The same keys are the same objects: what was verified by one stays so for as long as it is published. */
export function keepingKnown(before: readonly TokenKey[], now: readonly TokenKey[]): readonly TokenKey[] {
  const known = new Map(before.map((key) => [JSON.stringify(key), key]))
  return now.map((key) => known.get(JSON.stringify(key)) ?? key)
}
