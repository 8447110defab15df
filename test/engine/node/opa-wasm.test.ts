import { createHash } from 'node:crypto'
import { cp, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test as plain } from 'vitest'
import { isObject, type Json } from '../../../core/json.ts'
import { buildPolicy } from '../../../engine/node/build.ts'
import { type Opa, type OpaRan, openOpa } from '../../../engine/node/opa.ts'
import { boundMemory, maxPages } from '../../../engine/rego/memory.ts'
import { needs, pathOf } from '../../parts/needs.ts'
import { testPolicy } from '../tested.ts'

const test = needs('opa', 'opaWasm')

let root: string
let native: Opa
let wasm: Opa
const quiet = { say: () => undefined }
const moduleEnv = () => ({ PATH: root, HOME: root, XDG_CACHE_HOME: join(root, 'cache'), WRIT_OPA: pathOf('opaWasm') })

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'writ-opa-wasm-'))
  native = await openOpa({ env: { ...process.env, WRIT_OPA: pathOf('opa') }, ...quiet })
  wasm = await openOpa({ env: moduleEnv(), ...quiet })
})
afterAll(() => rm(root, { recursive: true, force: true }))

async function folder(files: Readonly<Record<string, string>>): Promise<string> {
  const dir = await mkdtemp(join(root, 'policy-'))
  for (const [path, text] of Object.entries(files)) {
    await mkdir(join(dir, path, '..'), { recursive: true })
    await writeFile(join(dir, path), text)
  }
  return dir
}

const bank = async (): Promise<string> => {
  const dir = await folder({})
  await cp('policies/bank', dir, { recursive: true, filter: (path) => !path.endsWith('.tar.gz') })
  return dir
}

/** What each of both prints and how it ends. */
async function both(args: readonly string[], cwd: string, input?: string): Promise<{ native: OpaRan; wasm: OpaRan }> {
  const how = { cwd, ...(input === undefined ? {} : { input }) }
  const [one, other] = await Promise.all([native.run(args, how), wasm.run(args, how)])
  return { native: one, wasm: other }
}

/** Neither time nor the order of a map of Go's, which no two runs share, is part of what is said. */
function settled(value: Json): Json {
  if (Array.isArray(value)) return value.map(settled)
  if (!isObject(value)) return value
  return Object.fromEntries(
    Object.entries(value).flatMap(([name, inner]): [string, Json][] => {
      if (name === 'duration' || name === 'trace') return []
      if (name === 'Locals' && Array.isArray(inner)) return [[name, inner.map((one) => JSON.stringify(one)).sort()]]
      return [[name, settled(inner as Json)]]
    }),
  )
}
const byName = (a: { readonly name: string }, b: { readonly name: string }) => (a.name < b.name ? -1 : 1)
const settledText = (text: string): Json => settled(JSON.parse(text) as Json)

const query = 'data.writ.authz.result'

test('both print the same about the bank: formatting, checks, what it reads, coverage', async () => {
  const dir = await bank()
  for (const args of [
    ['fmt', '--list', '.'],
    ['fmt', 'authz.rego'],
    ['check', '--strict', '-b', '.'],
    ['deps', '-b', '.', '-f', 'json', query],
    ['test', '-b', '.', '--coverage', '--format', 'json'],
    ['inspect', '-f', 'json', '.'],
    ['parse', '--format', 'json', 'authz.rego'],
    ['bench', '--help'],
  ]) {
    const ran = await both(args, dir)
    expect(ran.wasm, args.join(' ')).toEqual(ran.native)
    expect(`${ran.native.code}${ran.native.stderr}`, args.join(' ')).toBe('0')
  }
})

test('a trace and a report of tests are the same but for the time that they took', async () => {
  const dir = await bank()
  const traced = ['eval', '-b', '.', '--stdin-input', '--format=json', '--explain=full', '--disable-indexing', query]
  const input = '{"source_principal": "spiffe://bank.example/orders", "parsed_path": ["transfers"]}'
  const trace = await both(traced, dir, input)
  expect(settledText(trace.wasm.stdout)).toEqual(settledText(trace.native.stdout))
  const report = await both(['test', '-b', '.', '-v', '--format', 'json'], dir)
  const inOrder = (text: string) => (settledText(text) as { readonly name: string }[]).toSorted(byName)
  expect(inOrder(report.wasm.stdout)).toEqual(inOrder(report.native.stdout))
  expect(inOrder(report.wasm.stdout)).toHaveLength(15)
})

test('a bundle is the same bytes, and so is one that is built by its flags alone', async () => {
  const dir = await bank()
  const built = async (name: string) =>
    buildPolicy(dir, { compiler: { env: { ...moduleEnv(), WRIT_OPA: pathOf(name as 'opa') }, ...quiet } })
  const [one, other] = [await built('opa'), await built('opaWasm')]
  expect(digest(other)).toBe(digest(one))
  expect(digest(one)).toBe(digest(await readFile('policies/bank/bundle.tar.gz')))

  for (const opa of [native, wasm]) {
    const args = [
      'build',
      '-t',
      'plan',
      '-b',
      '.',
      '--ignore',
      '*_test.rego',
      '-e',
      'writ/authz/allowed',
      '-o',
      opa.kind,
    ]
    expect(await opa.run(args, { cwd: dir })).toEqual({ code: 0, stdout: '', stderr: '' })
  }
  expect(digest(await readFile(join(dir, 'wasm')))).toBe(digest(await readFile(join(dir, 'native'))))
})

const digest = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')

/** Each with what is wrong with it. */
const broken: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  'an unknown function': { 'a.rego': 'package a\n\nr := nope(1)\n' },
  'a missing brace': { 'a.rego': 'package a\nr if {\n' },
  'no package': { 'a.rego': 'r := 1\n' },
  'bytes that are no text': { 'a.rego': 'package a\nr := "\u0000\ufffd"\n' },
  'a type that cannot be': { 'a.rego': 'package a\nr if 1 == "one"\ns if count(true) > 0\n' },
  'a rule that needs itself': { 'a.rego': 'package a\nr if s\ns if r\n' },
  'an unsafe variable': { 'a.rego': 'package a\nr if x > 1\n' },
  'two values of one rule': { 'a.rego': 'package a\nr := 1\nr := 2\n', 'sub/b.rego': 'package b\nx := data.a.r\n' },
  'data that is no JSON': { 'a.rego': 'package a\nr := 1\n', 'data.json': '{"a": ' },
  'old Rego': { 'a.rego': 'package a\nr { input.x }\n' },
  'many faults': { 'a.rego': `package a\n${Array.from({ length: 30 }, (_, i) => `r${i} := f${i}(1)\n`).join('')}` },
}

for (const [what, files] of Object.entries(broken)) {
  test(`of a policy with ${what} both say the same`, async () => {
    const dir = await folder(files)
    for (const args of [
      ['check', '--strict', '-f', 'json', '.'],
      ['fmt', '--list', '.'],
      ['eval', '-b', '.', '-f', 'json', 'data.a.r'],
      ['build', '-t', 'wasm', '-b', '.', '-e', 'a/r', '-o', 'bundle.tar.gz'],
    ]) {
      const ran = await both(args, dir)
      expect(ran.wasm, args.join(' ')).toEqual(ran.native)
    }
  })
}

test('a wrong command is refused in the same words', async () => {
  const dir = await folder({})
  for (const args of [['nope'], ['fmt', '--nope'], ['eval'], ['check', '--nope', '.']]) {
    const ran = await both(args, dir)
    expect(ran.wasm, args.join(' ')).toEqual(ran.native)
    expect(ran.native.code).not.toBe(0)
  }
  // What the system itself says of a file differs in one letter.
  const { native: one, wasm: other } = await both(['check', 'nothing.rego'], dir)
  expect(one.stderr).toContain('no such file or directory')
  expect(other.stderr.toLowerCase()).toBe(one.stderr.toLowerCase())
})

test('a test that fails is told by its exit code and its report', async () => {
  const dir = await folder({
    'a.rego': 'package a\nr := 1\n',
    'a_test.rego': 'package a_test\nimport data.a\ntest_r if a.r == 2\n',
  })
  const { code, report } = await testPolicy(dir, { env: moduleEnv(), ...quiet })
  expect(code).toBe(2)
  expect(JSON.parse(report)).toMatchObject([{ name: 'test_r', fail: true }])
})

const secret = 'package secret\nvalue := "kept outside"\n'

test('nothing outside the folder is read: by its path, by .., through links to files, folders and links', async () => {
  const outside = await folder({ 'secret.rego': secret, 'data.json': '{"kept": "outside"}' })
  const dir = await folder({ 'a.rego': 'package a\nr := 1\n', 'sub/b.rego': 'package b\n' })
  await symlink(join(outside, 'secret.rego'), join(dir, 'absolute.rego'))
  await symlink(join('..', outside.slice(root.length), 'secret.rego'), join(dir, 'relative.rego'))
  await symlink(outside, join(dir, 'dir'))
  await symlink('../dir', join(dir, 'sub/again'))
  await symlink('..', join(dir, 'sub/up'))
  const names = ['absolute.rego', 'relative.rego', 'dir/secret.rego', 'sub/again/secret.rego', 'sub/up/dir/secret.rego']
  const paths = [join(outside, 'secret.rego'), `../${outside.slice(root.length + 1)}/secret.rego`]
  for (const path of [...names, ...paths, `sub/../../${outside.slice(root.length + 1)}/secret.rego`]) {
    for (const args of [
      ['fmt', path],
      ['eval', '-d', path, 'data'],
    ]) {
      const ran = await wasm.run(args, { cwd: dir })
      expect(`${ran.stdout}${ran.stderr}`, args.join(' ')).not.toContain('kept outside')
      expect(ran.code, args.join(' ')).not.toBe(0)
    }
  }
  // The nearest neighbour: a way that leads out and in again nowhere, and one that stays within.
  expect((await wasm.run(['fmt', 'sub/up/a.rego'], { cwd: dir })).stdout).toContain('r := 1')
  for (const args of [
    ['eval', '-b', '.', 'data'],
    ['eval', '-d', '.', 'data'],
    ['eval', '-d', 'dir', 'data'],
  ]) {
    const ran = await wasm.run(args, { cwd: dir })
    expect(`${ran.stdout}${ran.stderr}`, args.join(' ')).not.toContain('kept outside')
  }
})

test('nothing outside the folder is written', async () => {
  const outside = await folder({ 'secret.rego': 'package   secret\n' })
  const dir = await folder({ 'a.rego': 'package   a\n# METADATA\n# entrypoint: true\nr := 1\n' })
  await symlink(outside, join(dir, 'dir'))
  await symlink(join(outside, 'new.tar.gz'), join(dir, 'link.tar.gz'))
  for (const args of [
    ['fmt', '-w', 'dir/secret.rego'],
    ['fmt', '-w', join(outside, 'secret.rego')],
    ['build', 'a.rego', '-o', 'dir/new.tar.gz'],
    ['build', 'a.rego', '-o', 'link.tar.gz'],
    ['build', 'a.rego', '-o', join(outside, 'new.tar.gz')],
  ]) {
    expect((await wasm.run(args, { cwd: dir })).code, args.join(' ')).not.toBe(0)
  }
  expect(await readdir(outside)).toEqual(['secret.rego'])
  expect(await readFile(join(outside, 'secret.rego'), 'utf8')).toBe('package   secret\n')
  expect((await wasm.run(['fmt', '-w', 'a.rego'], { cwd: dir })).code).toBe(0)
  expect(await readFile(join(dir, 'a.rego'), 'utf8')).toContain('package a\n')
})

test('no server is reached, and nothing of the environment is seen', async () => {
  let asked = 0
  const server = createServer((_, response) => response.end(`{"n": ${++asked}}`))
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening))
  try {
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
    const send = `http.send({"method": "GET", "url": "${url}", "raise_error": true}).status_code`
    const ran = await both(['eval', '-f', 'raw', send], root)
    expect(ran.native.stdout).toContain('200')
    expect(ran.wasm.stdout).not.toContain('200')
    expect(asked).toBe(1)
    const env = JSON.parse((await wasm.run(['eval', '-f', 'raw', 'opa.runtime().env'], { cwd: root })).stdout)
    expect(Object.keys(env).sort()).toEqual(['GOMEMLIMIT', 'PWD'])
  } finally {
    server.close()
  }
})

/** Ten billion steps, and an array that never grows. */
const endless = 'count([1 | some i in numbers.range(1, 100000); some j in numbers.range(1, 100000); i * j < 0])'

test('what takes too long is ended, and the caller has gone on meanwhile', async () => {
  let ticks = 0
  const ticking = setInterval(() => ticks++, 20)
  try {
    await expect(wasm.run(['eval', endless], { cwd: root, timeoutMs: 1500 })).rejects.toMatchObject({
      code: 'policy_invalid',
      message: 'opa eval was stopped after 1.5 s',
    })
    expect(ticks).toBeGreaterThan(3)
  } finally {
    clearInterval(ticking)
  }
  expect((await wasm.run(['eval', '-f', 'raw', '1 + 1'], { cwd: root })).stdout).toBe('2\n')
})

test('what prints without end is stopped, and what it may print comes whole', async () => {
  const repeat = (length: number) => [
    'eval',
    '-f',
    'raw',
    `concat("", [x | some _ in numbers.range(1, ${length / 1000}); x := "${'x'.repeat(1000)}"])`,
  ]
  expect((await wasm.run(repeat(1_000_000), { cwd: root })).stdout).toHaveLength(1_000_001)
  await expect(wasm.run(repeat(70_000_000), { cwd: root })).rejects.toThrow('opa eval printed more than 67108864 bytes')
})

test('more runs than may go at once wait for their turn, and none gets the answer of another', async () => {
  const runs = Array.from({ length: 12 }, (_, i) =>
    wasm.run(['eval', '-f', 'raw', '-I', 'input + 1'], { cwd: root, input: String(i) }),
  )
  expect((await Promise.all(runs)).map(({ stdout }) => stdout)).toEqual(runs.map((_, i) => `${i + 1}\n`))
})

test('what is nested deep is answered as opa answers it', async () => {
  const dir = await folder({ 'deep.rego': `package a\nr := ${'['.repeat(900)}${']'.repeat(900)}\n` })
  const ran = await both(['eval', '-d', 'deep.rego', '-f', 'raw', 'count(data.a.r)'], dir)
  expect(ran.wasm).toEqual(ran.native)
})

test('what is no module is refused with its name', async () => {
  const dir = await folder({ 'opa.wasm': 'text', 'opa.wasm.br': 'text' })
  for (const name of ['opa.wasm', 'opa.wasm.br']) {
    const opa = await openOpa({ env: { ...moduleEnv(), WRIT_OPA: join(dir, name) }, ...quiet })
    await expect(opa.run(['version'], { cwd: dir })).rejects.toMatchObject({
      code: 'compiler_missing',
      message: expect.stringContaining(`${name} is no OPA compiled to WebAssembly`),
    })
  }
  await expect(openOpa({ env: { ...moduleEnv(), WRIT_OPA: join(dir, 'none.wasm') }, ...quiet })).rejects.toMatchObject({
    code: 'compiler_missing',
  })
})

test('a module that lies in the cache is found where there is neither opa nor Go; opa on PATH comes first', async () => {
  const cache = join(root, 'found')
  const env = { PATH: join(root, 'bin'), XDG_CACHE_HOME: cache, HOME: root }
  await mkdir(join(cache, 'writ'), { recursive: true })
  await cp(pathOf('opaWasm'), join(cache, 'writ/opa-1.22.2.wasm.br'))
  expect((await openOpa({ env, ...quiet })).kind).toBe('wasm')
  expect((await openOpa({ env: { ...env, WRIT_OPA: 'wasm' }, ...quiet })).kind).toBe('wasm')
  await expect(openOpa({ env: { ...env, WRIT_OPA: 'none' }, ...quiet })).rejects.toMatchObject({
    code: 'compiler_missing',
  })
  await mkdir(env.PATH)
  await cp(pathOf('opa'), join(env.PATH, 'opa'))
  expect((await openOpa({ env, ...quiet })).kind).toBe('native')
  expect((await openOpa({ env: { ...env, WRIT_OPA: 'wasm' }, ...quiet })).kind).toBe('wasm')
})

plain('a module gets a bound on its memory, and keeps the rest', async () => {
  // (module (memory (export "m") 3))
  const bytes = Uint8Array.from([0, 97, 115, 109, 1, 0, 0, 0, 5, 3, 1, 0, 3, 7, 5, 1, 1, 109, 2, 0])
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(boundMemory(bytes) as Uint8Array<ArrayBuffer>))
  const memory = exports['m'] as WebAssembly.Memory
  expect(memory.buffer.byteLength).toBe(3 * 65_536)
  expect(() => memory.grow(maxPages - 2)).toThrow(RangeError)
  expect(() => boundMemory(bytes.subarray(0, 8))).toThrow('no memory of its own')
  expect(() => boundMemory(bytes.subarray(0, 9))).toThrow('no WebAssembly module')
})
