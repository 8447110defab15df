import { exportJWK, generateKeyPair } from 'jose'
import { expect, test } from 'vitest'
import { compileMesh } from '../../../control/mesh/compile.ts'
import { checkSnapshot } from '../../../control/mesh/name.ts'
import { utf8 } from '../../../core/bytes.ts'
import type { PolicyUse } from '../../../core/policy.ts'
import { meshWith, own, problemsOf, served, sha256, snapshotOf } from '../world.ts'

const pair = await generateKeyPair('ES256', { extractable: true })
const jwk = { ...(await exportJWK(pair.publicKey)), kid: 'k1', 'x-more': 1 }
const jwks = JSON.stringify({ keys: [jwk] })

const binding = (more: string): string =>
  own('PolicyBinding', 'b', `{targetRefs: [{kind: Workload, name: a}], bundle: bank, entrypoint: x/allow, ${more}}`)
const meshOf = (more: string): string => meshWith(served('a', 1000), binding(more))
const provider = (more: string, name = 'staff'): string =>
  `{name: ${name}, issuer: https://${name}.example, audiences: [shop], ${more}}`
const tokens = (...providers: readonly string[]): string => `tokens: {providers: [${providers.join(', ')}]}`
const byUrl = provider('jwksUrl: https://id.example/jwks')

function useOf(more: string): PolicyUse | undefined {
  const snapshot = checkSnapshot(JSON.parse(JSON.stringify(snapshotOf(meshOf(more)))), sha256)
  const [listener] = snapshot.workloads[0]!.listeners
  return listener?.direction === 'inbound' ? listener.policy : undefined
}

test('a binding says whose tokens are taken; what it leaves out is safe', () => {
  expect(useOf(tokens(byUrl))?.tokens).toMatchObject({
    forward: true,
    providers: [
      {
        ...{ name: 'staff', issuer: 'https://staff.example', audiences: ['shop'] },
        keys: { kind: 'url', url: 'https://id.example/jwks', refreshMs: 300_000, privateAddresses: false },
        from: [{ kind: 'header', name: 'authorization', prefix: 'Bearer ' }],
        ...{ clockSkewMs: 60_000, certificateBound: false },
      },
    ],
  })
  expect(useOf(tokens(byUrl))?.tokens?.providers[0]?.algorithms.filter((alg) => /^HS|none/i.test(alg))).toEqual([])
  expect(useOf('explain: false')).not.toHaveProperty('tokens')
})

test('places, times and claims are read as they are written', () => {
  const more = 'jwksUrl: https://id.example/jwks, refresh: 1m, clockSkew: 5s, certificateBound: true'
  const from = 'from: [{header: X-Token}, {header: Authorization, prefix: "DPoP "}, {query: t}, {cookie: t}]'
  const use = useOf(`${tokens(provider(`${more}, ${from}`))}, record: {claims: [sub, a.b, [a.b], sub]}`)
  expect(use?.tokens?.providers[0]).toMatchObject({
    from: [
      { kind: 'header', name: 'x-token', prefix: '' },
      { kind: 'header', name: 'authorization', prefix: 'DPoP ' },
      { kind: 'query', name: 't' },
      { kind: 'cookie', name: 't' },
    ],
    ...{ clockSkewMs: 5000, certificateBound: true },
    keys: { refreshMs: 60_000 },
  })
  expect(use?.recordClaims).toEqual([['sub'], ['a', 'b'], ['a.b']])
})

test('keys stand in the file or beside it, and nothing of them travels but what is public', () => {
  const { x, y } = jwk
  const key = { kty: 'EC', crv: 'P-256', kid: 'k1', x, y }
  expect(useOf(tokens(provider(`jwks: ${jwks}`)))?.tokens?.providers[0]?.keys).toEqual({ kind: 'known', keys: [key] })
  const files: string[] = []
  const compiled = compileMesh(meshOf(tokens(provider('jwksFile: keys.json'))), {
    bundles: 'any',
    sha256,
    readKeyFile: (file) => {
      files.push(file)
      return utf8(jwks)
    },
  })
  expect(JSON.stringify(compiled)).toContain(JSON.stringify(x))
  expect(new Set(files)).toEqual(new Set(['keys.json']))
})

test('a file that cannot be read, or holds no keys of that kind, is a problem of its field', async () => {
  const problems = (read: () => Uint8Array) => {
    const text = meshOf(tokens(provider('jwksFile: keys.json')))
    const compiled = compileMesh(text, { bundles: 'any', sha256, readKeyFile: read })
    return compiled.ok ? [] : compiled.problems
  }
  expect(problems(() => utf8(jwks))).toEqual([])
  const field = 'spec.tokens.providers[0].jwksFile'
  const missing = () => {
    throw new Error('ENOENT')
  }
  expect(problems(missing)).toMatchObject([{ field, problem: 'cannot be read: ENOENT' }])
  const secret = { ...(await exportJWK(pair.privateKey)), kid: 'k1' }
  expect(problems(() => utf8(JSON.stringify({ keys: [secret] })))).toMatchObject([
    { field, problem: 'holds a private key, which is for its issuer alone' },
  ])
})

test.each<[string, string, string]>([
  ['no keys', tokens(provider('clockSkew: 1s')), 'spec.tokens.providers[0]'],
  ['keys twice', tokens(provider(`jwksUrl: https://a.example, jwks: ${jwks}`)), 'spec.tokens.providers[0]'],
  ['plain http', tokens(provider('jwksUrl: http://id.example/jwks')), 'spec.tokens.providers[0].jwksUrl'],
  ['refresh of a file', tokens(provider(`jwks: ${jwks}, refresh: 1m`)), 'spec.tokens.providers[0].refresh'],
  [
    'too short a refresh',
    tokens(provider('jwksUrl: https://a.example, refresh: 9s')),
    'spec.tokens.providers[0].refresh',
  ],
  [
    'a symmetric algorithm',
    tokens(provider('jwksUrl: https://a.example, algorithms: [HS256]')),
    'spec.tokens.providers[0].algorithms[0]',
  ],
  ['one name twice', tokens(byUrl, byUrl.replace('staff.example', 'b.example')), 'spec.tokens.providers[1].name'],
  ['one issuer twice', tokens(byUrl, byUrl.replace('staff,', 'b,')), 'spec.tokens.providers[1].issuer'],
  [
    'one place twice',
    tokens(provider('jwksUrl: https://a.example, from: [{query: t}, {query: t}]')),
    'spec.tokens.providers[0].from[1]',
  ],
  ['claims without tokens', 'record: {claims: [sub]}', 'spec.record.claims'],
  ['a recorded token', `${tokens(byUrl)}, record: {headers: [Authorization]}`, 'spec.tokens.providers[0]'],
  [
    'a token in a recorded query',
    `${tokens(provider('jwksUrl: https://a.example, from: [{query: t}]'))}, record: {query: true}`,
    'spec.tokens.providers[0].from[0]',
  ],
  [
    'a token in the query that is withheld',
    `tokens: {forward: false, providers: [${provider('jwksUrl: https://a.example, from: [{query: t}]')}]}`,
    'spec.tokens.providers[0].from[0]',
  ],
])('%s is a mistake that names its field', (_, more, field) => {
  expect(problemsOf(meshOf(tokens(byUrl)))).toEqual([])
  const found = problemsOf(meshOf(more))
  expect(found).toMatchObject([{ level: 'error', field }])
  expect(found[0]!.cure).not.toBe('')
})
