import { constants } from 'node:crypto'
import { connect as connectHttp2 } from 'node:http2'
import { connect } from 'node:net'
import { createServer, type TLSSocket } from 'node:tls'
import { expect, onTestFinished, test } from 'vitest'
import type { SpiffeId } from '../../../core/spiffe.ts'
import { serverTls } from '../../../proxy/node/tls.ts'
import { under } from '../../../proxy/node/under.ts'
import {
  believe,
  call,
  callerTls,
  eventually,
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
const stranger = makeCa()
const ordersSvid = ca.issue(orders)
const webSvid = ca.issue(web)
const get = 'GET /a/../b HTTP/1.1\r\nHost: orders\r\nX-Forwarded-Client-Cert: URI=spiffe://bank.example/admin\r\n\r\n'

test('a call goes from workload to workload, named by certificates, and both sides record it', async () => {
  const app = await startAnswering(ok('hello'))
  const callee = await startProxy({ source: makeSource(ordersSvid, ca), listener: inbound(app.port) })
  const services = [service('orders', callee.port, orders)]
  const caller = await startProxy({ source: makeSource(webSvid, ca), listener: outbound(), services })

  const connection = call(caller.port)
  connection.send(get)
  const answer = await connection.until('hello')
  expect(answer).toMatch(/^HTTP\/1\.1 200 OK\r\n/)
  expect(app.received()).toMatch(/^GET \/b HTTP\/1\.1\r\nhost: orders\r\n/)
  expect(app.received()).toContain(`x-forwarded-client-cert: By=${orders};URI=${web}\r\n`)
  expect(app.received()).not.toContain('admin')

  expect(caller.sink.decisions).toMatchObject([{ code: 'routed', direction: 'outbound', peer: { proof: 'declared' } }])
  expect(callee.sink.decisions).toMatchObject([{ code: 'allowed', direction: 'inbound', peer: { proof: 'x509' } }])
  expect(callee.sink.decisions[0]?.request_id).toBe(caller.sink.decisions[0]?.request_id)
  expect(callee.sink.decisions[0]?.peer?.serial).toBe(webSvid.serial)
  expect(answer).toContain('x-writ-decision: ')

  connection.send(get)
  await eventually(() => caller.sink.outcomes.length === 2 && callee.sink.outcomes.length === 2)
  expect(callee.sink.outcomes[0]).toMatchObject({ code: 'completed', status: 200, responseBytes: 5 })
  expect(callee.proxy.stats().listeners[0]?.connections).toBe(1)
  expect(app.sockets.length).toBe(1)
})

test('an upstream that proves another name than the expected one gets no byte of a request', async () => {
  const app = await startAnswering(ok('hello'))
  const callee = await startProxy({ source: makeSource(ordersSvid, ca), listener: inbound(app.port) })
  const other = 'spiffe://bank.example/payments' as SpiffeId
  const services = [service('orders', callee.port, other)]
  const caller = await startProxy({ source: makeSource(webSvid, ca), listener: outbound(), services })
  const connection = call(caller.port)
  connection.send(get)
  expect(await connection.until('}\n')).toMatch(/^HTTP\/1\.1 503 .*?"code":"upstream_identity"/s)
  await eventually(() => caller.sink.outcomes.length === 1)
  expect(caller.sink.outcomes[0]).toMatchObject({ code: 'upstream_identity', status: 503 })
  expect(callee.sink.decisions).toEqual([])
  expect(app.received()).toBe('')
})

test('an upstream whose root is not ours is not spoken to', async () => {
  const callee = await startProxy({ source: makeSource(stranger.issue(orders), stranger, ca), listener: inbound(1) })
  const services = [service('orders', callee.port, orders)]
  const caller = await startProxy({ source: makeSource(webSvid, ca), listener: outbound(), services })
  const connection = call(caller.port)
  connection.send(get)
  expect(await connection.until('}\n')).toContain('"code":"upstream_identity"')
})

test.each([
  ['no certificate', 'identity_missing', () => ({ ca: callerTls(webSvid, ca).ca })],
  [
    'a certificate of another root',
    'identity_untrusted',
    () => ({ ...callerTls(stranger.issue(web), stranger), ca: callerTls(webSvid, ca).ca }),
  ],
  ['TLS 1.2', 'handshake_failed', () => ({ ...callerTls(webSvid, ca), maxVersion: 'TLSv1.2' as const })],
])('a caller with %s reaches nothing, and is counted by its address', async (_, code, tls) => {
  const app = await startAnswering(ok('hello'))
  const { port, sink } = await startProxy({ source: makeSource(ordersSvid, ca), listener: inbound(app.port) })
  const connection = call(port, tls() as Parameters<typeof call>[1])
  connection.send(get)
  expect(await connection.closed()).toBe('')
  await eventually(() => sink.refusals.length > 0)
  expect(sink.refusals).toMatchObject([{ code, source: '127.0.0.1' }])
  expect(sink.decisions).toEqual([])
  expect(app.received()).toBe('')
})

test('a caller that never finishes its handshake is cut and counted', async () => {
  const { port, sink } = await startProxy({
    source: makeSource(ordersSvid, ca),
    listener: inbound(1),
    limits: { handshakeMs: 100 },
  })
  const connection = call(port)
  expect(await connection.closed()).toBe('')
  await eventually(() => sink.refusals.length > 0)
  expect(sink.refusals).toMatchObject([{ code: 'handshake_timeout', source: '127.0.0.1' }])
})

test('a caller that ends in the middle of its handshake is let go at once', async () => {
  const { port, sink, proxy } = await startProxy({
    source: makeSource(ordersSvid, ca),
    listener: inbound(1),
    limits: { handshakeMs: 60_000 },
  })
  for (const begun of ['', '\x16\x03\x01\x02\x00\x01']) {
    const connection = call(port)
    connection.send(begun)
    connection.socket.end()
    await connection.closed()
  }
  await eventually(() => sink.refusals.length === 2)
  expect(sink.refusals.map(({ code }) => code)).toEqual(['handshake_failed', 'handshake_failed'])
  expect(proxy.stats().listeners).toMatchObject([{ connections: 0, handshakesFailed: 2 }])
})

test('a renewed context is as strict as the first: TLS 1.3, a certificate, no resumption', async () => {
  const app = await startAnswering(ok('hello'))
  const source = makeSource(ordersSvid, ca)
  const { port, sink } = await startProxy({ source, listener: inbound(app.port) })
  const early = call(port, callerTls(webSvid, ca))
  early.send(get)
  await early.until('hello')

  const renewed = ca.issue(orders)
  source.change({ svid: renewed })
  early.send(get)
  await early.until(/hello.*?hello/s) // Nothing in flight breaks.

  const session = await new Promise<Buffer | undefined>((resolve) => {
    const late = call(port, callerTls(webSvid, ca))
    const socket = late.socket as TLSSocket
    socket.on('secureConnect', () => {
      expect(socket.getPeerX509Certificate()?.serialNumber.toLowerCase()).toBe(renewed.serial)
      expect(socket.getProtocol()).toBe('TLSv1.3')
      late.send(get)
    })
    let last: Buffer | undefined
    socket.on('session', (given: Buffer) => {
      last = given
    })
    void late.until('hello').then(() => resolve(last))
  })
  const again = call(port, { ...callerTls(webSvid, ca), ...(session ? { session } : undefined) })
  again.send(get)
  expect(await again.until('hello')).toContain('hello')
  expect((again.socket as TLSSocket).isSessionReused()).toBe(false)

  const old = call(port, { ...callerTls(webSvid, ca), maxVersion: 'TLSv1.2' })
  expect(await old.closed()).toBe('')
  const nameless = call(port, { ca: callerTls(webSvid, ca).ca } as Parameters<typeof call>[1])
  nameless.send(get)
  expect(await nameless.closed()).toBe('')
  await eventually(() => sink.refusals.length === 2)
  const options = serverTls(source.current())
  expect(options).toMatchObject({ minVersion: 'TLSv1.3', requestCert: true })
  expect(options.secureOptions).toBe(constants.SSL_OP_NO_TICKET)
})

test('an identity that ends in the middle of a connection is refused with the next request, and not kept', async () => {
  const app = await startAnswering(ok('hello'))
  let laterMs = 0
  const { port, sink } = await startProxy({
    source: makeSource(ordersSvid, ca),
    listener: inbound(app.port),
    more: { now: () => BigInt(Date.now() + laterMs) * 1_000_000n },
    limits: { idleMs: 1e12, ageMs: 1e12 },
  })
  const connection = call(port, callerTls(webSvid, ca))
  connection.send(get)
  await connection.until('hello')
  laterMs = 48 * 3_600_000
  connection.send(get)
  expect(await connection.until('}\n')).toMatch(/hello.*?HTTP\/1\.1 401 .*?"code":"identity_expired"/s)
  expect(sink.decisions.length).toBe(1)
  expect(sink.refusals).toMatchObject([{ code: 'identity_expired', source: '127.0.0.1' }])
})

test('a name on the deny list loses its idle connections at once; its neighbour keeps them', async () => {
  const app = await startAnswering(ok('hello'))
  const source = makeSource(ordersSvid, ca)
  const { port } = await startProxy({ source, listener: inbound(app.port) })
  const denied = call(port, callerTls(webSvid, ca))
  const kept = call(port, callerTls(ca.issue('spiffe://bank.example/other' as SpiffeId), ca))
  for (const connection of [denied, kept]) {
    connection.send(get)
    await connection.until('hello')
  }
  source.change({ denied: new Set([web]) })
  await denied.closed()
  kept.send(get)
  expect(await kept.until(/hello.*?hello/s)).toMatch(/hello.*?hello/s)
})

test('an upstream that comes onto the deny list is not spoken to again', async () => {
  const app = await startAnswering(ok('hello'))
  const callee = await startProxy({ source: makeSource(ordersSvid, ca), listener: inbound(app.port) })
  const source = makeSource(webSvid, ca)
  const services = [service('orders', callee.port, orders)]
  const caller = await startProxy({ source, listener: outbound(), services })
  const connection = call(caller.port)
  connection.send(get)
  await connection.until('hello')
  source.change({ denied: new Set([orders]) })
  connection.send(get)
  expect(await connection.until('}\n')).toContain('"code":"upstream_identity"')
  expect(callee.sink.decisions.length).toBe(1)
})

test('plain bytes at a TLS listener reach nothing', async () => {
  const app = await startApp(() => {})
  const { port, sink } = await startProxy({ source: makeSource(ordersSvid, ca), listener: inbound(app.port) })
  const connection = call(port)
  connection.send(get)
  expect(await connection.closed()).not.toContain('HTTP/1.1 200')
  await eventually(() => sink.refusals.length > 0)
  expect(sink.refusals).toMatchObject([{ code: 'handshake_failed', source: '127.0.0.1' }])
  expect(app.received()).toBe('')
})

test('issuers that a caller or an upstream shows reach the judgement with the leaf, on both sides', async () => {
  const app = await startAnswering(ok('hello'))
  const callee = await startProxy({ source: makeSource(ca.issueBelow(orders), ca), listener: inbound(app.port) })
  const services = [service('orders', callee.port, orders)]
  const caller = await startProxy({ source: makeSource(ca.issueBelow(web), ca), listener: outbound(), services })
  const connection = call(caller.port)
  connection.send(get)
  expect(await connection.until('hello')).toContain('200 OK')
  expect(callee.sink.decisions).toMatchObject([{ code: 'allowed' }])
})

test('a caller that leaves while its name is judged leaves nothing behind', async () => {
  const source = makeSource(ordersSvid, ca)
  const judging = Promise.withResolvers<void>()
  let asked = false
  const { port, proxy } = await startProxy({
    source,
    listener: inbound(1),
    more: {
      identify: () => async (peer, nowMs) => {
        asked = true
        await judging.promise
        return believe(source)(peer, nowMs)
      },
    },
  })
  const raw = connect({ port, host: '127.0.0.1' })
  call(port, { ...callerTls(webSvid, ca), socket: raw })
  await eventually(() => asked)
  raw.resetAndDestroy() // An error on the other side, in the middle of its judgement.
  await new Promise((resolve) => setTimeout(resolve, 30))
  judging.resolve()
  await new Promise((resolve) => setTimeout(resolve, 30))
  expect(proxy.stats().listeners[0]?.connections).toBe(0)
})

/** An endpoint that proves `orders` and answers with a body that ends with its connection. */
async function startUnframed(end: (socket: TLSSocket) => void): Promise<number> {
  const server = createServer(
    { ...serverTls(makeSource(ordersSvid, ca).current()), ALPNProtocols: ['http/1.1'] },
    (socket) => {
      socket.on('error', () => {})
      socket.once('data', () => {
        socket.write('HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\nhalf')
        setTimeout(() => end(socket), 50)
      })
    },
  )
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => void server.close())
  return (server.address() as { port: number }).port
}

test.each([
  ['a FIN that anybody on the way can make', (socket: TLSSocket) => under(socket).destroySoon()],
  ['a close_notify, which Node does not tell from it', (socket: TLSSocket) => void socket.end()],
])('a body that only the end of a TLS connection ends is not passed on as whole: %s', async (_, end) => {
  const services = [service('orders', await startUnframed(end), orders)]
  const caller = await startProxy({ source: makeSource(webSvid, ca), listener: outbound(), services })

  const connection = call(caller.port)
  const broke = new Promise((resolve) => connection.socket.on('error', resolve))
  connection.send('GET / HTTP/1.1\r\nHost: orders\r\n\r\n')
  expect(await connection.closed()).toMatch(/\r\n\r\n4\r\nhalf\r\n$/) // Without the last chunk.
  expect(await broke).toMatchObject({ code: 'ECONNRESET' })

  const session = connectHttp2(`http://127.0.0.1:${caller.port}`)
  onTestFinished(() => session.destroy())
  session.on('error', () => {})
  const stream = session.request({ ':path': '/', ':authority': 'orders' })
  stream.resume()
  const failed = new Promise((resolve) => stream.on('error', resolve))
  expect(await failed).toMatchObject({ code: 'ERR_HTTP2_STREAM_ERROR' })
  await eventually(() => caller.sink.outcomes.length === 2)
  expect(caller.sink.outcomes).toMatchObject([{ code: 'upstream_reset' }, { code: 'upstream_reset' }])
})
