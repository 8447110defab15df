import fc from 'fast-check'
import { beforeAll, describe, expect, test } from 'vitest'
import type { RequestFacts } from '../../core/facts.ts'
import type { SpiffeId, TrustDomain } from '../../core/spiffe.ts'
import { readBundle } from '../../engine/bundle.ts'
import { makeCache } from '../../engine/cache.ts'
import { prepareModule } from '../../engine/module.ts'
import { loadBundle } from '../../engine/node/open.ts'
import { openPolicy, type Policy } from '../../engine/policy.ts'
import { bundleOf } from './compiled.ts'

/** Rules of a grammar, many of them, each over other facts: what is remembered is what would be decided. */

const text = fc.constantFrom(
  'input.source_principal',
  'input.attributes.source.principal',
  'input.attributes.request.http.method',
  'input.attributes.request.http.path',
  'input.attributes.request.http.host',
  'input.attributes.request.http.headers["x-role"]',
  'object.get(input.attributes.request.http.headers, "x-role", "none")',
  'input.attributes.request.time',
  'input.attributes.request.http.id',
  'input.writ.workload',
  'input.writ.service',
  'input.parsed_path[0]',
  'input.parsed_path[count(input.parsed_path) - 1]',
  'input.parsed_query.q[0]',
  'input[data.name]',
  'data.roles[input.attributes.request.http.method]',
  'steps[1]',
  'sprintf("%v", [input.parsed_query])',
  'sprintf("%d", [time.now_ns()])',
  'sprintf("%d", [rand.intn("x", 3)])',
  'json.marshal(input.attributes.source)',
  'helper(input.attributes.request)',
  'short',
)
const constant = fc.constantFrom('"GET"', '"a"', '"/a/b"', '"admin"', '"1"', '"orders"')
const condition = fc.oneof(
  fc.tuple(text, fc.constantFrom('==', '!='), constant).map((words) => words.join(' ')),
  fc.tuple(text, fc.constantFrom('==', '!=', '<'), text).map((words) => words.join(' ')),
  fc.tuple(text, constant).map(([a, b]) => `startswith(${a}, ${b})`),
  text.map((a) => `not ${a}`),
  text.map((a) => `count(${a}) > 3`),
  fc.tuple(text, text).map(([a, b]) => `${a} in {${b}, "a"}`),
  fc.tuple(text, constant).map(([a, b]) => `every c in input.parsed_path { c != ${b}; ${a} }`),
  fc.tuple(text, text).map(([a, b]) => `short != ${a} with input.source_principal as ${b}`),
)
const body = fc.array(condition, { minLength: 1, maxLength: 3 }).map((all) => `{ ${all.join('; ')} }`)
const rule = (name: string) =>
  fc.oneof(
    fc.tuple(body, body).map(([a, b]) => `default ${name} := false\n${name} if ${a}\n${name} if ${b}`),
    fc.tuple(body, text).map(([a, why]) => `${name} := {"allowed": false, "reasons": [${why}]} if ${a} else := true`),
    fc.tuple(body, text).map(([a, b]) => `${name} := {"allowed": true, "headers": {"x-a": ${b}}} if ${a}`),
    fc.tuple(text, body).map(([a, b]) => `${name} := {"allowed": false, "reasons": sort([w | w := ${a}])} if ${b}`),
  )

const names = Array.from({ length: 80 }, (_, i) => `r${i}`)
const rego = `package t
helper(request) := request.http.method if request.http.path != "/a"
steps := [m | m := input.parsed_path[_]]
short := substring(input.source_principal, 0, 12)
${names.map((name, i) => fc.sample(rule(name), { seed: 1000 + i, numRuns: 1 })[0]).join('\n')}`

const identity = (id: string): RequestFacts['source']['identified'] => ({
  ok: true,
  identity: {
    ...{ id: id as SpiffeId, trustDomain: 'a' as TrustDomain, proof: 'x509', serial: '1' },
    ...{ notBeforeMs: 0, notAfterMs: 1 },
  },
})
const facts: fc.Arbitrary<RequestFacts> = fc.record({
  direction: fc.constant('inbound' as const),
  workload: fc.constantFrom('spiffe://a/orders' as SpiffeId, 'spiffe://a/ledger' as SpiffeId),
  listener: fc.constant('l'),
  source: fc.record({
    identified: fc.constantFrom<RequestFacts['source']['identified'][]>(
      identity('spiffe://a/admin'),
      identity('spiffe://a/b'),
      { ok: false, code: 'identity_missing', detail: '' },
    ),
    ...{ address: fc.constant('::1'), port: fc.constantFrom(1, 2) },
  }),
  destination: fc.record({
    service: fc.constantFrom('orders', 'a', undefined),
    ...{ address: fc.constant('::1'), port: fc.constant(3) },
  }),
  head: fc.option(
    fc.record({
      method: fc.constantFrom('GET', 'POST'),
      authority: fc.constantFrom('a', 'b'),
      path: fc.constantFrom('/', '/a', '/a/b', '/1'),
      query: fc.constantFrom(undefined, '', 'q=a', 'q=b&z=1'),
      headers: fc.constantFrom<Record<string, string>[]>({}, { 'x-role': 'admin' }, { 'x-role': '' }),
      ...{ protocol: fc.constant('HTTP/1.1' as const), scheme: fc.constant('https' as const) },
    }),
    { nil: undefined },
  ),
  ...{ requestId: fc.constantFrom('1', 'a'), traceId: fc.constant(''), atNs: fc.constantFrom(1n, 2n) },
})

let remembering: Policy
/** It is given the whole input each time. */
let reading: Policy
beforeAll(async () => {
  const data = { name: 'source_principal', roles: { GET: 'admin', POST: 'b' } }
  const bytes = await bundleOf(
    rego,
    names.map((name) => `t/${name}`),
    data,
  )
  remembering = await loadBundle(bytes, 't', { now: () => 0n, cache: { maxEntries: 4096 } })
  const { ref, data: parsed, wasm, reads } = await readBundle(bytes, 't')
  const module = new WebAssembly.Module(prepareModule(wasm) as Uint8Array<ArrayBuffer>)
  reading = openPolicy({ ref, module, data: parsed, now: () => 0n })
  expect([...reads!.values()].filter((paths) => paths.length > 1 && paths[0]!.length > 0).length).toBeGreaterThan(20)
})

describe('what is remembered', () => {
  test('is what would be decided, for any rule, request and time', () => {
    let repeated = 0
    fc.assert(
      fc.property(fc.array(facts, { minLength: 10, maxLength: 30 }), (requests) => {
        for (const entrypoint of remembering.entrypoints) {
          for (const of of requests) {
            const first = remembering.judge(entrypoint, of)
            if (Object.isFrozen(first) && remembering.judge(entrypoint, of) === first) repeated++
            expect([entrypoint, first]).toEqual([entrypoint, reading.judge(entrypoint, of)])
          }
        }
      }),
      { numRuns: 12 },
    )
    expect(repeated).toBeGreaterThan(1000)
  }, 60_000)

  test('also of requests that share their connection, or an end of it, and differ in one fact alone', () => {
    const source = { identified: identity('spiffe://a/admin'), address: '::1', port: 1 }
    const destination = { service: 'orders', address: '::1', port: 3 }
    const workload = 'spiffe://a/orders' as SpiffeId
    const head = {
      ...{ method: 'GET', authority: 'a', path: '/a/b', query: 'q=a', headers: { 'x-role': 'admin' } },
      ...{ protocol: 'HTTP/1.1' as const, scheme: 'https' as const },
    }
    const one: RequestFacts = {
      ...{ direction: 'inbound', workload, listener: 'l', source, destination, head },
      ...{ requestId: '1', traceId: '', atNs: 1n },
    }
    const another: RequestFacts[] = [
      { ...one, direction: 'outbound' },
      { ...one, workload: 'spiffe://a/ledger' as SpiffeId },
      { ...one, listener: 'm' },
      { ...one, source: { ...source, identified: identity('spiffe://a/b') } },
      { ...one, source: { ...source, identified: { ok: false, code: 'identity_missing', detail: '' } } },
      { ...one, source: { ...source, port: 2 } },
      { ...one, destination: { ...destination, service: 'a' } },
      { ...one, destination: { ...destination, port: 4 } },
      ...[{ method: 'POST' }, { authority: 'b' }, { path: '/a' }, { query: undefined }, { headers: {} }].map(
        (other) => ({ ...one, head: { ...head, ...other } }),
      ),
      { ...one, head: undefined },
      { ...one, requestId: 'a' },
      { ...one, atNs: 2n },
    ]
    for (const other of another) {
      for (const entrypoint of remembering.entrypoints) {
        for (const of of [one, other, one, other]) {
          expect([entrypoint, remembering.judge(entrypoint, of)]).toEqual([entrypoint, reading.judge(entrypoint, of)])
        }
      }
    }
  }, 60_000)
})

describe('a decision is remembered', () => {
  const one = fc.sample(
    facts.filter(({ head }) => head?.method === 'GET'),
    { seed: 1, numRuns: 1 },
  )[0]!
  const rules = `package t
plain if input.attributes.request.http.method == "GET"
clock if { input.attributes.request.http.method == "GET"; time.now_ns() > 0 }
late if { input.attributes.request.http.method == "POST"; clock }
chance if { input.attributes.request.http.method == "GET"; rand.intn("x", 2) < 2 }
stamp if { input.attributes.request.http.method == "GET"; input.attributes.request.time }
conflict := x if { input.attributes.request.http.method == "GET"; some x in [1, 2] }
none if input.attributes.request.http.method == "PUT"
`
  let policy: Policy
  beforeAll(async () => {
    const entrypoints = [...rules.matchAll(/^([a-z]+) /gm)]
      .map(([, name]) => `t/${name}`)
      .filter((x) => x !== 't/package')
    policy = await loadBundle(await bundleOf(rules, entrypoints), 't', { now: () => 0n })
  })
  const remembered = (rule: string): boolean => {
    const [first, second] = [policy.judge(`t/${rule}`, one), policy.judge(`t/${rule}`, one)]
    return first === second
  }

  test('where it followed from what was read, and not where time or chance were asked', () => {
    expect(['plain', 'late', 'none'].map(remembered)).toEqual([true, true, true])
    expect(['clock', 'chance', 'stamp'].map(remembered)).toEqual([false, false, false])
  })

  test('also as undefined, but not as an error', () => {
    expect(policy.judge('t/none', one).code).toBe('policy_undefined')
    expect(policy.judge('t/conflict', one).code).toBe('policy_error')
    expect(remembered('conflict')).toBe(false)
  })

  test('by its own entry point alone, and cannot be changed by who gets it', () => {
    expect(policy.judge('t/plain', one).verdict).toBe('allow')
    expect(policy.judge('t/none', one).verdict).toBe('fault')
    expect(policy.judge('t/late', one).verdict).toBe('fault')
    expect(() => ((policy.judge('t/plain', one) as { verdict: string }).verdict = 'deny')).toThrow(TypeError)
  })
})

describe('the decisions that are kept', () => {
  const from = { by: 'proxy' } as const
  const decision = (reason: string) => ({ verdict: 'deny', code: 'policy_denied', from, reasons: [reason] }) as const
  const key = (i: number) => `key ${i}`

  test('are bounded in number and in bytes, whatever is asked', () => {
    const limits = { maxEntries: 100, maxBytes: 50_000 }
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(400), fc.nat(3000)), { maxLength: 2000 }), (asked) => {
        const cache = makeCache(limits)!
        for (const [i, length] of asked) {
          const known = cache.get(key(i))
          if (known) expect(known.reasons[0]!.startsWith(`${i} `)).toBe(true)
          else cache.add(key(i), decision(`${i} ${'x'.repeat(length)}`))
          expect(cache.size().entries).toBeLessThanOrEqual(limits.maxEntries)
          expect(cache.size().bytes).toBeLessThanOrEqual(limits.maxBytes)
        }
      }),
      { numRuns: 20 },
    )
  })

  test('that are asked again outlive any number that is asked once', () => {
    const cache = makeCache({ maxEntries: 100 })!
    for (let i = 0; i < 50; i++) {
      cache.add(key(i), decision(`${i}`))
      cache.get(key(i))
    }
    for (let i = 1000; i < 100_000; i++) if (!cache.get(key(i))) cache.add(key(i), decision(`${i}`))
    expect(Array.from({ length: 50 }, (_, i) => cache.get(key(i))?.reasons)).toEqual(
      Array.from({ length: 50 }, (_, i) => [`${i}`]),
    )
    expect(cache.get(key(1000))).toBeUndefined()
  })

  test('and are used all along outlive those that were asked twice and no more', () => {
    const cache = makeCache({ maxEntries: 100 })!
    cache.add('often', decision('often'))
    cache.get('often')
    for (let i = 0; i < 10_000; i++) {
      cache.add(key(i), decision(`${i}`))
      cache.get(key(i))
      if (i % 50 === 0) expect(cache.get('often')).toBeDefined()
    }
    expect(cache.get(key(0))).toBeUndefined()
  })

  test('have short keys: one longer than the limit is not kept, one as long is', () => {
    const cache = makeCache({ maxKey: 5 })!
    cache.add('12345', decision('a'))
    cache.add('123456', decision('b'))
    expect([cache.get('12345')?.reasons, cache.get('123456')]).toEqual([['a'], undefined])
  })

  test('are none where a limit says so', () => {
    expect(makeCache({ maxEntries: 0 })).toBeUndefined()
    expect(makeCache({ maxBytes: 0 })).toBeUndefined()
    expect(makeCache()).toBeDefined()
  })
})
