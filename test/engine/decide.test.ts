import { beforeAll, expect, test } from 'vitest'
import type { Decision } from '../../core/decision.ts'
import type { RequestFacts } from '../../core/facts.ts'
import type { SpiffeId, TrustDomain } from '../../core/spiffe.ts'
import { makeDecide } from '../../engine/decide.ts'
import { makeEvaluate } from '../../engine/evaluate.ts'
import { makePolicies, type Policies, type Policy } from '../../engine/policies.ts'
import { openRego } from './compiled.ts'

const rego = `package t
echo := {"allowed": true, "headers": {"x-who": input.source_principal, "x-to": input.parsed_path[1]}}
yes := true
no := false
because := {"allowed": false, "reasons": ["for this"], "http_status": 404}
none := true if false
wrong := {"allowed": "yes"}
smuggle := {"allowed": true, "headers": {"content-length": "0"}}
conflict := x if some x in [1, 2]
clock := time.now_ns() == 1700000000000000001
`
const rules = ['echo', 'yes', 'no', 'because', 'none', 'wrong', 'smuggle', 'conflict', 'clock']

const facts: RequestFacts = {
  direction: 'inbound',
  workload: 'spiffe://bank.example/orders' as SpiffeId,
  listener: 'orders/http',
  source: {
    identified: {
      ok: true,
      identity: {
        id: 'spiffe://bank.example/storefront' as SpiffeId,
        trustDomain: 'bank.example' as TrustDomain,
        proof: 'x509',
        serial: '01',
        notBeforeMs: 0,
        notAfterMs: 1,
      },
    },
    address: '127.0.0.1',
    port: 1,
  },
  destination: { service: 'orders', address: '127.0.0.1', port: 2 },
  head: {
    method: 'GET',
    authority: 'orders.bank',
    path: '/orders/1',
    query: undefined,
    headers: {},
    protocol: 'HTTP/1.1',
    scheme: 'https',
  },
  requestId: 'r',
  traceId: '',
  atNs: 1_700_000_000_000_000_001n,
}

let policy: Policy
let policies: Policies
beforeAll(async () => {
  policy = await openRego(
    rego,
    rules.map((rule) => `t/${rule}`),
  )
  policies = makePolicies()
  policies.put(policy)
})

const use = (rule: string, bundle = 'test') => ({
  bundle,
  entrypoint: `t/${rule}`,
  recordHeaders: [],
  recordQuery: false,
})
const decide = (rule: string, bundle?: string) => makeDecide(policies)(facts, use(rule, bundle)) as Decision

test('yes is allow, no is deny, and both name the policy', () => {
  const from = { by: 'policy', policy: policy.ref }
  expect(decide('yes')).toEqual({ verdict: 'allow', code: 'allowed', from, reasons: [] })
  expect(decide('no')).toEqual({ verdict: 'deny', code: 'policy_denied', from, reasons: [] })
})

test('the policy reads who calls and what, and its headers go along', () => {
  expect(decide('echo')).toMatchObject({
    verdict: 'allow',
    effects: { setOnRequest: { 'x-who': 'spiffe://bank.example/storefront', 'x-to': '1' } },
  })
})

test('a denial carries its reasons and the answer that the policy wants', () => {
  expect(decide('because')).toMatchObject({
    verdict: 'deny',
    code: 'policy_denied',
    reasons: ['for this'],
    answer: { status: 404 },
  })
})

test('what cannot be told is a fault with its own code, and passes nobody', () => {
  const code = (decision: Decision) => [decision.verdict, decision.code]
  expect(code(decide('none'))).toEqual(['fault', 'policy_undefined'])
  expect(code(decide('unheard-of'))).toEqual(['fault', 'policy_undefined'])
  expect(code(decide('wrong'))).toEqual(['fault', 'policy_result_invalid'])
  expect(code(decide('smuggle'))).toEqual(['fault', 'policy_result_invalid'])
  expect(code(decide('conflict'))).toEqual(['fault', 'policy_error'])
  expect(code(decide('yes', 'other'))).toEqual(['fault', 'policy_missing'])
  expect(code(makeDecide(policies)(facts, undefined) as Decision)).toEqual(['fault', 'policy_missing'])
})

test('faults of a policy name it, faults for want of one are our own', () => {
  expect(decide('none').from).toEqual({ by: 'policy', policy: policy.ref })
  expect(decide('yes', 'other').from).toEqual({ by: 'proxy' })
})

test("the time that a policy sees is the request's", () => {
  expect(decide('clock').verdict).toBe('allow')
})

test('a request that would not fit is a fault, one header less would do', () => {
  const long = { ...facts, head: { ...facts.head!, headers: { a: 'x'.repeat(1024 ** 2) } } }
  expect(makeDecide(policies)(long, use('yes'))).toMatchObject({ verdict: 'fault', code: 'policy_limit' })
})

test('facts that no policy can read are a fault, not an exception', () => {
  const odd = { ...facts, atNs: 2n ** 200n }
  expect(makeDecide(policies)(odd, use('yes'))).toMatchObject({ verdict: 'fault', code: 'policy_error' })
})

test('a new revision takes the place of the old in whole', async () => {
  const set = makePolicies()
  set.put(policy)
  const next = await openRego('package t\nyes := false', ['t/yes'])
  set.put(next)
  expect(set.refs()).toEqual([next.ref])
  expect(makeDecide(set)(facts, use('yes'))).toMatchObject({ verdict: 'deny', from: { policy: next.ref } })
  expect(set.get('toString')).toBeUndefined()
})

test('any rule can be asked of the exact revision, and of no other', async () => {
  const evaluate = makeEvaluate((ref) => policies.get(ref.bundle))
  expect(await evaluate(policy.ref, 't/yes', {})).toEqual({ ok: true, value: true })
  expect(await evaluate({ ...policy.ref, sha256: '0'.repeat(64) }, 't/yes', {})).toMatchObject({
    ok: false,
    fault: 'policy_missing',
  })
  expect(await evaluate(policy.ref, 't/none', {})).toMatchObject({ ok: false, fault: 'policy_undefined' })
})

test('a request that holds half a character is a fault, with the whole one it is judged', () => {
  const with_ = (service: string) => ({ ...facts, destination: { ...facts.destination, service } })
  expect(makeDecide(policies)(with_('\ud83d'), use('yes'))).toMatchObject({ verdict: 'fault', code: 'policy_error' })
  expect(makeDecide(policies)(with_('\ud83d\ude00'), use('yes'))).toMatchObject({ verdict: 'allow' })
})
