/** JSON as bytes that two parties agree on: the JSON Canonicalization Scheme (RFC 8785). */

export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json | undefined }

/**
 * RFC 8785: keys in UTF-16 order, ES6 numbers, no space. Members that are undefined are left out.
 * Throws a TypeError on what JSON cannot hold: NaN, infinities, lone surrogates, functions.
 */
export function canonicalJson(value: Json): string {
  if (value === null || typeof value === 'boolean') return String(value)
  if (typeof value === 'string') return canonicalString(value)
  if (typeof value === 'number') {
    if (!Number.isFinite(value)) throw new TypeError('a number that JSON cannot hold')
    return JSON.stringify(value)
  }
  if (Array.isArray(value)) return `[${value.map((item) => canonicalJson(item as Json)).join(',')}]`
  if (typeof value !== 'object') throw new TypeError(`JSON cannot hold a ${typeof value}`)
  const object = value as { readonly [key: string]: Json | undefined }
  const members: string[] = []
  for (const key of Object.keys(object).sort()) {
    const member = object[key]
    if (member !== undefined) members.push(`${canonicalString(key)}:${canonicalJson(member)}`)
  }
  return `{${members.join(',')}}`
}

/** RFC 8785 section 3.2.2.2: lone surrogates are an error, everything else as ES6 `JSON.stringify` has it. */
export function canonicalString(text: string): string {
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
