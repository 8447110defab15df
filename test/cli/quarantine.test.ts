import { mkdir, writeFile } from 'node:fs/promises'
import { createServer, request, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, vi } from 'vitest'
import { opaBuild } from '../engine/signed.ts'
import { needs, pathOf } from '../parts/needs.ts'
import { freePort } from '../parts/ports.ts'
import { type Started, start, temporaryForAll, writ } from './writ.ts'

/** Quarantine by the command, with `writ up` as a process of its own: in, over a restart, out, and over by itself. */

const test = needs('opa')
vi.setConfig({ testTimeout: 120_000 })

const folder = temporaryForAll()
const state = join(folder, 'state')
const meshFile = join(folder, 'mesh.yaml')
const policies = join(folder, 'policies')
const batch = 'spiffe://shop.example/batch'
let app: Server
let ports: { readonly inbound: number; readonly batch: number; readonly web: number }

const own = (kind: string, name: string, spec: string): string =>
  `---\napiVersion: writ.dev/v1\nkind: ${kind}\nmetadata: {name: ${name}}\nspec: ${spec}\n`

const meshOf = (more = ''): string =>
  [
    own('Mesh', 'shop', '{trustDomain: shop.example}'),
    own('Workload', 'shop', `{inbound: {port: ${ports.inbound}, app: {port: ${(app.address() as AddressInfo).port}}}}`),
    own('Workload', 'batch', `{outbound: {port: ${ports.batch}}}`),
    own('Workload', 'web', `{outbound: {port: ${ports.web}}}`),
    own('PolicyBinding', 'shop', '{targetRefs: [{kind: Workload, name: shop}], bundle: base, entrypoint: app/allow}'),
    `---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: shop}
spec:
  parentRefs: [{group: "", kind: Service, name: shop}]
  rules: [{matches: [{path: {value: /}}], backendRefs: [{name: shop}]}]
`,
    more,
  ].join('')

beforeAll(async () => {
  app = createServer((_, answer) => answer.end('served\n'))
  await new Promise<void>((listening) => app.listen(0, '127.0.0.1', listening))
  ports = { inbound: await freePort(), batch: await freePort(), web: await freePort() }
  await mkdir(join(policies, 'base'), { recursive: true })
  const rego = 'package app\n# METADATA\n# entrypoint: true\ndefault allow := true\n'
  await writeFile(join(policies, 'base', 'bundle.tar.gz'), await opaBuild(pathOf('opa'), { rego, flags: ['-r', '1'] }))
  await writeFile(meshFile, meshOf())
})
afterAll(() => void app?.close())

async function up(): Promise<Started> {
  const started = start(['up', '-f', meshFile, '--state', state, '--policies', policies])
  await started.said(/^page /m)
  return started
}

function call(caller: 'batch' | 'web', path: string): Promise<{ status: number; code: string | undefined }> {
  return new Promise((resolve, reject) => {
    const where = { host: '127.0.0.1', port: ports[caller], agent: false as const }
    const sent = request({ ...where, path, headers: { host: 'shop' } }, async (answer) => {
      const text = (await answer.toArray()).join('')
      const code = text.startsWith('{') ? (JSON.parse(text) as { code: string }).code : undefined
      resolve({ status: answer.statusCode ?? 0, code })
    })
    sent.on('error', reject)
    sent.end()
  })
}

/** What the command prints as JSON; its exit code must be 0. */
async function told<T>(...words: readonly string[]): Promise<T> {
  const { code, out, err } = await writ(...words, '--state', state, '--json')
  expect({ code, err }).toEqual({ code: 0, err: '' })
  return JSON.parse(out) as T
}

const soon = (work: () => Promise<void>): Promise<void> => vi.waitFor(work, { timeout: 60_000, interval: 50 })

const refused = { status: 403, code: 'quarantined' }
const served = { status: 200, code: undefined }

test('a caller is cut off everywhere by one command, stays so over a kill, and comes back by one command', async () => {
  const first = await up()
  for (const path of ['/orders/1', '/orders/2', '/prices']) expect(await call('batch', path)).toEqual(served)

  interface Preview {
    readonly total: number
    readonly reached: readonly { readonly operation: string; readonly count: number; readonly target: string }[]
  }
  await soon(async () => {
    const { total, reached } = await told<Preview>('quarantine', 'batch', '--preview', '--since', '1h')
    expect(total).toBe(3)
    expect(reached.map(({ operation, count, target }) => [operation, count, target])).toEqual([
      ['GET /orders/{}', 2, 'spiffe://shop.example/shop'],
      ['GET /prices', 1, 'spiffe://shop.example/shop'],
    ])
  })
  expect(await call('batch', '/orders/1')).toEqual(served) // The preview changed nothing.

  await told('quarantine', 'batch', '--for', '2h', '--reason', 'a key was found in a log', '--by', 'Ada')
  await soon(async () => expect(await call('batch', '/orders/1')).toEqual(refused))
  expect(await call('web', '/orders/1')).toEqual(served)
  interface Quarantine {
    readonly quarantine: readonly { readonly id: string; readonly by: string; readonly source: string }[]
  }
  const listed = await told<Quarantine>('quarantine', 'list')
  expect(listed.quarantine).toMatchObject([{ id: batch, by: 'Ada', source: 'command' }])

  first.signal('SIGKILL')
  await first.ended
  const second = await up()
  expect(await call('batch', '/orders/1')).toEqual(refused)
  expect((await writ('quarantine', 'web', '--lift', '--state', state)).err).toContain('nobody ordered a quarantine of')
  await told('quarantine', 'batch', '--lift', '--by', 'Grace', '--reason', 'the key was replaced')
  await soon(async () => expect(await call('batch', '/orders/1')).toEqual(served))

  // What both sides recorded: the caller’s own proxy said no, and nothing arrived.
  interface Row {
    readonly code: string
    readonly by: string
    readonly direction: string
    readonly reasons: readonly string[]
  }
  await soon(async () => {
    const { rows } = await told<{ rows: readonly Row[] }>('audit', 'query', '--code', 'quarantined')
    expect(rows.length).toBeGreaterThan(1)
    expect(new Set(rows.map(({ by, direction }) => `${by} ${direction}`))).toEqual(new Set(['proxy outbound']))
    expect(rows[0]!.reasons[0]).toMatch(/^until .*: a key was found in a log$/)
  })
  second.signal('SIGTERM')
  expect(await second.ended).toMatchObject({ code: 0 })
})

test('a quarantine is over by itself, and one of the mesh file holds as long as its document stands there', async () => {
  await writeFile(meshFile, meshOf(own('Quarantine', 'web', '{caller: /web, reason: a drill}')))
  const running = await up()
  expect(await call('web', '/orders/1')).toEqual(refused)
  const lifted = await writ('quarantine', 'web', '--lift', '--state', state)
  expect(lifted.err).toContain('take its Quarantine out of the mesh file')

  await told('quarantine', batch, '--for', '2s', '--reason', 'short')
  await soon(async () => expect(await call('batch', '/orders/1')).toEqual(refused))
  await soon(async () => expect(await call('batch', '/orders/1')).toEqual(served))
  await soon(async () => {
    const { quarantine } = await told<{ quarantine: readonly { id: string }[] }>('quarantine', 'list')
    expect(quarantine.map(({ id }) => id)).toEqual(['spiffe://shop.example/web'])
  })
  running.signal('SIGTERM')
  await running.ended
  await writeFile(meshFile, meshOf())
  const again = await up()
  expect(await call('web', '/orders/1')).toEqual(served)
  again.signal('SIGTERM')
  await again.ended
})
