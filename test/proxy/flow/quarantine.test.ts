import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { Identified } from '../../../core/identity.ts'
import type { Quarantined } from '../../../core/snapshot.ts'
import type { SpiffeId, TrustDomain } from '../../../core/spiffe.ts'
import { cutOff, quarantineOf } from '../../../proxy/flow/quarantine.ts'

const idOf = (name: string): SpiffeId => `spiffe://bank.example/${name}` as SpiffeId
const known = (id: SpiffeId): Identified => ({
  ok: true,
  identity: {
    ...{ id, trustDomain: 'bank.example' as TrustDomain, proof: 'x509', serial: '01', notBeforeMs: 0 },
    notAfterMs: Number.MAX_SAFE_INTEGER,
  },
})

test('a caller is cut off until its time is over, to the millisecond, and nobody else is', () => {
  const find = quarantineOf([{ id: idOf('batch'), untilMs: 1000, reason: 'odd' }])
  expect(cutOff(known(idOf('batch')), find, 999)).toEqual({
    verdict: 'deny',
    code: 'quarantined',
    from: { by: 'proxy' },
    reasons: ['until 1970-01-01T00:00:01.000Z: odd'],
  })
  expect(cutOff(known(idOf('batch')), find, 1000)).toBeUndefined()
  expect(cutOff(known(idOf('batch/2')), find, 0)).toBeUndefined()
  expect(cutOff({ ok: false, code: 'identity_missing', detail: '' }, find, 0)).toBeUndefined()
})

test('one without an end stays', () => {
  const find = quarantineOf([{ id: idOf('batch'), reason: 'odd' }])
  expect(cutOff(known(idOf('batch')), find, Number.MAX_SAFE_INTEGER)).toMatchObject({ reasons: ['odd'] })
})

test('whatever the list, exactly those on it whose time is not over are cut off', () => {
  const entry = fc.record({
    name: fc.constantFrom('a', 'b', 'c', 'd'),
    untilMs: fc.option(fc.nat(100), { nil: undefined }),
  })
  fc.assert(
    fc.property(fc.uniqueArray(entry, { selector: ({ name }) => name }), fc.nat(100), (entries, nowMs) => {
      const list = entries.map(
        ({ name, untilMs }): Quarantined => ({
          id: idOf(name),
          ...(untilMs !== undefined && { untilMs }),
          reason: 'r',
        }),
      )
      const find = quarantineOf(list)
      for (const name of ['a', 'b', 'c', 'd']) {
        const on = entries.some((one) => one.name === name && (one.untilMs === undefined || nowMs < one.untilMs))
        expect(cutOff(known(idOf(name)), find, nowMs) !== undefined).toBe(on)
      }
    }),
  )
})
