/**
 * How one authority follows another without a refused handshake: its root is published first, signs once everybody has
 * it, and is withdrawn once nothing that it signed is in use any more. Pure: who holds keys and clocks asks what is due.
 */

import type { JwtKey } from '../core/identity.ts'

/** In the bundle and signing nothing yet; signing; in the bundle for what it signed before. */
export type AuthorityPhase = 'prepared' | 'active' | 'retired'

/** A root with the issuer and the token key that belong to it. */
export interface AuthorityFacts {
  /** The first 16 hex digits of the SHA-256 of its root. */
  readonly id: string
  readonly phase: AuthorityPhase
  /** Certificate, DER. */
  readonly root: Uint8Array
  readonly jwtKey: JwtKey
  /** Life of the root, milliseconds since 1970. */
  readonly notBeforeMs: number
  readonly notAfterMs: number
  /** Sequence of the first bundle that had it. */
  readonly publishedIn: number
  readonly preparedAtMs: number
  readonly activatedAtMs?: number
  readonly retiredAtMs?: number
  /** Longest life that a certificate or a token of it was given, in milliseconds. */
  readonly longestMs: number
}

/** The authorities of one trust domain, in the order they were made. One of them is active. */
export interface Authorities<T extends AuthorityFacts = AuthorityFacts> {
  /** That of the bundle: grows whenever a root comes in or goes out. */
  readonly sequence: number
  /** Nothing moves by itself while this is set. */
  readonly paused: boolean
  readonly list: readonly T[]
}

export interface AuthorityTimes {
  /** How long a root is in the bundle before it signs, in milliseconds; those who poll bundles need it. */
  readonly publishMs: number
  /** How long a root stays after the end of the last leaf, in milliseconds: for clocks that are behind. */
  readonly skewMs: number
  /** A new root is prepared when so much of the active one's life is left, in milliseconds; never before half of it. */
  readonly prepareMs: number
  /** How long everybody has to renew what a distrusted issuer signed before it is refused, in milliseconds. */
  readonly renewMs: number
}

/** Three times the refresh hint of five minutes (SPIFFE Federation section 5.2.1), an hour, half a year, twenty seconds. */
export const defaultTimes: AuthorityTimes = {
  publishMs: 15 * 60_000,
  skewMs: 3_600_000,
  prepareMs: 180 * 86_400_000,
  renewMs: 20_000,
}

/** Most authorities at once: a bundle is small, and somebody rotating in a circle should notice. */
export const maxAuthorities = 8

export type AuthorityStep =
  | { readonly step: 'prepare' }
  | { readonly step: 'activate'; readonly id: string }
  | { readonly step: 'withdraw'; readonly id: string }

export interface Moment {
  readonly nowMs: number
  /** Workloads that hold a living certificate and have not said that they have the prepared root. */
  readonly waiting: readonly string[]
  /** Since when `waiting` knows what it says: not before this process could have heard from everybody. */
  readonly heardSinceMs: number
}

const phaseOf = <T extends AuthorityFacts>({ list }: Authorities<T>, phase: AuthorityPhase): T | undefined =>
  list.findLast((one) => one.phase === phase)

/** The one that signs. Throws only where the list is not whole. */
export function activeOf<T extends AuthorityFacts>(authorities: Authorities<T>): T {
  const active = phaseOf(authorities, 'active')
  if (!active) throw new Error('no authority is active')
  return active
}

export const preparedOf = <T extends AuthorityFacts>(authorities: Authorities<T>): T | undefined =>
  phaseOf(authorities, 'prepared')

/** When nothing that a retired authority signed can be in use any more; undefined while it is not retired. */
export const withdrawAtMs = (one: AuthorityFacts, { skewMs }: AuthorityTimes): number | undefined =>
  one.retiredAtMs === undefined ? undefined : one.retiredAtMs + one.longestMs + skewMs

/** What is due by itself, or undefined. One step at a time: each is written and published before the next is asked for. */
export function dueStep(
  authorities: Authorities,
  { nowMs, waiting, heardSinceMs }: Moment,
  times: AuthorityTimes,
): AuthorityStep | undefined {
  if (authorities.paused) return undefined
  const gone = authorities.list.find((one) => (withdrawAtMs(one, times) ?? Number.POSITIVE_INFINITY) <= nowMs)
  if (gone) return { step: 'withdraw', id: gone.id }
  const active = activeOf(authorities)
  const prepared = preparedOf(authorities)
  if (!prepared) return isWorn(active, nowMs, times.prepareMs) ? { step: 'prepare' } : undefined
  const published = nowMs - Math.max(prepared.preparedAtMs, heardSinceMs) >= times.publishMs
  if (published && waiting.length === 0) return { step: 'activate', id: prepared.id }
  // Whoever still lacks the new root is refused from now on, but with the old one everybody would be.
  return active.notAfterMs - nowMs <= 2 * active.longestMs ? { step: 'activate', id: prepared.id } : undefined
}

function isWorn({ notBeforeMs, notAfterMs }: AuthorityFacts, nowMs: number, prepareMs: number): boolean {
  return notAfterMs - nowMs < Math.min(prepareMs, (notAfterMs - notBeforeMs) / 2)
}

/** Adds a root to the bundle. `made` says that the next sequence publishes it. */
export function prepare<T extends AuthorityFacts>({ sequence, paused, list }: Authorities<T>, made: T): Authorities<T> {
  return { sequence: sequence + 1, paused, list: [...list, made] }
}

/** From now on `id` signs, and the one that did is retired. The bundle stays as it is. */
export function activate<T extends AuthorityFacts>(
  authorities: Authorities<T>,
  id: string,
  nowMs: number,
): Authorities<T> {
  const list = authorities.list.map((one): T => {
    if (one.id === id) {
      const { retiredAtMs: _, ...again } = one
      return { ...(again as T), phase: 'active', activatedAtMs: nowMs }
    }
    return one.phase === 'active' ? { ...one, phase: 'retired', retiredAtMs: nowMs } : one
  })
  return { ...authorities, list }
}

/** Takes a root out of the bundle; the active one never. */
export function withdraw<T extends AuthorityFacts>(authorities: Authorities<T>, id: string): Authorities<T> {
  const { sequence, paused, list } = authorities
  if (activeOf(authorities).id === id) throw new Error(`${id} is active`)
  return { sequence: sequence + 1, paused, list: list.filter((one) => one.id !== id) }
}

/**
 * Takes the last step back: a prepared root leaves the bundle, or the authority that was retired last signs again, for
 * its root is still in the bundle. Undefined where there is nothing to take back.
 */
export function undo<T extends AuthorityFacts>(authorities: Authorities<T>, nowMs: number): Authorities<T> | undefined {
  const prepared = preparedOf(authorities)
  if (prepared) return withdraw(authorities, prepared.id)
  const former = authorities.list
    .filter(({ phase, notAfterMs }) => phase === 'retired' && notAfterMs > nowMs)
    .sort((a, b) => a.retiredAtMs! - b.retiredAtMs!)
    .at(-1)
  return former && activate(authorities, former.id, nowMs)
}
