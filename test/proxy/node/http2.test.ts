import { type ClientHttp2Session, connect, constants, createServer, type IncomingHttpHeaders } from 'node:http2'
import { connect as tlsConnect } from 'node:tls'
import { expect, onTestFinished, test } from 'vitest'
import { refuse } from '../../../core/decision.ts'
import {
  call,
  callerTls,
  eventually,
  type Inbound,
  inbound,
  makeCa,
  makeSource,
  ok,
  orders,
  outbound,
  service,
  startAnswering,
  startApp,
  startProxy,
  web,
} from './kit.ts'

const ca = makeCa()
const ordersSvid = ca.issue(orders)
const webSvid = ca.issue(web)

function h2(port: number, tls = false): ClientHttp2Session {
  const options = { ...callerTls(webSvid, ca), host: '127.0.0.1', port, ALPNProtocols: ['h2'] }
  const session = tls
    ? connect('https://orders', {
        createConnection: () => tlsConnect({ ...options, checkServerIdentity: () => undefined }),
      })
    : connect(`http://127.0.0.1:${port}`)
  session.on('error', () => {})
  onTestFinished(() => session.destroy())
  return session
}

interface Answer {
  readonly headers: IncomingHttpHeaders
  readonly body: string
  readonly trailers: IncomingHttpHeaders
  readonly reset: number
}

function ask(session: ClientHttp2Session, headers: Record<string, string>, body?: string | Buffer): Promise<Answer> {
  const stream = session.request(
    { ':authority': 'orders', ...headers },
    { endStream: body === undefined, waitForTrailers: body !== undefined },
  )
  return new Promise((resolve) => {
    let given: IncomingHttpHeaders = {}
    let trailers: IncomingHttpHeaders = {}
    const chunks: Buffer[] = []
    stream.on('wantTrailers', () => stream.sendTrailers({ 'x-sum': '42' }))
    stream.on('response', (head) => {
      given = head
    })
    stream.on('trailers', (head) => {
      trailers = head
    })
    stream.on('data', (chunk: Buffer) => void chunks.push(chunk))
    stream.on('error', () => {})
    stream.on('close', () =>
      resolve({ headers: given, body: Buffer.concat(chunks).toString(), trailers, reset: stream.rstCode }),
    )
    if (body !== undefined) stream.end(body)
  })
}

/** An application that speaks HTTP/2 without TLS, echoes bodies and trailers, and says what it got. */
async function startH2c(): Promise<{ readonly port: number; readonly heads: IncomingHttpHeaders[] }> {
  const heads: IncomingHttpHeaders[] = []
  const server = createServer()
  server.on('stream', (stream, head) => {
    heads.push(head)
    let trailers: IncomingHttpHeaders = {}
    stream.on('trailers', (given) => {
      trailers = given
    })
    stream.on('error', () => {})
    stream.respond({ ':status': 200, 'content-type': head['content-type'] ?? 'text/plain' }, { waitForTrailers: true })
    stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0', 'x-sum': trailers['x-sum'] ?? 'none' }))
    stream.pipe(stream)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => void server.close())
  return { port: (server.address() as { port: number }).port, heads }
}

const toH2c = (port: number): Inbound => {
  const listener = inbound(port)
  return { ...listener, app: { ...listener.app, protocol: 'h2c' } }
}

/** A caller's and a callee's sidecar with the application behind them. */
async function startMesh(listener: ReturnType<typeof inbound>, more: object = {}) {
  const callee = await startProxy({ source: makeSource(ordersSvid, ca), listener, ...more })
  const services = [service('orders', callee.port, orders)]
  const caller = await startProxy({ source: makeSource(webSvid, ca), listener: outbound(), services })
  return { caller, callee }
}

test('HTTP/2 goes through two sidecars, with body and trailers both ways', async () => {
  const app = await startH2c()
  const { caller, callee } = await startMesh(toH2c(app.port))
  const session = h2(caller.port)
  const big = Buffer.alloc(1_000_000, 'x')
  const answers = await Promise.all([
    ask(session, { ':method': 'POST', ':path': '/a/../b', cookie: 'a=1', 'x-forwarded-client-cert': 'URI=me' }, big),
    ask(session, { ':path': '/c' }),
  ])
  expect(answers[0]?.body.length).toBe(1_000_000)
  expect(answers[0]?.trailers).toMatchObject({ 'grpc-status': '0', 'x-sum': '42' })
  expect(answers[1]?.headers[':status']).toBe(200)
  const post = app.heads.find((head) => head[':method'] === 'POST')!
  expect(post).toMatchObject({ ':path': '/b', cookie: 'a=1', te: 'trailers', ':authority': 'orders' })
  expect(post['x-forwarded-client-cert']).toBe(`By=${orders};URI=${web}`)
  await eventually(() => callee.sink.outcomes.length === 2 && caller.sink.outcomes.length === 2)
  expect(callee.sink.decisions[0]).toMatchObject({ code: 'allowed', peer: { proof: 'x509' } })
  expect(callee.sink.outcomes.find((one) => one.requestBytes > 0)).toMatchObject({
    code: 'completed',
    requestBytes: 1_000_000,
    responseBytes: 1_000_000,
  })
  expect(callee.proxy.stats().listeners[0]?.connections).toBe(1)
})

test('a caller of HTTP/1.1 reaches an application that speaks HTTP/2, trailers included', async () => {
  const app = await startH2c()
  const { caller } = await startMesh(toH2c(app.port))
  const connection = call(caller.port)
  connection.send(
    'POST / HTTP/1.1\r\nHost: orders\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 7\r\n\r\n',
  )
  const answer = await connection.until('hello\r\n0\r\n')
  expect(answer).toMatch(/^HTTP\/1\.1 200 OK\r\n/)
  expect(await connection.until('x-sum: 7\r\n\r\n')).toContain('5\r\nhello\r\n0\r\n')
  connection.send('GET /again HTTP/1.1\r\nHost: orders\r\n\r\n')
  await eventually(() => app.heads.length === 2)
})

test('a caller of HTTP/2 reaches an application that speaks HTTP/1.1', async () => {
  const app = await startApp((text, socket) => {
    if (!text.includes('0\r\n')) return
    socket.write(
      'HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nX-T: 1\r\nCookie: no\r\n\r\n',
    )
  })
  const { caller } = await startMesh(inbound(app.port))
  const answer = await ask(h2(caller.port), { ':method': 'POST', ':path': '/' }, 'hello')
  expect(answer.headers[':status']).toBe(201)
  expect(answer.body).toBe('hi')
  expect(answer.trailers).toMatchObject({ 'x-t': '1' })
  expect(answer.trailers['cookie']).toBeUndefined()
  expect(app.received()).toMatch(/^POST \/ HTTP\/1\.1\r\nhost: orders\r\ntransfer-encoding: chunked\r\n/)
  expect(app.received()).toContain('5\r\nhello\r\n0\r\nx-sum: 42\r\n\r\n')
})

test('the identity is compared on every stream, and ends what is in flight', async () => {
  const app = await startH2c()
  const source = makeSource(ordersSvid, ca)
  const { port, sink } = await startProxy({ source, listener: toH2c(app.port) })
  const session = h2(port, true)
  expect((await ask(session, { ':path': '/' })).headers[':status']).toBe(200)
  const open = session.request({ ':method': 'POST', ':path': '/', ':authority': 'orders' })
  open.on('error', () => {})
  await new Promise((resolve) => open.once('response', resolve))
  const gone = new Promise((resolve) => session.once('goaway', resolve))
  const cut = new Promise((resolve) => open.once('close', resolve))
  source.change({ denied: new Set([web]) })
  await Promise.all([gone, cut])
  await eventually(() => sink.outcomes.length === 2)
  expect(sink.outcomes[1]).toMatchObject({ code: 'revoked', status: 200 })
})

test('a refusal is gRPC to whoever speaks it', async () => {
  const decide = () => refuse('policy_denied', 'no')
  const { caller } = await startMesh(inbound(1), { decide })
  const session = h2(caller.port)
  const grpc = await ask(
    session,
    { ':method': 'POST', ':path': '/a.B/C', 'content-type': 'application/grpc+proto' },
    '',
  )
  expect(grpc.headers).toMatchObject({ ':status': 200, 'grpc-status': '7', 'content-type': 'application/grpc' })
  expect(grpc.headers['grpc-message']).toContain('policy_denied')
  expect(grpc.body).toBe('')
  const plain = await ask(session, { ':path': '/' })
  expect(plain.headers[':status']).toBe(403)
  expect(JSON.parse(plain.body)).toMatchObject({ code: 'policy_denied' })
})

test('a gRPC deadline ends a call that has none of the route', async () => {
  const app = await startApp(() => {})
  const { port, sink } = await startProxy({ source: makeSource(ordersSvid, ca), listener: inbound(app.port) })
  const head = { ':method': 'POST', ':path': '/a.B/C', 'content-type': 'application/grpc', 'grpc-timeout': '50m' }
  const answer = await ask(h2(port, true), head, '')
  expect(answer.headers).toMatchObject({ 'grpc-status': '4' })
  await eventually(() => sink.outcomes.length === 1)
  expect(sink.outcomes[0]?.code).toBe('upstream_timeout')
})

test.each([
  ['a host that is another than the authority', { ':path': '/', host: 'payments' }, 400],
  ['a bad escape', { ':path': '/%zz' }, 400],
  ['an encoded slash', { ':path': '/a%2fb' }, 400],
  ['another scheme', { ':path': '/', ':scheme': 'https' }, 400],
  ['a head too large', { ':path': '/', a: 'x'.repeat(40_000) }, 431],
  ['TRACE', { ':path': '/', ':method': 'TRACE' }, 501],
])('%s is refused with a record', async (_, headers, status) => {
  const app = await startAnswering(ok('hello'))
  const services = [service('orders', app.port)]
  const { port, sink } = await startProxy({ source: makeSource(webSvid, ca), listener: outbound(), services })
  const answer = await ask(h2(port), headers as Record<string, string>)
  expect(answer.headers[':status']).toBe(status)
  expect(sink.decisions.length).toBe(1)
  expect(app.received()).toBe('')
})

test('drain says GOAWAY, and what is in flight ends as it began', async () => {
  const app = await startH2c()
  const { caller } = await startMesh(toH2c(app.port))
  const session = h2(caller.port)
  const stream = session.request({ ':method': 'POST', ':path': '/', ':authority': 'orders' })
  await new Promise((resolve) => stream.once('response', resolve))
  const gone = new Promise((resolve) => session.once('goaway', resolve))
  const drained = caller.proxy.drain(5000)
  await gone
  stream.end('last words')
  let text = ''
  for await (const chunk of stream) text += String(chunk)
  expect(text).toBe('last words')
  await drained
  expect(caller.sink.outcomes).toMatchObject([{ code: 'completed' }])
})

/** Frames of RFC 9113 section 4.1, byte by byte. */
const frame = (type: number, flags: number, stream: number, payload: Buffer = Buffer.alloc(0)): Buffer => {
  const head = Buffer.alloc(9)
  head.writeUIntBE(payload.length, 0, 3)
  head.writeUInt8(type, 3)
  head.writeUInt8(flags, 4)
  head.writeUInt32BE(stream, 5)
  return Buffer.concat([head, payload])
}
const preface = Buffer.concat([Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'), frame(4, 0, 0)])
/** `:method GET`, `:scheme http`, `:path /` of the static table, and an authority. */
const getHead = Buffer.concat([Buffer.from([0x82, 0x86, 0x84, 0x41, 6]), Buffer.from('orders')])

test.each([
  [
    'rapid reset',
    () =>
      Array.from({ length: 1000 }, (_, i) => [
        frame(1, 5, 2 * i + 1, getHead),
        frame(3, 0, 2 * i + 1, Buffer.from([0, 0, 0, 8])),
      ]).flat(),
  ],
  [
    'a CONTINUATION flood',
    () => [
      frame(1, 1, 1, getHead),
      ...Array.from({ length: 1000 }, () => frame(9, 0, 1, Buffer.from([0x00, 1, 97, 1, 98]))),
    ],
  ],
  ['a PING flood', () => Array.from({ length: 5000 }, () => frame(6, 0, 0, Buffer.alloc(8)))],
  ['a SETTINGS flood', () => Array.from({ length: 5000 }, () => frame(4, 0, 0))],
  [
    'empty DATA without end',
    () => [
      frame(1, 4, 1, Buffer.concat([Buffer.from([0x83, 0x86, 0x84, 0x41, 6]), Buffer.from('orders')])),
      ...Array.from({ length: 5000 }, () => frame(0, 0, 1)),
    ],
  ],
])('%s ends the connection, and others are served on', async (_, frames) => {
  const app = await startApp(() => {})
  const services = [service('orders', app.port)]
  const { port, sink } = await startProxy({ source: makeSource(webSvid, ca), listener: outbound(), services })
  const attacker = call(port)
  attacker.send(Buffer.concat([preface, ...frames()]))
  await attacker.closed()
  expect(sink.decisions.length).toBeLessThan(320)
  const answer = await ask(h2(port), { ':path': '/', ':authority': 'nobody' })
  expect(answer.headers[':status']).toBe(404)
})

test('streams beyond the bound are refused, and those within it are served', async () => {
  const app = await startApp(() => {})
  const services = [service('orders', app.port)]
  const limits = { streams: 10 }
  const { port, sink } = await startProxy({ source: makeSource(webSvid, ca), listener: outbound(), services, limits })
  const attacker = call(port)
  attacker.send(Buffer.concat([preface, ...Array.from({ length: 50 }, (_, i) => frame(1, 5, 2 * i + 1, getHead))]))
  const refused = frame(3, 0, 99, Buffer.from([0, 0, 0, constants.NGHTTP2_REFUSED_STREAM])).toString('latin1')
  await attacker.until(refused)
  expect(sink.decisions.length).toBe(10)
})

test('a caller that sends on while nobody takes it is held back by its window', async () => {
  const app = await startApp((_, socket) => void socket.pause())
  const services = [service('orders', app.port)]
  const { port, sink } = await startProxy({ source: makeSource(webSvid, ca), listener: outbound(), services })
  const stream = h2(port).request({ ':method': 'POST', ':path': '/', ':authority': 'orders' })
  stream.on('error', () => {})
  let drained = 0
  const chunk = Buffer.alloc(1_000_000)
  stream.on('drain', () => {
    drained++
    stream.write(chunk)
  })
  stream.write(chunk)
  await new Promise((resolve) => setTimeout(resolve, 1000))
  const before = drained
  await new Promise((resolve) => setTimeout(resolve, 500))
  expect(drained).toBe(before) // What the sockets' buffers hold has been taken, and nothing more is.
  expect(sink.decisions.length).toBe(1)
  stream.close()
  await eventually(() => sink.outcomes[0]?.code === 'caller_gone')
})
