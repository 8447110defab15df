/** Shows requests as they end to those who watch. Nobody watches for free: with no tap open it costs one comparison. */

import { WritError } from '../../core/fault.ts'
import { type AccessEntry, entryOf } from './access-log.ts'
import { callerOf, pathOf, type Served } from './served.ts'

/** Every member that is given must hold. */
export interface TapFilter {
  readonly direction?: 'inbound' | 'outbound'
  readonly method?: string
  /** Prefix of the path. */
  readonly path?: string
  /** The host, as the request names it. */
  readonly authority?: string
  /** SPIFFE id of the caller. */
  readonly source?: string
  readonly service?: string
  readonly route?: string
  readonly verdict?: 'allow' | 'deny' | 'fault'
  readonly code?: string
  /** A status, or its class as in `5xx`. */
  readonly status?: string
}

export interface Taps {
  served(served: Served): void
  /**
   * Shows up to `maxPerSecond` requests a second. `show` says whether there is room for more; without room, requests are
   * missed and counted. Throws a WritError `unavailable` where as many watch as may. Gives what ends it.
   */
  open(filter: TapFilter, maxPerSecond: number, show: (entry: AccessEntry) => boolean): () => void
  /** Requests that a tap should have shown and had no room for. */
  missed(): number
}

interface Tap {
  readonly filter: TapFilter
  readonly maxPerSecond: number
  readonly show: (entry: AccessEntry) => boolean
  second: bigint
  shown: number
}

/** Most that watch at once. */
export const maxTaps = 8

export function makeTaps(): Taps {
  const taps = new Set<Tap>()
  let missed = 0
  return {
    served(served) {
      if (taps.size === 0) return
      for (const tap of taps) {
        if (!passes(tap.filter, served)) continue
        const second = served.facts.atNs / 1_000_000_000n
        if (second !== tap.second) {
          tap.second = second
          tap.shown = 0
        }
        if (tap.shown++ >= tap.maxPerSecond || !tap.show(entryOf(served))) missed++
      }
    },
    open(filter, maxPerSecond, show) {
      if (taps.size >= maxTaps) {
        throw new WritError('unavailable', `${maxTaps} taps are open`, { cure: 'close one of them' })
      }
      const tap: Tap = { filter, maxPerSecond, show, second: -1n, shown: 0 }
      taps.add(tap)
      return () => taps.delete(tap)
    },
    missed: () => missed,
  }
}

export function passes(filter: TapFilter, served: Served): boolean {
  const { facts, found, decision, outcome } = served
  const { head } = facts
  return (
    is(filter.direction, facts.direction) &&
    is(filter.method, head?.method) &&
    is(filter.authority, head?.authority) &&
    is(filter.source, callerOf(facts)) &&
    is(filter.service, facts.destination.service) &&
    is(filter.route, found?.route) &&
    is(filter.verdict, decision.verdict) &&
    is(filter.code, decision.code) &&
    (filter.path === undefined || (head !== undefined && pathOf(served).startsWith(filter.path))) &&
    (filter.status === undefined || statusIs(filter.status, outcome.status))
  )
}

const is = (wanted: string | undefined, value: string | undefined): boolean => wanted === undefined || wanted === value

const statusIs = (wanted: string, status: number): boolean =>
  wanted.endsWith('xx') ? Number(wanted[0]) === Math.trunc(status / 100) : wanted === String(status)
