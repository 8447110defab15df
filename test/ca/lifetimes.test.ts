import { expect, test } from 'vitest'
import { isOverdue, type Lifetime, lifetimesOf } from '../../ca/lifetimes.ts'
import { renewAtMs } from '../../ca/node/rotate.ts'
import { above } from './above.ts'
import { bank, bundlesOf, newAuthority, newSvid, noonMs, orders } from './world.ts'

const minuteMs = 60_000
const dayMs = 86_400_000

test('no certificate is overdue before its renewal has had its time, and each is long before its end', () => {
  const overdueFrom = (kind: Lifetime['kind'], lifeMs: number): number => {
    const one = { kind, notBeforeMs: noonMs - minuteMs, notAfterMs: noonMs + lifeMs }
    let [from, to] = [noonMs, one.notAfterMs]
    while (to - from > 1) {
      const at = Math.floor((from + to) / 2)
      if (isOverdue(one, at)) to = at
      else from = at
    }
    return to - noonMs
  }
  for (const lifeMs of [minuteMs, 60 * minuteMs, dayMs]) {
    const latest = renewAtMs(0, lifeMs, () => Uint8Array.of(255, 255))
    expect(overdueFrom('leaf', lifeMs)).toBeGreaterThan(latest)
    expect(overdueFrom('leaf', lifeMs)).toBe(Math.floor((lifeMs * 2) / 3) + 1)
  }
  expect(overdueFrom('issuer', 365 * dayMs) / dayMs).toBeCloseTo(365 * (7 / 8), 3)
  expect(overdueFrom('root', 3650 * dayMs) / dayMs).toBeCloseTo(3560, 3)
  expect(overdueFrom('root', 100 * dayMs) / dayMs).toBeCloseTo(75, 3)
})

test('a process knows the ends of its certificate, its issuer and the root that these lead to', async () => {
  const authority = await newAuthority(bank, () => noonMs, { upstream: above(() => noonMs) })
  const svid = newSvid(authority, orders)
  const other = (await newAuthority(bank, () => noonMs, { rootMs: 5000 * dayMs })).bundle().roots
  const { roots } = authority.bundle()
  const bundles = bundlesOf({ ...authority.bundle(), roots: [...other, ...roots] })
  const ends = lifetimesOf({ svid, bundles }).map(({ kind, notAfterMs }) => [kind, (notAfterMs - noonMs) / dayMs])
  expect(ends).toEqual([
    ['leaf', 1 / 24],
    ['issuer', 365],
    ['root', 3650],
  ])
})
