/** Session persistence: a text that the answer gives, by which the next request finds the endpoint of the one before. */

import type { Endpoint, SessionPlace } from '../../core/snapshot.ts'
import { hash32 } from '../balance/hash.ts'
import { keyOf } from '../balance/member.ts'

/**
 * Names an endpoint of a service, the same in every proxy and after every restart, and tells nothing of it. Who makes one up
 * finds an endpoint that others are sent to as well, or none.
 */
export function sessionOf(service: string, endpoint: Endpoint): string {
  const known = made.get(endpoint)
  if (known) return known
  const text = `${service} ${keyOf(endpoint)}`
  const id = [`one ${text}`, `two ${text}`].map((part) => hash32(part).toString(16).padStart(8, '0')).join('')
  made.set(endpoint, id)
  return id
}

const made = new WeakMap<Endpoint, string>()

/** The field of an answer that begins a session (RFC 6265 section 4.1). */
export function sessionField(
  { kind, name, maxAgeS }: SessionPlace,
  id: string,
  scheme: 'http' | 'https',
): readonly [string, string] {
  if (kind === 'header') return [name, id]
  const age = maxAgeS === undefined ? '' : `; Max-Age=${maxAgeS}`
  return ['set-cookie', `${name}=${id}; Path=/${age}; HttpOnly; SameSite=Lax${scheme === 'https' ? '; Secure' : ''}`]
}
