import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeAll, beforeEach, expect, vi } from 'vitest'
import { prepareModule } from '../../../engine/module.ts'
import { readVerificationKey } from '../../../engine/node/keys.ts'
import { pack } from '../../../engine/node/pack.ts'
import {
  type BundleSource,
  type BundleSourceOptions,
  openBundleSource,
  type SourceEvent,
} from '../../../engine/node/poll.ts'
import { needs, pathOf } from '../../parts/needs.ts'
import { gzipped } from '../archive.ts'
import { filesOf, keyPair, opaBuild } from '../signed.ts'
import { type BundleServer, openBundleServer, sendBundle } from './bundle-server.ts'

const test = needs('opa')
const pair = keyPair()
const built: { [revision: string]: Uint8Array } = {}
const signing = { key: pair, flags: ['--signing-alg', 'ES256', '-r', 'signed'] }
beforeAll(async () => {
  for (const revision of ['r1', 'r2', 'r3', 'r4', 'r5', 'r6', 'r7'])
    built[revision] = await opaBuild(pathOf('opa'), { flags: ['-r', revision] })
  built['signed'] = await opaBuild(pathOf('opa'), signing)
}, 30_000)

let dir: string
let server: BundleServer
let events: SourceEvent[]
let pauses: number[]
const open: BundleSource[] = []

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'writ-poll-'))
  server = await openBundleServer()
  events = []
  pauses = []
})
afterEach(async () => {
  await Promise.all(open.splice(0).map((source) => source.close()))
  await server.close()
  await rm(dir, { recursive: true, force: true })
})

async function poll(options: Partial<BundleSourceOptions> = {}): Promise<BundleSource> {
  let clock = 0n
  const source = await openBundleSource({
    name: 'app',
    url: server.url,
    dir: join(dir, 'app'),
    now: () => (clock += 1_000_000n),
    random: () => 0.5,
    // Time is what the test says: a few milliseconds stand for any delay.
    pause: async (ms, signal) => {
      pauses.push(ms)
      if (!signal.aborted) await new Promise((resolve) => setTimeout(resolve, 3))
    },
    onEvent: (event) => events.push(event),
    ...options,
  })
  open.push(source)
  return source
}

const soon = (check: () => void): Promise<void> => vi.waitFor(check, { timeout: 10_000, interval: 5 })
const inForce = (revision: string): Promise<void> =>
  soon(() => expect(open.at(-1)?.current()?.ref.revision).toBe(revision))
const problem = (text: string): Promise<void> => soon(() => expect(open.at(-1)?.status().problem).toContain(text))
const kinds = (): readonly string[] => events.map((event) => ('how' in event ? event.how : event.kind))

test('a bundle is asked for as OPA asks, taken once, and each new one after it', async () => {
  server.give(built['r1']!)
  const source = await poll()
  expect(source.current()).toBeUndefined()
  await inForce('r1')
  await soon(() => expect(server.asked.length).toBeGreaterThan(3))
  expect(server.asked[0]).toMatchObject({ path: '/bundles/app', headers: { prefer: 'modes=snapshot' } })
  expect(server.asked[0]!.headers['if-none-match']).toBeUndefined()
  expect(server.asked[2]!.headers['if-none-match']).toBe(`"${source.current()!.ref.sha256}"`)
  expect(source.current()!.bytes).toEqual(built['r1'])
  server.give(built['r2']!)
  await inForce('r2')
  expect(kinds()).toEqual(['given', 'given'])
  expect(pauses.every((ms) => ms === 90_000)).toBe(true)
})

test('a server without ETags gives the same bundle again, and nothing is put in force twice', async () => {
  server.answer((_, response) => sendBundle(response, built['r1']!))
  await poll({ resource: '/some/where.tar.gz?v=1' })
  await soon(() => expect(server.asked.length).toBeGreaterThan(3))
  expect(server.asked[0]!.path).toBe('/some/where.tar.gz?v=1')
  expect(kinds()).toEqual(['given'])
})

test('what cannot be used leaves in force what is, and says why once', async () => {
  server.give(built['r1']!)
  const source = await poll()
  await inForce('r1')
  server.answer((_, response) => sendBundle(response, new Uint8Array(100), { etag: '"bad"' }))
  await problem('it is not gzip')
  await soon(() => expect(pauses.filter((ms) => ms < 10_000).length).toBeGreaterThan(3))
  expect(source.current()!.ref.revision).toBe('r1')
  expect(kinds()).toEqual(['given', 'refused'])
  // Back at what it gave before: the ETag is still that of the good one.
  server.give(built['r1']!)
  await soon(() => expect(source.status().problem).toBeUndefined())
  expect(kinds()).toEqual(['given', 'refused'])
})

test('whatever is wrong with a bundle has a name, and the revision before stays in force', async () => {
  server.give(built['r1']!)
  const source = await poll({ maxPackedBytes: 1024 ** 2 })
  await inForce('r1')
  const files = filesOf(built['r2']!)
  const changed = (change: (wasm: Uint8Array) => Uint8Array) =>
    pack(files.map((file) => (file.name === 'policy.wasm' ? { ...file, bytes: change(file.bytes) } : file)))
  const pretends = changed((wasm) => {
    const prepared = prepareModule(wasm).slice()
    const text = Buffer.from(prepared.buffer)
    prepared[text.lastIndexOf(Buffer.from([0x42, 1, 0x7d])) + 1] = 0 // A turn that costs nothing.
    return prepared
  })
  const wrong: readonly (readonly [string, Uint8Array])[] = [
    ['not gzip', built['r2']!.subarray(0, 10_000)],
    ['is not allowed', gzipped([{ name: '../policy.wasm', text: '' }])],
    ['longer than', new Uint8Array(1024 ** 2 + 1)],
    ['does not count its work', pretends],
    ['it ends too early', changed((wasm) => wasm.subarray(0, wasm.length - 100))],
    ['it is not WebAssembly', changed(() => new Uint8Array(1000))],
    ['it has no imports', changed((wasm) => wasm.subarray(0, 8))],
  ]
  for (const [why, bytes] of wrong) {
    server.answer((_, response) => sendBundle(response, bytes, { etag: `"${why}"` }))
    await soon(() => expect(source.status().problem).toMatch(new RegExp(why)))
    expect(source.current()!.ref.revision).toBe('r1')
  }
  server.give(built['r2']!)
  await inForce('r2')
  expect(source.status().problem).toBeUndefined()
})

test('a signature that is asked for is there and good, or the bundle never comes into force', async () => {
  await writeFile(join(dir, 'key.pub'), pair.publicPem)
  const verification = { keys: [await readVerificationKey(join(dir, 'key.pub'))] }
  server.give(built['r1']!)
  const source = await poll({ verification })
  await problem('it is not signed')
  expect(source.current()).toBeUndefined()
  server.give(built['signed']!)
  await inForce('signed')
  server.give(built['r2']!)
  await problem('it is not signed')
  expect(source.status()).toMatchObject({ revision: 'signed', signed: true })
})

test('the next start has the bundle before it asks, and does not have it sent again', async () => {
  server.give(built['r1']!)
  await poll()
  await inForce('r1')
  await open.pop()!.close()
  server.answer((_, response) => response.writeHead(503).end())
  const source = await poll()
  expect(source.current()?.ref.revision).toBe('r1')
  expect(source.current()?.bytes).toEqual(built['r1'])
  await problem('it answered 503')
  expect(server.asked.at(-1)!.headers['if-none-match']).toBe(`"${source.current()!.ref.sha256}"`)
  expect(kinds()).toEqual(['given', 'restored', 'unreachable'])
})

test('what was kept and is damaged, or signed by a key no longer trusted, is not restored but fetched anew', async () => {
  server.give(built['signed']!)
  await poll()
  await inForce('signed')
  const { sha256 } = open.at(-1)!.current()!.ref
  await open.pop()!.close()
  await writeFile(join(dir, 'app', `${sha256}.tar.gz`), built['r2']!)
  const source = await poll()
  expect(source.current()).toBeUndefined()
  expect(events.at(-1)).toMatchObject({ kind: 'refused', why: expect.stringContaining('damaged') })
  await inForce('signed')
  await open.pop()!.close()
  await writeFile(join(dir, 'other.pub'), keyPair().publicPem)
  const untrusting = await poll({ verification: { keys: [await readVerificationKey(join(dir, 'other.pub'))] } })
  expect(untrusting.current()).toBeUndefined()
  await problem('did not make it')
  await writeFile(join(dir, 'app', 'source.json'), '{"v": 1, "url": 7}')
  await open.pop()!.close()
  await poll()
  await inForce('signed')
})

test('one can go back to a revision that is kept, until the server gives a new one', async () => {
  server.give(built['r1']!)
  const source = await poll()
  for (const revision of ['r1', 'r2', 'r3']) {
    server.give(built[revision]!)
    await inForce(revision)
  }
  expect(await source.rollback('r1')).toMatchObject({ revision: 'r1' })
  expect(source.status()).toMatchObject({ revision: 'r1', rolled_back: true })
  const before = server.asked.length
  await soon(() => expect(server.asked.length).toBeGreaterThan(before + 2))
  expect(source.current()!.ref.revision).toBe('r1')
  await expect(source.rollback('r9')).rejects.toMatchObject({ code: 'not_found' })
  await open.pop()!.close()
  await poll()
  await inForce('r1')
  server.give(built['r4']!)
  await inForce('r4')
  expect(open.at(-1)!.status().rolled_back).toBe(false)
  expect(kinds()).toEqual(['given', 'given', 'given', 'rolled_back', 'restored', 'given'])
})

test('five revisions are kept, and the files of no others', async () => {
  const source = await poll()
  for (const revision of ['r1', 'r2', 'r3', 'r4', 'r5', 'r6', 'r7']) {
    server.give(built[revision]!)
    await inForce(revision)
  }
  expect(source.status().kept.map(({ revision }) => revision)).toEqual(['r7', 'r6', 'r5', 'r4', 'r3'])
  expect(await readdir(join(dir, 'app'))).toHaveLength(6)
  await expect(source.rollback('r2')).rejects.toMatchObject({ code: 'not_found' })
})

test('a server that says it can is asked to wait for news, one that does not say so is not', async () => {
  const type = { 'content-type': 'application/vnd.openpolicyagent.bundles' }
  const held: (() => void)[] = []
  server.answer((request, response) => {
    if (request.headers.prefer?.includes('wait=')) held.push(() => sendBundle(response, built['r2']!, { etag: '"2"' }))
    else if (held.length > 0) response.writeHead(304).end()
    else sendBundle(response, built['r1']!, { ...type, etag: '"1"' })
  })
  await poll({ polling: { waitS: 7 } })
  await soon(() => expect(held).toHaveLength(1))
  expect(server.asked[1]!.headers.prefer).toBe('modes=snapshot;wait=7')
  held[0]!()
  await inForce('r2')
  await soon(() => expect(server.asked.length).toBeGreaterThan(2))
  // It no longer says so.
  expect(server.asked[2]!.headers.prefer).toBe('modes=snapshot')
})

test('redirects, refusals, endless answers and empty ones are named', async () => {
  const answers: [number, Record<string, string>, string][] = [
    [302, { location: '/elsewhere' }, 'a redirect (302), which is not followed'],
    [401, {}, 'it answered 401'],
    [304, {}, 'it answered 304'],
    [200, {}, 'it answered with nothing'],
  ]
  await poll({ maxPackedBytes: 50_000 })
  for (const [status, headers, text] of answers) {
    server.answer((_, response) => response.writeHead(status, headers).end())
    await problem(text)
  }
  server.answer((_, response) => {
    response.writeHead(200)
    const more = () => response.destroyed || response.write(new Uint8Array(10_000), more)
    more()
  })
  await problem('longer than 50000 bytes')
  server.answer((request) => request.socket.destroy())
  await problem('cannot be asked')
  expect(server.asked.some(({ path }) => path === '/elsewhere')).toBe(false)
})

test('the token comes from its file each time, and a file that holds none sends nothing', async () => {
  const tokenFile = join(dir, 'token')
  await writeFile(tokenFile, 'first\n')
  server.give(built['r1']!)
  await poll({ tokenFile })
  await inForce('r1')
  expect(server.asked[0]!.headers.authorization).toBe('Bearer first')
  await writeFile(tokenFile, 'second\n')
  await soon(() => expect(server.asked.at(-1)!.headers.authorization).toBe('Bearer second'))
  await writeFile(tokenFile, 'two words\nand: a header')
  await problem('holds no bearer token')
  expect(server.asked.every(({ headers }) => /^Bearer \w+$/.test(headers.authorization ?? ''))).toBe(true)
  expect(await readFile(join(dir, 'app', 'source.json'), 'utf8')).not.toContain('second')
})
