/** Who calls whom, as one proxy saw it: edges with identities, rates, errors by type, latency and the share of mTLS. */

import type { Json } from '../../core/json.ts'
import { addTo, makeHistogram, quantile } from './exposition.ts'
import { workloadOf } from './istio.ts'
import type { Cell, TcpCell, Traffic } from './traffic.ts'

/** `sinceMs`: how long it has been counted, in milliseconds. */
export function graphOf(traffic: Traffic, sinceMs: number): Json {
  const edges = grouped(traffic.cells())
  const tcp = grouped(traffic.tcpCells())
  const ids = new Set([...edges, ...tcp].flatMap(([, [cell]]) => [cell!.source, cell!.destination]))
  const seconds = Math.max(sinceMs, 1) / 1000
  return {
    seconds,
    nodes: [...ids].sort().map((id) => ({ id, workload: workloadOf(id).name, namespace: workloadOf(id).namespace })),
    edges: [
      ...[...edges.values()].map((cells) => ({
        ...edgeOf(cells),
        ...requestsOf(cells, seconds),
        routes: routesOf(cells, seconds),
      })),
      ...[...tcp.values()].map((cells) => ({ ...edgeOf(cells), ...connectionsOf(cells) })),
    ],
  }
}

type Ends = Pick<Cell, 'reporter' | 'source' | 'destination' | 'service'>

function grouped<Of extends Ends>(cells: Iterable<Of>): Map<string, Of[]> {
  return groupedBy(cells, ({ reporter, source, destination, service }) =>
    [reporter, source, destination, service].join('\n'),
  )
}

function groupedBy<Of>(all: Iterable<Of>, key: (one: Of) => string): Map<string, Of[]> {
  const groups = new Map<string, Of[]>()
  for (const one of all) {
    const name = key(one)
    const group = groups.get(name)
    if (group) group.push(one)
    else groups.set(name, [one])
  }
  return groups
}

const edgeOf = (cells: readonly Ends[]) => {
  const { reporter, source, destination, service } = cells[0]!
  return { reporter, source, destination, service }
}

function requestsOf(cells: readonly Cell[], seconds: number) {
  const durations = makeHistogram()
  const errors: Record<string, number> = {}
  let requests = 0
  let failed = 0
  let mutual = 0
  for (const cell of cells) {
    requests += cell.requests
    if (cell.mutual) mutual += cell.requests
    addTo(durations, cell.durations)
    if (!isError(cell)) continue
    failed += cell.requests
    const type = cell.flag === '-' ? String(cell.status) : cell.flag
    errors[type] = (errors[type] ?? 0) + cell.requests
  }
  return {
    requests,
    rate: requests / seconds,
    success: requests === 0 ? 1 : 1 - failed / requests,
    errors,
    mtls: requests === 0 ? 0 : mutual / requests,
    ms: { p50: quantile(durations, 0.5) ?? 0, p90: quantile(durations, 0.9) ?? 0, p99: quantile(durations, 0.99) ?? 0 },
  }
}

function routesOf(cells: readonly Cell[], seconds: number): Json[] {
  return [...groupedBy(cells, ({ route }) => route)].map(([route, of]) => ({ route, ...requestsOf(of, seconds) }))
}

function connectionsOf(cells: readonly TcpCell[]) {
  const sum = (of: (cell: TcpCell) => number): number => cells.reduce((total, cell) => total + of(cell), 0)
  const opened = sum((cell) => cell.opened)
  return {
    connections: { opened, closed: sum((cell) => cell.closed) },
    bytes: { sent: sum((cell) => cell.sent), received: sum((cell) => cell.received) },
    mtls: opened === 0 ? 0 : sum((cell) => (cell.mutual ? cell.opened : 0)) / opened,
  }
}

/** What callers take for a failure of the service or of the way to it, or for a no. */
const isError = ({ status, grpc, flag }: Cell): boolean => flag !== '-' || status >= 500 || grpc > 0
