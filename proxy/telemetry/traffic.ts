/**
 * Counts requests and connections as Istio does. A request costs a few look-ups by names that are there already: what is
 * counted for one caller, endpoint, route and result is one cell, and its labels are text once.
 */

import type { Endpoint } from '../../core/snapshot.ts'
import type { Found } from '../flow/route.ts'
import { addTo, type Histogram, makeHistogram, observe } from './exposition.ts'
import { calleeOf, callerOf, flagOf, flags, grpcStatusIn, isMutual, type Served } from './served.ts'

/** What one cell counts. */
export interface Cell {
  readonly reporter: 'source' | 'destination'
  /** SPIFFE ids; empty where nobody proved one. */
  readonly source: string
  readonly destination: string
  readonly service: string
  readonly route: string
  readonly status: number
  /** -1 of what is no gRPC. */
  readonly grpc: number
  readonly flag: string
  readonly mutual: boolean
  readonly durations: Histogram
  readonly requestBytes: Histogram
  readonly responseBytes: Histogram
  requests: number
}

export interface TcpCell extends Pick<Cell, 'reporter' | 'source' | 'destination' | 'service' | 'mutual'> {
  readonly flag: string
  opened: number
  closed: number
  sent: number
  received: number
}

export interface DecisionCount {
  readonly direction: 'inbound' | 'outbound'
  readonly verdict: string
  readonly code: string
  count: number
}

/** Attempts of requests to one service that were followed by another, by what they came to, or why none followed. */
export interface RetryCount {
  readonly service: string
  /** A code of `OutcomeCode` or `RetryStop`; `answered` for an answer that was not taken. */
  readonly code: string
  count: number
}

export interface Traffic {
  served(served: Served): void
  opened(facts: Served['facts'], found: Found): void
  cells(): Iterable<Cell>
  tcpCells(): Iterable<TcpCell>
  decisions(): Iterable<DecisionCount>
  /** Retries, by what made them. */
  retries(): Iterable<RetryCount>
  /** Requests that were not tried again, by why. */
  retriesStopped(): Iterable<RetryCount>
  /** Requests that had no room for a cell of their own. */
  overflowed(): number
}

/** What stands in a label where there was no room for the value. */
export const other = 'other'

/** `maxCells`: cells that are kept apart; what comes later is counted as `other`. Default 500. */
export function makeTraffic(maxCells = 500): Traffic {
  const cells = new Map<string, Cell>()
  const tcp = new Map<string, TcpCell>()
  /** The same cells by what a request has at hand: caller, then endpoint, then the number of the rest. */
  const near = new Map<string, WeakMap<object, Map<number, Cell>>>()
  const routes = new Map<string, number>()
  const decisions = { inbound: new Map<string, DecisionCount>(), outbound: new Map<string, DecisionCount>() }
  let overflowed = 0

  function cellOf(served: Served): Cell {
    const { facts, found, outcome } = served
    const source = callerOf(facts)
    const flag = flags.indexOf(flagOf(served))
    const grpc = grpcStatusIn(served)
    const mutual = isMutual(facts, found)
    const route = found ? routes.get(found.route) : 0
    const byEnd = near.get(source)?.get(found?.endpoint ?? nowhere)
    // Statuses have three digits, flags and gRPC's statuses are below 32.
    const rest = (((route ?? 0) * 1000 + outcome.status) * 32 + flag) * 64 + (grpc + 1) * 2 + (mutual ? 1 : 0)
    const known = route === undefined ? undefined : byEnd?.get(rest)
    return known ?? newCell(served, source, flags[flag]!, grpc, mutual, rest)
  }

  function newCell(
    { facts, found, outcome }: Served,
    source: string,
    flag: string,
    grpc: number,
    mutual: boolean,
    rest: number,
  ): Cell {
    const reporter = facts.direction === 'inbound' ? 'destination' : 'source'
    const destination = calleeOf(facts, found)
    const service = facts.destination.service ?? ''
    const route = found?.route ?? ''
    const key = [reporter, source, destination, service, route, outcome.status, grpc, flag, mutual].join('\n')
    const known = cells.get(key)
    if (!known && cells.size >= maxCells) {
      overflowed++
      return overflow(reporter)
    }
    const cell =
      known ?? made({ reporter, source, destination, service, route, status: outcome.status, grpc, flag, mutual })
    cells.set(key, cell)
    if (found && !routes.has(route)) {
      // Its number is new, and so is the rest: the next request finds the cell.
      if (routes.size < maxRoutes) routes.set(route, routes.size + 1)
      return cell
    }
    remember(source, found?.endpoint ?? nowhere, rest, cell)
    return cell
  }

  function remember(source: string, end: Endpoint | typeof nowhere, rest: number, cell: Cell): void {
    let ends = near.get(source)
    if (!ends) {
      if (near.size >= maxCells) near.clear() // Whoever still calls is found again.
      ends = new WeakMap()
      near.set(source, ends)
    }
    const byRest = ends.get(end) ?? new Map<number, Cell>()
    byRest.set(rest, cell)
    ends.set(end, byRest)
  }

  function overflow(reporter: Cell['reporter']): Cell {
    const known = cells.get(reporter)
    if (known) return known
    const name = { source: other, destination: other, service: other, route: other }
    const cell = made({ reporter, ...name, status: 0, grpc: -1, flag: other, mutual: false })
    cells.set(reporter, cell)
    return cell
  }

  function tcpCell(facts: Served['facts'], found: Found | undefined, flag: string): TcpCell {
    const reporter = facts.direction === 'inbound' ? 'destination' : 'source'
    const ends = { source: callerOf(facts), destination: calleeOf(facts, found) }
    const service = facts.destination.service ?? ''
    const mutual = isMutual(facts, found)
    const wanted = [reporter, ends.source, ends.destination, service, mutual, flag].join('\n')
    const full = !tcp.has(wanted) && tcp.size >= maxCells
    const key = full ? reporter : wanted
    const known = tcp.get(key)
    if (known) return known
    const shown = full ? { source: other, destination: other, service: other } : { ...ends, service }
    const cell = { reporter, ...shown, mutual: full ? false : mutual, flag: full ? other : flag, ...noBytes } as TcpCell
    tcp.set(key, cell)
    return cell
  }

  function count({ facts: { direction }, decision: { verdict, code } }: Served): void {
    const of = decisions[direction]
    const known = of.get(code)
    if (known) known.count++
    else of.set(code, { direction, verdict, code, count: 1 })
  }

  const retries = countsOf(maxCells)
  const stopped = countsOf(maxCells)

  return {
    served(served) {
      count(served)
      const { facts, found, outcome } = served
      if (found && outcome.attempts) {
        for (const { code } of outcome.attempts) retries.add(found.service, code === 'completed' ? 'answered' : code)
      }
      if (found && outcome.stopped !== undefined) stopped.add(found.service, outcome.stopped)
      if (facts.protocol === 'tcp') {
        if (served.decision.verdict !== 'allow') return
        const cell = tcpCell(facts, found, flagOf(served))
        cell.closed++
        cell.sent += outcome.responseBytes
        cell.received += outcome.requestBytes
        return
      }
      const cell = cellOf(served)
      cell.requests++
      observe(cell.durations, outcome.durationUs / 1000)
      observe(cell.requestBytes, outcome.requestBytes)
      observe(cell.responseBytes, outcome.responseBytes)
    },
    opened(facts, found) {
      tcpCell(facts, found, '-').opened++
    },
    cells: () => cells.values(),
    tcpCells: () => tcp.values(),
    decisions: () => [...decisions.inbound.values(), ...decisions.outbound.values()],
    retries: retries.all,
    retriesStopped: stopped.all,
    overflowed: () => overflowed,
  }
}

/** What has no room of its own is counted as `other`. */
function countsOf(most: number): { add(service: string, code: string): void; all(): Iterable<RetryCount> } {
  const counts = new Map<string, RetryCount>()
  return {
    add(service, code) {
      const key = `${service} ${code}`
      const of = counts.has(key) || counts.size < most ? { key, service } : { key: other, service: other }
      const known = counts.get(of.key)
      if (known) known.count++
      else counts.set(of.key, { service: of.service, code, count: 1 })
    },
    all: () => counts.values(),
  }
}

/** The endpoint of requests that found none. */
const nowhere = {}

/** Names of routes that have a number; requests of others are looked up by text. */
const maxRoutes = 10_000

const noBytes = { opened: 0, closed: 0, sent: 0, received: 0 }

type Counted = 'requests' | 'durations' | 'requestBytes' | 'responseBytes'

const made = (of: Omit<Cell, Counted>): Cell => ({
  ...of,
  requests: 0,
  durations: makeHistogram(),
  requestBytes: makeHistogram(),
  responseBytes: makeHistogram(),
})

/** Cells as one, by what `key` says. */
export function merged(cells: Iterable<Cell>, key: (cell: Cell) => string): ReadonlyMap<string, Cell> {
  const sums = new Map<string, Cell>()
  for (const cell of cells) {
    const name = key(cell)
    let sum = sums.get(name)
    if (!sum) {
      sum = made(cell)
      sums.set(name, sum)
    }
    sum.requests += cell.requests
    addTo(sum.durations, cell.durations)
    addTo(sum.requestBytes, cell.requestBytes)
    addTo(sum.responseBytes, cell.responseBytes)
  }
  return sums
}
