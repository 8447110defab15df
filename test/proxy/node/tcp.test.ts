import { randomBytes } from 'node:crypto'
import { connect, createServer, type Socket } from 'node:net'
import { Readable } from 'node:stream'
import { expect, onTestFinished, test } from 'vitest'
import { type Decision, refuse } from '../../../core/decision.ts'
import type { RequestFacts } from '../../../core/facts.ts'
import { policyInput } from '../../../core/input.ts'
import type { Listener, Service } from '../../../core/snapshot.ts'
import type { SpiffeId } from '../../../core/spiffe.ts'
import type { Limits } from '../../../proxy/limits.ts'
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
  outbound,
  service,
  snapshotOf,
  spoolFull,
  startAnswering,
  startProxy,
  web,
} from './kit.ts'

const ca = makeCa()
const ordersSvid = ca.issue(orders)
const webSvid = ca.issue(web)

const opaqueIn = (appPort: number): Listener => ({ ...inbound(appPort), protocol: 'tcp' }) as Listener
const opaqueOut: Listener = { ...outbound(), tcp: 'orders' } as Listener
const ordersAt = (port: number, identity: SpiffeId = orders): Service => ({
  ...service('orders', port, identity),
  protocol: 'tcp',
})

/** An application that is handed each connection as it comes. */
async function startTcpApp(onSocket: (socket: Socket) => void): Promise<{ port: number; sockets: Socket[] }> {
  const sockets: Socket[] = []
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    sockets.push(socket)
    socket.on('error', () => {})
    onSocket(socket)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    server.close()
    for (const socket of sockets) socket.destroy()
  })
  return { port: (server.address() as { port: number }).port, sockets }
}

const echo = (socket: Socket): void => void socket.pipe(socket)

async function startMesh(
  onSocket: (socket: Socket) => void = echo,
  decide: (facts: RequestFacts) => Decision = () => allow,
  limits: Partial<Limits> = { headMs: 400 },
) {
  const app = await startTcpApp(onSocket)
  const source = makeSource(ordersSvid, ca)
  const callerSource = makeSource(webSvid, ca)
  const callee = await startProxy({ source, listener: opaqueIn(app.port), decide, limits })
  const services = [ordersAt(callee.port)]
  const caller = await startProxy({ source: callerSource, listener: opaqueOut, services, limits })
  return { app, source, callerSource, callee, caller }
}

test('bytes go through two sidecars by one decision each, joined by one id, with an outcome at the end', async () => {
  const inputs: unknown[] = []
  const { callee, caller } = await startMesh(echo, (facts) => {
    inputs.push(policyInput(facts))
    return allow
  })
  const connection = call(caller.port)
  connection.send('\0first')
  await connection.until('first')
  connection.send('second\r\n\r\n')
  await connection.until('second')
  expect(callee.sink.outcomes).toEqual([])
  connection.socket.end()
  expect(await connection.closed()).toBe('\0firstsecond\r\n\r\n')
  await eventually(() => callee.sink.outcomes.length === 1 && caller.sink.outcomes.length === 1)

  expect(inputs[0]).toMatchObject({
    source_principal: web,
    attributes: { destination: { address: { socketAddress: { portValue: callee.port } } } },
    writ: { direction: 'inbound', protocol: 'tcp', service: 'orders', workload: orders },
  })
  expect(inputs[0]).not.toHaveProperty('attributes.request')
  expect(callee.sink.decisions).toMatchObject([{ code: 'allowed', peer: { proof: 'x509' }, service: 'orders' }])
  expect(caller.sink.decisions).toMatchObject([{ code: 'routed', peer: { proof: 'declared' }, service: 'orders' }])
  expect(callee.sink.decisions[0]!.request_id).toBe(caller.sink.decisions[0]!.request_id)
  for (const { sink } of [callee, caller]) {
    expect(sink.outcomes).toMatchObject([{ code: 'completed', status: 0, requestBytes: 16, responseBytes: 16 }])
    expect(sink.outcomes[0]!.durationUs).toBeGreaterThan(0)
  }
})

test('a caller that has said all still hears the answer, and so does an application', async () => {
  const { caller } = await startMesh((socket) => {
    let all = ''
    socket.on('data', (bytes) => {
      all += bytes
    })
    socket.on('end', () => socket.end(`heard ${all}`))
  })
  const first = call(caller.port)
  first.socket.end('all of it')
  expect(await first.closed()).toBe('heard all of it')

  const heard: string[] = []
  const other = await startMesh((socket) => {
    socket.end('greeting') // The server speaks first, and says no more.
    socket.on('data', (bytes) => heard.push(String(bytes)))
  })
  const socket = connect({ port: other.caller.port, host: '127.0.0.1', allowHalfOpen: true })
  onTestFinished(() => void socket.destroy())
  await new Promise((resolve) => socket.on('end', resolve).resume())
  socket.end('late words')
  await eventually(() => heard.join('') === 'late words')
  await eventually(() => other.callee.sink.outcomes.length === 1)
  expect(other.callee.sink.outcomes).toMatchObject([{ code: 'completed', requestBytes: 10, responseBytes: 8 }])
})

test('an application that does not read holds the caller back, and gets every byte once it does', async () => {
  const { app, caller } = await startMesh((socket) => socket.pause())
  const sent = randomBytes(48 * 1024 * 1024)
  const { socket } = call(caller.port)
  let taken = 0
  const from = new Readable({
    read(size) {
      const piece = sent.subarray(taken, taken + size)
      taken += piece.length
      this.push(piece.length > 0 ? piece : null)
    },
  })
  from.pipe(socket)
  await eventually(() => app.sockets.length === 1)
  let before = -1
  let alike = 0
  await eventually(() => {
    alike = taken === before ? alike + 1 : 0
    before = taken
    return alike > 20 && taken > 0
  })
  expect(taken).toBeLessThan(sent.length)
  let count = 0
  let same = true
  app.sockets[0]!.on('data', (bytes: Buffer) => {
    same &&= bytes.equals(sent.subarray(count, count + bytes.length))
    count += bytes.length
  })
  app.sockets[0]!.resume()
  await eventually(() => count === sent.length)
  expect(same).toBe(true)
})

test('a refused connection is closed without a byte, and the application never sees it', async () => {
  const { app, callee, caller } = await startMesh(echo, () => refuse('policy_denied', 'not you'))
  const connection = call(caller.port)
  connection.send('hello')
  expect(await connection.closed()).toBe('')
  await eventually(() => callee.sink.outcomes.length === 1 && caller.sink.outcomes.length === 1)
  expect(callee.sink.decisions).toMatchObject([{ verdict: 'deny', code: 'policy_denied' }])
  expect(callee.sink.outcomes).toMatchObject([{ code: 'refused', requestBytes: 0 }])
  expect(caller.sink.outcomes).toMatchObject([{ code: 'upstream_reset', responseBytes: 0 }])
  expect(app.sockets).toEqual([])
})

test('a connection is closed when a newer policy would not open it, or its caller is revoked', async () => {
  let allowed = true
  const { app, source, callee, caller } = await startMesh(echo, () =>
    allowed ? allow : refuse('policy_denied', 'no more'),
  )
  const first = call(caller.port)
  first.send('a')
  await first.until('a')
  allowed = false
  await first.closed()
  await eventually(() => callee.sink.outcomes.length === 1)
  expect(callee.sink.outcomes).toMatchObject([{ code: 'revoked', requestBytes: 1 }])
  expect(callee.sink.decisions).toHaveLength(1)

  allowed = true
  const second = call(caller.port)
  second.send('b')
  await second.until('b')
  source.change({ denied: new Set([web]) })
  await second.closed()
  await eventually(() => callee.sink.outcomes.length === 2 && app.sockets.every((one) => one.destroyed))
  expect(callee.sink.outcomes[1]).toMatchObject({ code: 'revoked' })
})

test('a connection is closed when its caller is put in quarantine', async () => {
  const { app, callee, caller } = await startMesh()
  const connection = call(caller.port)
  connection.send('x')
  await connection.until('x')
  const workload = { name: 'orders', id: orders, listeners: [opaqueIn(app.port)] }
  await callee.proxy.apply({ ...snapshotOf([workload]), name: 'next', quarantine: [{ id: web, reason: 'odd calls' }] })
  await connection.closed()
  await eventually(() => callee.sink.outcomes.length === 1)
  expect(callee.sink.outcomes).toMatchObject([{ code: 'revoked', requestBytes: 1 }])
})

test('an upstream that is revoked while it is spoken to loses the connection', async () => {
  const { callerSource, caller } = await startMesh()
  const connection = call(caller.port)
  connection.send('a')
  await connection.until('a')
  callerSource.change({ denied: new Set([orders]) })
  await connection.closed()
  await eventually(() => caller.sink.outcomes.length === 1)
  expect(caller.sink.outcomes).toMatchObject([{ code: 'upstream_identity' }])
})

test('a connection without a byte for the time it may be silent is closed, one with some is not', async () => {
  const { callee, caller } = await startMesh(echo, () => allow, { stallMs: 300 })
  const connection = call(caller.port)
  for (let i = 1; i <= 6; i++) {
    connection.send('x')
    await connection.until('x'.repeat(i))
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
  expect(callee.sink.outcomes).toEqual([])
  expect(await connection.closed()).toBe('xxxxxx')
  await eventually(() => callee.sink.outcomes.length === 1 && caller.sink.outcomes.length === 1)
  expect([callee, caller].map(({ sink }) => sink.outcomes[0]!.code)).toContain('upstream_timeout')
})

test('whoever breaks off is named, and the other side sees that it is not whole', async () => {
  const { app, callee, caller } = await startMesh()
  const first = call(caller.port)
  first.send('a')
  await first.until('a')
  first.socket.resetAndDestroy()
  await eventually(() => callee.sink.outcomes.length === 1 && caller.sink.outcomes.length === 1)
  expect(caller.sink.outcomes[0]!.code).toBe('caller_gone')
  expect(callee.sink.outcomes[0]!.code).toBe('caller_gone')

  const second = call(caller.port)
  let error: (Error & { code?: string }) | undefined
  second.socket.on('error', (thrown) => {
    error = thrown
  })
  second.send('b')
  await second.until('b')
  app.sockets[1]!.resetAndDestroy()
  await second.closed()
  expect(error?.code).toBe('ECONNRESET')
  await eventually(() => callee.sink.outcomes.length === 2)
  expect(callee.sink.outcomes[1]!.code).toBe('upstream_reset')
})

test('a connection can be cut while both directions are full', async () => {
  const { app, callee, caller } = await startMesh((socket) => {
    socket.pause()
    socket.write(Buffer.alloc(8 * 1024 * 1024))
  })
  const connections = Array.from({ length: 8 }, () => {
    const { socket } = call(caller.port)
    socket.pause()
    socket.write(Buffer.alloc(8 * 1024 * 1024))
    return socket
  })
  await eventually(() => app.sockets.length === connections.length)
  await Promise.all([callee.proxy.drain(50), caller.proxy.drain(100)])
  await eventually(() => callee.sink.outcomes.length === 8 && caller.sink.outcomes.length === 8)
  expect(callee.sink.outcomes.every(({ code }) => code === 'drained')).toBe(true)
  expect(callee.proxy.stats().listeners).toEqual([])
  await eventually(() => app.sockets.every((socket) => socket.destroyed || socket.resume().destroyed))
})

test('nothing passes where the upstream is another, is not there, or the record cannot be kept', async () => {
  const { app, callee } = await startMesh()
  const source = makeSource(webSvid, ca)
  const other = [ordersAt(callee.port, 'spiffe://bank.example/payments' as SpiffeId)]
  const wrong = await startProxy({ source, listener: opaqueOut, services: other })
  expect(await call(wrong.port).closed()).toBe('')
  expect(wrong.sink.outcomes).toMatchObject([{ code: 'upstream_identity' }])

  const gone = await startProxy({ source, listener: opaqueOut, services: [ordersAt(1)] })
  expect(await call(gone.port).closed()).toBe('')
  expect(gone.sink.outcomes).toMatchObject([{ code: 'upstream_unreachable' }])

  const nobody = await startProxy({ source, listener: opaqueOut, services: [] })
  expect(await call(nobody.port).closed()).toBe('')
  expect(nobody.sink.decisions).toMatchObject([{ code: 'no_route' }])

  callee.sink.before = spoolFull
  const services = [ordersAt(callee.port)]
  const caller = await startProxy({ source, listener: opaqueOut, services })
  expect(await call(caller.port).closed()).toBe('')
  expect(app.sockets).toEqual([])
})

test('HTTP and opaque TCP are never taken for each other', async () => {
  const web1 = await startAnswering(ok('hello'))
  const source = makeSource(webSvid, ca)
  const http = await startProxy({ source: makeSource(ordersSvid, ca), listener: inbound(web1.port) })
  const opaqueCaller = await startProxy({ source, listener: opaqueOut, services: [ordersAt(http.port)] })
  const connection = call(opaqueCaller.port)
  connection.send('GET / HTTP/1.1\r\nHost: orders\r\n\r\n')
  expect(await connection.closed()).toBe('')
  expect(web1.received()).toBe('')

  const { app, callee } = await startMesh()
  const asHttp = [service('orders', callee.port, orders)]
  const httpCaller = await startProxy({ source, listener: outbound(), services: asHttp })
  const request = call(httpCaller.port)
  request.send('GET / HTTP/1.1\r\nHost: orders\r\n\r\n')
  expect(await request.until('}\n')).toMatch(/^HTTP\/1\.1 503 /)
  const routed = await startProxy({ source, listener: outbound(), services: [ordersAt(callee.port)] })
  const second = call(routed.port)
  second.send('GET / HTTP/1.1\r\nHost: orders\r\n\r\n')
  expect(await second.until('}\n')).toContain('"code":"no_route"')
  expect(app.sockets).toEqual([])
})

test('a caller without a certificate is counted and reaches nothing', async () => {
  const { app, callee } = await startMesh()
  const stranger = call(callee.port, { ca: callerTls(webSvid, ca).ca as string[] })
  stranger.send('hello')
  expect(await stranger.closed()).toBe('')
  await eventually(() => callee.sink.refusals.length === 1)
  expect(callee.sink.decisions).toEqual([])
  expect(app.sockets).toEqual([])
})

test('connections go to the own zone, to the region once the zone cannot be reached, and to wherever a newer snapshot says', async () => {
  const apps = await Promise.all(
    ['near', 'region', 'far'].map((name) => startTcpApp((socket) => void socket.end(name))),
  )
  const endpoints = ['eu/a', 'eu/b', 'us/a'].map((locality, i) => {
    return { address: '127.0.0.1', port: apps[i]!.port, identity: undefined, locality }
  })
  const gone = await startAnswering('')
  const services: Service[] = [{ name: 'orders', hosts: ['orders'], endpoints, protocol: 'tcp' }]
  const { proxy, port } = await startProxy({ source: makeSource(webSvid, ca), listener: opaqueOut, services })
  const workload = { name: 'web', id: web, listeners: [opaqueOut], locality: 'eu/a' }
  const heard = async (times: number) => new Set(await Promise.all(Array.from({ length: times }, ask)))
  const ask = () => {
    const connection = call(port)
    connection.socket.end()
    return connection.closed()
  }
  await proxy.apply(snapshotOf([workload], services))
  expect(await heard(10)).toEqual(new Set(['near']))
  await gone.close()
  const broken = [{ ...endpoints[0]!, port: gone.port }, ...endpoints.slice(1)]
  await proxy.apply(snapshotOf([workload], [{ ...services[0]!, endpoints: broken }]))
  for (let i = 0; i < 5; i++) await ask()
  expect(await heard(10)).toEqual(new Set(['region']))
  expect(proxy.stats().balanced['orders']).toMatchObject([{ asked: 5, ejected: true }, { asked: 10 }, { asked: 0 }])
  await proxy.apply(snapshotOf([{ ...workload, locality: 'us/a' }], services))
  expect(await heard(5)).toEqual(new Set(['far']))
})
