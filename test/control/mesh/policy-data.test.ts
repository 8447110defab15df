import { expect, test } from 'vitest'
import { compileMesh } from '../../../control/mesh/compile.ts'
import { checkSnapshot } from '../../../control/mesh/name.ts'
import { snapshotFor } from '../../../control/mesh/scope.ts'
import type { SpiffeId } from '../../../core/spiffe.ts'
import { bankBundle, bound, compiled, meshWith, own, problemsOf, served, sha256 } from '../world.ts'

const data = (spec: string, name = 'roles'): string => own('PolicyData', name, `{${spec}}`)
const mesh = (...documents: readonly string[]): string =>
  meshWith(served('orders', 9000), bound('orders'), ...documents)
const settingsOf = (spec: string) => {
  const result = compiled(mesh(data(spec)))
  return result.ok ? result.settings.policyData : result.problems
}
const version = { revision: 'ab'.repeat(8), sha256: 'ab'.repeat(32) }

test('data is what control fetches, each with its place', () => {
  expect(settingsOf('bundle: bank, path: bank/roles, file: roles.json')).toEqual([
    {
      ...{ name: 'roles', bundle: 'bank', path: 'bank/roles', from: { file: 'roles.json' } },
      ...{ refreshMs: 30_000, maxBytes: 8 * 1024 ** 2 },
    },
  ])
  expect(
    settingsOf(
      'bundle: bank, path: r, url: "https://data.example/r?x=1", tokenFile: t, refresh: 5s, maxAge: 1m, maxBytes: 100',
    ),
  ).toEqual([
    {
      ...{ name: 'roles', bundle: 'bank', path: 'r', from: { url: 'https://data.example/r?x=1' }, tokenFile: 't' },
      ...{ refreshMs: 5000, maxAgeMs: 60_000, maxBytes: 100 },
    },
  ])
})

test('a snapshot names the newest version, or that there is none yet, to those whose policy reads it', () => {
  const text = mesh(data('bundle: bank, path: bank/roles, file: roles.json, maxAge: 1m'))
  const at = (versions: readonly { readonly name: string; readonly revision: string; readonly sha256: string }[]) => {
    const result = compileMesh(text, { bundles: [bankBundle], sha256, data: versions })
    if (!result.ok) throw new Error('it does not compile')
    return result.snapshot
  }
  const use = { name: 'roles', bundle: 'bank', path: 'bank/roles', maxAgeMs: 60_000 }
  expect(at([]).data).toEqual([use])
  const whole = at([{ name: 'roles', ...version }])
  expect(whole.data).toEqual([{ ...use, version }])
  expect(checkSnapshot(JSON.parse(JSON.stringify(whole)), sha256)).toEqual(whole)
  const part = snapshotFor(whole, 'spiffe://bank.example/orders' as SpiffeId, sha256)!
  expect(part.data).toEqual([{ ...use, version }])
  expect(checkSnapshot(JSON.parse(JSON.stringify(part)), sha256)).toEqual(part)
  expect(compiled(mesh())).toMatchObject({
    ok: true,
    snapshot: expect.not.objectContaining({ data: expect.anything() }),
  })
})

test('what is wrong is told, with its field', () => {
  const wrong = (...documents: readonly string[]) =>
    problemsOf(mesh(...documents)).map(({ level, field, problem }) => `${level} ${field}: ${problem}`)
  const good = 'bundle: bank, path: bank/roles, file: r'
  expect(wrong(data(good))).toEqual([])
  expect(wrong(data('bundle: bank, path: bank/roles'))).toEqual(['error spec: needs either a file or a url'])
  expect(wrong(data(`${good}, url: "https://a"`))).toEqual(['error spec: needs either a file or a url'])
  expect(wrong(data(`${good}, tokenFile: t`))).toEqual(['error spec: has a tokenFile, which a file does not take'])
  expect(wrong(data('bundle: bank, path: r, url: "http://a.example"'))).toEqual([
    'error spec.url: is plain HTTP, which is for this machine alone',
  ])
  expect(wrong(data('bundle: bank, path: /r, file: r'))[0]).toContain('spec.path: is not a place below data')
  expect(wrong(data(`${good}, refresh: 10ms`))).toEqual(['error spec.refresh: is not between 1s and 24h'])
  expect(wrong(data(`${good}, refresh: 10s, maxAge: 19s`))).toEqual([
    'error spec.maxAge: is less than two refreshes of 10s: it would be over before the next look',
  ])
  expect(wrong(data(`${good}, refresh: 10s, maxAge: 20s`))).toEqual([])
  expect(wrong(data('bundle: other, path: r, file: r'))).toEqual([
    'warning spec.bundle: no PolicyBinding names the bundle other',
  ])
})

test('two of one bundle have each its own place', () => {
  const two = (a: string, b: string, bundle = 'bank') =>
    problemsOf(
      mesh(data(`bundle: bank, path: ${a}, file: a`, 'one'), data(`bundle: ${bundle}, path: ${b}, file: b`, 'two')),
    ).filter(({ level }) => level === 'error')
  expect(two('bank/roles', 'bank/roles')).toMatchObject([
    { document: 'PolicyData/two', problem: 'bank/roles overlaps with bank/roles of PolicyData/one' },
  ])
  expect(two('bank', 'bank/roles')).toHaveLength(1)
  expect(two('bank/roles/x', 'bank/roles')).toHaveLength(1)
  expect(two('bank/role', 'bank/roles')).toEqual([])
  expect(two('bank/roles', 'bank/roles', 'other')).toEqual([])
})

test('a binding says whom its policy may ask, and a source takes such a bundle then', () => {
  const binding = (http: string) =>
    own(
      'PolicyBinding',
      'orders',
      `{targetRefs: [{kind: Workload, name: orders}], bundle: bank, entrypoint: a/b, http: ${http}}`,
    )
  const result = compiled(
    meshWith(
      served('orders', 9000),
      binding('{allow: ["https://authz.example/v1"]}'),
      own('PolicySource', 'bank', '{url: "https://b", verification: {keyFile: k}}'),
    ),
  )
  const http = { allow: ['https://authz.example/v1'], timeoutMs: 2000, maxBytes: 65_536, privateAddresses: false }
  expect(result).toMatchObject({ ok: true, settings: { policySources: [{ asksHttp: true }] } })
  if (!result.ok) return
  expect(result.snapshot.workloads[0]!.listeners).toMatchObject([{ policy: { http } }])
  expect(checkSnapshot(JSON.parse(JSON.stringify(result.snapshot)), sha256)).toEqual(result.snapshot)
  const wrong = (http: string) =>
    problemsOf(meshWith(served('orders', 9000), binding(http))).map(({ field, problem }) => `${field}: ${problem}`)
  expect(wrong('{allow: []}')[0]).toContain('spec.http.allow')
  expect(wrong('{allow: ["http://a.example"]}')).toEqual([
    'spec.http.allow[0]: is plain HTTP, which is for this machine alone',
  ])
  expect(wrong('{allow: ["https://u@a.example"]}')[0]).toContain('holds a password')
  expect(wrong('{allow: ["https://a.example/x/%2e%2e"]}')).toEqual(['spec.http.allow[0]: hides steps in escapes'])
  expect(wrong('{allow: ["https://a"], timeout: 1m}')).toEqual(['spec.http.timeout: is not between 1ms and 30s'])
})
