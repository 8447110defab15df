import { expect, test } from 'vitest'
import { utf8 } from '../../../core/bytes.ts'
import type { Decision, DecisionFault } from '../../../core/decision.ts'
import type { HeadFault, RequestHead } from '../../../core/facts.ts'
import { WritError } from '../../../core/fault.ts'
import type { Identified, Identity } from '../../../core/identity.ts'
import { canonicalJson, type Json } from '../../../core/json.ts'
import type { Outcome } from '../../../core/outcome.ts'
import type { EventBody, RecordId } from '../../../core/record.ts'
import type { SpiffeId, TrustDomain } from '../../../core/spiffe.ts'
import type { BodyRead, Exchange, Onward, Refusal } from '../../../proxy/exchange.ts'
import { quarantineOf } from '../../../proxy/flow/quarantine.ts'
import type { Found } from '../../../proxy/flow/route.ts'
import { type Parts, serve } from '../../../proxy/serve.ts'

const orders = 'spiffe://bank.example/orders' as SpiffeId
const web = 'spiffe://bank.example/web' as SpiffeId
const identity: Identity = {
  id: web,
  trustDomain: 'bank.example' as TrustDomain,
  proof: 'x509',
  serial: '01',
  notBeforeMs: 0,
  notAfterMs: 10_000,
}
const outcome: Outcome = {
  code: 'completed',
  status: 200,
  requestBytes: 0,
  responseBytes: 0,
  durationUs: 1,
  upstream: '',
}
const found: Found = {
  route: 'orders',
  service: 'orders',
  endpoint: { address: '127.0.0.1', port: 1, identity: undefined },
  timeoutMs: 0,
}
const get: RequestHead = {
  method: 'GET',
  authority: 'orders',
  path: '/',
  query: undefined,
  headers: {},
  protocol: 'HTTP/1.1',
  scheme: 'https',
}
const policy = { bundle: 'bank', entrypoint: 'writ/authz/result', recordHeaders: [], recordQuery: false }
const allowed: Decision = {
  verdict: 'allow',
  code: 'allowed',
  from: { by: 'policy', policy: { bundle: 'bank', revision: '1', sha256: 'aa' } },
  reasons: [],
}

/** Serves one request and tells what happened, in order. */
async function served(
  options: {
    head?: RequestHead | HeadFault
    identified?: Identified
    decision?: Decision | Error
    read?: BodyRead
    found?: Found | undefined
    keep?: () => RecordId | Promise<RecordId>
    parts?: Partial<Parts>
  } = {},
) {
  const steps: string[] = []
  const seen: { refusal?: Refusal; onward?: Onward; body?: EventBody } = {}
  const exchange: Exchange = {
    peer: { evidence: { kind: 'none' }, address: '10.0.0.1', port: 5 },
    head: options.head ?? get,
    local: { address: '127.0.0.1', port: 80 },
    readBody: async (maxBytes) => {
      steps.push(`read ${maxBytes}`)
      return options.read ?? { kind: 'none' }
    },
    refuse: async (refusal) => {
      steps.push('refuse')
      seen.refusal = refusal
      return outcome
    },
    forward: async (onward) => {
      steps.push('forward')
      seen.onward = onward
      return outcome
    },
  }
  await serve(exchange, {
    direction: 'inbound',
    listener: 'orders/http',
    workload: orders,
    policy,
    findRoute: () => ('found' in options ? options.found : found),
    identify: () => options.identified ?? { ok: true, identity },
    decide: () => {
      steps.push('decide')
      if (options.decision instanceof Error) throw options.decision
      return options.decision ?? allowed
    },
    sink: {
      keep: async (body) => {
        steps.push('keep')
        seen.body = body
        return options.keep ? options.keep() : ({ producer: orders, epoch: 'ab', seq: 7 } as unknown as RecordId)
      },
      outcome: (id, { code }) => steps.push(`outcome ${id.seq} ${code}`),
      refused: (refusal) => steps.push(`refused ${refusal.source} ${refusal.code}`),
    },
    now: () => 5_000_000_000n,
    random: (length) => new Uint8Array(length).fill(1),
    ...options.parts,
  })
  return { steps, ...seen }
}

test('an allowed request is kept, then forwarded, then its outcome follows', async () => {
  const { steps, onward, body } = await served()
  expect(steps).toEqual(['decide', 'keep', 'forward', 'outcome 7 completed'])
  expect(onward?.setHeaders).toEqual({
    'x-request-id': '01'.repeat(16),
    'x-forwarded-client-cert': `By=${orders};URI=${web}`,
  })
  expect(onward?.setResponseHeaders).toEqual({ 'x-writ-decision': 'ab-7' })
  expect(body).toMatchObject({ code: 'allowed', by: 'policy', bundles: { bank: { revision: '1' } }, service: 'orders' })
})

test('a denied one is kept, then refused with its code but not with the reasons of the policy', async () => {
  const { steps, refusal, body } = await served({
    decision: { ...allowed, verdict: 'deny', code: 'policy_denied', reasons: ['secret'] },
  })
  expect(steps).toEqual(['decide', 'keep', 'refuse', 'outcome 7 completed'])
  expect(refusal).toMatchObject({ status: 403, headers: { 'x-writ-decision': 'ab-7' } })
  expect(JSON.parse(refusal!.body)).toMatchObject({ code: 'policy_denied', status: 403, decision_id: 'ab-7' })
  expect(refusal!.body).not.toContain('secret')
  expect(body).toMatchObject({ reasons: ['secret'] })
})

test("a binding that explains tells the policy's reasons to a caller it denies, and to nobody without a name", async () => {
  const decision: Decision = {
    ...allowed,
    verdict: 'deny',
    code: 'policy_denied',
    reasons: ['no edge', 'x'.repeat(9999)],
  }
  const parts = { policy: { ...policy, explain: true } }
  const { refusal, body } = await served({ decision, parts })
  const { reasons } = JSON.parse(refusal!.body)
  expect(reasons).toEqual((body as { reasons?: unknown }).reasons)
  expect(reasons[0]).toBe('no edge')
  const identified: Identified = { ok: false, code: 'identity_untrusted', detail: 'no bundle' }
  expect((await served({ decision, parts, identified })).refusal!.body).not.toContain('no edge')
  expect((await served({ decision: new Error('no edge'), parts })).refusal!.body).not.toContain('no edge')
})

test.each([
  ['rejects', () => Promise.reject(new WritError('audit_unavailable', 'the spool is full'))],
  [
    'throws',
    () => {
      throw new Error('broken')
    },
  ],
])('where the record cannot be kept because keep %s, nothing is forwarded', async (_, keep) => {
  const { steps, refusal } = await served({ keep })
  expect(steps).toEqual(['decide', 'keep', 'refuse'])
  expect(refusal?.status).toBe(503)
  expect(JSON.parse(refusal!.body).code).toBe('audit_unavailable')
})

test('a stranger is counted and not kept, whatever it asked', async () => {
  const identified: Identified = { ok: false, code: 'identity_untrusted', detail: 'no bundle' }
  const stranger = await served({ identified })
  expect(stranger.steps).toEqual(['refused 10.0.0.1 identity_untrusted', 'refuse'])
  expect(stranger.refusal?.status).toBe(401)
  const garbage = await served({ identified, head: { code: 'bad_request', detail: 'x' } })
  expect(garbage.steps).toEqual(['refused 10.0.0.1 bad_request', 'refuse'])
})

test('a known peer is kept even where its head could not be read', async () => {
  const { steps, body, refusal } = await served({ head: { code: 'head_too_large', detail: 'long' } })
  expect(steps).toEqual(['keep', 'refuse', 'outcome 7 completed'])
  expect(body).toMatchObject({ verdict: 'deny', code: 'head_too_large', by: 'proxy' })
  expect(refusal?.status).toBe(431)
})

test('a policy that throws or rejects admits nobody', async () => {
  expect((await served({ decision: new Error('boom') })).body).toMatchObject({ verdict: 'fault', code: 'internal' })
  const rejecting = await served({ parts: { decide: () => Promise.reject(new Error('boom')) } })
  expect(rejecting.body).toMatchObject({ verdict: 'fault', code: 'internal' })
  expect(rejecting.refusal?.status).toBe(503)
})

test('a fault of a policy passes where the binding says so, and its record says which it was', async () => {
  const passing = { parts: { policy: { ...policy, onFault: 'pass' as const } } }
  const fault = (code: DecisionFault): Decision => ({ ...allowed, verdict: 'fault', code, reasons: ['why'] })
  const faults: DecisionFault[] = ['policy_missing', 'policy_undefined', 'policy_result_invalid', 'policy_error']
  for (const code of [...faults, 'policy_limit', 'policy_data_stale'] as const) {
    const { steps, body } = await served({ ...passing, decision: fault(code) })
    expect(steps).toEqual(['decide', 'keep', 'forward', 'outcome 7 completed'])
    expect(body).toMatchObject({ verdict: 'allow', code: 'fault_passed', by: 'policy', reasons: [`${code}: why`] })
    expect((await served({ decision: fault(code) })).refusal?.status).toBe(503)
  }
  // Never those that are not the policy's, nor a refusal, nor a caller without a name, nor a throw.
  for (const code of ['identity_unavailable', 'audit_unavailable', 'internal'] as const) {
    expect((await served({ ...passing, decision: fault(code) })).refusal?.status).toBe(503)
  }
  expect((await served({ ...passing, decision: new Error('boom') })).body).toMatchObject({ code: 'internal' })
  const denied: Decision = { ...allowed, verdict: 'deny', code: 'policy_denied' }
  expect((await served({ ...passing, decision: denied })).refusal?.status).toBe(403)
  const identified: Identified = { ok: false, code: 'identity_missing', detail: '' }
  expect((await served({ ...passing, identified, decision: fault('policy_error') })).refusal?.status).toBe(401)
  const rejected = { ...passing.parts, decide: async () => fault('policy_error') }
  expect((await served({ parts: rejected })).body).toMatchObject({ code: 'fault_passed' })
})

test('the policy of a route is asked in place of the listener’s, and its record keeps what it says', async () => {
  const own = { bundle: 'own', entrypoint: 'own/rule', recordHeaders: [], recordQuery: true }
  const asked: unknown[] = []
  const decide: Parts['decide'] = (_, use) => {
    asked.push(use)
    return allowed
  }
  const head = { ...get, query: 'a=1' }
  const { body } = await served({ head, found: { ...found, route: 'shop/0/0', policy: own }, parts: { decide } })
  expect(asked).toEqual([own])
  expect(body).toMatchObject({ path: 'own/rule', route: 'shop/0/0' })
  expect(JSON.stringify(body)).toContain('a=1')
  expect((await served({ head, parts: { decide } })).body).toMatchObject({ path: 'writ/authz/result' })
  expect(asked).toEqual([own, policy])
})

test('an outbound listener passes on what has a route, without asking a policy, and refuses what has none', async () => {
  const outbound = await served({ parts: { direction: 'outbound' } })
  expect(outbound.steps).toEqual(['keep', 'forward', 'outcome 7 completed'])
  expect(outbound.body).toMatchObject({ code: 'routed', by: 'proxy' })
  expect(outbound.onward?.setHeaders).not.toHaveProperty('x-forwarded-client-cert')
  expect(outbound.onward?.removeHeaders).toContain('x-forwarded-client-cert')
  const lost = await served({ parts: { direction: 'outbound' }, found: undefined })
  expect(lost.body).toMatchObject({ code: 'no_route' })
  expect(lost.refusal?.status).toBe(404)
})

test('a policy changes headers, but never framing, Host or the forwarded identity, and never starts a new line', async () => {
  const { onward } = await served({
    decision: {
      ...allowed,
      effects: {
        setOnRequest: {
          'X-User': 'bob',
          host: 'x',
          'content-length': '0',
          'X_Forwarded-Client-Cert': 'x',
          'x-line': 'a\r\nb: c',
          'x y': '1',
        },
        removeFromRequest: ['X-Secret', 'host', 'transfer-encoding'],
        setOnResponse: { 'x-seen': '1', 'transfer-encoding': 'chunked' },
      },
    },
  })
  expect(Object.keys(onward!.setHeaders).sort()).toEqual(['x-forwarded-client-cert', 'x-request-id', 'x-user'])
  expect(onward!.setHeaders['x-forwarded-client-cert']).toContain(web)
  expect(onward!.removeHeaders).toEqual(['x-secret', 'x-forwarded-client-cert'])
  expect(Object.keys(onward!.setResponseHeaders).sort()).toEqual(['x-seen', 'x-writ-decision'])
})

test('the answer of a policy may redirect, but a refusal never looks like a success', async () => {
  const answer = (status: number) =>
    served({
      decision: {
        ...allowed,
        verdict: 'deny',
        code: 'policy_denied',
        answer: { status, headers: { location: '/in' } },
      },
    })
  expect((await answer(302)).refusal).toMatchObject({ status: 302, headers: { location: '/in' } })
  expect((await answer(200)).refusal?.status).toBe(403)
  expect((await answer(304)).refusal?.status).toBe(403)
})

test('a caller names its request only in the shape of an id, and its trace only as W3C has it', async () => {
  const ask = async (headers: Record<string, string>) => (await served({ head: { ...get, headers } })).body
  expect(await ask({ 'x-request-id': 'abcd-1234' })).toMatchObject({ request_id: 'abcd-1234' })
  expect(await ask({ 'x-request-id': 'abc' })).toMatchObject({ request_id: '01'.repeat(16) })
  expect(await ask({ 'x-request-id': 'abcd-1234"' })).toMatchObject({ request_id: '01'.repeat(16) })
  const trace = '4bf92f3577b34da6a3ce929d0e0e4736'
  expect(await ask({ traceparent: `00-${trace}-00f067aa0ba902b7-01` })).toMatchObject({ trace_id: trace })
  expect(await ask({ traceparent: `00-${'0'.repeat(32)}-00f067aa0ba902b7-01` })).not.toHaveProperty('trace_id')
})

test('a record stays short whatever the caller and the policy wrote', async () => {
  const use = { ...policy, recordHeaders: ['x-long'], recordQuery: true }
  const head = {
    ...get,
    path: `/${'a'.repeat(30_000)}`,
    query: 'b'.repeat(20_000),
    headers: { 'x-long': '"\xe4'.repeat(9000) },
  }
  const { body } = await served({
    head,
    parts: { policy: use },
    decision: { ...allowed, verdict: 'deny', code: 'policy_denied', reasons: Array(50).fill('\ud800\0'.repeat(500)) },
  })
  const bytes = utf8(canonicalJson(body as unknown as Json)).length
  expect(bytes).toBeLessThan(60 * 1024)
  expect(body).toMatchObject({
    input: { oversize: expect.any(Number), sha256: expect.stringMatching(/^[0-9a-f]{64}$/) },
  })
  const small = await served({ head: { ...get, query: 'secret=1' } })
  expect(JSON.stringify(small.body)).not.toContain('secret')
})

const seeing = { policy: { ...policy, bodyBytes: 100, recordBody: [['a']] } }
const read = (text: string, more: object = {}): BodyRead => ({
  ...{ kind: 'read', bytes: utf8(text), truncated: false, size: text.length },
  ...more,
})
const post: RequestHead = { ...get, method: 'POST', headers: { 'content-type': 'application/json' } }

test('a body is read only where the binding says so, and before the policy is asked', async () => {
  expect((await served({ head: post })).steps[0]).toBe('decide')
  const { steps, body } = await served({ head: post, read: read('{"a":1,"b":2}'), parts: seeing })
  expect(steps.slice(0, 3)).toEqual(['read 100', 'decide', 'keep'])
  expect(body).toMatchObject({ input: { parsed_body: { a: 1 }, truncated_body: false } })
  expect(canonicalJson(body as unknown as Json)).not.toContain('"b"')
})

test('of a caller without a name, and of a head that cannot be read, no body is read', async () => {
  const identified: Identified = { ok: false, code: 'identity_missing', detail: '' }
  expect((await served({ head: post, identified, parts: seeing })).steps).not.toContain('read 100')
  const head: HeadFault = { code: 'bad_request', detail: '' }
  expect((await served({ head, parts: seeing })).steps).not.toContain('read 100')
  expect((await served({ head: post, found: undefined, parts: seeing })).steps).not.toContain('read 100')
})

test.each([
  ['JSON that is none', read('{'), 400, 'bad_request'],
  ['broken framing', { kind: 'bad', detail: 'a chunk without a size' } as const, 400, 'bad_request'],
  ['a body that is late', { kind: 'late' } as const, 408, 'body_timeout'],
  ['a caller that left', { kind: 'gone' } as const, 400, 'bad_request'],
])('%s is refused with a record, and the policy is not asked', async (_, given, status, code) => {
  const { steps, body, refusal } = await served({ head: post, read: given, parts: seeing })
  expect(steps).toEqual(['read 100', 'keep', 'refuse', 'outcome 7 completed'])
  expect(refusal?.status).toBe(status)
  expect(body).toMatchObject({ verdict: 'deny', code, by: 'proxy' })
})

test('a caller in quarantine is refused and recorded, and neither its token, its body nor the policy is looked at', async () => {
  const quarantined = quarantineOf([{ id: web, untilMs: 6000, reason: 'odd traffic' }])
  const asked = { ...policy, bodyBytes: 100, tokens: { providers: [], forward: true } }
  const { steps, refusal, body } = await served({ parts: { quarantined, policy: asked } })
  expect(steps).toEqual(['keep', 'refuse', 'outcome 7 completed'])
  expect(JSON.parse(refusal!.body)).toMatchObject({ code: 'quarantined', status: 403 })
  expect(refusal!.body).not.toContain('odd traffic')
  const reasons = ['until 1970-01-01T00:00:06.000Z: odd traffic']
  expect(body).toMatchObject({ verdict: 'deny', code: 'quarantined', by: 'proxy', reasons })
  const others = quarantineOf([{ id: orders, reason: 'odd traffic' }])
  expect((await served({ parts: { quarantined: others } })).steps).toContain('forward')
})

test('where the mesh accounts for what it cannot record, an allowed request passes without an id, a denied one does not', async () => {
  const counted: string[] = []
  const sink = (accounts: boolean): Partial<Parts> => ({
    sink: {
      keep: () => Promise.reject(new WritError('audit_unavailable', 'the spool is full')),
      account: (verdict) => counted.push(verdict) > 0 && accounts,
      outcome: () => counted.push('outcome'),
      refused: () => counted.push('refused'),
    },
  })
  const passed = await served({ parts: sink(true) })
  expect(passed.steps).toEqual(['decide', 'forward'])
  expect(passed.onward?.setResponseHeaders['x-writ-decision']).toBe('unrecorded')
  const denied = await served({
    parts: sink(true),
    decision: { ...allowed, verdict: 'deny', code: 'policy_denied' },
  })
  expect(denied.steps).toEqual(['decide', 'refuse'])
  expect(JSON.parse(denied.refusal!.body).code).toBe('audit_unavailable')
  expect((await served({ parts: sink(false) })).steps).toEqual(['decide', 'refuse'])
  expect(counted).toEqual(['allow', 'deny', 'allow'])
})

test('what the policy’s own rules leave of a record is kept, under the use that was asked', async () => {
  const logRules: Parts['logRules'] = (body, use) => ({ body: { ...body, input: use.bundle }, drop: false })
  const { steps, body } = await served({ parts: { logRules } })
  expect(steps).toEqual(['decide', 'keep', 'forward', 'outcome 7 completed'])
  expect(body).toMatchObject({ input: 'bank' })
})

test('a dropped decision is counted, not kept, and answered as it says; who cannot count keeps it', async () => {
  const logRules: Parts['logRules'] = (body) => ({ body, drop: true })
  const counted: string[] = []
  const sink = (counts: boolean): Parts['sink'] => ({
    keep: () => ({ producer: orders, epoch: 'ab', seq: 7 }) as unknown as RecordId,
    dropped(verdict) {
      counted.push(verdict)
      return counts
    },
    outcome: (_, { code }) => void counted.push(code),
    refused: () => undefined,
  })
  const passed = await served({ parts: { logRules, sink: sink(true) } })
  expect(passed.steps).toEqual(['decide', 'forward'])
  expect(passed.onward?.setResponseHeaders['x-writ-decision']).toBe('unrecorded')
  const denied: Decision = { ...allowed, verdict: 'deny', code: 'policy_denied' }
  const refused = await served({ decision: denied, parts: { logRules, sink: sink(true) } })
  expect(refused.steps).toEqual(['decide', 'refuse'])
  expect(counted).toEqual(['allow', 'deny'])
  expect((await served({ parts: { logRules, sink: sink(false) } })).steps).toEqual(['decide', 'forward'])
  expect(counted).toEqual(['allow', 'deny', 'allow', 'completed'])
  expect((await served({ parts: { logRules } })).steps).toEqual(['decide', 'keep', 'forward', 'outcome 7 completed'])
})
