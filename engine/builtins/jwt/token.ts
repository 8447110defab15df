/** A token in compact form (RFC 7515 section 3.1) taken apart; nothing of it is verified here. */

import { utf8 } from '../../../core/bytes.ts'
import { isArray, parseJsonValue, RegoObject, type Value } from '../../value.ts'
import { decodeBase64Url } from '../base64.ts'
import { BuiltinError } from '../builtin.ts'

export interface Token {
  /** The first two sections as they came: what is signed. */
  readonly signed: Uint8Array
  readonly header: string
  readonly payload: string
  readonly signature: string
}

export function readToken(text: string): Token {
  const sections = text.split('.')
  if (sections.length === 1) throw new BuiltinError('encoded JWT had no period separators')
  if (sections.length !== 3) throw new BuiltinError(`encoded JWT must have 3 sections, found ${sections.length}`)
  const [header, payload, signature] = sections as [string, string, string]
  return { signed: utf8(`${header}.${payload}`), header, payload, signature }
}

export function readHeader({ header }: Token): RegoObject {
  const object = objectIn(sectionBytes(header, 'header'))
  if (object.has('enc')) throw new BuiltinError('JWT is a JWE object, which is not supported')
  return object
}

export const payloadBytes = ({ payload }: Token): Uint8Array => sectionBytes(payload, 'payload')
export const signatureBytes = ({ signature }: Token): Uint8Array => sectionBytes(signature, 'signature')

function sectionBytes(section: string, what: string): Uint8Array {
  const bytes = decodeBase64Url(section)
  if (!bytes) throw new BuiltinError(`JWT ${what} had invalid encoding`)
  return bytes
}

const lenient = new TextDecoder('utf-8', { ignoreBOM: true })

/** A JSON object; of members that are repeated the last counts. */
export function objectIn(bytes: Uint8Array): RegoObject {
  const value = jsonIn(lenient.decode(bytes))
  if (!(value instanceof RegoObject)) throw new BuiltinError('decoded JSON type was not an Object')
  return value
}

export function jsonIn(text: string): Value {
  try {
    return parseJsonValue(text)
  } catch (thrown) {
    if (thrown instanceof SyntaxError) throw new BuiltinError(`invalid JSON: ${thrown.message}`)
    throw thrown
  }
}

/** What counts of a JOSE header (RFC 7515 section 4.1); a member of the wrong type is a fault. */
export interface JoseHeader {
  readonly alg: string
  readonly kid: string
  readonly cty: string
  /** An extension is critical that nothing here understands. */
  readonly critical: boolean
}

const understood: ReadonlySet<Value> = new Set(['alg', 'kid', 'typ', 'cty', 'crit'])

export function readJoseHeader(header: RegoObject): JoseHeader {
  const text = (name: string): string => {
    const value = header.get(name) ?? ''
    if (typeof value !== 'string') throw new BuiltinError(`${name}: must be a string`)
    return value
  }
  text('typ')
  const crit = header.get('crit')
  if (crit !== undefined && !(isArray(crit) && typeof crit[0] === 'string')) {
    throw new BuiltinError('crit: must be a nonempty list of strings')
  }
  const critical = isArray(crit ?? null) ? (crit as readonly Value[]) : []
  return {
    alg: text('alg'),
    kid: text('kid'),
    cty: text('cty'),
    critical: critical.some((name) => !understood.has(name) && header.has(name)),
  }
}
