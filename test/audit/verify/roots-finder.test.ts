import fc from 'fast-check'
import { expect, test } from 'vitest'
import { overlapMs, rootsAt, rootsFinder, type TrustPeriod } from '../../../audit/verify/trust.ts'

const hour = overlapMs
/** Around the times at which an answer changes. */
const time = fc
  .tuple(fc.integer({ min: -4, max: 4 }), fc.constantFrom(-1, 0, 1, 1000))
  .map(([hours, more]) => hours * hour + more)
const period = fc
  .record({ domain: fc.constantFrom('a.example', 'b.example'), fromMs: time, root: fc.nat(3) })
  .map(({ domain, fromMs, root }): TrustPeriod => {
    return { trustDomain: domain, sequence: 0, fromMs, roots: [Uint8Array.of(root)], id: '' }
  })

test('whoever asks again and again is told the same as one who asks once, also of periods that were added', () => {
  fc.assert(
    fc.property(fc.array(fc.oneof(period, time), { maxLength: 40 }), (steps) => {
      const periods: TrustPeriod[] = []
      const find = rootsFinder(periods)
      for (const step of steps) {
        if (typeof step !== 'number') periods.push(step)
        else
          for (const domain of ['a.example', 'b.example'])
            expect(find(domain, step)).toEqual(rootsAt(periods, domain, step))
      }
    }),
    { numRuns: 500 },
  )
})
