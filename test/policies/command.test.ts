import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { policyCommand } from '../../cli/policy.ts'
import { readBundle } from '../../engine/bundle.ts'
import { openPolicy } from '../../engine/policies.ts'
import { keyPair } from '../engine/signed.ts'

let root: string
let out: string
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'writ-policy-command-'))
  out = ''
  vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
    out += text
    return true
  })
})
afterEach(async () => {
  vi.restoreAllMocks()
  process.exitCode = 0
  await rm(root, { recursive: true, force: true })
})

const run = (...argv: readonly string[]) => policyCommand().parseAsync([...argv], { from: 'user' })

async function policy(name: string, rule: string): Promise<string> {
  await mkdir(join(root, name))
  await writeFile(join(root, name, 'p.rego'), `package p\n# METADATA\n# entrypoint: true\n${rule}\n`)
  await writeFile(join(root, name, 'p_test.rego'), 'package p_test\nimport data.p\ntest_r if p.r == 1\n')
  return join(root, name)
}

test('build writes the bundle, and says the second time that nothing changed', async () => {
  const dir = await policy('one', 'r := 1')
  await run('build', root)
  expect(out).toMatch(/^one {2}revision [0-9a-f]{16} {2}\d+ bytes {2}written\n$/)
  const bytes = await readFile(join(dir, 'bundle.tar.gz'))
  await run('build', dir, '--json')
  expect(JSON.parse(out.slice(out.indexOf('[')))).toMatchObject([
    { policy: 'one', entrypoints: ['p/r'], changed: false },
  ])
  expect(await readFile(join(dir, 'bundle.tar.gz'))).toEqual(bytes)
})

test('--check passes what is up to date, fails what is not, and writes nothing', async () => {
  const dir = await policy('one', 'r := 1')
  await expect(run('build', dir, '--check')).rejects.toMatchObject({ code: 'policy_invalid' })
  await expect(readFile(join(dir, 'bundle.tar.gz'))).rejects.toMatchObject({ code: 'ENOENT' })
  await run('build', dir)
  await run('build', dir, '--check')
  await writeFile(join(dir, 'data.json'), '{"a": 1}')
  await expect(run('build', root, '--check')).rejects.toMatchObject({ message: expect.stringContaining('one') })
})

test('--edge writes what a host needs that compiles no bytes', async () => {
  const dir = await policy('one', 'r := data.a')
  await writeFile(join(dir, 'data.json'), '{"a": 7}')
  await run('build', dir, '--edge', join(root, 'edge'))
  const read = (name: string) => readFile(join(root, 'edge/one', name))
  const opened = openPolicy({
    ref: JSON.parse(String(await read('ref.json'))),
    module: new WebAssembly.Module(await read('policy.wasm')),
    data: JSON.parse(String(await read('data.json'))),
    now: () => 0n,
  })
  expect(opened.evaluate('p/r', {})).toEqual({ ok: true, value: 7 })
  expect(opened.ref).toMatchObject({ bundle: 'one', sha256: expect.stringMatching(/^[0-9a-f]{64}$/) })
})

test('a policy that calls what no proxy has is not written', async () => {
  const dir = await policy('one', 'r := rego.parse_module("a.rego", input.a)')
  await expect(run('build', dir)).rejects.toThrow('rego.parse_module')
  await expect(readFile(join(dir, 'bundle.tar.gz'))).rejects.toMatchObject({ code: 'ENOENT' })
})

test("test exits with OPA's code: 0 where all pass, another where one fails", async () => {
  await policy('good', 'r := 1')
  await run('build', root)
  out = ''
  await run('test', root, '--json')
  expect([process.exitCode, JSON.parse(out)[0].code]).toEqual([0, 0])
  out = ''
  await policy('bad', 'r := 2')
  await run('test', root, '--json')
  expect(process.exitCode).toBe(2)
  expect(JSON.parse(out)).toMatchObject([
    { policy: 'bad', code: 2, results: [{ name: 'test_r', fail: true }] },
    { policy: 'good', code: 0 },
  ])
})

test('a signing key signs the bundle; what is signed counts as up to date, and building without one leaves it so', async () => {
  const dir = await policy('one', 'r := 1')
  await run('build', dir)
  const unsigned = await readFile(join(dir, 'bundle.tar.gz'))
  const pair = keyPair()
  await writeFile(join(root, 'key.pem'), pair.privatePem)
  await run('build', dir, '--signing-key', join(root, 'key.pem'), '--signing-alg', 'ES256', '--key-id', 'k1')
  const signed = await readFile(join(dir, 'bundle.tar.gz'))
  const keys = [{ algorithm: 'ES256', key: pair.publicPem, id: 'k1' }] as const
  expect((await readBundle(signed, 'one', { verification: { keys } })).ref.bundle).toBe('one')
  await expect(readBundle(unsigned, 'one', { verification: { keys } })).rejects.toThrow('not signed')
  await run('build', dir, '--check')
  await run('build', dir)
  expect(await readFile(join(dir, 'bundle.tar.gz'))).toEqual(signed)
  await writeFile(join(dir, 'data.json'), '{"a": 1}')
  await expect(run('build', dir, '--check')).rejects.toMatchObject({ code: 'policy_invalid' })
})

test('signing flags without a key, or with --check, are a mistake', async () => {
  const dir = await policy('one', 'r := 1')
  await expect(run('build', dir, '--key-id', 'k1')).rejects.toMatchObject({ code: 'usage' })
  await expect(run('build', dir, '--check', '--signing-key', 'x')).rejects.toMatchObject({ code: 'usage' })
})
