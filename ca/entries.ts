/** Registration entries: which of them a proof is good for, and how an agent is told of its own. */

import { sha256 } from '@noble/hashes/sha2.js'
import { toHex, utf8 } from '../core/bytes.ts'
import { canonicalJson, isObject, type Json } from '../core/json.ts'
import { parseSpiffeId, parseTrustDomain, type SpiffeId, type TrustDomain } from '../core/spiffe.ts'
import type { RegistrationEntry, RevisedEntry, Selector } from '../core/workload.ts'

/** Most entries that an agent is told of, and that control holds. More are refused. */
export const maxEntries = 10_000
/** Most selectors of one entry. */
export const maxSelectors = 16

/** `<kind>:<what was proven>`, printable and without spaces at its ends. */
export const selectorShape: RegExp = /^[A-Za-z0-9._-]{1,64}:[\x21-\x7e](?:[\x20-\x7e]{0,446}[\x21-\x7e])?$/

export const revise = (entry: RegistrationEntry): RevisedEntry => ({
  ...entry,
  revision: toHex(sha256(utf8(canonicalJson(entryJson(entry))))).slice(0, 16),
})

/**
 * Those whose selectors were all proven, under this agent or, where it is undefined, to control itself. In the order of
 * the entries, of which the first is the default identity.
 */
export function matching(
  entries: readonly RevisedEntry[],
  parent: SpiffeId | undefined,
  proven: ReadonlySet<Selector>,
): readonly RevisedEntry[] {
  return entries.filter(
    (entry) => entry.parent === parent && entry.selectors.length > 0 && entry.selectors.every((one) => proven.has(one)),
  )
}

export function entryJson(entry: RegistrationEntry): Json {
  const { name, id, parent, selectors, ttlMs, jwtTtlMs, dns, federatesWith, hint } = entry
  return {
    ...{ name, id, parent, selectors, hint },
    ...{ ttl_ms: ttlMs, jwt_ttl_ms: jwtTtlMs, dns, federates_with: federatesWith },
  }
}

/** What GET /v1/entries answers. */
export const entriesJson = (entries: readonly RevisedEntry[]): Json => ({ entries: entries.map(entryJson) })

/** Undefined where any of it is not as it should be: an agent does not serve half of what it was told. */
export function readEntries(value: unknown): readonly RevisedEntry[] | undefined {
  const list = isObject(value) ? value['entries'] : undefined
  if (!Array.isArray(list) || list.length > maxEntries) return undefined
  const entries = list.map(readEntry)
  return entries.includes(undefined) ? undefined : (entries as RevisedEntry[])
}

export function readEntry(value: unknown): RevisedEntry | undefined {
  if (!isObject(value)) return undefined
  const { name, hint } = value
  const id = idIn(value['id'])
  const parent = value['parent'] === undefined ? undefined : idIn(value['parent'])
  const selectors = textsIn(value['selectors'])
  const dns = textsIn(value['dns'] ?? [])
  const domains = textsIn(value['federates_with'] ?? [])?.map(parseTrustDomain)
  if (typeof name !== 'string' || !id || !selectors || !dns || !domains || domains.includes(undefined)) return undefined
  if (value['parent'] !== undefined && !parent) return undefined
  if (selectors.length > maxSelectors || !selectors.every((one) => selectorShape.test(one))) return undefined
  if (hint !== undefined && typeof hint !== 'string') return undefined
  const [ttlMs, jwtTtlMs] = [value['ttl_ms'], value['jwt_ttl_ms']]
  if (![ttlMs, jwtTtlMs].every((ms) => ms === undefined || typeof ms === 'number')) return undefined
  return revise({
    ...{ name, id, selectors },
    ...(parent && { parent }),
    ...(typeof ttlMs === 'number' && { ttlMs }),
    ...(typeof jwtTtlMs === 'number' && { jwtTtlMs }),
    ...(dns.length > 0 && { dns }),
    ...(domains.length > 0 && { federatesWith: domains as TrustDomain[] }),
    ...(hint !== undefined && { hint }),
  })
}

const idIn = (value: unknown): SpiffeId | undefined => (typeof value === 'string' ? parseSpiffeId(value) : undefined)

const textsIn = (value: unknown): readonly string[] | undefined =>
  Array.isArray(value) && value.length <= 64 && value.every((text) => typeof text === 'string') ? value : undefined
