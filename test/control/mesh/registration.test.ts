import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { beforeAll, expect, test } from 'vitest'
import { bundleJson } from '../../../ca/bundle.ts'
import { openAuthority } from '../../../ca/node/authority.ts'
import { pemOf } from '../../../ca/pem.ts'
import { compileMesh } from '../../../control/mesh/compile.ts'
import { utf8 } from '../../../core/bytes.ts'
import type { TrustBundle } from '../../../core/identity.ts'
import { domain, noonMs, random } from '../../ca/world.ts'
import { sha256 } from '../world.ts'

let other: TrustBundle
let files: Readonly<Record<string, string>>
beforeAll(async () => {
  const dir = mkdtempSync(join(tmpdir(), 'writ-registration-'))
  const authority = await openAuthority({ dir, trustDomain: domain('other.example'), nowMs: () => noonMs, random })
  other = authority.bundle()
  rmSync(dir, { recursive: true })
  files = {
    'roots.pem': other.roots.map((der) => pemOf(der, 'CERTIFICATE')).join(''),
    'bundle.json': JSON.stringify(bundleJson(other)),
    'empty.pem': 'nothing',
    'keys.json': JSON.stringify({
      keys: [{ kty: 'OKP', crv: 'Ed25519', x: '11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo' }],
    }),
  }
})

const mesh = 'apiVersion: writ.dev/v1\nkind: Mesh\nmetadata: {name: mesh}\nspec: {trustDomain: bank.example}\n'
const document = (kind: string, spec: string, name = 'one'): string =>
  `---\napiVersion: writ.dev/v1\nkind: ${kind}\nmetadata: {name: ${name}}\nspec: {${spec}}\n`

function compiled(...documents: readonly string[]) {
  const readKeyFile = (file: string): Uint8Array => {
    const text = files[file]
    if (text === undefined) throw new Error('no such file')
    return utf8(text)
  }
  return compileMesh(mesh + documents.join(''), { bundles: 'any', sha256, readKeyFile })
}

const identityOf = (...documents: readonly string[]) => {
  const result = compiled(...documents)
  if (!result.ok) throw new Error(result.problems.map(({ field, problem }) => `${field}: ${problem}`).join('\n'))
  return result.settings.identity
}
const problemsOf = (...documents: readonly string[]): readonly string[] => {
  const result = compiled(...documents)
  const problems = result.ok ? result.warnings : result.problems
  return problems.map(({ level, field, problem }) => `${level} ${field}: ${problem}`)
}

test('an entry says whom it is for, what must be proven, and what it is given', async () => {
  const spec =
    'parent: /writ/agent/a, selectors: ["unix:uid:5", "unix:gid:5"], ttl: 2h, jwtTtl: 2m, dnsNames: [o.example], hint: h'
  expect(identityOf(document('RegistrationEntry', spec, 'orders')).entries).toMatchObject([
    {
      name: 'orders',
      id: 'spiffe://bank.example/orders',
      parent: 'spiffe://bank.example/writ/agent/a',
      selectors: ['unix:gid:5', 'unix:uid:5'],
      ttlMs: 7_200_000,
      jwtTtlMs: 120_000,
      dns: ['o.example'],
      hint: 'h',
      revision: expect.stringMatching(/^[0-9a-f]{16}$/),
    },
  ])
})

test('no entry is for the mesh itself, for another trust domain, or for whoever proves nothing', async () => {
  const entry = (spec: string): readonly string[] => problemsOf(document('RegistrationEntry', spec))
  expect(entry('identity: /writ/control, selectors: ["a:b"]')).toEqual([expect.stringContaining('of the mesh itself')])
  expect(entry('identity: /writ/agent/x, selectors: ["a:b"]')).toEqual([])
  expect(entry('identity: "spiffe://other.example/x", selectors: ["a:b"]')).toEqual([
    expect.stringContaining('is no id of bank.example'),
  ])
  expect(entry('parent: "spiffe://other.example/x", selectors: ["a:b"]')).toEqual([
    'error spec.parent: is no id of bank.example',
  ])
  expect(entry('selectors: []')).toHaveLength(1)
  expect(entry('selectors: ["nothing"]')).toHaveLength(1)
  expect(entry('selectors: ["a:b"], ttl: 25h')).toEqual(['error spec.ttl: is not between 1m and 24h'])
  expect(entry('selectors: ["a:b"], federatesWith: [third.example]')).toEqual([
    'warning spec.federatesWith[0]: no bundle of third.example is had',
  ])
})

test('a platform is an issuer with its keys, found by discovery where none are named, or roots', async () => {
  const oidc = 'issuer: "https://token.actions.githubusercontent.com", audiences: [writ]'
  const { issuers, roots } = identityOf(
    document('PlatformIssuer', oidc, 'github'),
    document(
      'PlatformIssuer',
      'type: kubernetes, issuer: "https://k.example/", audiences: [writ], jwksFile: keys.json',
      'k',
    ),
    document('PlatformIssuer', 'type: x509, rootsFile: roots.pem', 'factory'),
  )
  expect(issuers).toMatchObject([
    {
      name: 'github',
      reuse: false,
      keys: { kind: 'url', url: 'https://token.actions.githubusercontent.com/.well-known/openid-configuration' },
    },
    { name: 'k', reuse: true, keys: { kind: 'known', keys: [{ kty: 'OKP' }] } },
  ])
  expect(roots).toEqual([{ name: 'factory', roots: other.roots }])
})

test('a platform that is not whole is named with what it lacks', async () => {
  const platform = (spec: string): readonly string[] => problemsOf(document('PlatformIssuer', spec))
  const issuer = 'issuer: "https://k.example"'
  expect(platform('audiences: [writ]')).toEqual(['error spec.issuer: is no https URL'])
  expect(platform('issuer: "http://k.example", audiences: [writ]')).toEqual(['error spec.issuer: is no https URL'])
  expect(platform(issuer)).toEqual(['error spec.audiences: is missing'])
  expect(platform(`${issuer}, audiences: [w], jwksFile: gone.json`)).toEqual([
    'error spec.jwksFile: cannot be read: no such file',
  ])
  expect(platform(`${issuer}, audiences: [w], jwksFile: keys.json, jwksUrl: "https://k.example/keys"`)).toHaveLength(1)
  expect(platform('type: x509')).toEqual(['error spec.rootsFile: is missing'])
  expect(platform('type: x509, rootsFile: empty.pem')).toEqual(['error spec.rootsFile: holds no certificate'])
  expect(platform('type: x509, rootsFile: roots.pem, crlFile: empty.pem')).toEqual([
    'error spec.crlFile: holds no revocation list',
  ])
  expect(platform(`type: x509, rootsFile: roots.pem, ${issuer}`)).toHaveLength(1)
  const twice = `${issuer}, audiences: [writ]`
  expect(problemsOf(document('PlatformIssuer', twice, 'a'), document('PlatformIssuer', twice, 'b'))).toEqual([
    'error spec.issuer: is the issuer of another document too',
  ])
})

test('a federated domain has a name, a URL and a profile, none of which stands for another', async () => {
  const at = 'trustDomain: other.example, url: "https://bundle.example/"'
  const { federation } = identityOf(document('FederatedDomain', `${at}, profile: https_web, rootsFile: roots.pem`))
  expect(federation).toEqual([
    {
      trustDomain: 'other.example',
      url: 'https://bundle.example/',
      profile: { kind: 'https_web', roots: other.roots },
    },
  ])
  const spiffe = `${at}, profile: https_spiffe, endpointId: "spiffe://other.example/x", bundleFile: bundle.json`
  expect(identityOf(document('FederatedDomain', spiffe)).federation).toMatchObject([
    {
      profile: { kind: 'https_spiffe', endpointId: 'spiffe://other.example/x' },
      first: { trustDomain: 'other.example' },
    },
  ])
  const wrong = (spec: string): readonly string[] => problemsOf(document('FederatedDomain', spec))
  expect(wrong(`${at}, profile: https_spiffe`)).toEqual(['error spec.endpointId: is no whole SPIFFE id'])
  expect(wrong(`${at}, profile: https_spiffe, endpointId: "spiffe://other.example/x"`)).toEqual([
    'error spec.bundleFile: is missing',
  ])
  expect(wrong('trustDomain: bank.example, url: "https://b.example", profile: https_web')).toEqual([
    'error spec.trustDomain: is our own',
  ])
  expect(wrong('trustDomain: o.example, url: "http://127.0.0.1/", profile: https_web')).toEqual([
    'error spec.url: is no https URL',
  ])
  expect(wrong(`${at}, profile: https_web, bundleFile: keys.json`)).toEqual([])
  expect(wrong(`${at}, profile: https_web, bundleFile: empty.pem`)).toEqual(['error spec.bundleFile: is no JWK set'])
})
