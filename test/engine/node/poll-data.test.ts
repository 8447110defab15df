import { createHash } from 'node:crypto'
import { mkdtemp, readdir, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import {
  type DataEvent,
  type DataSource,
  type DataSourceOptions,
  openDataSource,
} from '../../../engine/node/poll-data.ts'
import { type BundleServer, openBundleServer } from './bundle-server.ts'

let folder: string
let server: BundleServer
let atMs: number
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'writ-data-'))
  server = await openBundleServer()
  atMs = 1_000_000
})
afterEach(async () => {
  await server.close()
  await rm(folder, { recursive: true, force: true })
})

const digestOf = (text: string): string => createHash('sha256').update(text).digest('hex')
const soon = (check: () => unknown): Promise<unknown> => vi.waitFor(check, { timeout: 10_000, interval: 5 })

async function held(
  from: DataSourceOptions['from'],
  work: (source: DataSource, heard: readonly DataEvent[], delays: readonly number[]) => Promise<void>,
  change: Partial<DataSourceOptions> = {},
): Promise<void> {
  const heard: DataEvent[] = []
  const delays: number[] = []
  const source = await openDataSource({
    ...{ name: 'roles', from, refreshMs: 30_000, maxBytes: 64, dir: join(folder, 'kept'), random: () => 0.5 },
    now: () => BigInt(atMs) * 1_000_000n,
    onEvent: (event) => heard.push(event),
    async pause(ms, signal) {
      delays.push(ms)
      if (delays.length > 1000) delays.splice(0, 500)
      if (!signal.aborted) await new Promise((done) => setTimeout(done, 2))
    },
    ...change,
  })
  try {
    await work(source, heard, delays)
  } finally {
    await source.close()
  }
}

async function give(text: string): Promise<void> {
  await writeFile(join(folder, 'roles.new'), text)
  await rename(join(folder, 'roles.new'), join(folder, 'roles.json'))
}
const file = () => ({ file: join(folder, 'roles.json') })

test('a version is named by its digest, and what cannot be used leaves it in force and growing older', async () => {
  await give('{"a":1}')
  await held(file(), async (source, heard) => {
    await soon(() => expect(source.current()?.value).toEqual({ a: 1 }))
    const version = { name: 'roles', revision: digestOf('{"a":1}').slice(0, 16), sha256: digestOf('{"a":1}') }
    expect(source.current()!.version).toEqual(version)
    expect(heard).toEqual([{ kind: 'in_force', how: 'given', version }])
    for (const [text, why] of [
      ['{"a":1', 'it is no JSON'],
      ['[]', 'it is not an object'],
      [`{"a":"${'x'.repeat(64)}"}`, 'it is longer than 64 bytes'],
    ] as const) {
      await give(text)
      await soon(() => expect(source.status().problem).toContain(why))
      expect(heard.at(-1)).toMatchObject({ kind: 'problem', refused: true, why: expect.stringContaining(why) })
      expect(source.current()!.version).toEqual(version)
    }
    const before = source.ageMs()!
    atMs += 5000
    expect(source.ageMs()).toBe(before + 5000)
    await give('{"a":2}')
    await soon(() => expect(source.current()?.value).toEqual({ a: 2 }))
    await soon(() => expect(source.status()).toMatchObject({ age_s: 0, kept: 2 }))
    expect(source.status()).not.toHaveProperty('problem')
  })
})

test('a look that finds nothing new makes it young again, with 304 as with the same bytes', async () => {
  server.give(Buffer.from('{"a":1}'))
  await held({ url: `${server.url}/roles` }, async (source, heard) => {
    await soon(() => expect(server.asked.at(-1)!.headers['if-none-match']).toBe(`"${digestOf('{"a":1}')}"`))
    atMs += 60_000
    await soon(() => expect(source.ageMs()).toBe(0))
    server.answer((_, response) => response.end('{"a":1}'))
    atMs += 60_000
    await soon(() => expect(source.ageMs()).toBe(0))
    expect(heard).toHaveLength(1)
  })
})

test('a server that is away is asked less and less often, and told of once', async () => {
  server.give(Buffer.from('{"a":1}'))
  await held({ url: `${server.url}/roles` }, async (source, heard, delays) => {
    await soon(() => expect(source.current()).toBeDefined())
    server.answer((_, response) => response.writeHead(503).end())
    await soon(() => expect(delays.filter((ms) => ms !== 30_000).length).toBeGreaterThan(5))
    const failing = delays.filter((ms) => ms !== 30_000)
    expect(failing.slice(0, 4)).toEqual([750, 1500, 3000, 6000])
    expect(heard.filter(({ kind }) => kind === 'problem')).toEqual([
      { kind: 'problem', refused: false, why: 'it answered 503' },
    ])
    expect(source.current()!.value).toEqual({ a: 1 })
  })
})

test('the next start has what was in force, as old as it is, before anything is looked at', async () => {
  await give('{"a":1}')
  await held(file(), (source) => soon(() => expect(source.current()).toBeDefined()).then(() => undefined))
  await rm(join(folder, 'roles.json'))
  atMs += 7000
  await held(file(), async (source, heard) => {
    expect(heard[0]).toMatchObject({ kind: 'in_force', how: 'restored' })
    expect(source.ageMs()).toBe(7000)
    await soon(() => expect(source.status().problem).toContain('it cannot be read'))
    expect(source.current()!.value).toEqual({ a: 1 })
  })
  await writeFile(join(folder, 'kept', `${digestOf('{"a":1}')}.data`), '{"a":9}')
  await held(file(), async (source) => expect(source.current()).toBeUndefined())
})

test('versions are kept by their digest, the newest first, up to a number', async () => {
  await held(
    file(),
    async (source) => {
      for (const n of [1, 2, 3, 4]) {
        await give(`{"n":${n}}`)
        await soon(() => expect(source.current()?.value).toEqual({ n }))
      }
    },
    { keep: 3 },
  )
  const kept = (await readdir(join(folder, 'kept'))).filter((name) => name.endsWith('.data'))
  expect(kept.sort()).toEqual([2, 3, 4].map((n) => `${digestOf(`{"n":${n}}`)}.data`).sort())
})
