import { expect, test } from 'vitest'
import type { SpiffeId } from '../../../core/spiffe.ts'
import { histograms, makeHistogram, observe, quantile } from '../../../proxy/telemetry/exposition.ts'
import { graphOf } from '../../../proxy/telemetry/graph.ts'
import { istioText, workloadOf } from '../../../proxy/telemetry/istio.ts'
import { flagOf } from '../../../proxy/telemetry/served.ts'
import { makeTraffic } from '../../../proxy/telemetry/traffic.ts'
import { denied, facts, faulty, found, head, orders, outcome, served, web } from './served.ts'

const linesOf = (text: string, name: string): string[] => text.split('\n').filter((line) => line.startsWith(`${name}{`))

test('requests of one caller, service and result are one series, another result is another', () => {
  const traffic = makeTraffic()
  traffic.served(served())
  traffic.served(served({ outcome: outcome({ durationUs: 3000 }) }))
  traffic.served(denied())
  const text = istioText(traffic, 'main')
  const requests = linesOf(text, 'istio_requests_total')
  expect(requests).toHaveLength(2)
  expect(requests[0]).toMatch(/ 2$/)
  for (const label of [
    ...['reporter="destination"', 'source_workload="web"', 'source_workload_namespace="shop"'],
    ...[`source_principal="${web}"`, `destination_principal="${orders}"`, 'destination_workload="orders"'],
    ...['destination_service="orders"', 'response_code="200"', 'response_flags="-"', 'request_protocol="http"'],
    ...['connection_security_policy="mutual_tls"', 'grpc_response_status=""'],
  ]) {
    expect(requests[0]).toContain(label)
  }
  expect(requests[1]).toContain('response_code="403"')
  expect(requests[1]).toContain('response_flags="UAEX"')
  expect(text).toMatch(/istio_request_duration_milliseconds_bucket\{[^}]*response_code="200"[^}]*,le="1"\} 1\n/)
  expect(text).toMatch(/istio_request_duration_milliseconds_bucket\{[^}]*response_code="200"[^}]*,le="5"\} 2\n/)
  expect(text).toMatch(/istio_response_bytes_sum\{[^}]*response_code="200"[^}]*\} 28\n/)
})

test('routes of one service are one series for Istio, and apart in the graph', () => {
  const traffic = makeTraffic()
  for (const route of ['read', 'write', 'read']) traffic.served(served({ found: { ...found, route } }))
  traffic.served(served({ found: { ...found, route: 'write' }, outcome: outcome({ status: 500 }) }))
  expect(linesOf(istioText(traffic, 'main'), 'istio_requests_total').map((line) => line.split(' ').at(-1))).toEqual([
    '3',
    '1',
  ])
  const graph = graphOf(traffic, 2000) as unknown as { nodes: unknown[]; edges: Record<string, unknown>[] }
  expect(graph.nodes).toHaveLength(2)
  expect(graph.edges).toMatchObject([
    { source: web, destination: orders, requests: 4, rate: 2, success: 0.75, errors: { 500: 1 }, mtls: 1 },
  ])
  expect(graph.edges[0]!['routes']).toMatchObject([
    { route: 'read', requests: 2, success: 1 },
    { route: 'write', requests: 2, success: 0.5 },
  ])
})

test('the cell that a request finds by what it has at hand is the one its text names', () => {
  const near = makeTraffic()
  const mixed = [
    served(),
    denied(),
    faulty(),
    served({ found: undefined }),
    served({ facts: facts({ direction: 'outbound' }) }),
  ]
  for (let i = 0; i < 3; i++) for (const one of mixed) near.served(one)
  expect([...near.cells()].map(({ requests }) => requests)).toEqual([3, 3, 3, 3, 3])
})

test('callers beyond the cap are one series, and no name of theirs is kept', () => {
  const traffic = makeTraffic(10)
  for (let i = 0; i < 1000; i++) {
    const id = `spiffe://bank.example/caller-${i}` as SpiffeId
    const source = facts().source
    const identified = {
      ok: true,
      identity: { ...((source.identified as unknown as { identity: never }).identity as object), id },
    }
    traffic.served(served({ facts: facts({ source: { ...source, identified: identified as never } }) }))
  }
  expect([...traffic.cells()]).toHaveLength(11)
  expect(traffic.overflowed()).toBe(990)
  const text = istioText(traffic, 'main')
  expect(text).not.toContain('caller-10"')
  expect(linesOf(text, 'istio_requests_total').at(-1)).toMatch(/source_workload="other".* 990$/)
})

test('an opaque connection counts when it opens and when it is over', () => {
  const traffic = makeTraffic()
  const opaque = facts({ protocol: 'tcp', head: undefined })
  traffic.opened(opaque, found)
  expect(istioText(traffic, 'main')).toMatch(/istio_tcp_connections_closed_total\{.*\} 0\n/)
  traffic.served(served({ facts: opaque, outcome: outcome({ status: 0, requestBytes: 5, responseBytes: 9 }) }))
  const text = istioText(traffic, 'main')
  expect(text).toMatch(/istio_tcp_connections_opened_total\{.*request_protocol="tcp".*\} 1\n/)
  expect(text).toMatch(/istio_tcp_connections_closed_total\{.*\} 1\n/)
  expect(text).toMatch(/istio_tcp_sent_bytes_total\{.*\} 9\n/)
  expect(text).toMatch(/istio_tcp_received_bytes_total\{.*\} 5\n/)
  expect(text).not.toContain('istio_requests_total')
})

test('a gRPC call has a status of its own', () => {
  const grpc = facts({ head: head({ protocol: 'HTTP/2', headers: { 'content-type': 'application/grpc' } }) })
  const traffic = makeTraffic()
  traffic.served(served({ facts: grpc, outcome: outcome({ grpcStatus: 5 }) }))
  traffic.served({ ...denied(), facts: grpc, outcome: outcome({ code: 'refused' }) })
  const [first, second] = linesOf(istioText(traffic, 'main'), 'istio_requests_total')
  expect(first).toContain(
    'request_protocol="grpc",connection_security_policy="mutual_tls",response_code="200",grpc_response_status="5"',
  )
  expect(second).toContain('grpc_response_status="7"')
})

test('flags say what went wrong first', () => {
  expect(flagOf(served())).toBe('-')
  expect(flagOf(denied())).toBe('UAEX')
  expect(flagOf(served({ outcome: outcome({ code: 'upstream_unreachable', status: 503 }) }))).toBe('UF')
  expect(flagOf(served({ outcome: outcome({ code: 'caller_gone', status: 0 }) }))).toBe('DC')
})

test('a name is a namespace and an account in the form of Kubernetes, else its last step', () => {
  expect(workloadOf('spiffe://a.example/ns/shop/sa/web')).toEqual({ name: 'web', namespace: 'shop' })
  expect(workloadOf('spiffe://a.example/x/y')).toEqual({ name: 'y', namespace: 'unknown' })
  expect(workloadOf('')).toEqual({ name: 'unknown', namespace: 'unknown' })
})

test('a quantile lies in the bucket of its rank', () => {
  const histogram = makeHistogram()
  expect(quantile(histogram, 0.5)).toBeUndefined()
  for (let i = 0; i < 99; i++) observe(histogram, 0.7)
  observe(histogram, 9000)
  expect(quantile(histogram, 0.5)).toBeLessThan(1)
  expect(quantile(histogram, 0.995)).toBeGreaterThan(5000)
  expect(histograms('x', 'y', [['', histogram]])).toContain('x_bucket{le="+Inf"} 100\n')
})
