import { expect, test } from 'vitest'
import { checkSnapshot } from '../../../control/mesh/name.ts'
import type { Problem } from '../../../control/mesh/problem.ts'
import { bound, meshWith, own, problemsOf, route, served, sha256, snapshotOf } from '../world.ts'

const shop = served('shop', 9001, ', outbound: {port: 9100}')
const toShop = 'parentRefs: [{group: "", kind: Service, name: shop}]'
const rule = (match: string, name: string, more = '') =>
  `{name: ${name}, matches: [${match}], backendRefs: [{name: shop}]${more}}`
const ways = (...rules: readonly string[]) => route('ways', `{${toShop}, rules: [${rules.join(', ')}]}`)
const mesh = (...more: readonly string[]) => meshWith(shop, bound('shop'), ...more)
const policy = (spec: string, name = 'rules') => own('TrafficPolicy', name, `{${spec}}`)
const ofShop = 'targetRefs: [{kind: Service, name: shop}]'
/** Errors as `field: problem`. */
const told = (problems: readonly Problem[]) =>
  problems.flatMap(({ level, field, problem }) => (level === 'error' ? `${field}: ${problem}` : [])).join('\n')
const namesOf = (snapshot: ReturnType<typeof snapshotOf>) => snapshot.routes.map(({ name }) => name.split('/')[1])

test('routes stand in Gateway API’s order: exact, patterns, longest prefix, method, most headers, most parameters, then the file', () => {
  const header = (name: string) => `{name: ${name}, value: x}`
  const given = [
    rule('{path: {value: /a}}', 'short'),
    rule('{path: {value: /a/b}}', 'long'),
    rule('{path: {value: /a/b}, queryParams: [{name: q, value: x}]}', 'query'),
    rule('{path: {value: /a/b}, queryParams: [{name: q, value: x}, {name: r, value: x}]}', 'queries'),
    rule(`{path: {value: /a/b}, headers: [${header('h')}], queryParams: [{name: q, value: x}]}`, 'header'),
    rule(`{path: {value: /a/b}, headers: [${header('h')}, {type: RegularExpression, name: i, value: y+}]}`, 'headers'),
    rule('{path: {value: /a/b}, method: GET}', 'method'),
    rule('{path: {type: RegularExpression, value: "/a/[0-9]+"}}', 'pattern'),
    rule('{path: {type: Exact, value: /a}}', 'exact'),
    rule('{path: {type: Exact, value: /b}}', 'second'),
  ]
  expect(namesOf(snapshotOf(mesh(ways(...given))))).toEqual([
    ...['exact', 'second', 'pattern', 'method', 'headers', 'header', 'queries', 'query', 'long', 'short'],
  ])
})

test('what a match says is told by kind, and comes over the wire as it is', () => {
  const given =
    '{path: {type: RegularExpression, value: "/v[0-9]+/.*"}, headers: [{name: X-A, value: a}, {type: RegularExpression, name: X-B, value: b+}], queryParams: [{name: q, value: a b}, {type: RegularExpression, name: R, value: "[a-z]"}]}'
  const snapshot = snapshotOf(mesh(ways(rule(given, 'all'))))
  expect(snapshot.routes[0]!.match).toEqual({
    path: { type: 'regex', value: '/v[0-9]+/.*' },
    headers: { 'x-a': 'a' },
    headerPatterns: { 'x-b': 'b+' },
    query: { q: 'a b' },
    queryPatterns: { R: '[a-z]' },
  })
  expect(checkSnapshot(JSON.parse(JSON.stringify(snapshot)), sha256)).toEqual(snapshot)
})

test('patterns that would not take linear time, and matches that say a thing twice, are refused where they stand', () => {
  const wrong = (match: string) => told(problemsOf(mesh(ways(rule(match, 'r')))))
  expect(wrong('{path: {type: RegularExpression, value: "/(?=a)"}}')).toMatch(/path.value.*RE2/)
  expect(wrong('{headers: [{type: RegularExpression, name: h, value: "(a)\\\\1"}]}')).toMatch(/headers\[0\].value.*RE2/)
  expect(wrong('{path: {value: /a/../b}}')).toMatch(/path.value.*step/)
  expect(wrong('{queryParams: [{name: q, value: a}, {name: q, value: b}]}')).toMatch(/queryParams\[1\].name.*twice/)
  expect(wrong('{headers: [{name: h, value: a}, {name: H, value: b}]}')).toMatch(/headers\[1\].name.*twice/)
})

test('a service says how its requests are tried again and how long, and a rule goes before it', () => {
  const given = policy(
    `${ofShop}, retry: {attempts: 3, on: [5xx], codes: [429], grpcCodes: [unavailable], backoff: 10ms, methods: [POST], bodyBytes: 10, budget: {percent: 50}}, timeouts: {request: 3s, perTry: 1s, connect: 200ms, idle: 5s}, connections: {maxConnections: 9, maxPending: 0, maxRequests: 90}`,
  )
  const rules = ways(
    rule(
      '{path: {value: /own}}',
      'own',
      ', timeouts: {request: 9s, backendRequest: 4s}, retry: {attempts: 1, codes: [503]}',
    ),
    rule('{path: {value: /}}', 'rest'),
  )
  const snapshot = snapshotOf(mesh(given, rules))
  expect(snapshot.services[0]!.traffic).toEqual({
    retry: {
      ...{ attempts: 3, on: ['5xx'], statuses: [429], grpcStatuses: [14], backoffMs: 10, maxBackoffMs: 100 },
      ...{ methods: ['POST'], bodyBytes: 10, budget: { share: 0.5, perSecond: 10 } },
    },
    times: { tryMs: 1000, connectMs: 200, idleMs: 5000 },
    timeoutMs: 3000,
    connections: { upstreams: 9, pending: 0, requests: 90 },
  })
  expect(snapshot.routes).toMatchObject([
    { timeoutMs: 9000, tryMs: 4000, retry: { attempts: 1, statuses: [503] } },
    { timeoutMs: 3000 },
  ])
  expect(snapshot.routes[1]).not.toHaveProperty('retry')
  expect(checkSnapshot(JSON.parse(JSON.stringify(snapshot)), sha256)).toEqual(snapshot)
  expect(problemsOf(mesh(given, rules))).toEqual([])
})

test('retries and times that say nothing, or cannot hold, are errors', () => {
  const wrong = (...more: readonly string[]) => told(problemsOf(mesh(...more)))
  expect(wrong(policy(`${ofShop}, retry: {grpcCodes: [unavailable]}`))).toMatch(/grpcCodes.*POST/)
  expect(wrong(policy(`${ofShop}, retry: {attempts: 11}`))).toMatch(/attempts/)
  expect(wrong(policy(`${ofShop}, timeouts: {perTry: 0s}`))).toMatch(/perTry.*no time/)
  expect(wrong(policy('targetRefs: [{kind: Workload, name: shop}], retry: {}'))).toMatch(/kind.*retries/)
  expect(wrong(ways(rule('{}', 'r', ', timeouts: {request: 1s, backendRequest: 2s}')))).toMatch(
    /backendRequest.*longer/,
  )
  expect(wrong(policy(`${ofShop}, sticky: {header: x-user}`))).toMatch(/kind.*HTTPRoute/)
})

test('a service’s endpoints are warmed up, with the default algorithm or another', () => {
  const of = (spec: string) => snapshotOf(mesh(policy(`${ofShop}, loadBalancer: {${spec}}`))).services[0]!.traffic
  expect(of('warmUp: {duration: 1m}')).toEqual({ warmUp: { ms: 60_000, from: 0.1 } })
  expect(of('type: Random, warmUp: {duration: 1m, fromPercent: 50}')).toEqual({
    balance: { type: 'random' },
    warmUp: { ms: 60_000, from: 0.5 },
  })
})

test('a route is sticky where its policy says so, one rule before all of them', () => {
  const rules = ways(rule('{path: {value: /a}}', 'a'), rule('{path: {value: /b}}', 'b'))
  const target = (section = '') =>
    `targetRefs: [{group: gateway.networking.k8s.io, kind: HTTPRoute, name: ways${section}}]`
  const all = policy(`${target()}, sticky: {header: X-User}`)
  const one = policy(`${target(', sectionName: b')}, sticky: {cookie: sid}`, 'one')
  expect(snapshotOf(mesh(rules, all, one)).routes.map(({ sticky }) => sticky)).toEqual([
    { kind: 'header', name: 'x-user' },
    { kind: 'cookie', name: 'sid' },
  ])
})

test('a rule keeps the requests of a client at one endpoint, and a backend changes headers of its own', () => {
  const set = '{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: X-Version, value: "2"}]}}'
  const given = (session: string, filters = set) =>
    mesh(
      served('next', 9002),
      ways(
        `{name: one, matches: [{headers: [{name: x-lane, value: a}]}], backendRefs: [{name: shop}, {name: next, filters: [${filters}]}], sessionPersistence: ${session}}`,
      ),
    )
  const of = (text: string) => snapshotOf(text).routes.find(({ name }) => name === 'ways/one/0')
  const kept = given('{sessionName: sid, absoluteTimeout: 1h, cookieConfig: {lifetimeType: Permanent}}')
  expect(of(kept)).toMatchObject({
    session: { kind: 'cookie', name: 'sid', maxAgeS: 3600 },
    backends: [{ service: 'shop' }, { service: 'next', filters: { request: { set: { 'x-version': '2' } } } }],
  })
  expect(of(kept)!.backends[0]).not.toHaveProperty('filters')
  const snapshot = snapshotOf(kept)
  expect(checkSnapshot(JSON.parse(JSON.stringify(snapshot)), sha256)).toEqual(snapshot)
  expect(of(given('{type: Header, sessionName: X-Sid}'))!.session).toEqual({ kind: 'header', name: 'x-sid' })
  expect(of(given('{}'))!.session).toEqual({ kind: 'cookie', name: 'writ-session' })

  expect(told(problemsOf(given('{cookieConfig: {lifetimeType: Permanent}}')))).toContain(
    'Permanent does not say for how long',
  )
  expect(told(problemsOf(given('{absoluteTimeout: 1h}')))).toContain('is of a cookie that stays')
  expect(told(problemsOf(given('{type: Header, cookieConfig: {}}')))).toContain('is for cookies')
  expect(told(problemsOf(given('{type: Header, sessionName: Host}')))).toContain(
    'host is written by the proxy alone'.slice(5),
  )
  expect(told(problemsOf(given('{}', set.replace('X-Version', 'Host'))))).toMatch(
    /backendRefs\[1\]\.filters\[0\].*host is written by the proxy alone/,
  )
  expect(told(problemsOf(given('{}', `${set}, ${set}`)))).toContain('is there twice')
  expect(told(problemsOf(given('{}', '{type: CORS, cors: {allowOrigins: ["*"]}}')))).toContain(
    'others stand at the rule',
  )
  // Requests of such a route do not arrive as they were matched, so no policy can be told by it.
  const lane =
    'targetRefs: [{group: gateway.networking.k8s.io, kind: HTTPRoute, name: ways}], bundle: bank, entrypoint: a/b'
  const bind = own('PolicyBinding', 'lane', `{${lane}}`)
  expect(told(problemsOf(`${given('{}', set.replace('X-Version', 'x-lane'))}\n---\n${bind}`))).toContain(
    'arrive changed by its own filters',
  )
})
