import fc from 'fast-check'
import { expect, test } from 'vitest'
import { collected } from '../../../control/collector.ts'
import type { Decision } from '../../../core/decision.ts'
import type { RequestFacts } from '../../../core/facts.ts'
import { WritError } from '../../../core/fault.ts'
import type { Evidence, Identified } from '../../../core/identity.ts'
import type { Outcome } from '../../../core/outcome.ts'
import type { DecisionBody, Epoch, EventBody, RecordId } from '../../../core/record.ts'
import type { SpiffeId, TrustDomain } from '../../../core/spiffe.ts'
import type { Handler } from '../../../proxy/edge/exchange.ts'
import { type GuardOptions, guard } from '../../../proxy/edge/guard.ts'

const edge = 'spiffe://bank.example/edge-fn' as SpiffeId
const shop = 'spiffe://bank.example/shop' as SpiffeId
const epoch = 'ab'.repeat(12) as Epoch

const known: Identified = {
  ok: true,
  identity: {
    id: shop,
    trustDomain: 'bank.example' as TrustDomain,
    proof: 'jwt',
    serial: 'ab',
    notBeforeMs: 0,
    notAfterMs: 9e12,
  },
}
const unknown: Identified = { ok: false, code: 'identity_missing', detail: 'no token' }
const allowed: Decision = {
  verdict: 'allow',
  code: 'allowed',
  from: { by: 'policy', policy: { bundle: 'bank', revision: '1', sha256: 'ab'.repeat(32) } },
  reasons: [],
}

interface Seen {
  readonly evidence: Evidence[]
  readonly facts: RequestFacts[]
  readonly requests: Request[]
  readonly bodies: EventBody[]
  readonly outcomes: Outcome[]
  readonly refused: { readonly code: string; readonly source: string }[]
  readonly waited: unknown[]
  flushes: number
}

/** Sends one request through a guard whose parts are all stand-ins, and tells what each of them saw. */
async function through(
  request: Request,
  change: Partial<GuardOptions> & {
    handler?: Handler
    decision?: Decision
    identified?: Identified
    context?: 'none'
  } = {},
): Promise<Seen & { response: Response; text: string }> {
  const seen: Seen = {
    evidence: [],
    facts: [],
    requests: [],
    bodies: [],
    outcomes: [],
    refused: [],
    waited: [],
    flushes: 0,
  }
  const { handler = () => new Response('served'), decision = allowed, identified = known, context, ...options } = change
  const guarded = guard(
    (given) => {
      seen.requests.push(given)
      return handler(given)
    },
    {
      workload: edge,
      policy: { bundle: 'bank', entrypoint: 'bank/result', recordHeaders: ['x-kept'], recordQuery: true },
      identify: (peer) => {
        seen.evidence.push(peer.evidence)
        return identified
      },
      decide: (facts) => {
        seen.facts.push(facts)
        return decision
      },
      sink: {
        keep: async (body) => ({ producer: edge, epoch, seq: seen.bodies.push(body) }) as RecordId,
        outcome: (_, outcome) => void seen.outcomes.push(outcome),
        refused: (refusal) => void seen.refused.push(refusal),
        flush: async () => void seen.flushes++,
      },
      ...options,
    },
  )
  const waits = { waitUntil: (work: Promise<unknown>) => void seen.waited.push(work) }
  const response = await (context === 'none' ? guarded(request) : guarded(request, waits))
  return { ...seen, flushes: seen.flushes, response, text: await response.text() }
}

const get = (path = '/', headers: Record<string, string> = {}): Request =>
  new Request(`https://edge.example${path}`, { headers })

test('an allowed request reaches the handler, its record first and its outcome after', async () => {
  const { response, text, bodies, outcomes, waited, flushes } = await through(get('/items'), {
    handler: () => new Response('made', { status: 201, headers: { 'x-own': '1', 'x-writ-decision': 'forged' } }),
    decision: { ...allowed, effects: { setOnResponse: { 'x-policy': '2' } } } as Decision,
  })
  expect([response.status, text]).toEqual([201, 'made'])
  expect(Object.fromEntries(response.headers)).toMatchObject({
    'x-own': '1',
    'x-policy': '2',
    'x-writ-decision': `${epoch}-1`,
  })
  expect(bodies).toMatchObject([
    { kind: 'decision', workload: edge, listener: 'edge-fn/edge', service: 'edge-fn', code: 'allowed' },
  ])
  expect(outcomes).toMatchObject([{ code: 'completed', status: 201, upstream: 'handler' }])
  expect([waited.length, flushes]).toEqual([1, 1])
})

test('without a platform to wait, what is not a decision is sent on all the same', async () => {
  const { response, flushes } = await through(get(), { context: 'none' })
  expect([response.status, flushes]).toEqual([200, 1])
})

test('a shadow is asked once the answer is there, and the platform waits for it', async () => {
  const trial = { name: 'edge', mode: 'shadow' as const, bundle: 'next', entrypoint: 'next/result', percent: 100 }
  const asked: string[] = []
  const { response, bodies, waited } = await through(get('/items'), {
    policy: { bundle: 'bank', entrypoint: 'bank/result', recordHeaders: [], recordQuery: false, trial },
    decide: (_, use) => {
      asked.push(use!.bundle)
      return use!.bundle === 'bank' ? allowed : { ...allowed, verdict: 'deny', code: 'policy_denied' }
    },
  })
  expect([response.status, asked, bodies.length]).toEqual([200, ['bank'], 1])
  await Promise.all(waited)
  expect(asked).toEqual(['bank', 'next'])
  expect(bodies[1]).toMatchObject({ enforced: false, verdict: 'deny', trial: { of: `${epoch}-1` } })
  // The collector takes it as it is, but not one that only claims to have changed nothing.
  expect(collected.safeParse({ records: bodies }).success).toBe(true)
  const { trial: _, ...bare } = bodies[1] as DecisionBody
  expect(collected.safeParse({ records: [bare] }).success).toBe(false)
  expect(collected.safeParse({ records: [{ ...bodies[1], enforced: true }] }).success).toBe(false)
})

test('a denied request is kept and refused, and the handler is not called', async () => {
  const deny: Decision = { ...allowed, verdict: 'deny', code: 'policy_denied', reasons: ['secret'] }
  const { response, text, requests, bodies, outcomes } = await through(get(), { decision: deny })
  expect([response.status, requests, bodies.length]).toEqual([403, [], 1])
  expect(response.headers.get('content-type')).toBe('application/problem+json')
  expect(text).not.toContain('secret')
  expect(outcomes).toMatchObject([{ code: 'refused', status: 403 }])
})

test('a caller without a name is counted under its address and refused', async () => {
  const { response, requests, bodies, refused, flushes } = await through(get(), {
    identified: unknown,
    address: () => '192.0.2.1',
  })
  expect([response.status, requests, bodies]).toEqual([401, [], []])
  expect(refused).toMatchObject([{ code: 'identity_missing', source: '192.0.2.1' }])
  expect(flushes).toBe(1)
})

test('an address that any caller could write is not taken for one', async () => {
  const { facts } = await through(get('/', { 'cf-connecting-ip': '192.0.2.1', 'x-forwarded-for': '192.0.2.1' }))
  expect(facts[0]!.source.address).toBe('')
})

test('where the record is not kept the handler is not called', async () => {
  const { response, text, requests } = await through(get(), {
    sink: {
      keep: () => Promise.reject(new WritError('audit_unavailable', 'the collector did not keep the record')),
      outcome: () => undefined,
      refused: () => undefined,
    },
  })
  expect([response.status, JSON.parse(text).code, requests]).toEqual([503, 'audit_unavailable', []])
})

test.each<[string, Handler]>([
  [
    'throws',
    () => {
      throw new Error('secret')
    },
  ],
  ['rejects', () => Promise.reject(new Error('secret'))],
  ['gives no response', () => undefined as unknown as Response],
  ['gives an error response', () => Response.error()],
])('a handler that %s is a 502 that says where the record is and nothing else', async (_, handler) => {
  const { response, text, outcomes } = await through(get('/', { 'x-request-id': 'request-1' }), { handler })
  expect(response.status).toBe(502)
  expect(JSON.parse(text)).toMatchObject({
    code: 'upstream_reset',
    request_id: 'request-1',
    decision_id: `${epoch}-1`,
  })
  expect(text).not.toContain('secret')
  expect(outcomes).toMatchObject([{ code: 'upstream_reset', status: 502 }])
})

test.each<[string, Partial<GuardOptions>]>([
  [
    'evidence',
    {
      evidence: () => {
        throw new Error('broken')
      },
    },
  ],
  ['identify', { identify: () => Promise.reject(new Error('broken')) }],
])('a broken %s lets nobody in', async (_, change) => {
  const { response, text, requests } = await through(get(), change)
  expect([response.status, JSON.parse(text).code, requests]).toEqual([503, 'internal', []])
})

test('the bearer token is what the caller shows; two are handed on as what they are, and other schemes are none', async () => {
  const shown = async (authorization?: string) =>
    (await through(get('/', authorization === undefined ? {} : { authorization }))).evidence[0]
  expect(await shown('Bearer a.b.c')).toEqual({ kind: 'jwt', token: 'a.b.c' })
  expect(await shown('bearer a.b.c')).toEqual({ kind: 'jwt', token: 'a.b.c' })
  expect(await shown('Bearer a.b.c, Bearer d.e.f')).toEqual({ kind: 'jwt', token: 'a.b.c, Bearer d.e.f' })
  expect(await shown('Basic YTpi')).toEqual({ kind: 'none' })
  expect(await shown('Bearer')).toEqual({ kind: 'none' })
  expect(await shown()).toEqual({ kind: 'none' })
  const twice = new Headers([
    ['authorization', 'Bearer a.b.c'],
    ['authorization', 'Bearer d.e.f'],
  ])
  const { evidence } = await through(new Request('https://edge.example/', { headers: twice }))
  expect(evidence[0]).toEqual({ kind: 'jwt', token: 'a.b.c, Bearer d.e.f' })
})

test('only the guard says who calls: the caller’s own word for it is replaced', async () => {
  const forged = get('/', { 'x-forwarded-client-cert': 'URI=spiffe://bank.example/ceo', 'x-request-id': 'bad id' })
  const { requests } = await through(forged)
  expect(requests[0]!.headers.get('x-forwarded-client-cert')).toBe(`By=${edge};URI=${shop}`)
  expect(requests[0]!.headers.get('x-request-id')).toMatch(/^[0-9a-f]{32}$/)
})

test('a body goes to the handler as it streams in', async () => {
  let release: (chunk: string) => void = () => {}
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      controller.enqueue(new TextEncoder().encode('first '))
      release = (chunk) => {
        controller.enqueue(new TextEncoder().encode(chunk))
        controller.close()
      }
    },
  })
  const init = { method: 'POST', body, duplex: 'half' }
  const { text } = await through(new Request('https://edge.example/', init), {
    handler: async (request) => {
      const reader = request.body!.pipeThrough(new TextDecoderStream()).getReader()
      const first = await reader.read()
      release('second') // Only once the first has arrived.
      return new Response(`${first.value}${(await reader.read()).value}`)
    },
  })
  expect(text).toBe('first second')
})

const pathCharacters = fc.constantFrom(
  ...'ab/.%25~;=:@&$!*(),_-"<>[]^`{|}\\ä'.split(''),
  '%2f',
  '%2e',
  '%41',
  '%zz',
  '//',
  '..',
)

test('what the handler sees is what the policy judged, whatever is asked', async () => {
  const words = fc.array(pathCharacters, { maxLength: 12 }).map((parts) => parts.join(''))
  const fields = fc.dictionary(fc.stringMatching(/^x-[a-z_]{1,8}$/), fc.stringMatching(/^[!-~]{0,12}$/), { maxKeys: 4 })
  let passed = 0
  await fc.assert(
    fc.asyncProperty(words, words, words, fields, async (path, query, hash, headers) => {
      const request = new Request(`https://edge.example/${path}?${query.replaceAll('#', '')}#${hash}`, {
        headers: { ...headers, 'x-kept': 'kept' },
      })
      const { facts, requests, response, bodies } = await through(request)
      for (const body of bodies) expect(collected.safeParse(jsonOf({ records: [body] })).success).toBe(true)
      expect(response.status).toBe(requests.length === 0 ? 400 : 200)
      if (requests.length === 0) return
      passed++
      const { head } = facts[0]!
      const url = new URL(requests[0]!.url)
      expect([url.pathname, url.search, url.hash, url.host]).toEqual([
        head!.path,
        head!.query === undefined ? '' : `?${head!.query}`,
        '',
        head!.authority,
      ])
      const { 'x-request-id': __, 'x-forwarded-client-cert': ___, ...seen } = Object.fromEntries(requests[0]!.headers)
      expect(seen).toEqual(head!.headers)
    }),
    { numRuns: 300 },
  )
  expect(passed).toBeGreaterThan(30)
})

const jsonOf = (value: unknown): unknown => JSON.parse(JSON.stringify(value))

test('a record is one that the collector takes, also where policy and caller say too much', async () => {
  const reasons = Array(50).fill(`\ud800${'x'.repeat(500)}`)
  const deny: Decision = { ...allowed, verdict: 'deny', code: 'policy_denied', reasons }
  const { bodies } = await through(
    get(`/${'a'.repeat(14_000)}?${'%22'.repeat(4000)}`, { 'x-kept': '"'.repeat(4000) }),
    {
      decision: deny,
    },
  )
  expect((bodies[0] as DecisionBody).code).toBe('policy_denied')
  expect(collected.safeParse(jsonOf({ records: bodies })).error).toBeUndefined()
})

test('a head has the bounds of every listener: 100 fields and 32 KiB', async () => {
  const status = async (request: Request) => (await through(request)).response.status
  const fields = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, i) => [`x-${i}`, 'v']))
  expect(await status(get('/', fields(100)))).toBe(200)
  expect(await status(get('/', fields(101)))).toBe(431)
  expect(await status(get('/', { 'x-long': 'v'.repeat(32_000) }))).toBe(200)
  expect(await status(get('/', { 'x-long': 'v'.repeat(33_000) }))).toBe(431)
  expect(await status(get(`/${'a'.repeat(33_000)}`))).toBe(431)
})

test('a request that names two hosts is refused, one that names its own is not, with or without the default port', async () => {
  const status = async (host: string, url = 'https://edge.example/') =>
    (await through(new Request(url, { headers: { host } }))).response.status
  expect(await status('edge.example')).toBe(200)
  expect(await status('Edge.Example:443')).toBe(200)
  expect(await status('edge.example:80')).toBe(400)
  expect(await status('edge.example:80', 'http://edge.example/')).toBe(200)
  expect(await status('other.example')).toBe(400)
  expect(await status('edge.example:8443', 'https://edge.example:8443/')).toBe(200)
})

test('an upgrade is not guarded here, and so is refused', async () => {
  expect((await through(get('/', { upgrade: 'websocket' }))).response.status).toBe(501)
})

const judging = { policy: { bundle: 'bank', entrypoint: 'e', recordHeaders: [], recordQuery: false, bodyBytes: 8 } }

/** A body in pieces, and whether it was given up. */
function inPieces(...pieces: readonly string[]) {
  const state = { cancelled: false }
  const left = [...pieces]
  const body = new ReadableStream<Uint8Array>({
    pull: (to) => {
      const next = left.shift()
      if (next === undefined) to.close()
      else to.enqueue(new TextEncoder().encode(next))
    },
    cancel: () => {
      state.cancelled = true
    },
  })
  const init = { method: 'POST', body, duplex: 'half', headers: { 'content-type': 'application/json' } }
  return { state, request: new Request('https://edge.example/', init as RequestInit) }
}

test.each([
  ['whole', ['{"a"', ':1}'], { parsed: { a: 1 }, text: '{"a":1}', truncated: false, size: 7 }],
  ['as long as it may be', ['{"a":12}'], { parsed: { a: 12 }, truncated: false }],
  ['longer', ['{"a":', '"', 'bcdefghijk"}', '\n'], { parsed: null, text: '{"a":"bc', truncated: true, size: -1 }],
])('a body that is judged and %s reaches the handler as it came', async (_, pieces, judged) => {
  const handler: Handler = async (request) => new Response(await request.text())
  const { text, facts } = await through(inPieces(...pieces).request, { ...judging, handler })
  expect(text).toBe(pieces.join(''))
  expect(facts[0]!.body).toMatchObject(judged)
})

test('a request without a body is judged as one, and a body that is no JSON is refused unjudged', async () => {
  const { facts } = await through(get(), judging)
  expect(facts[0]!.body).toEqual({ parsed: null, text: '', truncated: false, size: 0 })
  const bad = await through(inPieces('{').request, judging)
  expect([bad.response.status, bad.facts, bad.requests]).toEqual([400, [], []])
  expect(bad.bodies).toMatchObject([{ code: 'bad_request', by: 'proxy' }])
})

test('a body whose caller leaves is refused with a record, and a handler that gives up gives up the rest', async () => {
  const broken = new ReadableStream({ pull: (to) => to.error(new Error('gone')) })
  const init = { method: 'POST', body: broken, duplex: 'half' } as RequestInit
  const gone = await through(new Request('https://edge.example/', init), judging)
  expect(gone.bodies).toMatchObject([{ code: 'bad_request' }])
  const { state, request } = inPieces(...Array.from({ length: 50 }, () => 'xxxxxxxxxx'))
  const handler: Handler = async (given) => {
    await given.body!.cancel()
    return new Response('no')
  }
  await through(request, { ...judging, handler })
  expect(state.cancelled).toBe(true)
})
