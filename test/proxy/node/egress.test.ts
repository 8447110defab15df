import { lookup } from 'node:dns'
import {
  connect,
  createServer as createHttp2Server,
  createSecureServer,
  type IncomingHttpHeaders,
  type ServerHttp2Session,
} from 'node:http2'
import type { Duplex } from 'node:stream'
import { createServer, type TLSSocket, connect as tlsConnect } from 'node:tls'
import { expect, onTestFinished, test, vi } from 'vitest'
import { type Decision, refuse } from '../../../core/decision.ts'
import type { RequestFacts } from '../../../core/facts.ts'
import { policyInput } from '../../../core/input.ts'
import type { EgressListener, Listener, OutsideService, Service } from '../../../core/snapshot.ts'
import type { SpiffeId } from '../../../core/spiffe.ts'
import { lookupOf } from '../../../engine/node/http-transport.ts'
import type { OutsideWorld } from '../../../proxy/node/outside.ts'
import { pem } from '../../../proxy/node/tls.ts'
import {
  allow,
  call,
  eventually,
  makeCa,
  makeSource,
  ok,
  outbound,
  policy,
  startAnswering,
  startProxy,
  web,
} from './kit.ts'

const ca = makeCa()
const publicCa = makeCa()
const egress = 'spiffe://bank.example/egress' as SpiffeId
const webSvid = ca.issue(web)
const egressSvid = ca.issue(egress)

/** A service on the internet, with a certificate for these names. */
async function startOutside(...hosts: string[]) {
  const { certificates, key } = publicCa.issueFor(...hosts)
  const sockets: TLSSocket[] = []
  let all = ''
  const server = createServer({ cert: certificates, key }, (socket) => {
    sockets.push(socket)
    socket.on('error', () => {})
    socket.on('data', (bytes) => {
      all += bytes
      socket.write(ok('outside'))
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    server.close()
    for (const socket of sockets) socket.destroy()
  })
  return { port: (server.address() as { port: number }).port, sockets, received: () => all }
}

const world: OutsideWorld = {
  lookup: (privateAddresses) => lookupOf(lookup, privateAddresses),
  certificates: { roots: () => pem(publicCa.root) },
}

const leading = (port: number, more: Partial<Service> = {}, address = '127.0.0.1'): OutsideService => ({
  service: {
    name: 'pay',
    hosts: ['pay.example'],
    endpoints: [
      {
        ...{ address, port, identity: undefined },
        outside: { tls: { serverName: 'pay.example', roots: ['public'] }, privateAddresses: false },
      },
    ],
    ...more,
  },
  policy,
})

const startCaller = (
  outside: readonly OutsideService[],
  decide: (facts: RequestFacts) => Decision = () => allow,
  services: readonly Service[] = [],
) => {
  const listener = { ...outbound(), outside } as Listener
  return startProxy({ source: makeSource(webSvid, ca), listener, decide, services, more: { outside: world } })
}

const get = (host: string): string => `GET /charge HTTP/1.1\r\nHost: ${host}\r\n\r\n`

test('what a policy allows goes out over TLS that is verified, and is recorded with its caller', async () => {
  const inputs: unknown[] = []
  const pay = await startOutside('pay.example')
  const caller = await startCaller([leading(pay.port)], (facts) => {
    inputs.push(policyInput(facts))
    return allow
  })
  const connection = call(caller.port)
  connection.send(get('pay.example'))
  expect(await connection.until('outside')).toContain(' 200 OK')
  expect(inputs).toMatchObject([
    { source_principal: web, writ: { direction: 'outbound', service: 'pay', workload: web } },
  ])
  await eventually(() => caller.sink.outcomes.length === 1)
  expect(caller.sink.decisions).toMatchObject([{ verdict: 'allow', code: 'allowed', by: 'policy', service: 'pay' }])
  expect(caller.sink.outcomes).toMatchObject([{ code: 'completed', status: 200 }])
  expect(pay.received()).toMatch(/^GET \/charge HTTP\/1.1\r\nhost: pay.example\r\n/)
  expect(pay.received()).not.toMatch(/spiffe:|forwarded-client/i)
})

test('what is not declared, or not allowed, never leaves', async () => {
  const pay = await startOutside('pay.example')
  const caller = await startCaller([leading(pay.port)], () => refuse('policy_denied', 'not you'))
  const connection = call(caller.port)
  connection.send(get('other.example'))
  expect(await connection.until('\r\n\r\n')).toContain(' 404 ')
  connection.send(get('pay.example:8443'))
  connection.send(get('pay.example'))
  const answers = await connection.until(' 403 ')
  expect(answers.match(/HTTP\/1.1 \d+/g)).toEqual(['HTTP/1.1 404', 'HTTP/1.1 404', 'HTTP/1.1 403'])
  expect(caller.sink.decisions.map(({ code }) => code)).toEqual(['no_route', 'no_route', 'policy_denied'])
  expect(pay.sockets).toEqual([])
})

test('a host whose certificate has another name, or is of no root that counts, is told nothing', async () => {
  const wrong = await startOutside('other.example')
  const caller = await startCaller([leading(wrong.port)])
  const connection = call(caller.port)
  connection.send(get('pay.example'))
  expect(await connection.until('\r\n\r\n')).toContain(' 503 ')
  expect(caller.sink.outcomes).toMatchObject([{ code: 'upstream_identity' }])

  const pay = await startOutside('pay.example')
  const byPublicRoots = leading(pay.port)
  const { outside: _, ...endpoint } = byPublicRoots.service.endpoints[0]!
  const outside = { tls: { serverName: 'pay.example' }, privateAddresses: false }
  const service = { ...byPublicRoots.service, endpoints: [{ ...endpoint, outside }] }
  const strict = await startCaller([{ ...byPublicRoots, service }])
  const second = call(strict.port)
  second.send(get('pay.example'))
  expect(await second.until('\r\n\r\n')).toContain(' 503 ')
  expect([wrong.received(), pay.received()]).toEqual(['', ''])
})

test('a name that stands for an address of this machine is not connected to', async () => {
  const inside = await startAnswering(ok('inside'))
  const service: Service = {
    name: 'sneaky',
    hosts: ['localhost'],
    connect: true,
    endpoints: [{ address: 'localhost', port: inside.port, identity: undefined, outside: { privateAddresses: true } }],
  }
  const caller = await startCaller([{ service, policy }])
  const connection = call(caller.port)
  connection.send(get('localhost'))
  expect(await connection.until('\r\n\r\n')).toContain(' 503 ')
  const tunnel = call(caller.port)
  tunnel.send(`CONNECT localhost:${inside.port} HTTP/1.1\r\nHost: localhost:${inside.port}\r\n\r\n`)
  expect(await tunnel.until('\r\n\r\n')).toContain(' 503 ')
  expect(inside.sockets).toEqual([])
})

/** A tunnel through the proxy: its answer, and what TLS of the caller's own can go over. */
interface Tunnel {
  readonly status: number
  readonly fields: readonly string[]
  readonly socket: Duplex
}

async function connectHttp1(proxyPort: number, target: string): Promise<Tunnel> {
  const tunnel = call(proxyPort)
  tunnel.send(`CONNECT ${target} HTTP/1.1\r\nHost: ${target}\r\n\r\n`)
  const [line, ...fields] = (await tunnel.until('\r\n\r\n')).split('\r\n')
  return { status: Number(line!.split(' ')[1]), fields: fields.map((one) => one.split(':')[0]!), socket: tunnel.socket }
}

async function connectHttp2(proxyPort: number, target: string): Promise<Tunnel> {
  const session = connect(`http://127.0.0.1:${proxyPort}`)
  session.on('error', () => {})
  onTestFinished(() => session.destroy())
  const socket = session.request({ ':method': 'CONNECT', ':authority': target })
  socket.on('error', () => {})
  const head = await new Promise<IncomingHttpHeaders>((resolve) => socket.on('response', resolve))
  return { status: Number(head[':status']), fields: Object.keys(head), socket }
}

const versions = [
  ['HTTP/1.1', connectHttp1],
  ['HTTP/2', connectHttp2],
] as const

/** Speaks TLS through a tunnel, and waits until the host has answered in it. */
async function talkIn({ socket }: Tunnel) {
  const inner = tlsConnect({ socket, servername: 'pay.example', ca: [pem(publicCa.root)] })
  let heard = ''
  inner.on('error', () => {})
  inner.on('data', (bytes) => {
    heard += bytes
  })
  inner.write('GET / HTTP/1.1\r\nHost: pay.example\r\n\r\n')
  await eventually(() => heard.includes('outside'))
  return inner
}

const closed = (socket: Duplex): Promise<unknown> => new Promise((resolve) => socket.once('close', resolve))

test.each(versions)(
  'CONNECT of %s opens a tunnel where it may, judged once and again as long as it lasts',
  async (_, connectThrough) => {
    let allowed = true
    const pay = await startOutside('pay.example')
    const target = `pay.example:${pay.port}`
    const caller = await startCaller([leading(pay.port, { connect: true })], () =>
      allowed ? allow : refuse('policy_denied', 'no more'),
    )
    const tunnel = await connectThrough(caller.port, target)
    expect(tunnel.status).toBe(200)
    expect(tunnel.fields).not.toContain('content-length')
    expect(tunnel.fields).not.toContain('transfer-encoding')
    const over = closed(tunnel.socket)
    await talkIn(tunnel)
    expect(caller.sink.decisions).toMatchObject([{ code: 'allowed', service: 'pay' }])
    expect(caller.sink.outcomes).toEqual([])
    allowed = false
    await vi.waitFor(() => expect(caller.sink.outcomes).toMatchObject([{ code: 'revoked', status: 200 }]), 5000)
    await over
  },
)

test.each(versions)('a tunnel of %s ends with its host, and with its caller', async (_, connectThrough) => {
  const pay = await startOutside('pay.example')
  const caller = await startCaller([leading(pay.port, { connect: true })])
  const first = await connectThrough(caller.port, `pay.example:${pay.port}`)
  const over = closed(first.socket)
  await talkIn(first)
  pay.sockets[0]!.destroy()
  await over
  const second = await connectThrough(caller.port, `pay.example:${pay.port}`)
  ;(await talkIn(second)).destroy()
  second.socket.destroy()
  await eventually(() => caller.sink.outcomes.length === 2 && pay.sockets.every(({ destroyed }) => destroyed))
  expect(caller.sink.outcomes).toMatchObject([{ code: 'completed' }, { code: 'completed' }])
})

test.each([
  ['to another port than the declared one', (port: number) => `pay.example:${port + 1}`, { connect: true }, 404],
  ['to a host that is not declared', () => 'other.example:443', { connect: true }, 404],
  ['where no tunnels are opened', (port: number) => `pay.example:${port}`, {}, 501],
] as const)('CONNECT %s opens nothing', async (_, target, more, status) => {
  const pay = await startOutside('pay.example')
  const caller = await startCaller([leading(pay.port, more)])
  for (const [, connectThrough] of versions) {
    expect((await connectThrough(caller.port, target(pay.port))).status).toBe(status)
  }
  expect(pay.sockets).toEqual([])
  expect(caller.sink.decisions).toMatchObject([{ verdict: 'deny' }, { verdict: 'deny' }])
})

test('what comes before a tunnel is there never becomes a request of its own', async () => {
  const listener: EgressListener = {
    ...{ direction: 'egress', name: 'egress', bind: { kind: 'tcp', address: '127.0.0.1', port: 0 } },
    outside: [leading(1, { connect: true })],
  }
  const decide = () => refuse('policy_denied', 'not you')
  const gateway = await startProxy({ source: makeSource(egressSvid, ca), listener, decide, more: { outside: world } })
  const endpoint = { address: '127.0.0.1', port: gateway.port, identity: egress }
  const services = [{ name: 'pay', hosts: ['pay.example'], endpoints: [endpoint], connect: true } as const]
  const caller = await startCaller([], () => allow, services)
  const session = connect(`http://127.0.0.1:${caller.port}`)
  onTestFinished(() => session.destroy())
  const stream = session.request({ ':method': 'CONNECT', ':authority': 'pay.example:1' })
  stream.on('error', () => {})
  stream.write(get('pay.example'))
  const head = await new Promise<IncomingHttpHeaders>((resolve) => stream.on('response', resolve))
  expect(head[':status']).toBe(403)
  await closed(stream.resume())
  const connection = call(caller.port) // It goes where the first one went.
  connection.send(get('pay.example'))
  expect(await connection.until('}\n')).toContain(' 403 ')
  expect(gateway.sink.decisions.map(({ code }) => code)).toEqual(['policy_denied', 'policy_denied'])
})

test('by an egress gateway the caller only routes; the gateway judges it by its name, requests and tunnels alike', async () => {
  const inputs = new Map<string, unknown>() // A tunnel is judged again while it is open.
  const pay = await startOutside('pay.example')
  const listener: EgressListener = {
    direction: 'egress',
    name: 'egress',
    bind: { kind: 'tcp', address: '127.0.0.1', port: 0 },
    outside: [leading(pay.port, { connect: true })],
  }
  const gateway = await startProxy({
    source: makeSource(egressSvid, ca),
    listener,
    decide: (facts) => {
      inputs.set(facts.requestId, policyInput(facts))
      return allow
    },
    more: { outside: world },
  })
  const endpoint = { address: '127.0.0.1', port: gateway.port, identity: egress }
  const services = [{ name: 'pay', hosts: ['pay.example'], endpoints: [endpoint], connect: true } as const]
  const caller = await startCaller([], () => allow, services)

  const connection = call(caller.port)
  connection.send(get('pay.example'))
  expect(await connection.until('outside')).toContain(' 200 OK')
  const tunnels: Duplex[] = []
  for (const [, connectThrough] of versions) {
    const tunnel = await connectThrough(caller.port, `pay.example:${pay.port}`)
    expect(tunnel.status).toBe(200)
    tunnels.push(await talkIn(tunnel), tunnel.socket)
  }

  expect(caller.sink.decisions.map(({ code }) => code)).toEqual(['routed', 'routed', 'routed'])
  expect(gateway.sink.decisions.map(({ code, peer }) => [code, peer?.proof])).toEqual([
    ['allowed', 'x509'],
    ['allowed', 'x509'],
    ['allowed', 'x509'],
  ])
  expect([...inputs.values()]).toMatchObject([
    { source_principal: web, writ: { direction: 'inbound', service: 'pay', workload: egress } },
    {
      source_principal: web,
      attributes: { request: { http: { method: 'CONNECT', host: `pay.example:${pay.port}` } } },
    },
    { source_principal: web, attributes: { request: { http: { method: 'CONNECT' } } } },
  ])
  expect(gateway.sink.decisions.map((one) => one.request_id)).toEqual(
    caller.sink.decisions.map((one) => one.request_id),
  )
  for (const one of tunnels) one.destroy()
  await eventually(() => gateway.sink.outcomes.length === 3 && caller.sink.outcomes.length === 3)
})

test('a host that declares it is asked in HTTP/2 without TLS, whatever its caller speaks, and tunnels to it are plain', async () => {
  const seen: IncomingHttpHeaders[] = []
  const server = createHttp2Server()
  server.on('stream', (stream, head) => {
    seen.push(head)
    stream.respond({ ':status': 200 })
    stream.end('outside')
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => void server.close())
  const { port } = server.address() as { port: number }
  const endpoint = { address: '127.0.0.1', port, identity: undefined, protocol: 'h2c' } as const
  const endpoints = [{ ...endpoint, outside: { privateAddresses: false } }]
  const caller = await startCaller([leading(port, { connect: true, endpoints })])
  const first = call(caller.port)
  first.send(get('pay.example'))
  expect(await first.until('outside')).toMatch(/^HTTP\/1.1 200 /)
  const session = connect(`http://127.0.0.1:${caller.port}`)
  onTestFinished(() => session.destroy())
  const second = session.request({ ':path': '/charge', ':authority': 'pay.example' })
  expect((await second.setEncoding('utf8').toArray()).join('')).toBe('outside')
  const { socket } = await connectHttp2(caller.port, `pay.example:${port}`)
  const inner = connect('http://pay.example', { createConnection: () => socket })
  onTestFinished(() => inner.destroy())
  const third = inner.request({ ':path': '/own' })
  expect((await third.setEncoding('utf8').toArray()).join('')).toBe('outside')
  expect(seen.map((head) => [head[':scheme'], head[':authority'], head[':path']])).toEqual([
    ['http', 'pay.example', '/charge'],
    ['http', 'pay.example', '/charge'],
    ['http', 'pay.example:80', '/own'],
  ])
  expect(caller.sink.decisions.map(({ code }) => code)).toEqual(['allowed', 'allowed', 'allowed'])
})

test('a caller of HTTP/2 is passed on in HTTP/2 to a host that knows it, trailers and all, and in HTTP/1.1 to one that does not', async () => {
  const seen: Record<string, unknown>[] = []
  const { certificates, key } = publicCa.issueFor('pay.example')
  const server = createSecureServer({ cert: certificates, key })
  server.on('stream', (stream, head) => {
    seen.push(head)
    stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true })
    stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }))
    stream.end('two')
  })
  const sessions = new Set<ServerHttp2Session>()
  server.on('session', (session) => sessions.add(session))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    for (const session of sessions) session.destroy()
    server.close()
  })
  const { port } = server.address() as { port: number }
  const ask = async (caller: { readonly port: number }) => {
    const session = connect(`http://127.0.0.1:${caller.port}`)
    onTestFinished(() => session.destroy())
    const stream = session.request({
      ':method': 'POST',
      ':path': '/a.B/C',
      ':authority': 'pay.example',
      te: 'trailers',
      'content-type': 'application/grpc',
    })
    stream.end('hello')
    let [head, trailers, body] = [{}, {}, '']
    stream.on('response', (fields) => (head = fields)).on('trailers', (fields) => (trailers = fields))
    stream.on('data', (bytes: Buffer) => (body += bytes))
    await new Promise((resolve) => stream.on('close', resolve))
    return { head, trailers, body }
  }
  const caller = await startCaller([leading(port)])
  expect(await ask(caller)).toMatchObject({ head: { ':status': 200 }, trailers: { 'grpc-status': '0' }, body: 'two' })
  expect(seen).toMatchObject([{ ':scheme': 'https', ':authority': 'pay.example', ':path': '/a.B/C' }])
  expect(seen[0]).not.toHaveProperty('x-forwarded-client-cert')
  expect(caller.sink.outcomes).toMatchObject([{ code: 'completed', status: 200, grpcStatus: 0 }])

  const older = await startOutside('pay.example')
  const other = await startCaller([leading(older.port)])
  expect(await ask(other)).toMatchObject({ body: 'outside' })
  expect(older.received()).toContain('POST /a.B/C HTTP/1.1')
  // One that cannot prove its name is asked by neither.
  const wrong = await startOutside('other.example')
  const third = await startCaller([leading(wrong.port)])
  expect(await ask(third)).toMatchObject({ head: { 'grpc-status': '14' } })
  expect(wrong.received()).toBe('')
  expect(third.sink.outcomes).toMatchObject([{ code: 'upstream_identity' }])
})
