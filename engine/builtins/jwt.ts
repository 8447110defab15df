/**
 * `io.jwt.*`: tokens are taken apart, verified and signed. What they answer follows from their arguments, the
 * evaluation's time and its randomness, so that none of it, secrets least of all, need be noted for a replay.
 */

import { toBase64Url, toHex, utf8 } from '../../core/bytes.ts'
import { bytesOfString, RegoObject, stringOfBytes, type Value } from '../value.ts'
import { type Builtin, type BuiltinContext, BuiltinError, type BuiltinFamily } from './builtin.ts'
import { goJson } from './gojson.ts'
import { type Constraints, claimsMeet, readConstraints } from './jwt/constraints.ts'
import { algorithms, type NamedKey, readJwks, readKeys } from './jwt/keys.ts'
import { loosely, sign, type Verify, verifyAs, verifyHmac } from './jwt/signature.ts'
import {
  jsonIn,
  objectIn,
  payloadBytes,
  readHeader,
  readJoseHeader,
  readToken,
  signatureBytes,
  type Token,
} from './jwt/token.ts'
import { objectArg, stringOf } from './operand.ts'

export const jwt: BuiltinFamily = {
  'io.jwt.decode': (_, token) => decode(stringOf(token!)),
  'io.jwt.decode_verify': decodeVerify,
  'io.jwt.encode_sign': encodeSign,
  'io.jwt.encode_sign_raw': encodeSignRaw,
  ...verifiersBy(['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA'], byKeys),
  ...verifiersBy(['HS256', 'HS384', 'HS512'], bySecret),
}

function verifiersBy(names: readonly string[], make: (algorithm: string) => Builtin): BuiltinFamily {
  return Object.fromEntries(names.map((name) => [`io.jwt.verify_${name.toLowerCase()}`, make(name)]))
}

/** A token within a token is gone into; some issuers quote it. */
function decode(text: string): Value {
  const token = readToken(text)
  const header = readHeader(token)
  const payload = payloadBytes(token)
  if (header.get('cty') === 'JWT') return decode(stringOfBytes(payload).replace(/^["']+|["']+$/g, ''))
  return [header, objectIn(payload), toHex(signatureBytes(token))]
}

function byKeys(algorithm: string): Builtin {
  const verify = loosely(algorithm)
  return (context, token, key) => {
    const parts = readToken(stringOf(token!))
    const keys = keysOf(context, stringOf(key!))
    return isSignedBy(keys, parts, verify)
  }
}

/** By the key that the header names, where there is one of that name; else by any that is not for something else. */
function isSignedBy(keys: readonly NamedKey[], token: Token, verify: Verify): boolean {
  const signature = signatureBytes(token)
  const { alg, kid } = readJoseHeader(readHeader(token))
  const named = kid === '' ? undefined : keys.find((key) => key.kid === kid)
  if (named) return verify(named.key, token.signed, signature)
  return keys.some((key) => (key.alg === '' || key.alg === alg) && verify(key.key, token.signed, signature))
}

function bySecret(algorithm: string): Builtin {
  return (_, token, secret) => {
    const parts = readToken(stringOf(token!))
    return verifyHmac(algorithm, bytesOfString(stringOf(secret!)), parts.signed, signatureBytes(parts))
  }
}

const unverified: Value = [false, new RegoObject([]), new RegoObject([])]

/** RFC 7519 section 7.2. What cannot be read is a fault; what can be and does not hold is a no. */
function decodeVerify(context: BuiltinContext, text: Value, given: Value): Value {
  const constraints = readConstraints(objectArg(given), context.nowNs, (cert) => keysOf(context, cert))
  for (let inner = stringOf(text); ; ) {
    const token = readToken(inner)
    const header = readHeader(token)
    const { alg, cty, critical } = readJoseHeader(header)
    if (alg === '' || critical || (constraints.alg !== '' && constraints.alg !== alg)) return unverified
    if (!meetsKeys(constraints, token, alg)) return unverified
    const payload = payloadBytes(token)
    if (cty.toUpperCase() !== 'JWT') {
      const claims = objectIn(payload)
      return claimsMeet(claims, constraints) ? [true, header, claims] : unverified
    }
    inner = stringOfBytes(payload)
  }
}

function meetsKeys({ by }: Constraints, token: Token, alg: string): boolean {
  if ('secret' in by) return verifyHmac(alg, by.secret, token.signed, signatureBytes(token))
  return isSignedBy(by.keys, token, (key, message, signature) => verifyAs(alg, key, message, signature))
}

/** Policies verify many tokens by few keys. */
const keysOf = ({ patterns }: BuiltinContext, text: string): readonly NamedKey[] =>
  patterns.compiled('jwt keys', text, () => readKeys(text))

function encodeSign(context: BuiltinContext, header: Value, payload: Value, key: Value): Value {
  return encoded(context, utf8(goJson(header)), utf8(goJson(payload)), objectArg(key))
}

function encodeSignRaw(context: BuiltinContext, header: Value, payload: Value, key: Value): Value {
  const [headerText, payloadText] = [stringOf(header), stringOf(payload)]
  return encoded(context, bytesOfString(headerText), bytesOfString(payloadText), jsonIn(stringOf(key)))
}

function encoded(context: BuiltinContext, header: Uint8Array, payload: Uint8Array, jwk: Value): Value {
  const [key] = readJwks(jwk)
  if (!key) throw new BuiltinError('no keys found in JWK set')
  const members = objectIn(header)
  const alg = members.get('alg')
  if (typeof alg !== 'string') throw new BuiltinError("missing or invalid 'alg' header")
  if (!algorithms.has(alg)) throw new BuiltinError(`unknown JWS algorithm: ${alg}`)
  const typ = members.get('typ')
  if ((typeof typ !== 'string' || typ === 'JWT') && !isJson(payload)) {
    throw new BuiltinError('type is JWT but payload is not JSON')
  }
  const signed = `${toBase64Url(header)}.${toBase64Url(payload)}`
  return `${signed}.${toBase64Url(sign(alg, key.key, utf8(signed), context.random))}`
}

function isJson(bytes: Uint8Array): boolean {
  try {
    JSON.parse(stringOfBytes(bytes))
    return true
  } catch {
    return false
  }
}
