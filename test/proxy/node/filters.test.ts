import { connect } from 'node:http2'
import { expect, onTestFinished, test } from 'vitest'
import type { RouteFilters } from '../../../core/filters.ts'
import type { RouteMatch } from '../../../core/snapshot.ts'
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
  snapshotOf,
  startAnswering,
  startApp,
  startProxy,
  type TestApp,
  web,
} from './kit.ts'

const ca = makeCa()
const source = makeSource(ca.issue(web), ca)
const under = (value: string): RouteMatch => ({ path: { type: 'prefix', value } })

async function through(
  filters: RouteFilters,
  app: Pick<TestApp, 'port'>,
  more: { match?: RouteMatch; copies?: number; mirrors?: number } = {},
) {
  const at = (name: string, port: number) => ({
    ...{ name, hosts: [name], endpoints: [{ address: '127.0.0.1', port, identity: undefined }] },
  })
  const services = [at('orders', app.port), ...(more.copies ? [at('copies', more.copies)] : [])]
  const route = {
    ...{ name: 'r/one/0', hosts: ['orders'], match: more.match ?? under('/'), filters, timeoutMs: 5000 },
    backends: [{ service: 'orders', weight: 1 }],
  }
  const started = await startProxy({ source, listener: outbound(), services, limits: { mirrors: more.mirrors ?? 128 } })
  const workload = { name: 'web', id: web, listeners: [outbound()] }
  await started.proxy.apply({ ...snapshotOf([workload], services), routes: [route] })
  return started
}

async function asked(port: number, head = 'GET / HTTP/1.1', more = '\r\n') {
  const caller = call(port)
  caller.send(`${head}\r\nHost: orders\r\nConnection: close\r\n${more}`)
  return await caller.closed()
}

test('a backend changes headers after its route has, for what goes there alone', async () => {
  const [app, other] = [await startAnswering(ok('old')), await startAnswering(ok('new'))]
  const at = (name: string, port: number) => ({
    ...{ name, hosts: [name], endpoints: [{ address: '127.0.0.1', port, identity: undefined }] },
  })
  const services = [at('orders', app.port), at('next', other.port)]
  const { proxy } = await startProxy({ source, listener: outbound(), services })
  const own = { request: { set: { 'x-lane': 'next' }, remove: ['x-route'] }, response: { add: { 'x-from': 'next' } } }
  const route = {
    ...{ name: 'r/one/0', hosts: ['orders'], match: under('/'), timeoutMs: 5000 },
    filters: { request: { set: { 'x-route': 'r', 'x-lane': 'any' } }, response: { add: { 'x-from': 'r' } } },
    backends: [
      { service: 'orders', weight: 1 },
      { service: 'next', weight: 1, filters: own },
    ],
  }
  const workload = { name: 'web', id: web, listeners: [outbound()] }
  await proxy.apply({ ...snapshotOf([workload], services), routes: [route] })
  const { port } = proxy.listeners()[0]!
  const answers = await Promise.all(Array.from({ length: 24 }, () => asked(port)))
  for (const answer of answers) {
    expect(answer.endsWith('new')).toBe(/x-from: (?:r, )?next|x-from: r\r\nx-from: next/i.test(answer))
  }
  expect(new Set(answers.map((answer) => answer.slice(-3)))).toEqual(new Set(['old', 'new']))
  expect(app.received()).toContain('x-lane: any')
  expect(app.received()).not.toContain('x-lane: next')
  expect(other.received()).toContain('x-lane: next')
  expect(other.received()).not.toContain('x-route')
})

const headersOf = (answer: string) => answer.slice(0, answer.indexOf('\r\n\r\n')).toLowerCase().split('\r\n').slice(1)

test('headers are set, added and removed both ways, and what the proxy says of itself stands', async () => {
  const app = await startAnswering(
    'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Old: 1\r\nSet-Cookie: a=1\r\nX-Set: theirs\r\n\r\nok',
  )
  const { port } = await through(
    {
      request: { set: { 'x-set': 'ours' }, add: { 'x-add': 'two', cookie: 'b=2' }, remove: ['x-gone'] },
      response: { set: { 'x-set': 'ours' }, add: { 'set-cookie': 'b=2' }, remove: ['x-old'] },
    },
    app,
  )
  const answer = headersOf(
    await asked(port, undefined, 'X-Set: caller\r\nX-Add: one\r\nX-Gone: 1\r\nCookie: a=1\r\n\r\n'),
  )
  const got = headersOf(app.received())
  expect(got).toEqual(expect.arrayContaining(['x-set: ours', 'x-add: one, two', 'cookie: a=1; b=2']))
  expect(got.join()).not.toMatch(/x-gone|caller/)
  expect(answer).toEqual(expect.arrayContaining(['x-set: ours', 'set-cookie: a=1', 'set-cookie: b=2']))
  expect(answer.join()).not.toMatch(/x-old|theirs/)
  expect(answer.join()).toMatch(/x-writ-decision: [0-9a-f]+-1/)
})

test.each([
  ['/foo/bar?q=1', '/foo', { type: 'prefix', value: '/xyz' }, '/xyz/bar?q=1'],
  ['/foo/bar', '/foo/', { type: 'prefix', value: '/xyz/' }, '/xyz/bar'],
  ['/foo', '/foo', { type: 'prefix', value: '/xyz' }, '/xyz'],
  ['/foo/', '/foo', { type: 'prefix', value: '/xyz' }, '/xyz/'],
  ['/foo/', '/foo', { type: 'prefix', value: '/' }, '/'],
  ['/foo', '/foo', { type: 'prefix', value: '/' }, '/'],
  ['/any/thing', '/', { type: 'full', value: '/one' }, '/one'],
] as const)('%s under %s goes on as %o: %s, and the record has what was asked', async (asks, prefix, path, goes) => {
  const app = await startAnswering(ok('ok'))
  const { port, sink } = await through({ rewrite: { path, host: 'other.example' } }, app, { match: under(prefix) })
  expect(await asked(port, `GET ${asks} HTTP/1.1`)).toContain('200 OK')
  expect(app.received()).toMatch(new RegExp(`^GET ${goes.replace('?', '\\?')} HTTP/1\\.1\r\nhost: other\\.example\r\n`))
  expect(JSON.stringify(sink.decisions[0]!.input)).toContain(JSON.stringify(asks.split('?')[0]).slice(0, -1))
})

test('what arrives is what the other side judges and passes on: the path as it was rewritten', async () => {
  const app = await startAnswering(ok('ok'))
  const there = await startProxy({
    source: makeSource(ca.issue(orders), ca),
    listener: inbound(app.port),
    decide: (facts) => ({ ...allow, reasons: [facts.head!.path] }),
  })
  const services = [
    { name: 'orders', hosts: ['orders'], endpoints: [{ address: '127.0.0.1', port: there.port, identity: orders }] },
  ]
  const { port, proxy } = await startProxy({ source, listener: outbound(), services })
  const filters: RouteFilters = { rewrite: { path: { type: 'prefix', value: '/v2' } } }
  const backends = [{ service: 'orders', weight: 1 }]
  const route = { name: 'r/one/0', hosts: ['orders'], match: under('/v1'), filters, timeoutMs: 5000, backends }
  const workload = { name: 'web', id: web, listeners: [outbound()] }
  await proxy.apply({ ...snapshotOf([workload], services), routes: [route] })
  expect(await asked(port, 'GET /v1/a HTTP/1.1')).toContain('200 OK')
  expect(there.sink.decisions[0]!.reasons).toEqual(['/v2/a'])
  expect(app.received()).toMatch(/^GET \/v2\/a /)
})

test('a redirect is answered here, and recorded as what it is', async () => {
  const app = await startAnswering(ok('never'))
  const redirect = {
    scheme: 'https',
    host: 'shop.example',
    path: { type: 'prefix', value: '/new' },
    status: 308,
  } as const
  const { port, sink } = await through({ redirect }, app, { match: under('/old') })
  const answer = await asked(port, 'GET /old/a?b=c HTTP/1.1')
  expect(answer).toMatch(/^HTTP\/1\.1 308 /)
  expect(headersOf(answer)).toContain('location: https://shop.example/new/a?b=c')
  expect(sink.decisions).toMatchObject([{ verdict: 'allow', code: 'routed', route: 'r/one/0' }])
  expect(sink.outcomes).toMatchObject([{ code: 'route_answered', status: 308, upstream: '' }])
  expect(app.received()).toBe('')
  const kept = await through({ redirect: { status: 302, port: 8080 } }, app)
  expect(headersOf(await asked(kept.port, 'GET /x HTTP/1.1'))).toContain('location: http://orders:8080/x')
})

test('a direct answer needs no service', async () => {
  const { port, sink } = await through(
    { answer: { status: 410, headers: { 'content-type': 'text/plain' }, body: 'gone' } },
    { port: 1 },
  )
  expect(await asked(port)).toMatch(/^HTTP\/1\.1 410 .*content-type: text\/plain\r\n.*gone$/s)
  expect(sink.outcomes[0]).toMatchObject({ code: 'route_answered', status: 410, responseBytes: 4 })
})

test('an injected abort has its own code, in the record, the answer and the metrics; a delay is told beside what came of it', async () => {
  const app = await startAnswering(ok('ok'))
  const header = { name: 'x-chaos', value: 'yes' }
  const { port, sink } = await through(
    { inject: { abort: { status: 418, share: 1 }, delay: { ms: 20, share: 1 }, header } },
    app,
  )
  expect(await asked(port)).toContain('200 OK')
  expect(await asked(port, undefined, 'X-Chaos: yes\r\n\r\n')).toMatch(/^HTTP\/1\.1 418 .*"code":"fault_injected"/s)
  const [plain, aborted] = sink.outcomes
  expect(plain).not.toHaveProperty('delayedMs')
  expect(aborted).toMatchObject({ code: 'fault_injected', status: 418, delayedMs: 20 })
  expect(flagOf({ decision: allow, outcome: aborted! })).toBe('FI')
  const slow = await through({ inject: { delay: { ms: 30, share: 1 } } }, app)
  const since = performance.now()
  expect(await asked(slow.port)).toContain('200 OK')
  expect(performance.now() - since).toBeGreaterThanOrEqual(29)
  expect(slow.sink.outcomes[0]).toMatchObject({ code: 'completed', delayedMs: 30 })
  const never = await through({ inject: { abort: { status: 503, share: 0 } } }, app)
  expect(await asked(never.port)).toContain('200 OK')
})

const cors = {
  ...{
    origins: ['https://*.shop.example', 'http://localhost:3000'],
    methods: ['GET', 'PUT'],
    headers: ['x-a'],
    expose: ['x-b'],
  },
  ...{ credentials: true, maxAgeS: 60 },
}

test('a preflight of an allowed origin is answered here; of another it is told nothing, and answers name no other origin', async () => {
  const app = await startAnswering('HTTP/1.1 200 OK\r\nAccess-Control-Allow-Origin: *\r\nContent-Length: 2\r\n\r\nok')
  const { port, sink } = await through({ cors }, app)
  const preflight = (origin: string) =>
    asked(
      port,
      'OPTIONS /x HTTP/1.1',
      `Origin: ${origin}\r\nAccess-Control-Request-Method: PUT\r\nAccess-Control-Request-Headers: x-a\r\n\r\n`,
    )
  const answer = await preflight('https://a.shop.example')
  expect(answer).toMatch(/^HTTP\/1\.1 204 /)
  expect(headersOf(answer)).toEqual(
    expect.arrayContaining([
      'access-control-allow-origin: https://a.shop.example',
      'access-control-allow-credentials: true',
      'access-control-allow-methods: get, put',
      'access-control-allow-headers: x-a',
      'access-control-max-age: 60',
    ]),
  )
  expect(headersOf(answer).join()).not.toContain('content-length')
  for (const origin of [
    'https://shop.example',
    'https://a.shop.example.evil',
    'https://evil.example/.shop.example',
    'https://.shop.example',
    'http://a.shop.example',
    'null',
  ]) {
    expect(headersOf(await preflight(origin)).join()).not.toContain('allow-origin')
  }
  expect(app.received()).toBe('')
  expect(sink.outcomes[0]).toMatchObject({ code: 'route_answered', status: 204 })
  const real = await asked(port, 'GET /x HTTP/1.1', 'Origin: http://localhost:3000\r\n\r\n')
  expect(headersOf(real)).toEqual(
    expect.arrayContaining([
      'access-control-allow-origin: http://localhost:3000',
      'access-control-expose-headers: x-b',
      'vary: origin',
    ]),
  )
  expect(real.match(/allow-origin/gi)).toHaveLength(1)
  expect(await asked(port, 'GET /x HTTP/1.1', 'Origin: https://evil.example\r\n\r\n')).not.toMatch(/allow-origin/i)
  expect(await asked(port, 'OPTIONS /x HTTP/1.1')).toMatch(/ok$/) // No preflight: the service's own.
})

test('a mirror gets the same request with its body, delays nobody, and what it answers goes nowhere', async () => {
  const app = await startAnswering(ok('real'))
  const copies = await startApp(() => {}) // Never answers.
  const { port } = await through({ mirrors: [{ service: 'copies', share: 1 }] }, app, { copies: copies.port })
  for (let i = 0; i < 3; i++) {
    const answer = await asked(port, 'POST /m HTTP/1.1', `Content-Length: 6\r\n\r\nbody-${i}`)
    expect(answer).toMatch(/200 OK.*real$/s)
  }
  await eventually(() => copies.received().includes('body-2'))
  for (const one of [app, copies])
    expect(
      one
        .received()
        .match(/body-[012]/g)!
        .toSorted(),
    ).toEqual(['body-0', 'body-1', 'body-2'])
  const none = await through({ mirrors: [{ service: 'copies', share: 0 }] }, app, { copies: copies.port })
  const before = copies.received().length
  expect(await asked(none.port)).toContain('real')
  expect(copies.received()).toHaveLength(before)
})

test('a mirror that is not there harms nobody, and copies beyond the bound are left out and counted', async () => {
  const app = await startAnswering(ok('real'))
  const gone = await startAnswering(ok('never'))
  await gone.close()
  const { port } = await through({ mirrors: [{ service: 'copies', share: 1 }] }, app, { copies: gone.port })
  for (let i = 0; i < 3; i++) expect(await asked(port)).toContain('real')
  const silent = await startApp(() => {})
  const few = await through({ mirrors: [{ service: 'copies', share: 1 }] }, app, { copies: silent.port, mirrors: 2 })
  for (let i = 0; i < 5; i++) expect(await asked(few.port)).toContain('real')
  expect(few.proxy.stats().mirrors).toEqual({ open: 2, leftOut: 3 })
})

const json = (body: string, more = '') =>
  `HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n${more}Content-Length: ${body.length}\r\n\r\n${body}`

test('a merge patch changes JSON bodies both ways; numbers stay as they were written', async () => {
  const app = await startAnswering(json('{"secret":1,"id":12345678901234567890,"deep":{"a":1,"b":2}}', 'ETag: "x"\r\n'))
  const transform = {
    request: { tenant: 'shop', debug: null },
    response: { secret: null, deep: { b: null, c: [1] } },
    maxBytes: 1000,
  }
  const { port } = await through({ transform }, app)
  const body = '{"debug":true,"n":1.5,"tenant":"other"}'
  const answer = await asked(
    port,
    'POST / HTTP/1.1',
    `Content-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
  )
  expect(app.received()).toContain('\r\n\r\n{"n":1.5,"tenant":"shop"}')
  expect(app.received()).toMatch(/content-length: 25\r\n/i)
  expect(answer).toContain('{"id":12345678901234567890,"deep":{"a":1,"c":[1]}}')
  expect(answer).not.toMatch(/etag|secret/i)
})

test.each([
  ['a request that is no JSON', '{', {}, 400, 'request_unpatched'],
  ['a request that is too long', '{"a":"0123456789"}', { maxBytes: 10 }, 400, 'request_unpatched'],
  ['an answer that is no JSON', '{}', { answer: json('nope') }, 502, 'answer_unpatched'],
  ['an answer that is too long', '{}', { maxBytes: 10, answer: json('{"a":"0123456789"}') }, 502, 'answer_unpatched'],
  ['an answer that is compressed', '{}', { answer: json('{}', 'Content-Encoding: gzip\r\n') }, 502, 'answer_unpatched'],
] as const)(
  '%s is refused, not passed as it is',
  async (_, body, { maxBytes = 100, answer = json('{}') }: { maxBytes?: number; answer?: string }, status, code) => {
    const app = await startAnswering(answer)
    const { port, sink } = await through({ transform: { request: { x: 1 }, response: { x: 1 }, maxBytes } }, app)
    const got = await asked(
      port,
      'POST / HTTP/1.1',
      `Content-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
    )
    expect(got).toMatch(new RegExp(`^HTTP/1\\.1 ${status} .*"code":"${code}"`, 's'))
    await eventually(() => sink.outcomes.length === 1)
    expect(sink.outcomes[0]).toMatchObject({ code, status })
  },
)

test('what is no JSON by its type passes as it is', async () => {
  const app = await startAnswering(ok('{"secret":1}'))
  const { port } = await through({ transform: { request: { x: 1 }, response: { secret: null }, maxBytes: 100 } }, app)
  expect(await asked(port, 'POST / HTTP/1.1', 'Content-Type: text/plain\r\nContent-Length: 2\r\n\r\n{}')).toMatch(
    /\{"secret":1\}$/,
  )
  expect(app.received()).toMatch(/\r\n\r\n\{\}$/)
})

test('callers of HTTP/2 have the same: a patched body, changed headers, a rewritten path, a mirror, and answers of the route', async () => {
  const app = await startAnswering(json('{"secret":1,"a":2}', 'Set-Cookie: a=1\r\n'))
  const copies = await startAnswering(ok('copy'))
  const filters: RouteFilters = {
    transform: { request: { x: 1 }, response: { secret: null }, maxBytes: 100 },
    response: { add: { 'set-cookie': 'b=2' } },
    rewrite: { path: { type: 'prefix', value: '/v2' } },
    mirrors: [{ service: 'copies', share: 1 }],
  }
  const { port, sink } = await through(filters, app, { match: under('/v1'), copies: copies.port })
  const session = connect(`http://127.0.0.1:${port}`)
  onTestFinished(() => session.destroy())
  const ask = (path: string, body?: string) =>
    new Promise<{ readonly head: Record<string, unknown>; readonly body: string }>((resolve) => {
      const type = { 'content-type': 'application/json' }
      const stream = session.request({ ':method': 'POST', ':authority': 'orders', ':path': path, ...type })
      let head = {}
      let all = ''
      stream.on('response', (given) => void (head = given))
      stream.on('data', (bytes: Buffer) => void (all += bytes.toString()))
      stream.on('close', () => resolve({ head, body: all }))
      stream.end(body)
    })
  const answer = await ask('/v1/a', '{"y":2}')
  expect(answer.body).toBe('{"a":2}')
  expect(answer.head).toMatchObject({ ':status': 200, 'set-cookie': ['a=1', 'b=2'] })
  await eventually(() => copies.received().includes('"x":1'))
  for (const one of [app, copies]) expect(one.received()).toMatch(/^POST \/v2\/a HTTP.*\{"y":2,"x":1\}/s)
  const refused = await ask('/v1/a', '{')
  expect(refused.head).toMatchObject({ ':status': 400 })
  expect(sink.outcomes.at(-1)).toMatchObject({ code: 'request_unpatched' })
  const redirected = await through({ redirect: { status: 307, host: 'b' } }, app)
  const other = connect(`http://127.0.0.1:${redirected.port}`)
  onTestFinished(() => other.destroy())
  const location = await new Promise((resolve) =>
    other.request({ ':authority': 'orders', ':path': '/x' }).on('response', (head) => resolve(head['location'])),
  )
  expect(location).toBe(`http://b/x`)
})
