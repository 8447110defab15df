import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { Json } from '../../core/json.ts'
import { readBundle } from '../../engine/bundle.ts'
import { type Entry, gzipped } from './archive.ts'

const wasm = [{ entrypoint: 'a/b', module: '/policy.wasm' }]
const manifest = (members: object = {}): Entry => ({
  name: '/.manifest',
  text: JSON.stringify({ revision: 'r1', wasm, ...members }),
})
const module: Entry = { name: '/policy.wasm', text: 'wasm' }
const bundle = (...entries: readonly Entry[]) => gzipped([manifest(), module, ...entries])

const read = (bytes: Uint8Array, limits = {}) => readBundle(bytes, 'bank', limits)
const refused = (bytes: Uint8Array, limits = {}) =>
  read(bytes, limits).then(
    () => undefined,
    (thrown: { code: string; message: string }) => `${thrown.code}: ${thrown.message}`,
  )
const dataOf = async (...files: readonly (readonly [string, Json])[]) =>
  (await read(bundle(...files.map(([name, value]) => ({ name, text: JSON.stringify(value) }))))).data

test('a bundle gives its name, revision and digest, its rules and its module', async () => {
  const bytes = bundle()
  const content = await read(bytes)
  const sha256 = createHash('sha256').update(bytes).digest('hex')
  expect(content.ref).toEqual({ bundle: 'bank', revision: 'r1', sha256 })
  expect(content.entrypoints).toEqual(['a/b'])
  expect(new TextDecoder().decode(content.wasm)).toBe('wasm')
  expect(content.data).toEqual({})
})

test('data.json at any depth becomes the object that its folder names', async () => {
  expect(await dataOf(['/x/y/data.json', { b: 2 }], ['/data.json', { a: 1, x: { c: 3 } }])).toEqual({
    a: 1,
    x: { c: 3, y: { b: 2 } },
  })
})

test('two files that give the same member, or a value where a folder is, are refused', async () => {
  const json = (name: string, value: Json): Entry => ({ name, text: JSON.stringify(value) })
  expect(await refused(bundle(json('data.json', { x: { a: 1 } }), json('x/data.json', { a: 1 })))).toContain(
    'repeats "a"',
  )
  expect(await refused(bundle(json('data.json', { x: 1 }), json('x/data.json', { a: 1 })))).toContain('has a value')
  expect(await refused(bundle(json('data.json', [])))).toContain('holds no object')
  expect(await refused(bundle({ name: 'data.json', text: '{' }))).toContain('not JSON')
})

test('a member called __proto__ is a member', async () => {
  const data = (await dataOf(['__proto__/data.json', { polluted: true }])) as Record<string, unknown>
  expect(Object.hasOwn(data, '__proto__')).toBe(true)
  expect(({} as { polluted?: boolean }).polluted).toBeUndefined()
})

test('the largest exact number passes, a larger one is refused', async () => {
  expect(await dataOf(['data.json', { n: 2 ** 53 - 1 }])).toEqual({ n: 2 ** 53 - 1 })
  expect(await refused(bundle({ name: 'data.json', text: '{"n": [9007199254740993]}' }))).toContain('2^53')
})

test('data nested too deeply is refused by name', async () => {
  const deep = (depth: number): Entry => ({ name: 'data.json', text: `{"a":${'['.repeat(depth)}${']'.repeat(depth)}}` })
  expect(await refused(bundle(deep(100)))).toBeUndefined()
  expect(await refused(bundle(deep(50_000)))).toContain('nested')
})

test('data lies under the roots that the manifest names, and roots do not overlap', async () => {
  const rooted = (roots: unknown, data: Json) =>
    refused(gzipped([manifest({ roots }), module, { name: 'data.json', text: JSON.stringify(data) }]))
  expect(await rooted(['a/b'], { a: { b: { c: 1 } } })).toBeUndefined()
  expect(await rooted(['a/b'], { a: { c: 1 } })).toContain('under none')
  expect(await rooted(['a/b'], { a: 1 })).toContain('under none')
  expect(await rooted(['a', 'a/b'], {})).toContain('overlap')
  expect(await rooted(['a', 'ab'], {})).toBeUndefined()
  expect(await rooted(['', 'a'], {})).toContain('overlap')
  expect(await rooted('a', {})).toContain('roots')
})

test('a bundle without a revision goes by its digest', async () => {
  for (const none of [{ revision: '' }, { revision: undefined }]) {
    const { ref } = await read(gzipped([manifest(none), module]))
    expect(ref.revision).toBe(ref.sha256.slice(0, 16))
  }
})

test('a manifest has a revision that is a word, and one module that is there', async () => {
  expect(await refused(gzipped([module]))).toContain('.manifest')
  expect(await refused(gzipped([manifest({ revision: 7 }), module]))).toContain('revision')
  expect(await refused(gzipped([manifest({ revision: 'a\nb' }), module]))).toContain('revision')
  expect(await refused(gzipped([manifest({ wasm: [] }), module]))).toContain('entry point')
  expect(await refused(gzipped([manifest()]))).toContain('does not hold')
  const two = [...wasm, { entrypoint: 'c', module: '/other.wasm' }]
  expect(await refused(gzipped([manifest({ wasm: two }), module]))).toContain('more than one')
})

test('what OPA would apply and we would not is refused', async () => {
  expect(await refused(bundle({ name: 'patch.json', text: '{}' }))).toContain('delta')
})

test('data may be YAML, which means what it means to OPA', async () => {
  const yaml = 'a: 1\nb: [yes, "yes", 0x1f, 2024-01-01, ~]\nc: {<<: {d: 1}, 2: x}\n'
  expect(
    (await read(bundle({ name: 'x/data.yaml', text: yaml }, { name: 'x/y/data.yml', text: '{"z": 1.0}' }))).data,
  ).toEqual({
    x: { a: 1, b: ['yes', 'yes', 31, '2024-01-01', null], c: { d: 1, 2: 'x' }, y: { z: 1 } },
  })
  expect(await refused(bundle({ name: 'data.yaml', text: 'a: [' }))).toContain('data.yaml cannot be read')
  expect(await refused(bundle({ name: 'data.yaml', text: '- 1' }))).toContain('holds no object')
  expect(await refused(bundle({ name: 'data.yaml', text: 'a: 12345678901234567890' }))).toContain('beyond 2^53')
  const twice = [
    { name: 'data.yaml', text: 'a: 1' },
    { name: 'data.json', text: '{"a": 1}' },
  ]
  expect(await refused(bundle(...twice))).toContain('repeats "a"')
})

test('a bundle as long as allowed is read, a longer one is not', async () => {
  const bytes = bundle()
  expect(await refused(bytes, { maxPackedBytes: bytes.length })).toBeUndefined()
  expect(await refused(bytes, { maxPackedBytes: bytes.length - 1 })).toContain('longer than')
})

test('a bundle that unpacks to more than is allowed is refused before it is unpacked', async () => {
  const bomb = bundle({ name: 'x', bytes: new Uint8Array(20_000_000) })
  expect(bomb.length).toBeLessThan(30_000)
  expect(await refused(bomb, { maxUnpackedBytes: 1_000_000 })).toContain('unpacks to more')
  expect(await refused(bomb, { maxUnpackedBytes: 30_000_000 })).toBeUndefined()
})

test('bytes that are no gzip, or end early, are refused', async () => {
  const bytes = bundle()
  expect(await refused(bytes.slice(0, -9))).toContain('not gzip')
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 300 }), async (junk) => {
      expect(await refused(junk)).toContain('policy_invalid')
    }),
    { numRuns: 50 },
  )
})

test('whatever a manifest holds, it is refused with its code, or says in words what the bundle is', async () => {
  const word = fc.oneof(fc.constantFrom('a/b', '/policy.wasm', 'policy.wasm', '', '/'), fc.string({ maxLength: 5 }))
  const value = fc.oneof({ weight: 3, arbitrary: word }, { weight: 1, arbitrary: fc.jsonValue({ maxDepth: 2 }) })
  const entry = fc.record({ entrypoint: value, module: fc.oneof(fc.constant('/policy.wasm'), value) })
  const members = fc.record(
    {
      revision: value,
      roots: fc.oneof(fc.array(value, { maxLength: 2 }), value),
      wasm: fc.oneof(fc.array(entry, { maxLength: 2 }), fc.constant(wasm), value),
      metadata: fc.oneof(fc.record({ writ: fc.record({ reads: value }) }), value),
    },
    { requiredKeys: [] },
  )
  let loaded = 0
  await fc.assert(
    fc.asyncProperty(fc.oneof({ weight: 9, arbitrary: members }, { weight: 1, arbitrary: value }), async (given) => {
      const bytes = gzipped([{ name: '.manifest', text: JSON.stringify(given) }, module])
      const content = await read(bytes).catch((thrown: { code?: string }) => thrown)
      if (!('ref' in content)) {
        expect(content).toMatchObject({ code: 'policy_invalid' })
        return
      }
      loaded++
      expect(content.ref.revision).toMatch(/^[\x21-\x7e]{0,256}$/)
      expect(content.entrypoints.length).toBeGreaterThan(0)
      for (const entrypoint of content.entrypoints) expect(entrypoint).toBeTypeOf('string')
    }),
    { numRuns: 300 },
  )
  expect(loaded).toBeGreaterThan(0)
})

test('a bundle says what its rules read of the input, or does not; in another form it is refused', async () => {
  const saying = (reads: unknown) => gzipped([manifest({ metadata: { writ: { reads } } }), module])
  expect((await read(saying({ 'a/b': [['x', 'y'], ['x']] }))).reads).toEqual(new Map([['a/b', [['x']]]]))
  expect((await read(bundle())).reads).toBeUndefined()
  expect(await refused(saying({ 'a/b': ['x'] }))).toContain('policy_invalid: the policy bundle cannot be loaded: "meta')
})
