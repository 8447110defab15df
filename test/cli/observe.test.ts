/** A proxy seen from outside: its numbers by Prometheus' own parser, its spans by a receiver of OTLP, its lines in a file. */

import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished } from 'vitest'
import { openObserved } from '../../cli/wire/observe.ts'
import { adminRequest } from '../../control/node/client.ts'
import { refuse } from '../../core/decision.ts'
import type { Listener, TracingSettings } from '../../core/snapshot.ts'
import { needs, pathOf } from '../parts/needs.ts'
import { runPython } from '../parts/python.ts'
import {
  allow,
  call,
  callerTls,
  eventually,
  inbound,
  makeCa,
  makeSource,
  ok,
  orders,
  snapshotOf,
  startAnswering,
  startProxy,
  web,
} from '../proxy/node/kit.ts'

const test = needs('python')
const ca = makeCa()
const ordersSvid = ca.issue(orders)
const webSvid = ca.issue(web)

async function observed(tracing?: TracingSettings, protocol?: 'tcp') {
  const folder = mkdtempSync(join(tmpdir(), 'writ-'))
  const source = makeSource(ordersSvid, ca)
  const seen = await openObserved({
    source,
    socketPath: join(folder, 'admin.sock'),
    door: { address: '127.0.0.1', port: 0 },
    accessLog: { format: 'json', file: join(folder, 'access.ndjson') },
    nowMs: Date.now,
    onEvent: () => {},
  })
  onTestFinished(async () => {
    await seen.close()
    rmSync(folder, { recursive: true, force: true })
  })
  await seen.follow({ ...snapshotOf([]), ...(tracing && { tracing }) })
  const app = await startAnswering(ok('hello'))
  const { proxy, port } = await startProxy({
    source,
    listener: (protocol ? { ...inbound(app.port), protocol } : inbound(app.port)) as Listener,
    decide: ({ head }) => (head?.path === '/no' ? refuse('policy_denied', 'no') : allow),
    more: { telemetry: seen.telemetry },
  })
  const counts = { published: 1, pending: 2, refused: 3, lost: 0, failures: 0 }
  const recorder = { bytes: 5, maxBytes: 9, oldestMs: 0, unsynced: 0, ...counts }
  const open = (): void =>
    seen.ready({ ...quiet, stats: () => proxy.stats(), recorder: () => ({ ...recorder, perEpoch: [] }) })
  const ask = (path: string) => fetch(`http://127.0.0.1:${seen.port}${path}`)
  return { seen, app, port, folder, open, ask }
}

const quiet = { alarms: () => [], renewalsFailed: () => 3 }

async function ask(port: number, path: string, headers = ''): Promise<string> {
  const caller = call(port, callerTls(webSvid, ca))
  caller.send(`GET ${path} HTTP/1.1\r\nHost: orders\r\nConnection: close\r\n${headers}\r\n`)
  return caller.closed()
}

const parse = `
import sys, json
from prometheus_client.parser import text_string_to_metric_families
families = list(text_string_to_metric_families(open(sys.argv[1]).read()))
names = [f.name for f in families]
assert len(names) == len(set(names)), names
print(json.dumps({f.name: {'type': f.type, 'samples': [[s.name, s.labels, s.value] for s in f.samples]} for f in families}))
`

test('where the endpoints of a service are, how often they were asked, and the state of its circuit are numbers', async () => {
  const { seen, ask: get } = await observed()
  const at = (port: number, locality: string, asked: number, ejected = false) => {
    return { address: '127.0.0.1', port, inFlight: 0, locality, asked, ejected }
  }
  const balanced = { pay: [at(1, 'eu/a', 3), at(2, 'eu/a', 4, true), at(3, 'us/a', 0)] }
  const stats = {
    listeners: [],
    upstreamConnections: 0,
    mirrors: { open: 0, leftOut: 0 },
    balanced,
    circuits: { pay: 'open' as const },
  }
  seen.ready({ ...quiet, stats: () => stats, recorder: () => undefined as never })
  const text = await (await get('/metrics')).text()
  expect(text).toContain('writ_endpoint_requests_total{service="pay",locality="eu/a"} 7\n')
  expect(text).toContain('writ_endpoint_requests_total{service="pay",locality="us/a"} 0\n')
  expect(text).toContain('writ_endpoints{service="pay",locality="eu/a",state="able"} 1\n')
  expect(text).toContain('writ_endpoints{service="pay",locality="eu/a",state="ejected"} 1\n')
  expect(text).toContain('writ_circuit{service="pay",state="open"} 1\n')
  expect(text).toContain('writ_circuit{service="pay",state="closed"} 0\n')
})

test('a real parser reads every number, and requests, decisions, spool and certificate are among them', async () => {
  const { seen, ask: get, port, folder, open } = await observed()
  expect((await get('/ready')).status).toBe(503)
  open()
  expect((await get('/ready')).status).toBe(200)
  for (const path of ['/a', '/b', '/no']) await ask(port, path)
  await eventually(() => readFileSync(join(folder, 'access.ndjson'), 'utf8').split('\n').length === 4)
  const file = join(folder, 'metrics.txt')
  const { writeFileSync } = await import('node:fs')
  writeFileSync(file, await (await get('/metrics')).text())
  const families = JSON.parse(await runPython(pathOf('python'), parse, file)) as Record<
    string,
    { type: string; samples: [string, Record<string, string>, number][] }
  >
  expect(families['writ_identity_renewals_failed']!.samples).toMatchObject([[expect.anything(), { id: orders }, 3]])
  const requests = families['istio_requests']!.samples
  expect(requests.map(([, labels, value]) => [labels['response_code'], value])).toEqual([
    ['200', 2],
    ['403', 1],
  ])
  expect(requests[0]![1]).toMatchObject({
    ...{ source_principal: web, destination_principal: orders, connection_security_policy: 'mutual_tls' },
    ...{ reporter: 'destination', source_workload: 'web', destination_service: 'orders' },
  })
  expect(families['istio_request_duration_milliseconds']!.type).toBe('histogram')
  const decisions = families['writ_decisions']!.samples.map(([, { verdict, code }, value]) => [verdict, code, value])
  expect(decisions).toEqual([
    ['allow', 'allowed', 2],
    ['deny', 'policy_denied', 1],
  ])
  const value = (name: string) => families[name]!.samples[0]![2]
  expect([value('writ_spool_bytes'), value('writ_spool_waiting_records'), value('writ_spool_refused')]).toEqual([
    5, 2, 3,
  ])
  expect(value('writ_certificate_expiry_timestamp_seconds')).toBe(ordersSvid.notAfterMs / 1000)
  expect(value('writ_ready')).toBe(1)
  expect(families['writ_handshakes_failed']!.samples).toHaveLength(1)

  const lines = readFileSync(join(folder, 'access.ndjson'), 'utf8').trim().split('\n')
  expect(lines.map((line) => JSON.parse(line)).at(-1)).toMatchObject({
    ...{ source: web, status: 403, flags: 'UAEX', decision_id: `${'a'.repeat(24)}-3` },
  })
  const graph = await adminRequest(join(folder, 'admin.sock'), 'GET', '/graph')
  expect(graph).toMatchObject({
    edges: [{ source: web, destination: orders, requests: 3, errors: { UAEX: 1 }, mtls: 1 }],
  })
  const config = await adminRequest(join(folder, 'admin.sock'), 'GET', '/config')
  expect(config).toMatchObject({ identity: { id: orders }, snapshot: { cluster: 'test' } })
  expect(JSON.stringify(config)).not.toContain('PRIVATE KEY')
  seen.draining()
  expect(await (await get('/ready')).text()).toBe('not ready: it is stopping\n')
})

test('a state folder that is open to others costs the socket, and is told', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'writ-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  chmodSync(folder, 0o755)
  const told: string[] = []
  const socketPath = join(folder, 'admin.sock')
  const onEvent = ({ text }: { text: string }): void => void told.push(text)
  const seen = await openObserved({ source: makeSource(ordersSvid, ca), socketPath, nowMs: Date.now, onEvent })
  await seen.close()
  expect(existsSync(socketPath)).toBe(false)
  expect(told.join()).toContain('is open to others')
})

interface OtlpSpan {
  readonly traceId: string
  readonly spanId: string
  readonly parentSpanId?: string
  readonly name: string
  readonly kind: number
  readonly startTimeUnixNano: string
  readonly endTimeUnixNano: string
  readonly attributes: readonly { readonly key: string; readonly value: Record<string, unknown> }[]
}

/** Takes OTLP as JSON over HTTP. */
async function receiver() {
  const spans: OtlpSpan[] = []
  const services: unknown[] = []
  const server = createServer((asked, answer) => {
    let text = ''
    asked.setEncoding('utf8').on('data', (more: string) => {
      text += more
    })
    asked.on('end', () => {
      for (const { resource, scopeSpans } of JSON.parse(text).resourceSpans) {
        services.push(resource.attributes)
        for (const { spans: some } of scopeSpans) spans.push(...some)
      }
      answer.writeHead(200, { 'content-type': 'application/json' }).end('{}')
    })
  })
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening))
  onTestFinished(() => void server.close())
  return { spans, services, otlp: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1/traces` }
}

const traceId = '0af7651916cd43dd8448eb211c80319c'
const parentId = 'b7ad6b7169203331'

test('a span for each request goes to the receiver under its caller’s trace, and the upstream is told of it', async () => {
  const { spans, services, otlp } = await receiver()
  const { app, port, seen } = await observed({ otlp, sample: 1, propagate: ['w3c'] })
  await ask(port, '/a', `traceparent: 00-${traceId}-${parentId}-01\r\ntracestate: a=b\r\n`)
  await ask(port, '/b', `b3: ${traceId}-${parentId}-1\r\ntracestate: stray=1\r\n`)
  await ask(port, '/no')
  await seen.close()
  expect(spans).toHaveLength(3)
  expect(JSON.stringify(services)).toContain('"orders"')
  const [first, second, third] = spans
  expect(first).toMatchObject({ traceId, parentSpanId: parentId, name: 'GET', kind: 2 })
  expect(BigInt(first!.endTimeUnixNano) > BigInt(first!.startTimeUnixNano)).toBe(true)
  const attributes = Object.fromEntries(first!.attributes.map(({ key, value }) => [key, Object.values(value)[0]]))
  expect(attributes).toMatchObject({
    ...{ 'writ.source': web, 'writ.decision_id': `${'a'.repeat(24)}-1`, 'http.response.status_code': 200 },
    ...{ 'url.path': '/a', 'writ.verdict': 'allow' },
  })
  const heads = app.received().split('\r\n\r\n')
  expect(heads[0]).toMatch(new RegExp(`^traceparent: 00-${traceId}-${first!.spanId}-01$`, 'im'))
  expect(heads[0]).toMatch(/^tracestate: a=b$/im)
  expect(second).toMatchObject({ traceId, parentSpanId: parentId })
  expect(heads[1]).toMatch(new RegExp(`^b3: ${traceId}-${second!.spanId}-1$`, 'im'))
  expect(heads[1]).toMatch(new RegExp(`^traceparent: 00-${traceId}-${second!.spanId}-01$`, 'im'))
  expect(heads[1]).not.toContain('stray')
  expect(third!.parentSpanId ?? '').toBe('')
  expect(third).toMatchObject({ status: { code: 2 } })
})

test('what is not sampled is told on and not sent, and with traces off a caller’s own go through untouched', async () => {
  const { spans, otlp } = await receiver()
  const { app, port, seen } = await observed({ otlp, sample: 0, propagate: ['b3multi'] })
  await ask(port, '/a')
  await seen.follow(snapshotOf([]))
  await ask(port, '/b', `traceparent: 00-${traceId}-${parentId}-00\r\nb3: 0\r\n`)
  const [first, second] = app.received().split('\r\n\r\n')
  expect(first).toMatch(/^x-b3-sampled: 0$/im)
  expect(first).toMatch(/^x-b3-traceid: [0-9a-f]{32}$/im)
  expect(second).toMatch(new RegExp(`^traceparent: 00-${traceId}-${parentId}-00$`, 'im'))
  expect(second).toMatch(/^b3: 0$/im)
  expect(spans).toHaveLength(0)
})

test('an opaque connection through real sockets is counted from both ends of its life', async () => {
  const { port, ask: get } = await observed(undefined, 'tcp')
  const count = async (name: string) =>
    new RegExp(`^${name}\\{.*\\} (\\d+)$`, 'm').exec(await (await get('/metrics')).text())?.[1]
  const caller = call(port, { ...callerTls(webSvid, ca), ALPNProtocols: ['writ-tcp'] })
  caller.send('hello\r\n\r\n')
  await caller.until('hello')
  expect(await count('istio_tcp_connections_opened_total')).toBe('1')
  expect(await count('istio_tcp_connections_closed_total')).toBe('0')
  caller.socket.destroy()
  await expect.poll(() => count('istio_tcp_received_bytes_total')).toBe('9')
})
