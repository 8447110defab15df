import { readdirSync, readFileSync } from 'node:fs'
import { cp, readdir, readFile, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { exportJWK, generateKeyPair, SignJWT } from 'jose'
import { describe, expect } from 'vitest'
import { policyCommand } from '../../cli/policy.ts'
import { initCommand } from '../../cli/policy-init.ts'
import type { Decision } from '../../core/decision.ts'
import type { RequestFacts } from '../../core/facts.ts'
import { spiffeId, type TrustDomain, trustDomainOf } from '../../core/spiffe.ts'
import { makeDecide } from '../../engine/decide.ts'
import { buildPolicy, policyFoldersIn } from '../../engine/node/build.ts'
import { loadBundle, readPolicyFolder } from '../../engine/node/open.ts'
import { printed, temporary } from '../cli/recorded.ts'
import { testPolicy } from '../engine/tested.ts'
import { needs } from '../parts/needs.ts'

const test = needs('opa')

const root = 'policies/starters'
const starters = readdirSync(root)
const noon = '2026-11-23T11:00:00Z' // A Monday.

interface Asked {
  readonly caller?: string
  readonly target: string
  readonly method: string
  readonly path: string
  readonly headers?: Readonly<Record<string, string>>
  readonly time?: string
}

function factsOf({ caller, target, method, path, headers = {}, time = noon }: Asked): RequestFacts {
  const domain = 'example.org' as TrustDomain
  const id = caller === undefined ? undefined : spiffeId(domain, caller)!
  const identity = id && { id, trustDomain: trustDomainOf(id), serial: '1', notBeforeMs: 0, notAfterMs: 1 }
  return {
    direction: 'inbound',
    workload: spiffeId(domain, target)!,
    listener: `${target}/http`,
    source: {
      identified: identity
        ? { ok: true, identity: { ...identity, proof: 'x509' } }
        : { ok: false, code: 'identity_missing', detail: 'no certificate' },
      ...{ address: '127.0.0.1', port: 1 },
    },
    destination: { service: target, address: '127.0.0.1', port: 2 },
    head: { method, authority: target, path, query: undefined, headers, protocol: 'HTTP/1.1', scheme: 'https' },
    requestId: 'r',
    traceId: '',
    atNs: BigInt(Date.parse(time)) * 1_000_000n,
  }
}

async function decider(folder: string): Promise<(asked: Asked) => Decision> {
  const policy = await loadBundle(await buildPolicy(folder), 'mine', { now: () => 0n })
  expect(policy.entrypoints).toEqual(['writ/authz/result'])
  const use = { bundle: 'mine', entrypoint: 'writ/authz/result', recordHeaders: [], recordQuery: false }
  return (asked) => makeDecide({ get: () => policy })(factsOf(asked), use) as Decision
}

const web: Asked = { caller: 'web', target: 'orders', method: 'POST', path: '/orders' }
const desk: Asked = { ...web, caller: 'desk' }
const approval = { caller: 'office', target: 'payments', method: 'POST', path: '/payments/17/approval' }
const glass: Asked = {
  ...{ caller: 'admin/ada', target: 'orders', method: 'DELETE', path: '/orders/17', time: '2026-01-01T09:00:00Z' },
  headers: { 'x-break-glass-reason': 'order 17 blocks the queue' },
}

/** What each lets through, and its nearest neighbour, which it refuses. */
const cases: Readonly<Record<string, readonly [Asked, Asked]>> = {
  'edge-list': [web, { ...web, method: 'PUT' }],
  rbac: [web, { ...web, caller: 'reports' }],
  'break-glass': [glass, { ...glass, headers: {} }],
  'business-hours': [desk, { ...desk, time: '2026-11-22T11:00:00Z' }],
  'read-only': [{ ...web, method: 'GET' }, web],
  'separation-of-duties': [
    { ...approval, headers: { 'x-user': 'grace', 'x-created-by': 'ada' } },
    { ...approval, headers: { 'x-user': 'ada', 'x-created-by': 'ada' } },
  ],
}

describe.each(starters)('the starter %s', (name) => {
  test('passes its own tests, and there are some', async () => {
    const { code, report } = await testPolicy(join(root, name))
    expect([code, report]).toEqual([0, expect.stringContaining('"name"')])
  })

  test('compiles strictly, and the linter finds nothing', async () => {
    const folder = join(root, name)
    expect((await printed(policyCommand(), 'check', folder)).out).toContain('compiles, and reads what there is')
    expect((await printed(policyCommand(), 'lint', folder)).out).toContain('nothing found')
  })

  test('says in its annotations what it is for, in at most six lines', () => {
    const text = readFileSync(join(root, name, 'authz.rego'), 'utf8')
    const [, title, description] = /^# METADATA\n# title: (.+)\n# description: \|\n((?:# {3}.+\n)+)package /.exec(text)!
    expect([title!.length > 0, description!.split('\n').length <= 6]).toEqual([true, true])
  })

  test('refuses who has no name, and what nobody thought of, with a reason', async () => {
    const decide = await decider(join(root, name))
    for (const asked of [
      { target: 'orders', method: 'GET', path: '/orders/17' },
      { ...web, method: 'BREW' },
    ]) {
      const decision = decide(asked)
      expect([asked, decision.verdict]).toEqual([asked, 'deny'])
      expect(decision.reasons.join(), JSON.stringify(asked)).not.toBe('')
    }
  })
})

test.each(Object.keys(cases))('%s lets its own request through, and not the one beside it', async (name) => {
  const decide = await decider(join(root, name))
  const [good, bad] = cases[name]!
  expect(decide(good)).toMatchObject({ verdict: 'allow' })
  expect(decide(bad)).toMatchObject({ verdict: 'deny', code: 'policy_denied' })
  expect(decide(bad).reasons.length).toBeGreaterThan(0)
})

test('break-glass is found in the reasons of what it let through', async () => {
  const decide = await decider(join(root, 'break-glass'))
  expect(decide(glass).reasons).toEqual([
    'BREAK-GLASS INC-1: order 17 blocks the queue; approved by admin/grace until 2026-01-01T12:00:00Z',
  ])
  expect(decide({ ...glass, time: '2026-01-01T12:00:00Z' }).verdict).toBe('deny')
})

test('jwt-scopes admits by the keys that are pinned in its data, and by no others', async () => {
  const folder = join(await temporary(), 'mine')
  await cp(join(root, 'jwt-scopes'), folder, { recursive: true })
  const [ours, theirs] = await Promise.all([generateKeyPair('ES256'), generateKeyPair('ES256')])
  const data = JSON.parse(await readFile(join(folder, 'data.json'), 'utf8'))
  data.mesh.trusted.jwks.keys = [{ ...(await exportJWK(ours.publicKey)), kid: 'one', alg: 'ES256' }]
  await writeFile(join(folder, 'data.json'), JSON.stringify(data))
  const decide = await decider(folder)
  const token = (key: CryptoKey, scope: string) =>
    new SignJWT({ scope })
      .setProtectedHeader({ alg: 'ES256', kid: 'one' })
      .setIssuer('https://login.example.org')
      .setAudience('orders')
      .setSubject('ada')
      .setExpirationTime(Math.floor(Date.parse(noon) / 1000) + 60)
      .sign(key)
  const ask = async (key: CryptoKey, scope: string, time = noon) =>
    decide({ ...web, headers: { authorization: `Bearer ${await token(key, scope)}` }, time })
  expect(await ask(ours.privateKey, 'orders:write')).toMatchObject({
    verdict: 'allow',
    effects: { setOnRequest: { 'x-writ-subject': 'ada' } },
  })
  expect((await ask(ours.privateKey, 'orders:read')).verdict).toBe('deny')
  expect((await ask(theirs.privateKey, 'orders:write')).verdict).toBe('deny')
  expect((await ask(ours.privateKey, 'orders:write', '2026-11-23T11:02:00Z')).verdict).toBe('deny')
})

test('neither library nor starters count among the policies of the folder that they lie in', async () => {
  expect((await policyFoldersIn('policies')).map((folder) => basename(folder))).toEqual(['bank'])
  expect((await readPolicyFolder('policies')).map(({ ref }) => ref.bundle)).toEqual(['bank'])
  expect((await policyFoldersIn(root)).length).toBe(starters.length)
})

describe('writ policy init', () => {
  test('makes a policy that passes its tests and builds, and says what to do next', async () => {
    const policies = join(await temporary(), 'policies')
    const { out } = await printed(initCommand(), 'shop', '--starter', 'rbac', '--policies', policies)
    expect((await readdir(join(policies, 'shop'))).toSorted()).toEqual(['authz.rego', 'authz_test.rego', 'data.json'])
    for (const word of ['writ policy test', 'writ policy build', 'bundle: shop', 'entrypoint: writ/authz/result'])
      expect(out).toContain(word)
    const built = await printed(policyCommand(), 'build', policies)
    expect(built.out).toMatch(/^shop {2}revision [0-9a-f]{16} /)
    expect((await readPolicyFolder(policies)).map(({ ref }) => ref.bundle)).toEqual(['shop'])
  })

  test('begins with the one that refuses everything where none is named', async () => {
    const policies = await temporary()
    await printed(initCommand(), 'shop', '--policies', policies)
    expect(await readFile(join(policies, 'shop/authz.rego'), 'utf8')).toContain('# title: Nobody may do anything')
  })

  test('never writes over what is there, nor outside of its folder, nor what it does not have', async () => {
    const policies = await temporary()
    await printed(initCommand(), 'shop', '--policies', policies)
    const again = printed(initCommand(), 'shop', '--policies', policies)
    await expect(again).rejects.toMatchObject({ code: 'in_use' })
    for (const name of ['../shop', 'a/b', '..', '.hidden', '', 'a b']) {
      await expect(printed(initCommand(), name, '--policies', policies)).rejects.toMatchObject({ code: 'usage' })
    }
    const unknown = printed(initCommand(), 'other', '--starter', 'nothing', '--policies', policies)
    await expect(unknown).rejects.toMatchObject({ code: 'not_found', cure: expect.stringContaining('edge-list') })
    expect(await readdir(policies)).toEqual(['shop'])
  })

  test('lists them with what they are for', async () => {
    const { out } = await printed(initCommand(), '--list')
    expect(out.trimEnd().split('\n').length).toBe(starters.length)
    expect(out).toMatch(/^break-glass {2,}Emergencies, with a trace$/m)
  })
})
