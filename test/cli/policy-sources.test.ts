import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer, request, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeAll, beforeEach, expect, vi } from 'vitest'
import { openPolicySources, type PolicySources } from '../../cli/wire/policy-sources.ts'
import type { TelemetryEvent } from '../../cli/wire/telemetry.ts'
import type { PolicySource } from '../../control/mesh/policy-sources.ts'
import { doorApp } from '../../control/node/http.ts'
import type { SourceStatus } from '../../engine/node/poll.ts'
import { testSink } from '../control/node/mesh.ts'
import { type BundleServer, openBundleServer } from '../engine/node/bundle-server.ts'
import { keyPair, opaBuild } from '../engine/signed.ts'
import { needs, pathOf } from '../parts/needs.ts'
import { freePort } from '../parts/ports.ts'
import { start, writ } from './writ.ts'

/** Policies that a server gives: as control holds them, and from the mesh file to what a caller sees. */

const test = needs('opa')
const pair = keyPair()
const signing = ['--signing-alg', 'ES256']
const only = (method: string) =>
  `package app\n# METADATA\n# entrypoint: true\ndefault allow := false\nallow if input.attributes.request.http.method == "${method}"\n`
let unsigned: Uint8Array
let get: Uint8Array
let post: Uint8Array

let folder: string
let server: BundleServer
beforeAll(async () => {
  unsigned = await opaBuild(pathOf('opa'), { rego: only('GET'), flags: ['-r', 'unsigned'] })
  get = await opaBuild(pathOf('opa'), { rego: only('GET'), key: pair, flags: [...signing, '-r', 'get'] })
  post = await opaBuild(pathOf('opa'), { rego: only('POST'), key: pair, flags: [...signing, '-r', 'post'] })
}, 30_000)
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'writ-sources-'))
  await writeFile(join(folder, 'key.pub'), pair.publicPem)
  server = await openBundleServer()
})
afterEach(async () => {
  await server.close()
  await rm(folder, { recursive: true, force: true })
})

const soon = (check: () => unknown): Promise<unknown> => vi.waitFor(check, { timeout: 10_000, interval: 20 })

async function held(work: (sources: PolicySources, said: TelemetryEvent[]) => Promise<void>): Promise<void> {
  const said: TelemetryEvent[] = []
  const sources = openPolicySources({
    dir: join(folder, 'policy-sources'),
    meshFile: join(folder, 'mesh.yaml'),
    now: () => process.hrtime.bigint(),
    onEvent: (event) => said.push(event),
  })
  try {
    await work(sources, said)
  } finally {
    await sources.close()
  }
}

const source = (change: Partial<PolicySource> = {}): PolicySource => ({
  name: 'app',
  url: server.url,
  polling: { minMs: 20, maxMs: 40, waitS: 0 },
  verification: { keyFile: 'key.pub' },
  ...change,
})
const doorOf = (sources: PolicySources) => doorApp(() => undefined).route('/', sources.routes)
const statusOf = async (sources: PolicySources): Promise<SourceStatus> => {
  const answer = (await (await doorOf(sources).request('/v1/policy-sources')).json()) as { sources: SourceStatus[] }
  return answer.sources[0]!
}
const revisions = (sources: PolicySources) => sources.over([]).map(({ ref }) => `${ref.bundle} ${ref.revision}`)

test('a bundle that came before anyone listened is told once somebody does, and what comes later as it comes', () =>
  held(async (sources) => {
    server.give(get)
    await sources.follow([source()])
    await soon(async () => expect((await statusOf(sources)).revision).toBe('get'))
    const changed: string[] = []
    sources.attach(testSink(), (why) => changed.push(why))
    expect(changed).toEqual(['policy app get'])
    expect(revisions(sources)).toEqual(['app get'])
    server.give(post)
    await soon(() => expect(changed).toEqual(['policy app get', 'policy app post']))
  }))

test('a bad bundle is told, recorded and shown, and the one before stays', () =>
  held(async (sources, said) => {
    server.give(get)
    await sources.follow([source()])
    const sink = testSink()
    const changed: string[] = []
    sources.attach(sink, (why) => changed.push(why))
    await soon(() => expect(changed).toHaveLength(1))
    server.give(unsigned)
    await soon(async () => expect((await statusOf(sources)).problem).toContain('it is not signed'))
    expect(revisions(sources)).toEqual(['app get'])
    expect(changed).toHaveLength(1)
    expect(said.find(({ level }) => level === 'error')).toMatchObject({
      from: 'policy app',
      text: expect.stringMatching(/^goes on with revision get: .*it is not signed$/),
    })
    expect(sink.bodies).toMatchObject([
      {
        kind: 'admin',
        action: 'policy_signed',
        detail: expect.stringMatching(/^app get [0-9a-f]{64}: signed by the key/),
      },
      { kind: 'admin', action: 'policy_refused', detail: expect.stringMatching(/^app [0-9a-f]{64}: .*not signed$/) },
    ])
  }))

test('the next start has what was in force before it has asked', async () => {
  server.give(get)
  await held(async (sources) => {
    await sources.follow([source()])
    await soon(() => expect(revisions(sources)).toEqual(['app get']))
  })
  server.answer((_, response) => response.writeHead(503).end())
  await held(async (sources) => {
    await sources.follow([source()])
    expect(revisions(sources)).toEqual(['app get'])
    sources.attach(testSink(), (why) => expect.unreachable(why))
    await soon(async () => expect((await statusOf(sources)).problem).toContain('503'))
  })
})

test('a source hides the bundle of its name in the policies folder, also while it has none itself', () =>
  held(async (sources, said) => {
    await sources.follow([source()])
    const local = (bundle: string) => ({ ref: { bundle, revision: 'local', sha256: 'ab'.repeat(32) }, bytes: get })
    expect(sources.over([local('app'), local('other')])).toMatchObject([{ ref: { bundle: 'other' } }])
    expect(said).toContainEqual(expect.objectContaining({ level: 'warn', from: 'policy app' }))
    await sources.follow([])
    expect(sources.over([local('app')])).toMatchObject([{ ref: { bundle: 'app' } }])
  }))

test('what a source is asked changes with the mesh file, and with the key that it names', () =>
  held(async (sources) => {
    server.give(get)
    await sources.follow([source()])
    await soon(() => expect(revisions(sources)).toEqual(['app get']))
    await sources.follow([source()])
    expect(revisions(sources)).toEqual(['app get'])
    await sources.follow([source({ resource: 'elsewhere' })])
    await soon(() => expect(server.asked.at(-1)!.path).toBe('/elsewhere'))
    await writeFile(join(folder, 'key.pub'), keyPair().publicPem)
    await sources.follow([source({ resource: 'elsewhere' })])
    expect(revisions(sources)).toEqual([])
    await expect(sources.follow([source({ verification: { keyFile: 'nowhere' } })])).rejects.toMatchObject({
      code: 'config_invalid',
    })
    expect((await statusOf(sources)).url).toContain('/elsewhere')
  }))

test('a rollback is recorded before it is done; without a record, or for nobody, nothing happens', () =>
  held(async (sources) => {
    const back = (bundle: string, revision: string) =>
      doorOf(sources).request(`/v1/policy-sources/${bundle}/rollback`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ revision }),
      })
    server.give(get)
    await sources.follow([source()])
    await soon(() => expect(revisions(sources)).toEqual(['app get']))
    server.give(post)
    await soon(() => expect(revisions(sources)).toEqual(['app post']))
    expect(await (await back('app', 'get')).json()).toMatchObject({ code: 'unavailable' })
    const sink = testSink()
    const changed: string[] = []
    sources.attach(sink, (why) => changed.push(why))
    expect(await (await back('nobody', 'get')).json()).toMatchObject({ code: 'not_found' })
    expect(revisions(sources)).toEqual(['app post'])
    expect(await (await back('app', 'get')).json()).toMatchObject({ bundle: 'app', revision: 'get' })
    expect(revisions(sources)).toEqual(['app get'])
    expect(changed).toEqual(['policy app get'])
    expect(sink.bodies).toMatchObject([
      { action: 'policy_signed', detail: expect.stringMatching(/^app post /) },
      { action: 'policy_rolled_back', detail: 'app to get from post' },
      { action: 'policy_signed', detail: expect.stringMatching(/^app get /) },
    ])
  }))

test('from the mesh file to the caller: nobody passes before the bundle, then as it says, also after a rollback', async () => {
  const app: Server = createServer((_, answer) => answer.end('served\n'))
  await new Promise<void>((listening) => app.listen(0, '127.0.0.1', listening))
  const outbound = await freePort()
  const meshFile = join(folder, 'mesh.yaml')
  const { port } = app.address() as AddressInfo
  await writeFile(meshFile, meshOf({ url: server.url, inbound: await freePort(), outbound, app: port }))
  const state = join(folder, 'state')
  const args = ['-f', meshFile, '--state', state, '--policies', folder]
  const call = (method: string): Promise<number> =>
    new Promise((resolve, reject) => {
      const options = { host: '127.0.0.1', port: outbound, method, path: '/', headers: { host: 'orders' } }
      const sent = request(options, (answer) => answer.resume().on('end', () => resolve(answer.statusCode ?? 0)))
      sent.on('error', reject).end()
    })
  const up = start(['up', ...args])
  try {
    await up.said(/^page /m)
    expect(await call('GET')).toBe(503)
    server.give(get)
    await soon(async () => expect(await call('GET')).toBe(200))
    expect(await call('POST')).toBe(403)
    server.give(post)
    await soon(async () => expect(await call('POST')).toBe(200))
    expect((await writ('policy', 'rollback', 'app', 'get', '--state', state)).out).toContain('app is at revision get')
    await soon(async () => expect(await call('GET')).toBe(200))
    const status = (await writ('status', '--state', state)).out
    expect(status).toMatch(/^app +get \(rolled back\) +verified +\S+ +post get$/m)
  } finally {
    up.signal('SIGTERM')
    await up.ended
    app.close()
  }
}, 60_000)

const meshOf = (at: {
  readonly url: string
  readonly inbound: number
  readonly outbound: number
  readonly app: number
}): string => `
apiVersion: writ.dev/v1
kind: Mesh
metadata: { name: mine }
spec: { trustDomain: bank.example }
---
apiVersion: writ.dev/v1
kind: Workload
metadata: { name: storefront }
spec: { outbound: { port: ${at.outbound} } }
---
apiVersion: writ.dev/v1
kind: Workload
metadata: { name: orders }
spec: { inbound: { port: ${at.inbound}, app: { port: ${at.app} } } }
---
apiVersion: writ.dev/v1
kind: PolicySource
metadata: { name: app }
spec:
  url: ${at.url}
  polling: { min: 1s, max: 1s }
  verification: { keyFile: key.pub }
---
apiVersion: writ.dev/v1
kind: PolicyBinding
metadata: { name: orders }
spec:
  targetRefs: [{ kind: Workload, name: orders }]
  bundle: app
  entrypoint: app/allow
`
