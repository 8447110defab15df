import { expect, test } from 'vitest'
import type { Listener } from '../../../core/snapshot.ts'
import type { ServiceTraffic } from '../../../core/traffic.ts'
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
  snapshotOf,
  startAnswering,
  startApp,
  startProxy,
  web,
} from './kit.ts'

const ca = makeCa()
const source = makeSource(ca.issue(web), ca)

async function asked(port: number, more = '', tls?: Parameters<typeof call>[1]) {
  const caller = call(port, tls)
  caller.send(`GET / HTTP/1.1\r\nHost: orders\r\nConnection: close\r\n${more}\r\n`)
  return await caller.closed()
}

const no = 'HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n'
const breaker = { failureThreshold: 2, openForMs: 60_000, successThreshold: 1, minimumRequests: 2 }

async function through(traffic: ServiceTraffic, ...ports: readonly number[]) {
  const endpoints = ports.map((port) => ({ address: '127.0.0.1', port, identity: undefined }))
  const services = [{ name: 'orders', hosts: ['orders'], endpoints, traffic }]
  return await startProxy({ source, listener: outbound(), services })
}

test('a service that fails twice is asked no more: 503 with a code of its own, recorded as allowed and as what became of it', async () => {
  const app = await startAnswering(no)
  const { port, proxy, sink } = await through({ breaker }, app.port)
  for (let i = 0; i < 2; i++) expect(await asked(port)).toContain('HTTP/1.1 503')
  expect(proxy.stats().circuits).toEqual({ orders: 'open' })
  const received = app.received().length
  const answer = await asked(port)
  expect(answer).toMatch(/^HTTP\/1\.1 503 .*"code":"circuit_open"/s)
  expect(answer).toMatch(/x-writ-decision: [0-9a-f]+-3/)
  expect(app.received()).toHaveLength(received)
  expect(sink.decisions.map(({ code }) => code)).toEqual(['routed', 'routed', 'routed'])
  expect(sink.outcomes.at(-1)).toMatchObject({ code: 'circuit_open', status: 503, upstream: '' })
})

test('an open circuit outlives a snapshot, tries again after its time, and goes with its policy', async () => {
  const app = await startAnswering(no)
  const { port, proxy } = await through({ breaker }, app.port)
  for (let i = 0; i < 2; i++) await asked(port)
  const workload = { name: 'web', id: web, listeners: [outbound(port)] }
  const other = await startAnswering(ok('here'))
  const moved = (traffic?: ServiceTraffic) =>
    snapshotOf(
      [workload],
      [
        {
          name: 'orders',
          hosts: ['orders'],
          endpoints: [{ address: '127.0.0.1', port: other.port, identity: undefined }],
          ...(traffic && { traffic }),
        },
      ],
    )
  await proxy.apply({ ...moved({ breaker }), workloads: [{ ...workload, listeners: [outbound(0)] }] })
  expect(await asked(proxy.listeners()[0]!.port)).toContain('circuit_open')
  await proxy.apply({ ...moved(), workloads: [{ ...workload, listeners: [outbound(0)] }] })
  expect(await asked(proxy.listeners()[0]!.port)).toContain('here')
  expect(proxy.stats().circuits).toEqual({})
})

test('a trial that succeeds closes the circuit', async () => {
  let answer = no
  const changing = await startApp((_, socket) => void socket.write(answer))
  const { port, proxy } = await through({ breaker: { ...breaker, openForMs: 1 } }, changing.port)
  for (let i = 0; i < 2; i++) await asked(port)
  answer = ok('here')
  await new Promise((resolve) => setTimeout(resolve, 5))
  expect(proxy.stats().circuits).toEqual({ orders: 'half-open' })
  expect(await asked(port)).toContain('here')
  expect(proxy.stats().circuits).toEqual({ orders: 'closed' })
})

test('of more requests than a service may have in flight the rest is refused at once, and not held against it', async () => {
  const waiting: (() => void)[] = []
  const app = await startApp((_, socket) => void waiting.push(() => socket.write(ok('here'))))
  const { port, sink, proxy } = await through({ connections: { requests: 2 }, breaker }, app.port)
  const first = [asked(port), asked(port)]
  await eventually(() => waiting.length === 2)
  expect(await asked(port)).toMatch(/^HTTP\/1\.1 503 .*"code":"upstream_overflow"/s)
  expect(sink.outcomes).toMatchObject([{ code: 'upstream_overflow', status: 503, upstream: '' }])
  for (const answer of waiting.splice(0)) answer()
  for (const answer of await Promise.all(first)) expect(answer).toContain('here')
  const later = asked(port)
  await eventually(() => waiting.length === 1)
  waiting[0]!()
  expect(await later).toContain('here')
  expect(proxy.stats().circuits).toEqual({ orders: 'closed' })
})

test('a service has as many connections as it may, and as many that wait for one', async () => {
  const waiting: (() => void)[] = []
  const app = await startApp((_, socket) => void waiting.push(() => socket.write(ok('here'))))
  const { port, sink } = await through({ connections: { upstreams: 1, pending: 1 } }, app.port)
  const first = asked(port)
  await eventually(() => waiting.length === 1)
  const second = asked(port)
  await eventually(() => sink.decisions.length === 2)
  expect(await asked(port)).toContain('upstream_overflow')
  for (const one of [first, second]) {
    await eventually(() => waiting.length === 1)
    waiting.splice(0)[0]!()
    expect(await one).toContain('here')
  }
  expect(app.sockets).toHaveLength(1)
})

test.each(['ring-hash', 'maglev'] as const)('%s: one user keeps its endpoint, and users are spread', async (type) => {
  const apps = await Promise.all(['one', 'two', 'three'].map((name) => startAnswering(ok(name))))
  const balance = { type, hashOn: { kind: 'header', name: 'x-user' } } as const
  const { port } = await through({ balance }, ...apps.map((app) => app.port))
  const bodyOf = async (user: number) => (await asked(port, `X-User: ${user}\r\n`)).split('\r\n\r\n')[1]
  const first = await Promise.all(Array.from({ length: 24 }, (_, user) => bodyOf(user)))
  expect(new Set(first).size).toBe(3)
  expect(await Promise.all(Array.from({ length: 24 }, (_, user) => bodyOf(user)))).toEqual(first)
})

test('a workload keeps its endpoint where callers are hashed', async () => {
  const apps = await Promise.all(['one', 'two', 'three'].map((name) => startAnswering(ok(name))))
  const { port } = await through(
    { balance: { type: 'maglev', hashOn: { kind: 'caller' } } },
    ...apps.map((app) => app.port),
  )
  const bodies = await Promise.all(Array.from({ length: 12 }, async () => (await asked(port)).split('\r\n\r\n')[1]))
  expect(new Set(bodies).size).toBe(1)
})

test('what is over a limit is refused with 429 and when to come again, recorded, and reaches neither policy nor service', async () => {
  const app = await startAnswering(ok('here'))
  const limits = { all: [{ perSecond: 0.01, burst: 2, by: { kind: 'caller' } as const }] }
  const listener: Listener = { ...(inbound(app.port) as Extract<Listener, { direction: 'inbound' }>), limits }
  let judged = 0
  const decide = () => {
    judged++
    return allow
  }
  const { port, sink } = await startProxy({ source: makeSource(ca.issue(orders), ca), listener, decide })
  const tls = callerTls(ca.issue(web), ca)
  for (let i = 0; i < 2; i++) expect(await asked(port, '', tls)).toContain('here')
  const answer = await asked(port, '', tls)
  expect(answer).toMatch(/^HTTP\/1\.1 429 .*"code":"rate_limited"/s)
  expect(answer).toMatch(/\r\nretry-after: (?:[1-9][0-9]?|100)\r\n/)
  expect(answer).not.toContain('at once')
  expect(judged).toBe(2)
  expect(app.received().match(/GET/g)).toHaveLength(2)
  expect(sink.decisions.at(-1)).toMatchObject({ verdict: 'deny', code: 'rate_limited', by: 'proxy', enforced: true })
  expect(sink.decisions.at(-1)!.reasons).toEqual(['this listener takes 0.01 a second and 2 at once for each caller'])
  expect(await asked(port, '', callerTls(ca.issue(orders), ca))).toContain('here')
})
