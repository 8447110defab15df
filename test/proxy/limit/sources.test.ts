import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type Admitted, makeSources, maxSources } from '../../../proxy/limit/sources.ts'

const prefix = { ipv4: 32, ipv6: 64 }
const codeOf = (answer: ReturnType<ReturnType<typeof makeSources>['admit']>) =>
  'code' in answer ? answer.code : 'let in'

test('a source has as many connections as it may have, and the next one once one is closed; others have their own', () => {
  const sources = makeSources({ prefix, connections: 2 })
  const ask = (address: string) => sources.admit(address, false, 0)
  const first = ask('10.0.0.1') as Admitted
  ask('10.0.0.1')
  expect(codeOf(ask('10.0.0.1'))).toBe('source_connections')
  expect(codeOf(ask('::ffff:10.0.0.1'))).toBe('source_connections')
  expect(codeOf(ask('10.0.0.2'))).toBe('let in')
  first.closed()
  first.closed()
  expect(codeOf(ask('10.0.0.1'))).toBe('let in')
  expect(codeOf(ask('10.0.0.1'))).toBe('source_connections')
  expect(sources.refused()).toMatchObject({ source_connections: 3 })
})

test('handshakes count while they are under way, new connections as fast as they come', () => {
  const sources = makeSources({ prefix, handshakes: 1, rate: { perSecond: 1, burst: 3 } })
  const first = sources.admit('10.0.0.1', true, 0) as Admitted
  expect(codeOf(sources.admit('10.0.0.1', true, 0))).toBe('source_handshakes')
  first.handshaken()
  expect([0, 1, 2].map(() => codeOf(sources.admit('10.0.0.1', false, 0)))).toEqual(['let in', 'let in', 'source_rate'])
  expect(codeOf(sources.admit('10.0.0.1', false, 999))).toBe('source_rate')
  expect(codeOf(sources.admit('10.0.0.1', false, 1000))).toBe('let in')
})

test('who is denied is denied whatever is allowed; an address that is none is of this machine and let in', () => {
  const sources = makeSources({ prefix, allow: ['10.0.0.0/8', '2001:db8::/32'], deny: ['10.9.0.0/16'] })
  const ask = (address: string) => codeOf(sources.admit(address, false, 0))
  expect([ask('10.1.0.1'), ask('2001:db8::1'), ask('')]).toEqual(['let in', 'let in', 'let in'])
  expect([ask('10.9.0.1'), ask('11.0.0.1'), ask('::1'), ask('::ffff:10.9.0.1')]).toEqual(
    Array.from({ length: 4 }, () => 'source_denied'),
  )
  sources.use({ prefix })
  expect(ask('10.9.0.1')).toBe('let in')
})

test('connections are never counted below nothing nor above what is let in, whatever comes and goes', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(2), fc.boolean(), fc.nat(20))), (steps) => {
      const sources = makeSources({ prefix, connections: 3, handshakes: 2 })
      const open: { readonly from: number; readonly one: Admitted; shaking: boolean }[] = []
      for (const [from, opens, which] of steps) {
        const mine = open.filter((it) => it.from === from)
        if (opens) {
          const answer = sources.admit(`10.0.0.${from}`, true, 0)
          const expected =
            mine.length >= 3
              ? 'source_connections'
              : mine.filter(({ shaking }) => shaking).length >= 2
                ? 'source_handshakes'
                : 'let in'
          expect(codeOf(answer)).toBe(expected)
          if (!('code' in answer)) open.push({ from, one: answer, shaking: true })
        } else if (mine.length > 0) {
          const chosen = mine[which % mine.length]!
          if (chosen.shaking && which % 2 === 0) {
            chosen.shaking = false
            chosen.one.handshaken()
          } else {
            chosen.one.closed()
            open.splice(open.indexOf(chosen), 1)
          }
        }
      }
    }),
  )
})

test('so many sources are remembered and no more: the one that came longest ago may open all at once again', () => {
  const sources = makeSources({ prefix, rate: { perSecond: 0.001, burst: 1 } })
  const at = (i: number) => `10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`
  const come = (i: number): string => {
    const answer = sources.admit(at(i), false, 0)
    if (!('code' in answer)) answer.closed()
    return codeOf(answer)
  }
  for (let i = 0; i <= maxSources; i++) expect(come(i)).toBe('let in')
  expect(come(maxSources)).toBe('source_rate')
  expect(come(0)).toBe('let in')
})
