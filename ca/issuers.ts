/**
 * How one issuer follows another under the same root. Nothing is published for that, since certificates bring their issuer
 * along: the new one signs at once, and the former is kept until nothing that it signed is in use. Where somebody else may
 * have its key, everybody first renews what it signed, and then it is refused. Pure: who holds keys and clocks asks what is due.
 */

import type { AuthorityFacts, AuthorityTimes } from './authorities.ts'

/** An issuer that signs no more. */
export interface FormerIssuer {
  /** Lower-case hex. */
  readonly serial: string
  /** Its own end, milliseconds since 1970. */
  readonly notAfterMs: number
  readonly retiredAtMs: number
  /** When somebody said that its key may be in other hands: it never signs again. */
  readonly distrustedAtMs?: number
  /** When it came on the deny list. */
  readonly deniedAtMs?: number
}

/** An authority with the issuers that it had. */
export interface WithFormer extends AuthorityFacts {
  readonly former: readonly FormerIssuer[]
}

/** Most former issuers at once: leaves of each are still in use, and somebody rotating in a circle should notice. */
export const maxFormer = 8

export interface IssuerStep {
  /** Refuse what it signed, or forget it and its key. */
  readonly step: 'deny' | 'forget'
  readonly id: string
  readonly serial: string
}

/** When a distrusted issuer comes on the deny list by itself; undefined where it is trusted, or is there already. */
export const denyAtMs = (
  { distrustedAtMs, deniedAtMs }: FormerIssuer,
  { renewMs }: AuthorityTimes,
): number | undefined =>
  distrustedAtMs === undefined || deniedAtMs !== undefined ? undefined : distrustedAtMs + renewMs

/** When nothing that an issuer signed can be in use any more. */
export const forgetAtMs = ({ longestMs }: AuthorityFacts, former: FormerIssuer, { skewMs }: AuthorityTimes): number =>
  Math.min(former.retiredAtMs + longestMs, former.notAfterMs) + skewMs

/** What is due by itself, or undefined. A denial goes on while all else is paused: somebody ordered it. */
export function dueIssuerStep(
  { paused, list }: { readonly paused: boolean; readonly list: readonly WithFormer[] },
  nowMs: number,
  times: AuthorityTimes,
): IssuerStep | undefined {
  const all = list.flatMap((one) => one.former.map((former) => ({ one, former })))
  const denied = all.find(({ former }) => (denyAtMs(former, times) ?? Number.POSITIVE_INFINITY) <= nowMs)
  if (denied) return { step: 'deny', id: denied.one.id, serial: denied.former.serial }
  const gone = paused
    ? undefined
    : all.find(({ one, former }) => denyAtMs(former, times) === undefined && forgetAtMs(one, former, times) <= nowMs)
  return gone && { step: 'forget', id: gone.one.id, serial: gone.former.serial }
}

/** Serial numbers of those whose certificates have to be renewed at once. */
export const distrustedIn = (list: readonly WithFormer[]): readonly string[] =>
  list.flatMap(({ former }) => former.flatMap(({ serial, distrustedAtMs }) => (distrustedAtMs ? [serial] : [])))
