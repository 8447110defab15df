/** Traffic under the names and labels of Istio's standard metrics, so that dashboards made for it work. */

import { family, histograms, labelsOf } from './exposition.ts'
import { type Cell, merged, other, type TcpCell, type Traffic } from './traffic.ts'

/** `cluster`: the mesh's name of itself. */
export function istioText(traffic: Traffic, cluster: string): string {
  const series = [...merged(traffic.cells(), (cell) => labelsOf(httpLabels(cell, cluster)))]
  const tcp = [...traffic.tcpCells()].map((cell) => [labelsOf(tcpLabels(cell, cluster)), cell] as const)
  return [
    family(
      'istio_requests_total',
      'counter',
      'Requests.',
      series.map(([labels, { requests }]) => [labels, requests]),
    ),
    histograms(
      'istio_request_duration_milliseconds',
      'Time from the head of a request to the end of its answer.',
      series.map(([labels, { durations }]) => [labels, durations]),
    ),
    histograms(
      'istio_request_bytes',
      'Bytes of request bodies.',
      series.map(([labels, { requestBytes }]) => [labels, requestBytes]),
    ),
    histograms(
      'istio_response_bytes',
      'Bytes of response bodies.',
      series.map(([labels, { responseBytes }]) => [labels, responseBytes]),
    ),
    tcpFamily('istio_tcp_connections_opened_total', 'Connections that were let through.', tcp, ({ opened }) => opened),
    tcpFamily('istio_tcp_connections_closed_total', 'Connections that are over.', tcp, ({ closed }) => closed),
    tcpFamily('istio_tcp_sent_bytes_total', 'Bytes to callers, once a connection is over.', tcp, ({ sent }) => sent),
    tcpFamily(
      'istio_tcp_received_bytes_total',
      'Bytes from callers, once a connection is over.',
      tcp,
      ({ received }) => received,
    ),
  ].join('')
}

const tcpFamily = (
  name: string,
  help: string,
  cells: readonly (readonly [string, TcpCell])[],
  of: (cell: TcpCell) => number,
): string =>
  family(
    name,
    'counter',
    help,
    cells.map(([labels, cell]) => [labels, of(cell)]),
  )

const unknown = 'unknown'

function httpLabels(cell: Cell, cluster: string): Record<string, string> {
  const labels = edgeLabels(cell, cluster, cell.grpc >= 0 ? 'grpc' : 'http')
  labels['response_code'] = cell.flag === other ? other : String(cell.status)
  labels['grpc_response_status'] = cell.grpc >= 0 ? String(cell.grpc) : ''
  labels['response_flags'] = cell.flag
  return labels
}

const tcpLabels = (cell: TcpCell, cluster: string): Record<string, string> => ({
  ...edgeLabels(cell, cluster, 'tcp'),
  response_flags: cell.flag,
})

function edgeLabels(
  {
    reporter,
    source,
    destination,
    service,
    mutual,
  }: Pick<Cell, 'reporter' | 'source' | 'destination' | 'service' | 'mutual'>,
  cluster: string,
  protocol: string,
): Record<string, string> {
  const to = workloadOf(destination)
  return {
    reporter,
    ...endLabels('source', source, cluster),
    ...endLabels('destination', destination, cluster),
    destination_service: service || unknown,
    destination_service_name: service || unknown,
    destination_service_namespace: to.namespace,
    request_protocol: protocol,
    connection_security_policy: mutual ? 'mutual_tls' : 'none',
  }
}

function endLabels(end: 'source' | 'destination', id: string, cluster: string): Record<string, string> {
  const { name, namespace } = workloadOf(id)
  return {
    [`${end}_workload`]: name,
    [`${end}_workload_namespace`]: namespace,
    [`${end}_principal`]: id || unknown,
    [`${end}_app`]: name,
    [`${end}_version`]: unknown,
    [`${end}_canonical_service`]: name,
    [`${end}_canonical_revision`]: 'latest',
    [`${end}_cluster`]: id.startsWith('spiffe://') ? cluster : unknown,
  }
}

/** A workload's name out of its SPIFFE id: Kubernetes' form tells namespace and account, any other its last step. */
export function workloadOf(id: string): { readonly name: string; readonly namespace: string } {
  if (id === '') return { name: unknown, namespace: unknown }
  const kubernetes = /^spiffe:\/\/[^/]+\/ns\/([^/]+)\/sa\/([^/]+)$/.exec(id)
  if (kubernetes) return { name: kubernetes[2]!, namespace: kubernetes[1]! }
  return { name: id.slice(id.lastIndexOf('/') + 1), namespace: unknown }
}
