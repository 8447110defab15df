/** The headers that a policy asks for: OPA-Envoy's shapes read strictly, and none that would change who is asking for what. */

import { isObject, type Json } from '../core/json.ts'

export type HeaderMap = Readonly<Record<string, string>>

const maxHeaders = 64
const maxValueLength = 8192

/** RFC 9110 section 5.6.2. */
const token = /^[!#$%&'*+.^_`|~0-9a-z-]{1,128}$/

/** RFC 9110 section 5.5: visible characters, with spaces and tabs between them. */
const fieldValue = /^$|^[\x21-\x7e\x80-\xff](?:[\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?$/

/** Framing and hop-by-hop fields, the host, and what upstreams read as the caller's identity. */
const untouchable: ReadonlySet<string> = new Set([
  'connection',
  'content-length',
  'expect',
  'forwarded',
  'host',
  'http2-settings',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'x-forwarded-client-cert',
  'x-forwarded-for',
  'x-forwarded-host',
  'x-forwarded-proto',
])

/** Lower-case name, or undefined where a policy may not touch it. Pseudo-headers are no tokens. */
function headerName(text: unknown): string | undefined {
  const name = typeof text === 'string' ? text.toLowerCase() : ''
  return token.test(name) && !untouchable.has(name) ? name : undefined
}

/** `{k: string or [string]}` or an array of such; repeated fields are joined by ", " (RFC 9110 section 5.3). */
export function readHeaders(value: Json | undefined): HeaderMap | undefined {
  const fields = new Map<string, string[]>()
  for (const map of Array.isArray(value) ? (value as readonly Json[]) : [value ?? {}]) {
    if (!isObject(map)) return undefined
    for (const [key, given] of Object.entries(map)) {
      const name = headerName(key)
      const values: readonly unknown[] = Array.isArray(given) ? given : [given]
      if (name === undefined || !values.every(isFieldValue)) return undefined
      fields.set(name, [...(fields.get(name) ?? []), ...values])
      if (fields.size > maxHeaders) return undefined
    }
  }
  // Cookies hold commas, so two of them do not join (RFC 6265 section 3).
  if ((fields.get('set-cookie')?.length ?? 0) > 1) return undefined
  const joined = [...fields].map(([name, values]) => [name, values.join(', ')] as const)
  return joined.every(([, text]) => text.length <= maxValueLength) ? Object.fromEntries(joined) : undefined
}

/** `[string]`: names to remove. */
export function readHeaderNames(value: Json | undefined): readonly string[] | undefined {
  if (value === undefined) return []
  if (!Array.isArray(value) || value.length > maxHeaders) return undefined
  const names = value.map(headerName)
  return names.every((name) => name !== undefined) ? names : undefined
}

const isFieldValue = (value: unknown): value is string =>
  typeof value === 'string' && value.length <= maxValueLength && fieldValue.test(value)
