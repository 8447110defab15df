import { createHash } from 'node:crypto'
import { connect, type IncomingHttpHeaders, type OutgoingHttpHeaders, type Settings } from 'node:http2'
import { expect, onTestFinished, test } from 'vitest'
import { type Decision, refuse } from '../../../core/decision.ts'
import type { RequestFacts } from '../../../core/facts.ts'
import {
  allow,
  call,
  callerTls,
  eventually,
  inbound,
  makeCa,
  makeSource,
  orders,
  outbound,
  service,
  snapshotOf,
  startApp,
  startProxy,
  web,
} from './kit.ts'

const ca = makeCa()
const ordersSvid = ca.issue(orders)
const webSvid = ca.issue(web)

const switching = 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n'

/** A WebSocket server of one kind of frame: what is masked and short comes back unmasked. */
const startEcho = () =>
  startApp((text, socket) => {
    const key = /sec-websocket-key: (\S+)/i.exec(text)?.[1]
    if (key) {
      const accept = createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64')
      socket.write(`${switching}Sec-WebSocket-Accept: ${accept}\r\n\r\n`)
      return
    }
    const bytes = Buffer.from(text, 'latin1')
    const length = bytes[1]! & 127
    const data = bytes.subarray(6, 6 + length).map((byte, at) => byte ^ bytes[2 + (at % 4)]!)
    socket.write(Buffer.concat([Buffer.from([bytes[0]!, length]), data]))
    if ((bytes[0]! & 15) === 8) socket.end()
  })

async function startMesh(decide: (facts: RequestFacts) => Decision = () => allow) {
  const app = await startEcho()
  const source = makeSource(ordersSvid, ca)
  const callee = await startProxy({ source, listener: inbound(app.port), decide, limits: { headMs: 400 } })
  const services = [service('orders', callee.port, orders, '127.0.0.1')]
  const caller = await startProxy({ source: makeSource(webSvid, ca), listener: outbound(), services })
  return { app, source, callee, caller }
}

async function open(port: number): Promise<WebSocket> {
  const socket = new WebSocket(`ws://127.0.0.1:${port}/chat`)
  await new Promise((resolve, reject) => {
    socket.onopen = resolve
    socket.onerror = reject
  })
  return socket
}

const said = (socket: WebSocket, text: string): Promise<unknown> =>
  new Promise((resolve) => {
    socket.onmessage = ({ data }) => resolve(data)
    socket.send(text)
  })

test('a WebSocket client talks through two sidecars: one decision, and one outcome at its end', async () => {
  const { app, callee, caller } = await startMesh()
  const socket = await open(caller.port)
  expect(await said(socket, 'hello')).toBe('hello')
  expect(await said(socket, 'again')).toBe('again')
  expect(app.received()).toMatch(/connection: upgrade\r\n/i)
  expect(callee.sink.outcomes).toEqual([])
  const closed = new Promise((resolve) => {
    socket.onclose = resolve
  })
  socket.close()
  await closed
  await eventually(() => callee.sink.outcomes.length === 1 && caller.sink.outcomes.length === 1)
  expect(callee.sink.decisions).toMatchObject([{ code: 'allowed' }])
  expect(callee.sink.outcomes[0]).toMatchObject({ code: 'completed', status: 101 })
  expect(callee.sink.outcomes[0]!.responseBytes).toBeGreaterThan(10)
})

/** What `startEcho` takes: a masked text, by a mask of zeros. */
const frameOf = (text: string): Buffer =>
  Buffer.concat([Buffer.from([0x81, 0x80 | text.length, 0, 0, 0, 0]), Buffer.from(text)])

/** A WebSocket by extended CONNECT (RFC 8441), once it is open. */
async function openHttp2(port: number, more: OutgoingHttpHeaders = {}) {
  const session = connect(`http://127.0.0.1:${port}`)
  session.on('error', () => {})
  onTestFinished(() => session.destroy())
  const settings = await new Promise<Settings>((resolve) => session.once('remoteSettings', resolve))
  expect(settings.enableConnectProtocol).toBe(true)
  const pseudo = { ':method': 'CONNECT', ':protocol': 'websocket', ':scheme': 'http', ':path': '/chat?room=1' }
  const stream = session.request({ ...pseudo, ':authority': '127.0.0.1', 'sec-websocket-version': '13', ...more })
  stream.on('error', () => {})
  let heard = ''
  stream.on('data', (bytes: Buffer) => (heard += bytes.toString('latin1')))
  const head = await new Promise<IncomingHttpHeaders>((resolve) => stream.on('response', resolve))
  return { stream, head, heard: () => heard }
}

test('a WebSocket over HTTP/2 is judged as one over HTTP/1.1, and becomes one towards the application', async () => {
  let allowed = true
  const seen: RequestFacts[] = []
  const { app, callee, caller } = await startMesh((facts) => {
    seen.push(facts)
    return allowed ? allow : refuse('policy_denied', 'no more')
  })
  const { stream, head, heard } = await openHttp2(caller.port)
  expect(head).toMatchObject({ ':status': 200 })
  expect(Object.keys(head)).not.toContain('sec-websocket-accept')
  stream.write(frameOf('hello'))
  await eventually(() => heard().endsWith('hello'))
  expect(app.received()).toMatch(/^GET \/chat\?room=1 HTTP\/1.1\r\n/)
  expect(app.received()).toMatch(/\r\nsec-websocket-version: 13\r\n/)
  expect(seen[0]!.head).toMatchObject({ method: 'GET', path: '/chat', query: 'room=1' })
  expect(seen[0]!.head!.headers['upgrade']).toBe('websocket')
  const over = new Promise((resolve) => stream.on('close', resolve))
  allowed = false
  await over
  expect(stream.rstCode).not.toBe(0)
  await eventually(() => callee.sink.outcomes.length === 1 && caller.sink.outcomes.length === 1)
  expect(callee.sink.decisions).toMatchObject([{ code: 'allowed' }])
  expect(callee.sink.outcomes[0]).toMatchObject({ code: 'revoked', status: 101 })
  expect(caller.sink.outcomes[0]).toMatchObject({ status: 101, peer: { target: orders, status: 101 } })
})

test.each([
  ['another protocol than WebSocket', { ':protocol': 'connect-udp' }, 'method_unsupported', 501],
  ['a body that is announced', { 'content-length': '1' }, 'bad_request', 400],
] as const)('extended CONNECT with %s opens nothing', async (_, more, code, status) => {
  const { app, caller } = await startMesh()
  const { head } = await openHttp2(caller.port, more)
  expect(head[':status']).toBe(status)
  expect(caller.sink.decisions).toMatchObject([{ code }])
  expect(app.received()).toBe('')
})

test.each([
  ['a success that is no upgrade', 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n', 502],
  ['an accept of another key', `${switching}Sec-WebSocket-Accept: bm8=\r\n\r\n`, 502],
  ['a refusal', 'HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n', 404],
] as const)('where the application answers a WebSocket over HTTP/2 by %s, none is there', async (_, answer, status) => {
  const app = await startApp((_, socket) => void socket.write(answer))
  const services = [service('orders', app.port, undefined, '127.0.0.1')]
  const caller = await startProxy({ source: makeSource(webSvid, ca), listener: outbound(), services })
  const { head } = await openHttp2(caller.port)
  expect(head[':status']).toBe(status)
})

test('a tunnel ends when a newer policy would not open it', async () => {
  let allowed = true
  const { callee, caller } = await startMesh(() => (allowed ? allow : refuse('policy_denied', 'no more')))
  const socket = await open(caller.port)
  const closed = new Promise((resolve) => {
    socket.onclose = resolve
  })
  allowed = false
  await closed
  await eventually(() => callee.sink.outcomes.length === 1)
  expect(callee.sink.outcomes[0]).toMatchObject({ code: 'revoked', status: 101 })
})

test('a tunnel ends when its identity does', async () => {
  const { source, callee, caller } = await startMesh()
  const socket = await open(caller.port)
  const closed = new Promise((resolve) => {
    socket.onclose = resolve
  })
  source.change({ denied: new Set([web]) })
  await closed
  await eventually(() => callee.sink.outcomes.length === 1)
  expect(callee.sink.outcomes[0]).toMatchObject({ code: 'revoked' })
})

test('a tunnel ends when its caller is put in quarantine', async () => {
  const { app, callee, caller } = await startMesh()
  const socket = await open(caller.port)
  const closed = new Promise((resolve) => {
    socket.onclose = resolve
  })
  const workload = { name: 'orders', id: orders, listeners: [inbound(app.port)] }
  await callee.proxy.apply({ ...snapshotOf([workload]), name: 'next', quarantine: [{ id: web, reason: 'odd calls' }] })
  await closed
  await eventually(() => callee.sink.outcomes.length === 1)
  expect(callee.sink.outcomes[0]).toMatchObject({ code: 'revoked', status: 101 })
})

test('what ends with its connection is reset when it is not whole, also below TLS', async () => {
  let whole = false
  const app = await startApp((_, socket) => {
    socket.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n')
    setTimeout(() => (whole ? socket.end('0\r\n\r\n') : socket.destroy()), 50)
  })
  const callee = await startProxy({ source: makeSource(ordersSvid, ca), listener: inbound(app.port) })
  const ask = async (): Promise<readonly [string, string | undefined]> => {
    const connection = call(callee.port, callerTls(webSvid, ca))
    let code: string | undefined
    connection.socket.on('error', (error: NodeJS.ErrnoException) => {
      code = error.code
    })
    connection.send('GET / HTTP/1.0\r\nHost: orders\r\n\r\n')
    return [await connection.closed(), code]
  }
  expect(await ask()).toEqual([expect.stringMatching(/connection: close.*\r\n\r\nhalf$/s), 'ECONNRESET'])
  whole = true
  expect(await ask()).toEqual([expect.stringMatching(/\r\n\r\nhalf$/), undefined])
  await eventually(() => callee.sink.outcomes.length === 2)
  expect(callee.sink.outcomes).toMatchObject([{ code: 'upstream_reset' }, { code: 'completed' }])
})

test('a 101 that nobody asked for, or to another protocol, opens nothing', async () => {
  const app = await startApp((_, socket) => {
    socket.write('HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n')
  })
  const services = [service('orders', app.port)]
  const { port } = await startProxy({ source: makeSource(webSvid, ca), listener: outbound(), services })
  for (const more of ['', 'Connection: upgrade\r\nUpgrade: websocket\r\n']) {
    const connection = call(port)
    connection.send(`GET / HTTP/1.1\r\nHost: orders\r\n${more}\r\n`)
    expect(await connection.until('}\n')).toMatch(/^HTTP\/1\.1 502 .*?"code":"upstream_invalid"/s)
  }
})
