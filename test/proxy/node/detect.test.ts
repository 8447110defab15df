import { createServer, type Socket } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { type Decision, refuse } from '../../../core/decision.ts'
import type { RequestFacts } from '../../../core/facts.ts'
import type { Listener } from '../../../core/snapshot.ts'
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
  service,
  startProxy,
  web,
} from './kit.ts'

const ca = makeCa()
const ordersSvid = ca.issue(orders)
const webSvid = ca.issue(web)

async function startMesh(onSocket: (socket: Socket) => void, decide: (facts: RequestFacts) => Decision = () => allow) {
  const sockets: Socket[] = []
  const app = createServer({ allowHalfOpen: true }, (socket) => {
    sockets.push(socket)
    socket.on('error', () => {})
    onSocket(socket)
  })
  await new Promise<void>((resolve) => app.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    app.close()
    for (const socket of sockets) socket.destroy()
  })
  const { port } = app.address() as { port: number }
  const listener = { ...inbound(port), protocol: 'detect' } as Listener
  const callee = await startProxy({ source: makeSource(ordersSvid, ca), listener, decide, limits: { headMs: 400 } })
  const services = [service('orders', callee.port, orders)]
  const out = { ...outbound(), tcp: 'orders', detect: true } as Listener
  const caller = await startProxy({ source: makeSource(webSvid, ca), listener: out, services, limits: { headMs: 400 } })
  return { callee, caller, sockets }
}

test('HTTP is judged by its requests, whatever host they name, and anything else by its connection', async () => {
  const { callee, caller } = await startMesh(
    (socket) =>
      socket.on('data', (bytes: Buffer) => socket.write(bytes.includes('HTTP/1.1') ? ok('hello') : `heard ${bytes}`)),
    ({ head }) => (head?.path === '/secret' ? refuse('policy_denied', 'no') : allow),
  )
  const http = call(caller.port)
  http.send('GET /a HTTP/1.1\r\nHost: whatever.example\r\n\r\n')
  expect(await http.until('hello')).toContain(' 200 OK')
  http.send('GET /secret HTTP/1.1\r\nHost: whatever.example\r\n\r\n')
  expect(await http.until(' 403 ')).toContain('policy_denied')
  const bytes = call(caller.port)
  bytes.send('PING\r\n')
  expect(await bytes.until('PING')).toBe('heard PING\r\n')
  const split = call(caller.port)
  split.send('GET /b HT')
  split.send('TP/1.1\r\nHost: a\r\n\r\n')
  expect(await split.until('hello')).toContain(' 200 OK')

  const facts = callee.sink.decisions.map(({ code, input }) => {
    const { attributes, writ } = input as {
      attributes: { request?: { http: { path: string } } }
      writ: { protocol?: string }
    }
    return [code, attributes.request?.http.path ?? writ.protocol]
  })
  expect(facts).toEqual([
    ['allowed', '/a'],
    ['policy_denied', '/secret'],
    ['allowed', 'tcp'],
    ['allowed', '/b'],
  ])
})

test('a server that speaks first is heard, and half a line is passed on once the time is over', async () => {
  const { callee, caller } = await startMesh((socket) => {
    socket.write('220 ready\r\n')
    socket.on('data', (bytes: Buffer) => socket.write(`heard ${bytes}`))
  })
  const silent = call(caller.port)
  expect(await silent.until('220')).toBe('220 ready\r\n')
  silent.send('EHLO me\r\n')
  await silent.until('heard EHLO me')
  const half = call(caller.port)
  half.send('GET /no')
  expect(await half.until('GET')).toBe('220 ready\r\nheard GET /no')
  const ended = call(caller.port)
  ended.socket.end('HELO')
  await ended.until('heard HELO')
  await eventually(() => callee.sink.decisions.length === 3)
  expect(callee.sink.decisions.map(({ input }) => (input as { writ: { protocol?: string } }).writ.protocol)).toEqual([
    'tcp',
    'tcp',
    'tcp',
  ])
})
