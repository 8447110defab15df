import { cp, mkdir, mkdtemp, rm, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import fc from 'fast-check'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { readBundle } from '../../../engine/bundle.ts'
import { buildPolicy, policyFoldersIn } from '../../../engine/node/build.ts'
import { loadBundle, readPolicyFolder } from '../../../engine/node/open.ts'
import { gzipStored, pack } from '../../../engine/node/pack.ts'
import { readTar } from '../../../engine/tar.ts'

let root: string
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'writ-build-test-'))
})
afterEach(() => rm(root, { recursive: true, force: true }))

async function policy(name: string, files: Record<string, string>): Promise<string> {
  const dir = join(root, name)
  for (const [path, text] of Object.entries(files)) {
    await mkdir(join(dir, path, '..'), { recursive: true })
    await writeFile(join(dir, path), text)
  }
  return dir
}

const marked = (rule: string) => `# METADATA\n# entrypoint: true\n${rule}\n`
const files = {
  'a.rego': `package t\n${marked('a := data.x')}${marked('b := data.y.z')}${marked('c := input')}`,
  'a_test.rego': 'package t_test\nimport data.t\ntest_a if t.a == 1\n',
  'data.json': '{"x": 1}',
  'y/data.json': '{"z": 2}',
}

test('the same sources give the same bytes, wherever they lie and whenever they were written', async () => {
  const first = await policy('first', files)
  const other = await policy('other/folder', files)
  await utimes(join(other, 'a.rego'), 1, 1)
  const [one, two] = await Promise.all([buildPolicy(first), buildPolicy(other)])
  expect(two).toEqual(one)
})

test('another source is another revision, another test or an old bundle is not', async () => {
  const revision = async (dir: string) => (await readBundle(await buildPolicy(dir), 't')).ref.revision
  const dir = await policy('t', files)
  const before = await revision(dir)
  expect(before).toMatch(/^[0-9a-f]{16}$/)
  await writeFile(join(dir, 'a_test.rego'), 'package t_test\n')
  await writeFile(join(dir, 'bundle.tar.gz'), 'old')
  expect(await revision(dir)).toBe(before)
  await writeFile(join(dir, 'data.json'), '{"x": 2}')
  expect(await revision(dir)).not.toBe(before)
})

test('what was built can be loaded and asked', async () => {
  const loaded = await loadBundle(await buildPolicy(await policy('t', files)), 't', { now: () => 0n })
  expect(loaded.entrypoints.toSorted()).toEqual(['t/a', 't/b', 't/c'])
  expect(loaded.evaluate('t/a', {})).toEqual({ ok: true, value: 1 })
  expect(loaded.evaluate('t/b', {})).toEqual({ ok: true, value: 2 })
})

test('what does not compile is refused with file, row and reason', async () => {
  const broken = await policy('t', { 'sub/a.rego': 'package t\n\nr := nope(1)\n' })
  await expect(buildPolicy(broken, { entrypoints: ['t/r'] })).rejects.toMatchObject({
    code: 'policy_invalid',
    message: expect.stringMatching(/sub\/a\.rego:3: .*undefined function nope/),
  })
})

test('a policy without entry point or without Rego is refused', async () => {
  await expect(buildPolicy(await policy('t', { 'a.rego': 'package t\nr := 1\n' }))).rejects.toThrow('entrypoint')
  await expect(buildPolicy(await policy('u', { 'data.json': '{}' }))).rejects.toThrow('no Rego')
  await expect(buildPolicy(join(root, 'v'))).rejects.toMatchObject({ code: 'not_found' })
})

test('a folder is a policy where it holds Rego, else a folder of policies', async () => {
  await policy('all/b', { 'x.rego': 'package b\n' })
  await policy('all/a', { 'deep/x.rego': 'package a\n' })
  await policy('all/none', { 'data.json': '{}' })
  expect(await policyFoldersIn(join(root, 'all'))).toEqual([join(root, 'all/a'), join(root, 'all/b')])
  expect(await policyFoldersIn(join(root, 'all/b'))).toEqual([join(root, 'all/b')])
  await expect(policyFoldersIn(join(root, 'all/none'))).rejects.toMatchObject({ code: 'not_found' })
})

test('a policy folder is read by name, and a broken bundle in it is an error', async () => {
  const bytes = await buildPolicy(await policy('src', files))
  const dir = await policy('all', { 'readme.md': '' })
  for (const name of ['b', 'a']) {
    await mkdir(join(dir, name))
    await writeFile(join(dir, name, 'bundle.tar.gz'), bytes)
  }
  await mkdir(join(dir, 'unbuilt'))
  const bundles = await readPolicyFolder(dir)
  expect(bundles.map(({ ref }) => ref.bundle)).toEqual(['a', 'b'])
  expect(bundles[0]!.bytes).toEqual(bytes)
  await cp(join(root, 'src/a.rego'), join(dir, 'unbuilt/bundle.tar.gz'))
  await expect(readPolicyFolder(dir)).rejects.toMatchObject({ code: 'policy_invalid' })
})

test('stored gzip is gzip, also where blocks end', () => {
  for (const length of [0, 1, 65_534, 65_535, 65_536, 131_070, 131_071]) {
    const bytes = new Uint8Array(length).map((_, i) => i % 251)
    expect(new Uint8Array(gunzipSync(gzipStored(bytes)))).toEqual(bytes)
  }
})

test('an archive holds no time: the one packed a year later is the same', () => {
  const files = [{ name: 'a', bytes: Uint8Array.of(1) }]
  vi.useFakeTimers({ now: new Date('2026-01-01') })
  const first = pack(files)
  vi.setSystemTime(new Date('2027-01-01'))
  expect(pack(files)).toEqual(first)
  vi.useRealTimers()
})

test('what is packed in any order is the same archive, and comes out again', () => {
  const name = fc.stringMatching(/^[a-z]{1,20}(\/[a-z]{1,20})?$/)
  const file = fc.record({ name, bytes: fc.uint8Array({ minLength: 1, maxLength: 2000 }) })
  fc.assert(
    fc.property(fc.uniqueArray(file, { selector: (one) => one.name, maxLength: 12 }), (all) => {
      const packed = pack(all)
      expect(pack(all.toReversed())).toEqual(packed)
      const out = readTar(new Uint8Array(gunzipSync(packed)), 100)
      expect(out).toEqual(all.toSorted((a, b) => (a.name < b.name ? -1 : 1)))
    }),
    { numRuns: 50 },
  )
})

test('the manifest says what each rule reads, beside what its author wrote there', async () => {
  const own = '{"roots": ["t", "x", "y"], "metadata": {"team": 12345678901234567890, "writ": {"owner": "a"}}}'
  const bytes = await buildPolicy(await policy('t', { ...files, '.manifest': own }))
  expect((await readBundle(bytes, 't')).reads).toEqual(
    new Map([
      ['t/a', []],
      ['t/b', []],
      ['t/c', [[]]],
    ]),
  )
  const written = readTar(gunzipSync(bytes), 10).find(({ name }) => name === '.manifest')!
  expect(Buffer.from(written.bytes).toString()).toContain(
    '"metadata":{"team":12345678901234567890,"writ":{"owner":"a","reads":{"t/a":[],"t/b":[],"t/c":[[]]}}}',
  )
})

test('rules about the log are compiled without being asked for, and only where they are', async () => {
  const log = 'package system.log\nmask contains "/input/a"\n\ndrop := input.input.b\n'
  const narrow = { '.manifest': '{"roots": [""]}' }
  const both = await readBundle(await buildPolicy(await policy('t', { ...files, ...narrow, 'log.rego': log })), 't')
  expect(both.entrypoints.filter((one) => one.startsWith('system'))).toEqual(['system/log/drop', 'system/log/mask'])
  const other = 'package system.log\nmask contains "/input/a"\n# drop\nx := 1\n'
  const one = await readBundle(await buildPolicy(await policy('t', { ...files, ...narrow, 'log.rego': other })), 't')
  expect(one.entrypoints.filter((one) => one.startsWith('system'))).toEqual(['system/log/mask'])
})
