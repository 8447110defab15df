import fc from 'fast-check'
import { expect, test } from 'vitest'
import { readExact } from '../../core/exact.ts'
import type { TokenFacts } from '../../core/facts.ts'
import { inputKey } from '../../core/input-key.ts'
import { inputWriter, policyInputText } from '../../core/input-text.ts'
import { recordedToken } from '../../core/input-token.ts'
import { facts } from './facts.ts'

const tokenOf = (payload: string): TokenFacts => {
  const read = readExact(payload)
  if (!read.ok) throw new Error(read.wrong)
  const claims = read.value as TokenFacts['claims']
  return { provider: 'staff', issuer: 'https://id', subject: 'ada', audiences: ['shop'], claims, sha256: 'ab' }
}
const [some] = fc.sample(facts, 1)
const bringing = (payload: string) => ({ ...some!, token: tokenOf(payload) })

test('a record names the provider, the issuer and the digest, and of the claims those alone that its binding names', () => {
  const token = tokenOf('{"sub":"ada","scope":"read","realm_access":{"roles":["a"],"x":1}}')
  const always = { issuer: 'https://id', provider: 'staff', sha256: 'ab' }
  expect(recordedToken(token, [])).toEqual(always)
  const paths = [['scope'], ['realm_access', 'roles'], ['missing']]
  expect(recordedToken(token, paths)).toEqual({
    ...always,
    claims: { scope: 'read', realm_access: { roles: ['a'] } },
  })
})

test('a claim that is too long for a record is named, and one with a number that readers would round stays as it was', () => {
  const long = tokenOf(`{"a":"${'x'.repeat(2100)}","b":9007199254740993}`)
  expect(recordedToken(long, [['a'], ['b']])).toMatchObject({
    claims_left_out: [['a']],
    claims_text: '{"b":9007199254740993}',
  })
  expect(recordedToken(long, [['b']])).not.toHaveProperty('claims')
})

test('a policy sees numbers of claims to their last digit', () => {
  expect(policyInputText(bringing('{"id":9007199254740993}'))).toContain('"claims":{"id":9007199254740993}')
  expect(inputWriter([['writ', 'token', 'claims', 'id']])(bringing('{"id":9007199254740993,"sub":"x"}'))).toBe(
    '{"writ":{"token":{"claims":{"id":9007199254740993}}}}',
  )
})

test('what is remembered is remembered by the claims that are read, and by no others', () => {
  const key = inputKey([['writ', 'token', 'claims', 'scope']])!
  expect(key(bringing('{"scope":"a","exp":1}'))).toBe(key(bringing('{"scope":"a","exp":2}')))
  expect(key(bringing('{"scope":"a"}'))).not.toBe(key(bringing('{"scope":"b"}')))
  expect(key(bringing('{}'))).not.toBe(key({ ...some!, token: undefined } as never))
  const whole = inputKey([['writ']])!
  expect(whole(bringing('{"scope":"a"}'))).not.toBe(whole(bringing('{"scope":"b"}')))
})
