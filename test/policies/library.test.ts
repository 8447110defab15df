import { execFile } from 'node:child_process'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { gunzipSync } from 'node:zlib'
import { describe, expect } from 'vitest'
import { docsCommand } from '../../cli/policy-docs.ts'
import { openCandidate } from '../../cli/wire/candidate.ts'
import { readBundle } from '../../engine/bundle.ts'
import { buildPolicy } from '../../engine/node/build.ts'
import { librarySources } from '../../engine/node/library.ts'
import { loadBundle } from '../../engine/node/open.ts'
import { readTar } from '../../engine/tar.ts'
import { printed, temporary } from '../cli/recorded.ts'
import { testPolicy } from '../engine/tested.ts'
import { needs, pathOf } from '../parts/needs.ts'

const test = needs('opa')

const utf8 = (text: string) => new TextEncoder().encode(text)

async function policy(rego: string, more: Readonly<Record<string, string>> = {}): Promise<string> {
  const dir = join(await temporary(), 'mine')
  await mkdir(dir)
  for (const [name, text] of Object.entries({ 'authz.rego': rego, ...more })) await writeFile(join(dir, name), text)
  return dir
}

const marked = (imports: string, rule: string) => `package mine\n${imports}\n# METADATA\n# entrypoint: true\n${rule}\n`
const reads = marked('import data.writ.lib.http', 'result if http.reads')

const filesIn = (bytes: Uint8Array) => readTar(gunzipSync(bytes), 100).map(({ name }) => name)
const revisionOf = async (bytes: Uint8Array) => (await readBundle(bytes, 'mine')).ref.revision

describe('the library itself', () => {
  test('passes its tests, which run every line of it', async () => {
    const { code, report } = await testPolicy('policies/lib')
    expect([code, report]).toEqual([0, expect.stringContaining('"name"')])
    const { stdout } = await promisify(execFile)(pathOf('opa'), ['test', '--coverage', 'policies/lib'])
    const { files, coverage } = JSON.parse(stdout) as { coverage: number; files: Record<string, object> }
    const open = Object.entries(files).filter(([, file]) => 'not_covered' in file)
    expect([coverage, open]).toEqual([100, []])
    expect(Object.keys(files).length).toBeGreaterThan(15)
  })

  test('is shown in docs/LIBRARY.md as its annotations have it', async () => {
    const { out } = await printed(docsCommand(), 'policies/lib')
    expect(out, 'run `writ policy docs policies/lib > docs/LIBRARY.md`').toBe(await readFile('docs/LIBRARY.md', 'utf8'))
  })

  test('has an example of each thing that it documents, and every example compiles', async () => {
    const page = await readFile('docs/LIBRARY.md', 'utf8')
    const examples = [...page.matchAll(/```rego\n {2}(.*)\n/g)].map(([, text]) => text!)
    expect(examples.length).toBe(page.split('\n').filter((line) => line.startsWith('- `')).length)
    const names = ['abac', 'clock', 'edges', 'http', 'identity', 'jwt', 'rate', 'rbac', 'result']
    const imports = names.map((name) => `import data.writ.lib.${name}`).join('\n')
    const given = 'claims := input.claims\nfacts := input.facts\ngrant := input.grant\nanswer := input.answer'
    const rules = examples.map((text, i) => `r${i} if {\n\t${text}\n}`)
    const dir = await policy(marked(`${imports}\n${given}`, rules.join('\n')), {})
    expect((await buildPolicy(dir, { entrypoints: ['mine/r1'] })).length).toBeGreaterThan(0)
  })
})

describe('a policy that imports it', () => {
  test('gets the packages that it imports and those that these import, and no others', async () => {
    const files = filesIn(await buildPolicy(await policy(marked('import data.writ.lib.jwt', 'result if jwt.token'))))
    expect(files.filter((name) => name.includes('lib/'))).toEqual(['writ/lib/http.rego', 'writ/lib/jwt.rego'])
  })

  test('gets none by a comment, and one by a reference without an import', async () => {
    const named = async (text: string) =>
      (await librarySources([{ name: 'a.rego', bytes: utf8(`package a\n${text}\n`) }])).map(({ name }) => name)
    expect(await named('# import data.writ.lib.http')).toEqual([])
    expect(await named('r if data.writ.lib.http.reads')).toEqual(['writ/lib/http.rego'])
    expect(await named('import data.writ.library.http')).toEqual([])
  })

  test('is asked in the engine as any other', async () => {
    const opened = await loadBundle(await buildPolicy(await policy(reads)), 'mine', { now: () => 0n })
    const by = (method: string) => opened.evaluate('mine/result', { attributes: { request: { http: { method } } } })
    expect([by('GET'), by('POST').ok]).toEqual([{ ok: true, value: true }, false])
  })

  test('keeps its own package where it holds one, and that is another revision', async () => {
    const own = { 'http.rego': 'package writ.lib.http\n\nreads if input.mine\n' }
    const bytes = await buildPolicy(await policy(reads, own))
    expect(filesIn(bytes).filter((name) => name.includes('lib/'))).toEqual([])
    const opened = await loadBundle(bytes, 'mine', { now: () => 0n })
    expect(opened.evaluate('mine/result', { mine: true })).toEqual({ ok: true, value: true })
    expect(await revisionOf(bytes)).not.toBe(await revisionOf(await buildPolicy(await policy(reads))))
  })

  test('keeps its own for the library too, and for a file where the library would put one', async () => {
    const named = async (own: string, at: string) => {
      const policy = { name: 'a.rego', bytes: utf8('package a\nimport data.writ.lib.jwt\n') }
      const added = await librarySources([policy, { name: at, bytes: utf8(`package ${own}\n`) }])
      return added.map(({ name }) => name)
    }
    expect(await named('writ.lib.http', 'http.rego')).toEqual(['writ/lib/jwt.rego'])
    expect(await named('other', 'writ/lib/http.rego')).toEqual(['writ/lib/jwt.rego'])
    expect(await named('other', 'http.rego')).toEqual(['writ/lib/http.rego', 'writ/lib/jwt.rego'])
  })

  test('that names a package which is not there is refused, with the place and the packages that are', async () => {
    const dir = await policy(marked('import data.writ.lib.htpp', 'result if htpp.reads'))
    await expect(buildPolicy(dir)).rejects.toMatchObject({
      code: 'policy_invalid',
      message: 'authz.rego:2: the library has no package writ.lib.htpp',
      cure: expect.stringContaining('http, identity') as string,
    })
  })

  test('is tested with it, where only a test imports it too', async () => {
    const own = 'package mine_test\n\nimport data.mine\nimport data.writ.lib.result\n\n'
    const rule =
      'test_it if mine.result with input as {"attributes": {"request": {"http": {"method": "GET"}}}}\ntest_answer if result.allow([]).allowed\n'
    const { code, report } = await testPolicy(await policy(reads, { 'authz_test.rego': own + rule }))
    expect([code, report]).toEqual([0, expect.stringContaining('test_answer')])
  })

  test('tells what it reads through it, where a function is not handed the name of it', async () => {
    const dir = await policy(marked('import data.writ.lib.http', 'result if http.header("X-Role") == "clerk"'))
    expect((await openCandidate(dir, { entrypoints: [] })).reads('mine/result')).toEqual({
      query: true,
      headers: 'all',
    })
    const candidate = await openCandidate(await policy(reads), { entrypoints: [] })
    expect(candidate.reads('mine/result')).toEqual({ query: false, headers: new Set() })
  })
})
