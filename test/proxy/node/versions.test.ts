import { expect, test } from 'vitest'
import type { AdminBody, EventBody } from '../../../core/record.ts'
import type { Route } from '../../../core/snapshot.ts'
import type { RouteCanary } from '../../../core/traffic.ts'
import { makeVersions } from '../../../proxy/flow/versions.ts'
import { call, makeCa, makeSource, ok, outbound, snapshotOf, startApp, startProxy, type TestSink, web } from './kit.ts'

const ca = makeCa()
const source = makeSource(ca.issue(web), ca)
const rules: RouteCanary = { backend: 'next', revision: 'a', errors: { maxRise: 5 }, minRequests: 4, windowMs: 60_000 }
const bad = 'HTTP/1.1 502 No\r\nContent-Length: 3\r\n\r\nnew'

const adminOf = ({ decisions }: TestSink) =>
  (decisions as readonly EventBody[]).find((body) => body.kind === 'admin') as AdminBody | undefined

/** A route over two versions, half and half; how the new one answers changes. */
async function halves(canary: RouteCanary) {
  const answer = { of: bad, afterMs: 0 }
  const respond = (text: () => string, afterMs: () => number) =>
    startApp((_, socket) => void setTimeout(() => socket.write(text()), afterMs()))
  const old = await respond(
    () => ok('old'),
    () => 0,
  )
  const fresh = await respond(
    () => answer.of,
    () => answer.afterMs,
  )
  const at = (port: number) => [{ address: '127.0.0.1', port, identity: undefined }]
  const services = [
    { name: 'orders', hosts: ['orders'], endpoints: at(old.port) },
    { name: 'next', hosts: [], endpoints: at(fresh.port) },
  ]
  const { proxy, sink } = await startProxy({ source, listener: outbound(), services })
  const routeOf = (with_: RouteCanary | undefined): Route => ({
    ...{ name: 'orders/0/0', hosts: ['orders'], timeoutMs: 1000, match: { path: { type: 'prefix', value: '/' } } },
    backends: [
      { service: 'orders', weight: 1 },
      { service: 'next', weight: 1 },
    ],
    ...(with_ && { canary: with_ }),
  })
  const workload = { name: 'web', id: web, listeners: [outbound()] }
  const use = (with_: RouteCanary | undefined) =>
    proxy.apply({ ...snapshotOf([workload], services), routes: [routeOf(with_)] })
  await use(canary)
  const ask = async (): Promise<string> => {
    const caller = call(proxy.listeners()[0]!.port)
    caller.send('GET / HTTP/1.1\r\nHost: orders\r\nConnection: close\r\n\r\n')
    return (await caller.closed()).slice(-3)
  }
  const many = async (times: number) => {
    const bodies: string[] = []
    for (let i = 0; i < times; i++) bodies.push(await ask())
    return bodies
  }
  return { proxy, sink, answer, use, many, port: () => proxy.listeners()[0]!.port }
}

test('a version that fails loses its weight after as many requests as are needed, and the log says by what', async () => {
  const { proxy, sink, many, use } = await halves(rules)
  const before = await many(40)
  const failed = before.filter((body) => body === 'new').length
  expect(failed).toBeGreaterThanOrEqual(4)
  expect(before.slice(-10)).toEqual(Array.from({ length: 10 }, () => 'old'))
  expect(proxy.versions()).toMatchObject([
    {
      route: 'orders/0',
      backend: 'next',
      errors: { asked: failed, refused: failed, in_force_refused: 0 },
      returned: true,
    },
  ])
  expect(adminOf(sink)).toMatchObject({
    ...{ action: 'weight_returned', actor: web },
    detail: expect.stringMatching(/^orders\/0: next failed (\d+) of \1 requests, the others 0 of \d+$/),
  })
  // The same trial in a newer snapshot is still over; another one begins anew.
  await use(rules)
  expect(await many(10)).not.toContain('new')
  await use({ ...rules, revision: 'b' })
  expect(await many(20)).toContain('new')
  await use(undefined)
  expect(proxy.versions()).toEqual([])
})

test('a version that does as well as the other keeps its weight, and so does one that is as slow as it may be', async () => {
  const slow = { aboveMs: 10_000, maxRise: 5 }
  const { answer, many, proxy } = await halves({ ...rules, slow })
  answer.of = ok('new')
  expect((await many(30)).filter((body) => body === 'new').length).toBeGreaterThan(4)
  const [report] = proxy.versions()
  expect(report).toMatchObject({ returned: false, errors: { refused: 0 }, slow: { refused: 0, in_force_refused: 0 } })
  expect(report!.slow!.asked).toBe(report!.errors.asked)
})

test('a version that answers well and too late loses its weight', async () => {
  const { answer, many, sink } = await halves({ ...rules, slow: { aboveMs: 150, maxRise: 50 } })
  answer.of = ok('new')
  answer.afterMs = 200
  expect((await many(30)).slice(-5)).toEqual(Array.from({ length: 5 }, () => 'old'))
  expect(adminOf(sink)).toMatchObject({
    detail: expect.stringMatching(
      /next failed 0 of \d+ requests, .*; it was slow in \d+ of \d+, the others \d+ of \d+$/,
    ),
  })
})

test('what the caller broke off says nothing; a call that failed by its status of gRPC does; and a share may be bounded by itself', () => {
  const route = (canary: RouteCanary): Route => ({
    ...{ name: 'orders/0/0', hosts: [], timeoutMs: 0, match: { path: { type: 'prefix', value: '/' } } },
    backends: [],
    canary,
  })
  const told = { status: 200, durationUs: 1, code: 'completed' } as const
  const versions = makeVersions(() => 0)
  const one = versions.of(route({ ...rules, errors: { maxRise: 100, max: 50 } }))!
  for (let i = 0; i < 9; i++) one.tell('next', { ...told, code: 'caller_gone' }, undefined)
  expect(versions.reports()[0]!.errors.asked).toBe(0)
  for (const grpcStatus of [0, 5, 14, 13]) one.tell('next', { ...told, grpcStatus }, undefined)
  expect(versions.reports()).toMatchObject([{ returned: false, errors: { asked: 4, refused: 2 } }])
  one.tell('next', { ...told, code: 'circuit_open', status: 503 }, undefined)
  expect(versions.reports()).toMatchObject([{ returned: true, errors: { asked: 5, refused: 3 } }])
})
