import { expect, test } from 'vitest'
import { compileMesh } from '../../../control/mesh/compile.ts'
import { bankBundle, bound, compiled, meshWith, own, problemsOf, served, sha256 } from '../world.ts'

const signed = 'verification: {keyFile: keys/bank.pub}'
const source = (spec: string, name = 'bank'): string => own('PolicySource', name, `{${spec}}`)
const mesh = (spec: string, name?: string): string =>
  meshWith(served('orders', 9000), bound('orders'), source(spec, name))
const sourcesOf = (spec: string) => {
  const result = compiled(mesh(spec))
  return result.ok ? result.settings.policySources : result.problems
}

test('a source is what control opens, named like its bundle, with the delays of OPA', () => {
  expect(sourcesOf(`url: "https://bundles.example", ${signed}`)).toEqual([
    {
      name: 'bank',
      url: 'https://bundles.example',
      polling: { minMs: 60_000, maxMs: 120_000, waitS: 60 },
      verification: { keyFile: 'keys/bank.pub' },
    },
  ])
  const whole = `url: "http://127.0.0.1:8", resource: a/b.tar.gz, tokenFile: t, polling: {min: 5s, max: 1m, wait: 0s},
    verification: {keyFile: k, keyId: blue, scope: write, algorithm: ES256}`
  expect(sourcesOf(whole)).toMatchObject([
    {
      resource: 'a/b.tar.gz',
      tokenFile: 't',
      polling: { minMs: 5000, maxMs: 60_000, waitS: 0 },
      verification: { keyFile: 'k', keyId: 'blue', scope: 'write', algorithm: 'ES256' },
    },
  ])
  expect(sourcesOf(`url: "https://b", polling: {min: 1h}`)).toMatchObject([{ polling: { minMs: 3.6e6, maxMs: 3.6e6 } }])
  expect(sourcesOf(`url: "https://b", polling: {max: 10s}`)).toMatchObject([
    { polling: { minMs: 10_000, maxMs: 10_000 } },
  ])
})

test('a bundle may be bound before its source has given it, one without a source may not', () => {
  const world = { bundles: [], sha256 }
  const result = compileMesh(mesh(`url: "https://bundles.example", ${signed}`), world)
  expect(result).toMatchObject({ ok: true, warnings: [], snapshot: { bundles: [] } })
  expect(compileMesh(mesh(`url: "https://bundles.example", ${signed}`, 'other'), world)).toMatchObject({
    ok: false,
    problems: [
      { problem: 'there is no bundle bank', cure: 'build it, or use one of other' },
      { level: 'warning', problem: 'no PolicyBinding names the bundle other' },
    ],
  })
  const given = compileMesh(mesh(`url: "https://bundles.example", ${signed}`), { bundles: [bankBundle], sha256 })
  expect(given).toMatchObject({ ok: true, snapshot: { bundles: [bankBundle] } })
})

test('what is unsafe or cannot work is told, with its field', () => {
  const wrong = (spec: string) =>
    problemsOf(mesh(spec)).map(({ level, field, problem }) => `${level} ${field}: ${problem}`)
  expect(wrong('url: "https://bundles.example"')).toEqual([
    'warning spec: takes bundles that nobody signed: whoever holds the server makes the policy',
  ])
  expect(wrong(`url: "http://bundles.example", ${signed}`)).toEqual([
    'error spec.url: is plain HTTP, which is for this machine alone',
  ])
  expect(wrong(`url: "https://me:secret@bundles.example", ${signed}`)).toEqual([
    'error spec.url: holds a password; give a tokenFile',
  ])
  expect(wrong(`url: "https://b", ${signed}, polling: {min: 2m, max: 1m}`)).toEqual([
    'error spec.polling.max: is less than min',
  ])
  expect(wrong(`url: "https://b", ${signed}, polling: {min: 10ms, max: 25h, wait: 5m}`)).toEqual([
    'error spec.polling.min: is less than a second',
    'error spec.polling.max: is more than a day',
    'error spec.polling.wait: is more than 4m',
  ])
  expect(wrong('url: "https://b", verification: {keyFile: k, algorithm: none}')[0]).toContain(
    'spec.verification.algorithm',
  )
  expect(wrong('url: "https://b", verification: {}')[0]).toContain('takes one of keyFile and keyless')
  const keyless = (more: string): string =>
    `url: "https://b", verification: { keyless: { issuer: "https://ci", subject: "a"${more} } }`
  expect(wrong(keyless(''))[0]).toContain('spec.verification.keyless: takes one of jwksFile and jwks')
  expect(wrong(keyless(', jwks: "http://ci/keys"'))[0]).toContain('plain HTTP')
  expect(wrong(keyless(', jwks: "https://ci/keys"')).join()).not.toContain('verification')
  expect(wrong(`url: "https://b", ${signed}, token: abc`)[0]).toContain('spec.token: is unknown')
})

test('two sources of one name are one too many', () => {
  const text = `${mesh(`url: "https://b", ${signed}`)}---\n${source(`url: "https://c", ${signed}`)}\n`
  expect(problemsOf(text)[0]!.problem).toBe('there are two PolicySource documents of this name')
})
