import fc from 'fast-check'
import { expect, test } from 'vitest'
import { everything, type Leavable, lacking, nothing, readsOf } from '../../../audit/replay/reads.ts'
import { recall } from '../../../audit/replay/recorded.ts'
import { replay } from '../../../audit/replay/replay.ts'
import { keptOf } from '../../../cli/wire/kept.ts'
import { readExact } from '../../../core/exact.ts'
import type { RequestFacts, TokenFacts } from '../../../core/facts.ts'
import { policyInput, recordedInput } from '../../../core/input.ts'
import { policyInputText } from '../../../core/input-text.ts'
import { canonicalJson, type Json, parseJson } from '../../../core/json.ts'
import type { InputPath } from '../../../core/policy.ts'
import type { AuditEvent, DecisionBody } from '../../../core/record.ts'
import { facts } from '../../core/facts.ts'

const [some] = fc.sample(
  facts.filter(({ head }) => head !== undefined && !head.path.includes('?')),
  1,
)

function bringing(payload: string): RequestFacts {
  const read = readExact(payload)
  if (!read.ok) throw new Error(read.wrong)
  const claims = read.value as TokenFacts['claims']
  const said = { provider: 'staff', issuer: 'https://id', sha256: 'ab', claims }
  const { body: _, ...bare } = some!
  return {
    ...{ ...bare, direction: 'inbound', head: { ...bare.head!, query: undefined, headers: {} } },
    token: { ...said, subject: 'ada', audiences: ['shop'] },
  }
}

function eventOf(of: RequestFacts, recordClaims: readonly InputPath[]): AuditEvent<DecisionBody> {
  const use = { bundle: 'b', entrypoint: 'e', recordHeaders: [], recordQuery: true, recordClaims }
  const input = parseJson(canonicalJson(recordedInput(of, use)))
  const made = { by: 'policy', enforced: true, bundles: { b: { revision: '1', sha256: 'aa' } }, path: 'e' }
  const common = {
    kind: 'decision',
    direction: 'inbound',
    verdict: 'allow',
    timestamp: '2026-11-23T12:00:00.000000000Z',
  }
  return { ...common, ...made, decision_id: `${'a'.repeat(24)}-1`, input } as unknown as AuditEvent<DecisionBody>
}

function recalled(of: RequestFacts, recordClaims: readonly InputPath[]) {
  const back = recall(eventOf(of, recordClaims))
  if (back.kind !== 'facts') throw new Error(JSON.stringify(back))
  return back
}

const payload = '{"sub":"ada","aud":"shop","id":9007199254740993,"realm_access":{"roles":["a"],"x":1},"pin":"1234"}'

test('where all claims were recorded, the rebuilt token is the one that was judged', () => {
  const of = bringing(payload)
  const back = recalled(of, [[]])
  expect(back.facts.token).toEqual(of.token)
  expect(policyInputText(back.facts)).toContain('"id":9007199254740993')
  expect((policyInput(back.facts) as { writ: Json }).writ).toEqual((policyInput(of) as { writ: Json }).writ)
})

test('what was not recorded of a token is not there, and who issued it is', () => {
  const back = recalled(bringing(payload), [['realm_access', 'roles']])
  expect(back.facts.token).toEqual({
    ...{ provider: 'staff', issuer: 'https://id', sha256: 'ab', subject: undefined, audiences: [] },
    claims: { realm_access: { roles: ['a'] } },
  })
  expect(policyInputText(back.facts)).not.toContain('1234')
  expect(recall(eventOf({ ...bringing(payload), token: undefined } as never, [[]]))).toMatchObject({ token: undefined })
})

const token = ['writ', 'token']
function lacksOf(reads: readonly InputPath[], recordClaims: readonly InputPath[], kept: Leavable = nothing) {
  const { facts, showsQuery, body, token } = recalled(bringing(payload), recordClaims)
  return lacking(readsOf(reads), { head: facts.head, showsQuery, body, token }, { ...kept, query: true })
}

test('a claim that is read and not shown is named; what every record shows never is', () => {
  expect(lacksOf([[...token, 'claims', 'scope']], [['sub']])).toEqual(['claim scope'])
  expect(lacksOf([[...token, 'claims', 'sub']], [['sub']])).toEqual([])
  expect(lacksOf([[...token, 'subject']], [['sub']])).toEqual([])
  expect(lacksOf([[...token, 'subject']], [['aud']])).toEqual(['claim sub'])
  expect(lacksOf([[...token, 'audiences']], [['sub']])).toEqual(['claim aud'])
  expect(
    lacksOf(
      [
        [...token, 'issuer'],
        [...token, 'provider'],
        ['writ', 'service'],
      ],
      [],
    ),
  ).toEqual([])
  expect(lacksOf([[...token, 'claims', 'realm_access', 'roles']], [['realm_access', 'roles']])).toEqual([])
  expect(lacksOf([[...token, 'claims', 'realm_access']], [['realm_access', 'roles']])).toEqual(['claim realm_access'])
  for (const whole of [[], ['writ'], token, [...token, 'claims']])
    expect(lacksOf([whole], [['sub']])).toContain('claims')
})

test('what is known to be kept was not sent where it is missing, unless it was too long', () => {
  const scope = [[...token, 'claims', 'scope']]
  expect(lacksOf(scope, [['sub']], keptOf(['claims.scope']))).toEqual([])
  expect(lacksOf(scope, [['sub']], keptOf(['claims']))).toEqual([])
  expect(lacksOf(scope, [['sub']], keptOf(['claims.sub']))).toEqual(['claim scope'])
  expect(lacksOf([[]], [['sub']], everything)).toEqual([])
  const long = recalled(bringing(`{"a":"${'x'.repeat(3000)}"}`), [['a']])
  const shown = { head: long.facts.head, showsQuery: false, token: long.token }
  expect(lacking(readsOf([[...token, 'claims', 'a']]), shown, everything)).toEqual(['claim a'])
})

test('a replay asks with the claims that were kept, and says which ones it lacks', async () => {
  const seen: RequestFacts[] = []
  const of = (reads: readonly InputPath[]) =>
    replay([eventOf(bringing(payload), [['sub']])], {
      ref: { bundle: 'b', revision: '2', sha256: 'bb' },
      decide: (facts) => {
        seen.push(facts)
        return { verdict: 'deny', code: 'policy_denied', from: { by: 'proxy' }, reasons: [] }
      },
      reads: () => readsOf(reads),
      worldly: [],
    })
  expect(JSON.stringify(await of([[...token, 'subject']]))).not.toContain('claim')
  expect(seen[0]!.token).toMatchObject({ subject: 'ada', issuer: 'https://id' })
  expect(JSON.stringify(await of([[...token, 'claims', 'scope']]))).toContain('claim scope')
  expect(seen).toHaveLength(1)
})

test('a token that no proxy wrote so is named by its member', () => {
  const good = eventOf(bringing(payload), [['sub']])
  const of = (more: object) => {
    const input = good.input as { writ: { token: object } }
    const writ = { ...input.writ, token: { ...input.writ.token, ...more } }
    return recall({ ...good, input: { ...input, writ } } as never)
  }
  expect(of({})).toMatchObject({ kind: 'facts' })
  expect(of({ issuer: 1 })).toMatchObject({ kind: 'unreadable', member: 'writ.token.issuer' })
  expect(of({ claims: [] })).toMatchObject({ member: 'writ.token.claims' })
  expect(of({ claims_text: '{"a":1,"a":2}' })).toMatchObject({ member: 'claims_text' })
  expect(of({ claims_left_out: [1] })).toMatchObject({ member: 'claims_left_out' })
})
