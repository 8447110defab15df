import fc from 'fast-check'
import { expect, test } from 'vitest'
import { revise } from '../../../ca/entries.ts'
import { makeIdentify, type OtherProofs } from '../../../ca/identify.ts'
import { verifySignature } from '../../../ca/node/crypto.ts'
import { identifyPlatform } from '../../../ca/platform/identify.ts'
import { makeProvePlatform, selectorsOf } from '../../../ca/platform/token.ts'
import { holdKeys } from '../../../ca/token/keys.ts'
import { tokenAlgorithms } from '../../../ca/token/read.ts'
import type { Evidence } from '../../../core/identity.ts'
import type { PlatformIssuer } from '../../../core/platform.ts'
import { keysOf, nowMs, nowS, type Signing, signing } from '../token/issuer.ts'
import { id } from '../world.ts'

const ours = 'writ'
const github = await signing('RS256', 'gh')
const cluster = await signing('ES256', 'k8s')

const issuer = (name: string, of: string, jwk: Signing['jwk'], reuse = false): PlatformIssuer => ({
  ...{ name, issuer: of, audiences: [ours], clockSkewMs: 60_000, algorithms: tokenAlgorithms, reuse },
  keys: { kind: 'known', keys: keysOf(jwk) },
})
const issuers = [
  issuer('github', 'https://token.actions.githubusercontent.com', github.jwk),
  issuer('cluster', 'https://kubernetes.default.svc', cluster.jwk, true),
]
const never = holdKeys(async () => {
  throw new Error('nobody is asked here')
})
const prove = makeProvePlatform(() => issuers, never)

const job = {
  ...{ iss: 'https://token.actions.githubusercontent.com', aud: ours, sub: 'repo:shop/web:ref:refs/heads/main' },
  ...{ repository_id: '42', ref: 'refs/heads/main', iat: nowS, exp: nowS + 300 },
}
const pod = {
  ...{ iss: 'https://kubernetes.default.svc', aud: [ours], sub: 'system:serviceaccount:shop:web' },
  ...{ iat: nowS, exp: nowS + 3600 },
  'kubernetes.io': {
    namespace: 'shop',
    pod: { name: 'web-1', uid: 'u-1' },
    serviceaccount: { name: 'web', uid: 'u-2' },
  },
}

test('a token of a CI job proves its claims under the name of its issuer', async () => {
  const proven = await prove(await github.sign(job), nowMs)
  expect(proven).toMatchObject({ ok: true, reuse: false, evidence: expect.stringMatching(/^github:[0-9a-f]{8}$/) })
  const selectors = proven.ok ? [...proven.selectors] : []
  expect(selectors).toContain('github:repository_id:42')
  expect(selectors).toContain('github:sub:repo:shop/web:ref:refs/heads/main')
})

test("a projected service account's token proves namespace, account and pod, without a cluster to ask", async () => {
  const proven = await prove(await cluster.sign(pod), nowMs)
  const selectors = proven.ok ? [...proven.selectors] : []
  expect(proven).toMatchObject({ ok: true, reuse: true })
  expect(selectors).toContain('cluster:kubernetes.io/namespace:shop')
  expect(selectors).toContain('cluster:kubernetes.io/serviceaccount/name:web')
  expect(selectors).toContain('cluster:kubernetes.io/pod/uid:u-1')
})

test('a token for somebody else, of a stranger, by another key, too early, too late, or changed proves nothing', async () => {
  const code = async (token: string, atMs = nowMs): Promise<string> => {
    const proven = await prove(token, atMs)
    return proven.ok ? 'ok' : proven.code
  }
  const good = await github.sign(job)
  expect(await code(good)).toBe('ok')
  expect(await code(await github.sign({ ...job, aud: 'sts.amazonaws.com' }))).toBe('identity_invalid')
  expect(await code(await github.sign({ ...job, iss: `${job.iss}/` }))).toBe('identity_untrusted')
  expect(
    await code(await github.sign({ ...job, iss: 'https://token.actions.githubusercontent.com.evil.example' })),
  ).toBe('identity_untrusted')
  expect(await code(await cluster.sign(job))).toBe('identity_untrusted')
  expect(await code(await github.sign(job, { kid: 'k8s' }))).toBe('identity_untrusted')
  expect(await code(good, (nowS + 359) * 1000)).toBe('ok')
  expect(await code(good, (nowS + 361) * 1000)).toBe('identity_expired')
  expect(await code(good, (nowS - 61) * 1000)).toBe('identity_expired')
  expect(await code(`${good.slice(0, -4)}AAAA`)).toBe('identity_invalid')
  expect(await code('')).toBe('identity_invalid')
})

test('no two claims read alike, whatever their names and values', () => {
  const name = fc.string({ minLength: 1, maxLength: 6, unit: fc.constantFrom('a', ':', '/', '%') })
  const value = fc.string({ minLength: 1, maxLength: 6, unit: fc.constantFrom('a', ':', '/', '%') })
  fc.assert(
    fc.property(name, value, name, value, (a, x, b, y) => {
      fc.pre(a !== b || x !== y)
      const [one, other] = [[...selectorsOf('i', { [a]: x })], [...selectorsOf('i', { [b]: y })]]
      expect(one).toHaveLength(1)
      expect(one).not.toEqual(other)
      expect([...selectorsOf('i', { [a]: { [b]: x } })]).not.toEqual([...selectorsOf('i', { [`${a}/${b}`]: x })])
    }),
  )
})

test('claims without bounds prove a bounded number of things', () => {
  const many = Object.fromEntries(Array.from({ length: 5000 }, (_, i) => [`c${i}`, 'x']))
  expect(selectorsOf('i', many).size).toBe(256)
  const deep = { a: { b: { c: { d: { e: 'x' } } } } }
  expect([...selectorsOf('i', deep)]).toEqual([])
  expect([...selectorsOf('i', { long: 'x'.repeat(600), blank: '', line: 'a\nb', end: 'a ' })]).toEqual([])
})

const entry = (name: string, ...selectors: string[]) =>
  revise({ name, id: id(`spiffe://bank.example/${name}`), selectors })

test('one function tells who brings a token of a platform, and of several identities guesses none', async () => {
  const entries = [
    entry('web', 'github:repository_id:42', 'github:ref:refs/heads/main'),
    entry('other', 'github:repository_id:43'),
    { ...entry('hosted', 'github:repository_id:42'), parent: id('spiffe://bank.example/writ/agent/a') },
  ]
  const denied = new Set<string>()
  const platform = { prove, entries: () => entries, denied: () => denied }
  const state = { generation: 1, bundles: new Map(), denied }
  const made = (proofs?: OtherProofs) => {
    const identify = makeIdentify(() => state, verifySignature, proofs)
    return (evidence: Evidence, atMs: number) => identify({ evidence, address: '', port: 0 }, atMs)
  }
  const identify = made({
    platform: (token, atMs) => identifyPlatform(platform, { kind: 'platform', token }, undefined, atMs),
  })
  const token = await github.sign(job)
  const evidence = { kind: 'platform', token } as const
  expect(await identify(evidence, nowMs)).toMatchObject({
    ok: true,
    identity: { id: 'spiffe://bank.example/web', proof: 'platform', notAfterMs: (nowS + 300) * 1000 - 1 },
  })
  const dev = await github.sign({ ...job, ref: 'refs/heads/dev' })
  expect(await identify({ ...evidence, token: dev }, nowMs)).toMatchObject({ code: 'identity_untrusted' })
  denied.add('spiffe://bank.example/web')
  expect(await identify(evidence, nowMs)).toMatchObject({ code: 'identity_revoked' })
  denied.clear()

  entries.push(entry('also', 'github:repository_id:42'))
  expect(await identify(evidence, nowMs)).toMatchObject({ detail: expect.stringContaining('several identities') })
  const want = id('spiffe://bank.example/also')
  expect(await identifyPlatform(platform, evidence, want, nowMs)).toMatchObject({ ok: true, identity: { id: want } })

  expect(await identify({ kind: 'none' }, nowMs)).toMatchObject({ code: 'identity_missing' })
  expect(await identify({ kind: 'jwt', token }, nowMs)).toMatchObject({ code: 'identity_invalid' })
  expect(await made()(evidence, nowMs)).toMatchObject({ code: 'identity_invalid' })
})
