import { expect, test } from 'vitest'
import { malformed } from '../malformed.ts'
import {
  allow,
  call,
  callerTls,
  eventually,
  get,
  inbound,
  makeCa,
  makeSource,
  ok,
  orders,
  outbound,
  service,
  spoolFull,
  startAnswering,
  startApp,
  startProxy,
  web,
} from './kit.ts'

const ca = makeCa()
const source = makeSource(ca.issue(web), ca)

test('every malformed request gets 400 and a record, and nothing of it goes upstream', async () => {
  const app = await startAnswering(ok('hello'))
  const services = [service('orders', app.port), service('payments', app.port)]
  const { port, sink } = await startProxy({ source, listener: outbound(), services })
  for (const [name, bytes] of malformed) {
    const before = sink.decisions.length
    const connection = call(port)
    // What follows in the same bytes is never served either.
    connection.send(`${bytes}${get}`)
    const answer = await connection.closed()
    expect(answer, name).toMatch(/^HTTP\/1\.1 400 Bad Request\r\n/)
    expect(answer.match(/HTTP\/1\.1 \d/g)?.length, name).toBe(1)
    expect(sink.decisions.length, name).toBe(before + 1)
    expect(sink.decisions.at(-1), name).toMatchObject({ code: 'bad_request', by: 'proxy' })
  }
  expect(malformed.length).toBeGreaterThan(60)
  expect(app.sockets.length).toBe(0)
})

test('their neighbour, a good request, does go upstream', async () => {
  const app = await startAnswering(ok('hello'))
  const { port } = await startProxy({ source, listener: outbound(), services: [service('orders', app.port)] })
  const connection = call(port)
  connection.send(get)
  expect(await connection.until('hello')).toContain('200 OK')
  expect(app.sockets.length).toBe(1)
})

test.each([
  [
    'CONNECT to a service of the mesh',
    'CONNECT orders:443 HTTP/1.1\r\nHost: orders:443\r\n\r\n',
    501,
    'method_unsupported',
  ],
  ['CONNECT to nobody', 'CONNECT nobody:443 HTTP/1.1\r\nHost: nobody:443\r\n\r\n', 404, 'no_route'],
  ['an upgrade', 'GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n', 501, 'method_unsupported'],
  ['a head too large', `GET / HTTP/1.1\r\nHost: a\r\nX: ${'y'.repeat(40_000)}\r\n\r\n`, 431, 'head_too_large'],
  ['a host that nobody serves', 'GET / HTTP/1.1\r\nHost: nobody\r\n\r\n', 404, 'no_route'],
])('%s is refused with its code', async (_, bytes, status, code) => {
  const services = [service('orders', 1)]
  const { port, sink } = await startProxy({ source, listener: outbound(), services })
  const connection = call(port)
  connection.send(bytes)
  const answer = await connection.until('}\n')
  expect(answer).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `))
  expect(answer).toContain('content-type: application/problem+json')
  expect(answer).toContain(`"code":"${code}"`)
  expect(sink.decisions).toMatchObject([{ code }])
})

test('a record that cannot be kept stops the request: 503, and nothing goes upstream', async () => {
  const app = await startAnswering(ok('hello'))
  const { port, sink } = await startProxy({ source, listener: outbound(), services: [service('orders', app.port)] })
  sink.before = spoolFull
  const connection = call(port)
  connection.send(get)
  expect(await connection.until('}\n')).toMatch(/^HTTP\/1\.1 503 .*"code":"audit_unavailable"/s)
  expect(app.sockets.length).toBe(0)
  sink.before = () => undefined
  connection.send(get)
  expect(await connection.until('hello')).toContain('200 OK')
})

test('the upstream sees no byte before the record is kept', async () => {
  const app = await startAnswering(ok('hello'))
  const { port, sink } = await startProxy({ source, listener: outbound(), services: [service('orders', app.port)] })
  let asked = false
  const kept = Promise.withResolvers<void>()
  sink.before = () => {
    asked = true
    return kept.promise
  }
  const connection = call(port)
  connection.send(get)
  await eventually(() => asked)
  await new Promise((resolve) => setTimeout(resolve, 30))
  expect(app.sockets.length).toBe(0)
  kept.resolve()
  await connection.until('hello')
  expect(app.received()).toContain('GET / ')
})

test('a refused request with a small body leaves its connection usable, one whose body is still to come ends it', async () => {
  const { port, sink } = await startProxy({ source, listener: outbound() })
  const whole = call(port)
  whole.send('POST / HTTP/1.1\r\nHost: nobody\r\nContent-Length: 3\r\n\r\nabcGET / HTTP/1.1\r\nHost: nobody\r\n\r\n')
  const answers = await whole.until(/}\n.*}\n/s)
  expect(answers).not.toContain('connection: close')
  expect(sink.decisions.map(({ code }) => code)).toEqual(['no_route', 'no_route'])
  const waiting = call(port)
  waiting.send('POST / HTTP/1.1\r\nHost: nobody\r\nContent-Length: 300\r\nExpect: 100-continue\r\n\r\n')
  const answer = await waiting.closed()
  expect(answer).toMatch(/^HTTP\/1\.1 404 .*connection: close/s)
})

test('a denied HEAD gets the head of its refusal and no body', async () => {
  const { port } = await startProxy({ source, listener: outbound() })
  const connection = call(port)
  connection.send('HEAD / HTTP/1.1\r\nHost: nobody\r\n\r\nHEAD / HTTP/1.1\r\nHost: nobody\r\n\r\n')
  const answer = await connection.until(/HTTP.*\r\n\r\n.*\r\n\r\n/s)
  expect(answer).toMatch(/content-length: [1-9]/)
  expect(answer).not.toContain('{')
})

test('a policy that denies is heard, and its reasons stay in the record', async () => {
  const app = await startAnswering(ok('hello'))
  const { port, sink } = await startProxy({
    source: makeSource(ca.issue(orders), ca),
    listener: inbound(app.port),
    decide: ({ head }) =>
      head?.path === '/open' ? allow : { ...allow, verdict: 'deny', code: 'policy_denied', reasons: ['not open'] },
  })
  const connection = call(port, callerTls(ca.issue(web), ca))
  connection.send('GET /shut/%2e%2e/closed HTTP/1.1\r\nHost: orders\r\n\r\n')
  const answer = await connection.until('}\n')
  expect(answer).toMatch(/^HTTP\/1\.1 403 .*"code":"policy_denied"/s)
  expect(answer).not.toContain('not open')
  expect(sink.decisions).toMatchObject([{ code: 'policy_denied', reasons: ['not open'] }])
  expect(app.sockets.length).toBe(0)
  connection.send('GET /shut/%2e%2e/open HTTP/1.1\r\nHost: orders\r\n\r\n')
  await connection.until('hello')
  expect(app.received()).toMatch(/^GET \/open HTTP/)
})

test('a head that trickles in is cut after its time, and so is a connection that says nothing', async () => {
  const app = await startApp(() => {})
  const { port, sink } = await startProxy({
    source,
    listener: outbound(),
    services: [service('orders', app.port)],
    limits: { headMs: 80 },
  })
  const slow = call(port)
  slow.send('GET / HTTP/1.1\r\nHo')
  expect(await slow.closed()).toBe('')
  expect(await call(port).closed()).toBe('')
  expect(sink.decisions).toEqual([])
})

test('one connection more than the limit is closed at once', async () => {
  const app = await startAnswering(ok('hello'))
  const { port, proxy } = await startProxy({
    source,
    listener: outbound(),
    services: [service('orders', app.port)],
    limits: { connections: 1 },
  })
  const first = call(port)
  first.send(get)
  await first.until('hello')
  const second = call(port)
  second.send(get)
  expect(await second.closed()).toBe('')
  expect(proxy.stats().listeners[0]).toMatchObject({ connections: 1, dropped: 1 })
})
