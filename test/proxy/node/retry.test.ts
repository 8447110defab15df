import { connect, createServer, type ServerHttp2Stream } from 'node:http2'
import type { AddressInfo, Socket } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { type RetryRules, retryDefaults, type ServiceTraffic } from '../../../core/traffic.ts'
import { flagOf } from '../../../proxy/telemetry/served.ts'
import {
  allow,
  call,
  eventually,
  inbound,
  makeCa,
  makeSource,
  ok,
  orders,
  outbound,
  startAnswering,
  startApp,
  startProxy,
  web,
} from './kit.ts'

const ca = makeCa()
const source = makeSource(ca.issue(web), ca)
const no = 'HTTP/1.1 503 No\r\nContent-Length: 2\r\n\r\nno'

const rules = (more: Partial<RetryRules> = {}): RetryRules => ({
  ...retryDefaults,
  backoffMs: 1,
  maxBackoffMs: 2,
  ...more,
})

async function through(traffic: ServiceTraffic, ...ports: readonly number[]) {
  const endpoints = ports.map((port) => ({ address: '127.0.0.1', port, identity: undefined }))
  const services = [{ name: 'orders', hosts: ['orders'], endpoints, traffic }]
  return await startProxy({ source, listener: outbound(), services })
}

async function asked(port: number, method = 'GET', more = '\r\n') {
  const caller = call(port)
  caller.send(`${method} / HTTP/1.1\r\nHost: orders\r\nConnection: close\r\n${more}`)
  return await caller.closed()
}

/** Answers the n-th head of all connections by the n-th of these, the last one for good. */
const startChanging = (...answers: readonly (string | ((socket: Socket) => void))[]) => {
  let at = 0
  return startApp((text, socket) => {
    for (const _ of text.matchAll(/\r\n\r\n/g)) {
      const answer = answers[Math.min(at++, answers.length - 1)]!
      if (typeof answer === 'string') socket.write(answer)
      else answer(socket)
    }
  })
}

const reset = (socket: Socket): void => void socket.resetAndDestroy()
const silence = (): void => {}

test('an endpoint where nobody listens costs one attempt, whatever the method: one decision, and the attempt in its outcome', async () => {
  const gone = await startAnswering(ok('never'))
  await gone.close()
  const app = await startAnswering(ok('here'))
  const { port, sink } = await through({ retry: rules(), balance: { type: 'round-robin' } }, gone.port, app.port)
  for (let i = 0; i < 4; i++) expect(await asked(port, 'POST', 'Content-Length: 2\r\n\r\nhi')).toMatch(/200 OK.*here$/s)
  expect(sink.decisions).toHaveLength(4)
  const tried = sink.outcomes.flatMap(({ attempts }) => attempts ?? [])
  expect(tried[0]).toEqual({ code: 'upstream_unreachable', status: 0, upstream: '' })
  expect(sink.outcomes.every(({ code, upstream }) => code === 'completed' && upstream.endsWith(`:${app.port}`))).toBe(
    true,
  )
  expect(app.received().match(/\r\n\r\nhi/g)).toHaveLength(4)
})

test('a connection that breaks is tried again for what may be repeated, and not for a POST', async () => {
  const app = await startChanging(reset, ok('here'), reset)
  const { port, sink } = await through({ retry: rules() }, app.port)
  expect(await asked(port)).toContain('here')
  expect(sink.outcomes[0]).toMatchObject({ code: 'completed', attempts: [{ code: 'upstream_reset' }] })
  expect(await asked(port, 'POST')).toMatch(/^HTTP\/1\.1 502/)
  expect(sink.outcomes[1]).toMatchObject({ code: 'upstream_reset', stopped: 'retry_unsafe' })
  expect(app.received().match(/POST/g)).toHaveLength(1)
})

test('a POST that is declared to be repeatable is sent again with its body, chunked or not', async () => {
  const app = await startChanging(no, ok('here'))
  const { port } = await through({ retry: rules({ statuses: [503], methods: ['POST'] }) }, app.port)
  expect(await asked(port, 'POST', 'Content-Length: 4\r\n\r\nbody')).toContain('here')
  expect(app.received().match(/body/g)).toHaveLength(2)
  const other = await startApp((text, socket) => {
    if (other.sockets.length === 1) socket.write(no)
    else if (text.endsWith('0\r\n\r\n')) socket.write(ok('there'))
  })
  const second = await through({ retry: rules({ on: ['gateway-error'], methods: ['POST'] }) }, other.port)
  const caller = call(second.port)
  caller.send(`POST / HTTP/1.1\r\nHost: orders\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbo`)
  await eventually(() => other.sockets.length === 2)
  caller.send('dy\r\n0\r\n\r\n')
  expect(await caller.closed()).toMatch(/200 OK.*there/s)
  const lines = other.received().split('\r\n')
  expect(lines.filter((line) => line === 'bo' || line === 'dy')).toEqual(['bo', 'bo', 'dy'])
})

test('a body that is longer than what is kept is not sent again', async () => {
  const app = await startChanging(no)
  const { port, sink } = await through({ retry: rules({ on: ['5xx'], bodyBytes: 3 }) }, app.port)
  expect(await asked(port, 'PUT', 'Content-Length: 4\r\n\r\nbody')).toMatch(/^HTTP\/1\.1 503 .*no$/s)
  expect(sink.outcomes[0]).toMatchObject({ code: 'completed', status: 503, stopped: 'retry_body' })
  expect(await asked(port, 'PUT', 'Content-Length: 3\r\n\r\nbod')).toContain('503')
  expect(sink.outcomes[1]).toMatchObject({ attempts: [{ status: 503 }, { status: 503 }], stopped: 'retry_limit' })
})

test('the last answer is passed on when there were enough attempts, and is flagged as in Envoy', async () => {
  const app = await startChanging(no)
  const { port, sink } = await through({ retry: rules({ on: ['5xx'], attempts: 3 }) }, app.port)
  const answer = await asked(port)
  expect(answer).toMatch(/^HTTP\/1\.1 503 .*no$/s)
  expect(app.received().match(/GET/g)).toHaveLength(4)
  const outcome = sink.outcomes[0]!
  expect(outcome).toMatchObject({ code: 'completed', status: 503, stopped: 'retry_limit' })
  expect(outcome.attempts).toHaveLength(3)
  expect(flagOf({ decision: allow, outcome })).toBe('URX')
})

test('an attempt that takes too long is followed by another, at another endpoint', async () => {
  const slow = await startChanging(silence)
  const app = await startAnswering(ok('here'))
  const traffic: ServiceTraffic = { retry: rules(), times: { tryMs: 80 }, balance: { type: 'round-robin' } }
  const { port, sink } = await through(traffic, slow.port, app.port)
  for (let i = 0; i < 2; i++) expect(await asked(port)).toContain('here')
  expect(sink.outcomes.flatMap(({ attempts }) => attempts ?? [])).toEqual([
    { code: 'upstream_timeout', status: 0, upstream: `127.0.0.1:${slow.port}` },
  ])
})

test('an answer that has begun is never followed by another: one that falls silent is cut', async () => {
  const app = await startChanging('HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf')
  const { port, sink } = await through({ retry: rules(), times: { idleMs: 60 } }, app.port)
  expect(await asked(port)).toMatch(/half$/)
  await eventually(() => sink.outcomes.length === 1)
  expect(sink.outcomes[0]).toMatchObject({ code: 'upstream_timeout', status: 200 })
  expect(sink.outcomes[0]).not.toHaveProperty('attempts')
  expect(app.received().match(/GET/g)).toHaveLength(1)
})

test('a time for attempts holds without retries too', async () => {
  const app = await startChanging(silence)
  const { port, sink } = await through({ times: { tryMs: 40 } }, app.port)
  expect(await asked(port)).toMatch(/^HTTP\/1\.1 504 .*upstream_timeout/s)
  expect(sink.outcomes[0]).toMatchObject({ code: 'upstream_timeout' })
})

test('retries end where the budget does', async () => {
  const app = await startChanging(no)
  const budget = { share: 0, perSecond: 0.2 } // Two in ten seconds.
  const { port, sink } = await through({ retry: rules({ on: ['5xx'], attempts: 5, budget }) }, app.port)
  await asked(port)
  expect(sink.outcomes[0]).toMatchObject({ stopped: 'retry_budget' })
  expect(sink.outcomes[0]!.attempts).toHaveLength(2)
  await asked(port)
  expect(sink.outcomes[1]).not.toHaveProperty('attempts')
})

test('attempts count for the circuit: it opens on the way, and the answer that is there is passed on', async () => {
  const app = await startChanging(no)
  const breaker = { failureThreshold: 2, openForMs: 60_000, successThreshold: 1, minimumRequests: 1 }
  const { port, sink, proxy } = await through({ retry: rules({ on: ['5xx'], attempts: 5 }), breaker }, app.port)
  await asked(port)
  expect(app.received().match(/GET/g)).toHaveLength(2)
  expect(sink.outcomes[0]).toMatchObject({ status: 503, stopped: 'retry_nowhere' })
  expect(proxy.stats().circuits).toEqual({ orders: 'open' })
})

test('a caller that leaves while an attempt is waited for ends it all', async () => {
  const app = await startChanging(no)
  const { port, sink } = await through(
    { retry: rules({ on: ['5xx'], backoffMs: 60_000, maxBackoffMs: 60_000 }) },
    app.port,
  )
  const caller = call(port)
  caller.send('GET / HTTP/1.1\r\nHost: orders\r\n\r\n')
  await eventually(() => app.received().includes('GET'))
  await new Promise((resolve) => setTimeout(resolve, 30))
  caller.socket.destroy()
  await eventually(() => sink.outcomes.length === 1)
  expect(sink.outcomes[0]).toMatchObject({ code: 'caller_gone', attempts: [{ status: 503 }] })
})

async function startGrpc(answer: (stream: ServerHttp2Stream, count: number) => void): Promise<number> {
  let count = 0
  const server = createServer()
  server.on('stream', (stream) => {
    stream.on('error', () => {})
    stream.resume()
    answer(stream, ++count)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => void server.close())
  return (server.address() as AddressInfo).port
}

test('a gRPC call is tried again by its status, between two proxies, and each attempt is told to be reconciled', async () => {
  const unavailable = { ':status': '200', 'content-type': 'application/grpc', 'grpc-status': '14' }
  const app = await startGrpc((stream, count) => {
    if (count === 1) stream.respond(unavailable, { endStream: true })
    else {
      stream.respond({ ...unavailable, 'grpc-status': [] }, { waitForTrailers: true })
      stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }))
      stream.end('here')
    }
  })
  const listener = inbound(app)
  if (listener.direction === 'inbound') Object.assign(listener, { app: { ...listener.app, protocol: 'h2c' } })
  const there = await startProxy({ source: makeSource(ca.issue(orders), ca), listener })
  const endpoints = [{ address: '127.0.0.1', port: there.port, identity: orders }]
  const traffic = { retry: rules({ grpcStatuses: [14], methods: ['POST'] }) }
  const services = [{ name: 'orders', hosts: ['orders'], endpoints, traffic }]
  const { port, sink } = await startProxy({ source, listener: outbound(), services })
  const calls: unknown[] = []
  sink.called = (_, told) => void calls.push(told)
  const session = connect(`http://127.0.0.1:${port}`)
  onTestFinished(() => session.destroy())
  const stream = session.request({
    ':method': 'POST',
    ':authority': 'orders',
    ':path': '/a.B/C',
    'content-type': 'application/grpc',
  })
  let body = ''
  const trailers = new Promise<Record<string, unknown>>((resolve) => stream.on('trailers', resolve))
  stream.on('data', (bytes: Buffer) => void (body += bytes.toString()))
  stream.end('message')
  expect(await trailers).toMatchObject({ 'grpc-status': '0' })
  await eventually(() => sink.outcomes.length === 1)
  expect(body).toBe('here')
  expect(sink.outcomes[0]).toMatchObject({ grpcStatus: 0, attempts: [{ status: 200, grpcStatus: 14 }] })
  expect(there.sink.decisions).toHaveLength(2)
  expect(calls).toMatchObject([
    { target: orders, attempt: 1, status: 200 },
    { target: orders, status: 200 },
  ])
  expect(calls[1]).not.toHaveProperty('attempt')
  const named = calls.map((told) => (told as { decision: string }).decision)
  expect(new Set(named).size).toBe(2)
})
