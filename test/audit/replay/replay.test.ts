import { beforeAll, describe, expect, test } from 'vitest'
import { formatImpact, formatMarkdown } from '../../../audit/replay/format.ts'
import { everything, type Leavable, nothing } from '../../../audit/replay/reads.ts'
import { type Candidate, type ReplayOptions, replay } from '../../../audit/replay/replay.ts'
import type { Decide } from '../../../core/ports.ts'
import type { AuditEvent, DecisionBody } from '../../../core/record.ts'
import type { Policy } from '../../../engine/policy.ts'
import { calls, decideBy, openBank, Traffic, use } from './traffic.ts'

let bank: Policy
let enforced: Decide
let traffic: Traffic
beforeAll(async () => {
  bank = await openBank()
  enforced = decideBy(bank)
  traffic = await new Traffic().judge(calls, enforced)
})

/** The bank's policy, but for calls that `but` names. */
const butFor = (but: (path: string, method: string) => boolean, flipped: 'allow' | 'deny'): Decide => {
  const from = { by: 'policy', policy: bank.ref } as const
  return (facts, by) => {
    if (!facts.head || !but(facts.head.path, facts.head.method)) return enforced(facts, by)
    return flipped === 'allow'
      ? { verdict: 'allow', code: 'allowed', from, reasons: [] }
      : { verdict: 'deny', code: 'policy_denied', from, reasons: ['no longer'] }
  }
}
const candidateOf = (decide: Decide, reads: Leavable = nothing): Candidate => ({
  ...{ ref: { ...bank.ref, revision: 'next' }, decide, worldly: [] },
  reads: () => reads,
})
const impactOf = (decide: Decide, reads?: Leavable, options?: ReplayOptions) =>
  replay(traffic.events, candidateOf(decide, reads), options)

describe('a replay', () => {
  test('of the policy that made the decisions changes none', async () => {
    const impact = await impactOf(enforced)
    expect(impact).toMatchObject({ decisions: 60, replayed: 60, flips: 0, groups: [], unreplayed: [] })
    expect(impact.revisions).toEqual([{ revision: bank.ref.revision, decisions: 60 }])
  })

  test('by the page, or of a candidate that takes its time, is the same', async () => {
    const changing = butFor((path) => path === '/transfers', 'deny')
    const one = await impactOf(changing)
    const later: Decide = async (...asked) => changing(...asked)
    const pages = [traffic.events.slice(0, 7), [], traffic.events.slice(7)]
    expect(await replay(pages, candidateOf(changing))).toEqual(one)
    expect(await impactOf(later)).toEqual(one)
  })

  test('of one that closes an edge shows that edge, with the newest decisions as examples', async () => {
    const impact = await impactOf(butFor((path) => path === '/transfers', 'deny'))
    expect(impact).toMatchObject({ replayed: 60, flips: 10, omitted: 0 })
    expect(impact.groups).toHaveLength(1)
    const [group] = impact.groups
    expect(group).toMatchObject({
      ...{ caller: 'spiffe://bank.example/orders', target: 'spiffe://bank.example/ledger', method: 'POST' },
      ...{ shape: '/transfers', was: 'allow', wouldBe: 'deny', code: 'policy_denied', count: 10 },
    })
    const newest = traffic.events.filter(
      (event) =>
        (event as AuditEvent<DecisionBody>).verdict === 'allow' && JSON.stringify(event).includes('/transfers'),
    )
    expect(group!.examples.map(({ id }) => id)).toEqual(
      newest
        .slice(-3)
        .reverse()
        .map((event) => event.decision_id),
    )
    expect(group!.examples[0]!.reasons).toEqual(['no longer'])
  })

  test('groups calls whose paths differ in values alone, and keeps directions apart', async () => {
    const impact = await impactOf(butFor((path, method) => path.startsWith('/orders/') && method === 'DELETE', 'allow'))
    expect(impact.groups).toMatchObject([
      { shape: '/orders/{}', method: 'DELETE', was: 'deny', wouldBe: 'allow', count: 10 },
    ])
  })

  test('has a bound on its groups, beyond which flips are only counted', async () => {
    const impact = await impactOf(
      butFor(() => true, 'deny'),
      nothing,
      { groups: 2, examples: 1 },
    )
    expect(impact).toMatchObject({ flips: 50, omitted: 30 })
    expect(impact.groups.map(({ count, examples }) => [count, examples.length])).toEqual([
      [10, 1],
      [10, 1],
    ])
    expect(formatImpact(impact)).toContain('30 flips in groups beyond the 2 that are kept apart')
  })
})

describe('what cannot be replayed is named and not guessed at', () => {
  const flipAll = () => butFor(() => true, 'deny')

  test('facts that the candidate may read and the record leaves out', async () => {
    const impact = await impactOf(flipAll(), { query: true, headers: new Set() })
    expect(impact).toMatchObject({ decisions: 60, replayed: 0, flips: 0 })
    expect(impact.unreplayed).toMatchObject([{ obstacle: 'not_recorded', what: 'query', count: 60 }])
    expect(formatImpact(impact)).toContain('60 decisions: the candidate may read what was not recorded: query')
    const kept = await impactOf(flipAll(), { query: true, headers: new Set() }, { kept: { ...nothing, query: true } })
    expect(kept).toMatchObject({ replayed: 60, flips: 50, unreplayed: [] })
  })

  test('but facts that a record shows are not in the way', async () => {
    const keeping = { ...use, recordHeaders: ['x-role'], recordQuery: true }
    const { events } = await new Traffic().judge(calls, enforced, keeping)
    const byRole = await replay(events, candidateOf(flipAll(), { query: false, headers: new Set(['x-role']) }))
    expect(byRole).toMatchObject({ replayed: 10, flips: 10, unreplayed: [{ what: 'header x-role', count: 50 }] })
    const byQuery = await replay(events, candidateOf(flipAll(), { query: true, headers: new Set() }))
    expect(byQuery).toMatchObject({ replayed: 10, unreplayed: [{ what: 'query', count: 50 }] })
    expect((await replay(events, candidateOf(flipAll(), everything))).replayed).toBe(0)
  })

  test('answers of the world', async () => {
    const impact = await replay(traffic.events, { ...candidateOf(flipAll()), worldly: ['rand.intn'] })
    expect(impact).toMatchObject({ replayed: 0, unreplayed: [{ obstacle: 'world', what: 'rand.intn', count: 60 }] })
  })

  test('inputs too long for a record, and records that no proxy wrote', async () => {
    const { events } = await new Traffic().judge(
      [{ ...calls[0]!, path: `/${'a'.repeat(45_000)}` }, calls[1]!, calls[2]!],
      enforced,
    )
    const input = { attributes: {} }
    const odd = events.map((event, i) => (i === 2 ? ({ ...event, input } as unknown as AuditEvent) : event))
    const impact = await replay(odd, candidateOf(flipAll()))
    expect(impact).toMatchObject({ decisions: 3, replayed: 1 })
    expect(impact.unreplayed.map(({ obstacle }) => obstacle).sort()).toEqual(['oversize', 'unreadable'])
  })

  test('decisions of other bundles, of proxies and in shadow are passed over and counted', async () => {
    const { events } = traffic
    const changed = events.map((event, i) => {
      if (i === 1) return { ...event, by: 'proxy' } as unknown as AuditEvent
      if (i === 2) return { ...event, bundles: { other: { revision: 'r', sha256: '' } } } as unknown as AuditEvent
      if (i === 3) return { ...event, enforced: false } as unknown as AuditEvent
      return i === 4 ? ({ ...event, direction: 'outbound' } as unknown as AuditEvent) : event
    })
    const impact = await replay(changed, candidateOf(enforced))
    expect(impact).toMatchObject({ decisions: 56, passedOver: { byProxy: 1, byOthers: 1, shadow: 1 } })
  })
})

describe('what is printed', () => {
  test('fits a terminal, and no stranger moves its cursor', async () => {
    const long = { ...calls[1]!, path: `/${'long-name-'.repeat(4)}/`.repeat(6), method: 'PROPFIND\u001b[2J' }
    const { events } = await new Traffic().judge([long], enforced)
    const text = formatImpact(await replay(events, candidateOf(butFor(() => true, 'allow'))))
    expect(
      Math.max(
        ...text
          .split('\n')
          .slice(3)
          .map((line) => line.length),
      ),
    ).toBeLessThanOrEqual(120)
    expect(text).not.toContain('\u001b')
  })

  test('is one table row for a group in Markdown, whatever a caller writes', async () => {
    const sly = { ...calls[0]!, method: 'GET`|', path: '/a|b`c' }
    const { events } = await new Traffic().judge([sly], enforced)
    const text = formatMarkdown(await replay(events, candidateOf(butFor(() => true, 'allow'))))
    const row = text.split('\n').find((line) => line.startsWith('| 1 |'))!
    expect(row.split('|')).toHaveLength(9)
    expect(row).toContain("`GET'¦ /a¦b'c`")
  })

  test('says that nothing was replayed rather than that nothing changes', async () => {
    const impact = await replay([], candidateOf(enforced))
    expect(formatImpact(impact)).toContain('none seen, for nothing was replayed')
    expect(formatMarkdown(impact)).toContain('the log has none of this bundle')
  })
})
