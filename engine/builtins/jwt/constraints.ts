/** What `io.jwt.decode_verify` asks of a token, and whether its claims meet it (RFC 7519 section 4.1). */

import {
  bytesOfString,
  compareNumbers,
  fromDouble,
  isArray,
  isNumber,
  type RegoObject,
  toDouble,
  type Value,
} from '../../value.ts'
import { BuiltinError } from '../builtin.ts'
import type { NamedKey } from './keys.ts'

export interface Constraints {
  /** A secret, or keys of which one must have signed. */
  readonly by: { readonly secret: Uint8Array } | { readonly keys: readonly NamedKey[] }
  /** Empty where any will do. */
  readonly alg: string
  readonly iss: string
  /** Empty where the token may name none. */
  readonly aud: string
  /** Nanoseconds since 1970, as a double. */
  readonly time: number
}

const known: ReadonlySet<Value> = new Set(['cert', 'secret', 'alg', 'iss', 'aud', 'time'])

/** `keysOf` reads the text of `cert`. */
export function readConstraints(
  given: RegoObject,
  nowNs: bigint,
  keysOf: (text: string) => readonly NamedKey[],
): Constraints {
  const unknown = given.keys().find((key) => !known.has(key))
  if (unknown !== undefined) throw new BuiltinError('unknown token validation constraint')
  const cert = text(given, 'cert')
  const secret = text(given, 'secret') || undefined
  if (cert !== undefined && secret !== undefined) throw new BuiltinError('duplicate key constraints')
  if (cert === undefined && secret === undefined) throw new BuiltinError('no key constraint')
  return {
    by: cert === undefined ? { secret: bytesOfString(secret!) } : { keys: keysOf(cert) },
    alg: text(given, 'alg') ?? '',
    iss: text(given, 'iss') ?? '',
    aud: text(given, 'aud') ?? '',
    time: timeIn(given, nowNs),
  }
}

function text(given: RegoObject, name: string): string | undefined {
  const value = given.get(name)
  if (value !== undefined && typeof value !== 'string') throw new BuiltinError(`${name} constraint: must be a string`)
  return value
}

function timeIn(given: RegoObject, nowNs: bigint): number {
  const value = given.get('time')
  if (value === undefined) return Number(nowNs)
  const time = isNumber(value) ? toDouble(value) : Number.NaN
  if (time >= 0 && time < Number.POSITIVE_INFINITY) return time
  throw new BuiltinError('token time constraint: must be a number and not negative')
}

/** Claims that are no number where they must be one are a fault; any other that does not fit is a no. */
export function claimsMeet(claims: RegoObject, { iss, aud, time }: Constraints): boolean {
  if (iss !== '' && claims.get('iss') !== iss) return false
  const audience = claims.get('aud')
  if (audience === undefined ? aud !== '' : !isFor(audience, aud)) return false
  const now = fromDouble(time / 1_000_000_000)
  const exp = numberIn(claims, 'exp')
  if (exp !== undefined && compareNumbers(now, exp) >= 0) return false
  const nbf = numberIn(claims, 'nbf')
  return nbf === undefined || compareNumbers(now, nbf) >= 0
}

const isFor = (audience: Value, aud: string): boolean => (isArray(audience) ? audience.includes(aud) : audience === aud)

function numberIn(claims: RegoObject, name: string): ReturnType<typeof fromDouble> | undefined {
  const value = claims.get(name)
  if (value !== undefined && !isNumber(value)) throw new BuiltinError(`${name} value must be a number`)
  return value
}
