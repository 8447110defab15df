import { expect, test } from 'vitest'
import type { Decision } from '../../../core/decision.ts'
import type { RequestFacts } from '../../../core/facts.ts'
import { canonicalJson, type Json } from '../../../core/json.ts'
import type { PolicyTrial, PolicyUse } from '../../../core/policy.ts'
import type { Decide, LogRules } from '../../../core/ports.ts'
import type { DecisionBody, EventBody, RecordId } from '../../../core/record.ts'
import type { SpiffeId, TrustDomain } from '../../../core/spiffe.ts'
import { decidesFor } from '../../../proxy/flow/canary.ts'
import { makeTrials, type TrialReport, type Trials } from '../../../proxy/flow/trial.ts'

const orders = 'spiffe://bank.example/orders' as SpiffeId
const refs = ['bank', 'next'].map((bundle) => ({ bundle, revision: `${bundle}-1`, sha256: 'ab'.repeat(32) }))
const refOf = (bundle: string) => refs.find((ref) => ref.bundle === bundle)!
const says = (bundle: string, verdict: 'allow' | 'deny' | 'fault'): Decision => {
  const from = { by: 'policy', policy: refOf(bundle) } as const
  if (verdict === 'allow') return { verdict, code: 'allowed', from, reasons: [] }
  if (verdict === 'deny') return { verdict, code: 'policy_denied', from, reasons: [`${bundle} says no`] }
  return { verdict, code: 'policy_error', from, reasons: [`${bundle} broke`] }
}

const shadow: PolicyTrial = { name: 'orders', mode: 'shadow', bundle: 'next', entrypoint: 'next/rule', percent: 100 }
const canary: PolicyTrial = { ...shadow, mode: 'canary', percent: 50, maxRise: 5, minDecisions: 10 }
const useOf = (trial: PolicyTrial): PolicyUse => ({
  bundle: 'bank',
  entrypoint: 'bank/rule',
  recordHeaders: [],
  recordQuery: false,
  trial,
})

const factsOf = (caller: string): RequestFacts => ({
  direction: 'inbound',
  workload: orders,
  listener: 'orders/in',
  source: {
    identified: {
      ok: true,
      identity: {
        id: `spiffe://bank.example/${caller}` as SpiffeId,
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
    authority: 'o',
    path: '/',
    query: undefined,
    headers: {},
    protocol: 'HTTP/1.1',
    scheme: 'https',
  },
  requestId: '01'.repeat(16),
  traceId: '',
  atNs: 1_000_000_000n,
})

interface Kit {
  readonly trials: Trials
  readonly kept: EventBody[]
  readonly told: TrialReport[]
  /** Work that was put off. */
  readonly turns: (() => void)[]
  /** What was asked, in order: the bundle and its rule. */
  readonly asked: string[]
  /** Runs what was put off, until nothing is. */
  run(): Promise<void>
  /** One request from first question to last record, by a caller. */
  serve(caller: string): Promise<Decision>
}

function kitOf(
  use: PolicyUse,
  answers: Readonly<Record<string, Decision | Error>>,
  keep = true,
  logRules?: LogRules,
): Kit {
  const kept: EventBody[] = []
  const told: TrialReport[] = []
  const turns: (() => void)[] = []
  const asked: string[] = []
  const decide: Decide = (_, given) => {
    asked.push(`${given!.bundle} ${given!.entrypoint}`)
    const answer = answers[given!.bundle]!
    if (answer instanceof Error) throw answer
    return answer
  }
  const trials = makeTrials({
    decide,
    logRules,
    sink: {
      keep: async (body) => {
        if (!keep) throw new Error('full')
        return { producer: orders, epoch: 'ab'.repeat(12), seq: kept.push(body) } as RecordId
      },
      outcome: () => undefined,
      refused: () => undefined,
    },
    now: () => 5_000_000_000n,
    later: (work) => void turns.push(work),
    onRolledBack: (report) => void told.push(report),
  })
  trials.follow([use], refs)
  let seq = 0
  return {
    ...{ trials, kept, told, turns, asked },
    async run() {
      while (turns.length > 0) {
        turns.shift()!()
        await new Promise((resolve) => setImmediate(resolve))
      }
    },
    async serve(caller) {
      const facts = factsOf(caller)
      const decision = await trials.decide(facts, use)
      const id = { producer: orders, epoch: 'ab'.repeat(12), seq: ++seq } as RecordId
      trials.answered({ facts, found: undefined, decision, use, kept: id })
      return decision
    },
  }
}

const callers = Array.from({ length: 60 }, (_, i) => `app-${i}`)
const onCanary = callers.filter((caller) => decidesFor(canary, `spiffe://bank.example/${caller}`))
const beside = callers.filter((caller) => !onCanary.includes(caller))

test('what a shadow would have said is masked, or dropped, by the rules of the policy in force', async () => {
  const answers = { bank: says('bank', 'allow'), next: says('next', 'deny') }
  const masking = kitOf(useOf(shadow), answers, true, (body, { bundle }) => ({
    body: { ...body, input: `masked by ${bundle}` },
    drop: false,
  }))
  await masking.serve('app')
  await masking.run()
  expect(masking.kept).toMatchObject([{ input: 'masked by bank', enforced: false }])
  const dropping = kitOf(useOf(shadow), answers, true, (body) => ({ body, drop: true }))
  await dropping.serve('app')
  await dropping.run()
  expect(dropping.kept).toEqual([])
  expect(dropping.trials.reports()).toMatchObject([{ differ: 1, unrecorded: 1 }])
})

test('a shadow is asked after the answer, one request a turn, and what it would have changed is recorded', async () => {
  const kit = kitOf(useOf(shadow), { bank: says('bank', 'allow'), next: says('next', 'deny') })
  expect(await kit.serve('web')).toMatchObject({ verdict: 'allow', from: { policy: { bundle: 'bank' } } })
  await kit.serve('web')
  expect(kit.asked).toEqual(['bank bank/rule', 'bank bank/rule'])
  expect(kit.turns).toHaveLength(2)
  kit.turns.shift()!()
  await new Promise((resolve) => setImmediate(resolve))
  expect(kit.asked).toEqual(['bank bank/rule', 'bank bank/rule', 'next next/rule'])
  await kit.run()
  expect(kit.kept).toHaveLength(2)
  expect(kit.kept[0]).toMatchObject({
    kind: 'decision',
    enforced: false,
    verdict: 'deny',
    code: 'policy_denied',
    bundles: { next: { revision: 'next-1' } },
    path: 'next/rule',
    reasons: ['next says no'],
    trial: { name: 'orders', mode: 'shadow', of: `${'ab'.repeat(12)}-1`, enforced_verdict: 'allow' },
  })
  expect(kit.trials.reports()).toMatchObject([{ asked: 2, same: 0, differ: 2, faults: 0, dropped: 0 }])
})

test('a shadow that agrees is counted and leaves no record; one that cannot tell leaves one', async () => {
  const same = kitOf(useOf(shadow), { bank: says('bank', 'deny'), next: says('next', 'deny') })
  await same.serve('web')
  await same.run()
  expect(same.kept).toEqual([])
  expect(same.trials.reports()).toMatchObject([{ asked: 1, same: 1, differ: 0, faults: 0 }])
  for (const next of [says('next', 'fault'), new Error('boom')]) {
    const broken = kitOf(useOf(shadow), { bank: says('bank', 'allow'), next })
    expect(await broken.serve('web')).toMatchObject({ verdict: 'allow' })
    await broken.run()
    expect(broken.kept).toMatchObject([{ enforced: false, verdict: 'fault', code: 'policy_error' }])
    expect(broken.trials.reports()).toMatchObject([{ asked: 1, faults: 1 }])
  }
})

test('a shadow is asked about its share of the requests', async () => {
  const kit = kitOf(useOf({ ...shadow, percent: 25 }), { bank: says('bank', 'allow'), next: says('next', 'allow') })
  for (let i = 0; i < 800; i++) {
    await kit.serve('web')
    await kit.run()
  }
  expect(kit.trials.reports()[0]!.asked).toBeGreaterThan(150)
  expect(kit.trials.reports()[0]!.asked).toBeLessThan(250)
})

test('what waits for a shadow is bounded: the rest is dropped and counted, and answered all the same', async () => {
  const kit = kitOf(useOf(shadow), { bank: says('bank', 'allow'), next: says('next', 'allow') })
  for (let i = 0; i < 300; i++) expect((await kit.serve('web')).verdict).toBe('allow')
  const settled = kit.trials.settled()
  await kit.run()
  await settled
  expect(kit.trials.reports()).toMatchObject([{ asked: 256, same: 256, dropped: 44 }])
})

test('a candidate that is all wrong fills no log: its records have a rate, and a spool that is full harms nobody', async () => {
  const kit = kitOf(useOf(shadow), { bank: says('bank', 'allow'), next: says('next', 'deny') })
  for (let i = 0; i < 150; i++) await kit.serve('web')
  await kit.run()
  expect(kit.kept).toHaveLength(100)
  expect(kit.trials.reports()).toMatchObject([{ differ: 150, unrecorded: 50 }])
  const full = kitOf(useOf(shadow), { bank: says('bank', 'allow'), next: says('next', 'deny') }, false)
  await full.serve('web')
  await full.run()
  expect(full.trials.reports()).toMatchObject([{ differ: 1, unrecorded: 1 }])
})

test('refusals that no policy had a say in are no trial', async () => {
  const use = useOf(shadow)
  const kit = kitOf(use, { bank: says('bank', 'allow'), next: says('next', 'allow') })
  const refused: Decision = { verdict: 'deny', code: 'bad_request', from: { by: 'proxy' }, reasons: [] }
  const kept = { producer: orders, epoch: 'ab', seq: 1 } as unknown as RecordId
  kit.trials.answered({ facts: factsOf('web'), found: undefined, decision: refused, use, kept })
  expect(kit.turns).toEqual([])
  const missing: Decision = { verdict: 'fault', code: 'policy_missing', from: { by: 'proxy' }, reasons: [] }
  kit.trials.answered({ facts: factsOf('web'), found: undefined, decision: missing, use, kept })
  expect(kit.turns).toHaveLength(1)
})

test('a canary decides for its callers and nobody else, and the decision says so', async () => {
  expect(onCanary.length).toBeGreaterThan(10)
  expect(beside.length).toBeGreaterThan(10)
  const kit = kitOf(useOf(canary), { bank: says('bank', 'allow'), next: says('next', 'allow') })
  for (const caller of onCanary) {
    expect((await kit.serve(caller)).from).toMatchObject({
      policy: { bundle: 'next' },
      trial: { name: 'orders', mode: 'canary', entrypoint: 'next/rule' },
    })
  }
  for (const caller of beside) {
    const { from } = await kit.serve(caller)
    expect(from).toMatchObject({ policy: { bundle: 'bank' } })
    expect(from).not.toHaveProperty('trial')
  }
  expect(kit.trials.reports()).toMatchObject([
    {
      rolledBack: false,
      numbers: { asked: onCanary.length, refused: 0, in_force_asked: beside.length, in_force_refused: 0 },
    },
  ])
})

test('a canary that refuses too much takes itself back at once, and tells', async () => {
  const kit = kitOf(useOf(canary), { bank: says('bank', 'allow'), next: says('next', 'deny') })
  for (const caller of beside) await kit.serve(caller)
  for (const caller of onCanary.slice(0, 10)) expect((await kit.serve(caller)).verdict).toBe('deny')
  expect(await kit.serve(onCanary[0]!)).toMatchObject({ verdict: 'allow', from: { policy: { bundle: 'bank' } } })
  const numbers = { asked: 10, refused: 10, in_force_asked: beside.length, in_force_refused: 0 }
  expect(kit.kept).toEqual([
    { kind: 'policy', action: 'canary_rolled_back', ...refOf('next'), trial: { name: 'orders', ...numbers } },
  ])
  expect(kit.told).toMatchObject([{ name: 'orders', rolledBack: true, numbers }])
  // It stays so for the same bundle, and another revision has its chance.
  kit.trials.follow([useOf({ ...canary })], refs)
  expect(kit.trials.reports()).toMatchObject([{ rolledBack: true }])
  kit.trials.follow([useOf({ ...canary })], [refOf('bank'), { ...refOf('next'), sha256: 'cd'.repeat(32) }])
  expect(kit.trials.reports()).toMatchObject([{ rolledBack: false, asked: 0 }])
})

test('where a canary cannot tell, the policy in force answers, and it counts against the canary', async () => {
  for (const next of [says('next', 'fault'), new Error('boom')]) {
    const kit = kitOf(useOf(canary), { bank: says('bank', 'allow'), next })
    for (const caller of beside) await kit.serve(caller)
    for (const caller of onCanary.slice(0, 10)) {
      expect(await kit.serve(caller)).toMatchObject({ verdict: 'allow', from: { policy: { bundle: 'bank' } } })
    }
    const records = kit.kept.filter((body): body is DecisionBody => body.kind === 'decision')
    expect(records).toHaveLength(10)
    expect(records[0]).toMatchObject({
      enforced: false,
      verdict: 'fault',
      trial: { mode: 'canary', of: `${'ab'.repeat(12)}-${beside.length + 1}`, enforced_verdict: 'allow' },
    })
    expect(kit.trials.reports()).toMatchObject([{ rolledBack: true, faults: 10, numbers: { asked: 10, refused: 10 } }])
  }
})

test('records of trials can be written', async () => {
  const kit = kitOf(useOf(shadow), { bank: says('bank', 'allow'), next: says('next', 'deny') })
  await kit.serve('web')
  await kit.run()
  expect(() => canonicalJson(kit.kept[0] as unknown as Json)).not.toThrow()
})
