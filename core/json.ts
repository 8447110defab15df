/** JSON as bytes that two parties agree on: the JSON Canonicalization Scheme (RFC 8785). */

export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json | undefined }

/**
 * RFC 8785: keys in UTF-16 order, ES6 numbers, no space. Members that are undefined are left out.
 * Throws a TypeError on what JSON cannot hold: NaN, infinities, lone surrogates, functions.
 */
export function canonicalJson(value: Json): string {
  if (typeof value === 'string') return canonicalString(value)
  if (value === null || typeof value === 'boolean') return String(value)
  if (typeof value === 'number') {
    if (!Number.isFinite(value)) throw new TypeError('a number that JSON cannot hold')
    return String(Object.is(value, -0) ? 0 : value)
  }
  if (typeof value !== 'object') throw new TypeError(`JSON cannot hold a ${typeof value}`)
  return Array.isArray(value) ? canonicalArray(value) : canonicalObject(value as Members)
}

type Members = { readonly [key: string]: Json | undefined }

function canonicalArray(items: readonly Json[]): string {
  let text = '['
  for (let i = 0; i < items.length; i++) text += `${i === 0 ? '' : ','}${canonicalJson(items[i]!)}`
  return `${text}]`
}

function canonicalObject(object: Members): string {
  const known = texts.get(object)
  if (known !== undefined) return known
  const keys = Object.keys(object)
  if (!isSorted(keys)) keys.sort()
  let text = '{'
  for (const key of keys) {
    const member = object[key]
    if (member === undefined) continue
    text += `${text.length === 1 ? '' : ','}${nameText(key)}${canonicalJson(member)}`
  }
  return `${text}}`
}

/** Names that were written before, with their colon: records have few and have them again and again. */
const names = new Map<string, string>()
/** Most names that are remembered, and the longest, since callers may bring their own. */
const maxNames = 256
const maxName = 32

function nameText(key: string): string {
  const known = names.get(key)
  if (known !== undefined) return known
  const text = `${canonicalString(key)}:`
  if (names.size < maxNames && key.length <= maxName) names.set(key, text)
  return text
}

/** Those who write many records write their members in order, which is quicker seen than brought about. */
function isSorted(keys: readonly string[]): boolean {
  for (let i = 1; i < keys.length; i++) if (keys[i - 1]! > keys[i]!) return false
  return true
}

const texts = new WeakMap<object, string>()

/** An object that stays as it is, for it is frozen to its depth: its text is written once, however often it is asked for. */
export function constantJson<Value extends Members>(value: Value): Value {
  freeze(value)
  texts.set(value, canonicalObject(value))
  return value
}

function freeze(value: Json | undefined): void {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return
  Object.freeze(value)
  for (const member of Object.values(value)) freeze(member)
}

/** Nothing in it to escape and no surrogate: nearly every text there is. */
const plain = /^[ !#-[\]-~]*$/

/** RFC 8785 section 3.2.2.2: lone surrogates are an error, everything else as ES6 `JSON.stringify` has it. */
export function canonicalString(text: string): string {
  if (plain.test(text)) return `"${text}"`
  if (!text.isWellFormed()) throw new TypeError('text with a lone surrogate')
  return JSON.stringify(text)
}

/** Parsed JSON, or undefined. A `__proto__` member becomes an own property and changes nothing else. */
export function parseJson(text: string): Json | undefined {
  try {
    return JSON.parse(text) as Json
  } catch {
    return undefined
  }
}

export function isObject(value: unknown): value is { readonly [key: string]: Json | undefined } {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
