import fc from 'fast-check'
import { expect, test } from 'vitest'
import { formatTrials, trialDifferences } from '../../../audit/replay/trials.ts'
import type { Json } from '../../../core/json.ts'
import { type AuditEvent, parseEvent } from '../../../core/record.ts'
import { id, Producer } from '../verify/producer.ts'

/** What trials would have decided otherwise, summed up from their records. */

const producer = new Producer('orders')
producer.start()

function tried(change: object, verdict: 'allow' | 'deny' | 'fault' = 'deny', path = '/orders/17'): AuditEvent {
  const of = `${producer.epoch}-${producer.seq - 1}`
  const trial = { name: 'shop', mode: 'shadow' as const, of, enforced_verdict: 'allow' as const }
  const code = { allow: 'allowed', deny: 'policy_denied', fault: 'policy_error' }[verdict]
  const read = parseEvent(producer.decision({ enforced: false, trial: { ...trial, ...change }, verdict, code, path }))
  if ('wrong' in read) throw new Error(read.wrong)
  return read.event
}

test('differences are grouped by trial, and by who calls what', async () => {
  const found = await trialDifferences([
    tried({}),
    tried({}, 'deny', '/orders/18'),
    tried({}, 'fault'),
    tried({ enforced_verdict: 'deny' }, 'allow'),
    tried({ name: 'other', mode: 'canary' }, 'fault'),
  ])
  expect(found.map(({ name, mode, differences }) => [name, mode, differences])).toEqual([
    ['shop', 'shadow', 4],
    ['other', 'canary', 1],
  ])
  expect(found[0]!.groups.map(({ shape, was, wouldBe, count }) => [shape, was, wouldBe, count])).toEqual([
    ['/orders/{}', 'allow', 'deny', 2],
    ['/orders/{}', 'deny', 'allow', 1],
    ['/orders/{}', 'allow', 'fault', 1],
  ])
  expect(found[0]!.groups[0]).toMatchObject({ caller: id('web'), target: id('orders') })
  const text = formatTrials(found)
  expect(text).toContain('shadow     shop: orders revision r1\ndiffers    about 4 requests')
  expect(text).toContain('canary     other: orders revision r1\ndiffers    about 1 request,')
})

test('a decision that was enforced is no difference, nor is a record that does not say beside which it was', async () => {
  const enforced = { ...tried({}), enforced: true } as AuditEvent
  expect(await trialDifferences([enforced, tried({ of: 'nobody' }), tried({ enforced_verdict: 'maybe' })])).toEqual([])
})

test('whatever a record holds, it is read or left out', async () => {
  const body = tried({}) as unknown as { readonly [name: string]: Json }
  // The envelope is read strictly before.
  const envelope = ['v', 'kind', 'td', 'cluster', 'producer', 'epoch', 'seq', 'prev', 'timestamp', 'decision_id']
  const members = Object.keys(body).filter((name) => !envelope.includes(name))
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...members), fc.jsonValue(), async (name, value) => {
      const found = await trialDifferences([{ ...body, [name]: value } as unknown as AuditEvent])
      expect(formatTrials(found)).toEqual(expect.any(String))
    }),
  )
})
