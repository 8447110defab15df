import { createHash } from 'node:crypto'
import { mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises'
import { createServer, request, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeAll, beforeEach, expect, vi } from 'vitest'
import { adminRequest } from '../../control/node/client.ts'
import type { PolicyDataStatus } from '../../control/node/policy-data-routes.ts'
import { bundleOf } from '../engine/compiled.ts'
import { needs } from '../parts/needs.ts'
import { freePort } from '../parts/ports.ts'
import { type Started, start, writ } from './writ.ts'

/** Data that is refreshed apart from its policy, from the mesh file to what a caller sees and a record says. */

const test = needs('opa')
const rego = `package app
default allow := false
allow if data.bank.roles[input.attributes.request.http.method] == "open"
`
let bundle: Uint8Array
let folder: string
let app: Server
let outbound: number
beforeAll(async () => {
  bundle = await bundleOf(rego, ['app/allow'], { bank: { name: 'bank' } })
}, 30_000)
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'writ-data-'))
  await mkdir(join(folder, 'policies', 'app'), { recursive: true })
  await writeFile(join(folder, 'policies', 'app', 'bundle.tar.gz'), bundle)
  app = createServer((_, answer) => answer.end('served\n'))
  await new Promise<void>((listening) => app.listen(0, '127.0.0.1', listening))
  outbound = await freePort()
})
afterEach(async () => {
  app.close()
  await rm(folder, { recursive: true, force: true })
})

const soon = (check: () => unknown): Promise<unknown> => vi.waitFor(check, { timeout: 30_000, interval: 50 })

const digestOf = (text: string): string => createHash('sha256').update(text).digest('hex')

const call = (method: string): Promise<{ readonly status: number; readonly code: string | undefined }> =>
  new Promise((resolve, reject) => {
    const options = { host: '127.0.0.1', port: outbound, method, path: '/', headers: { host: 'orders' } }
    const sent = request(options, (answer) => {
      let text = ''
      answer.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk
      })
      answer.on('end', () => resolve({ status: answer.statusCode ?? 0, code: /"code":"(\w+)"/.exec(text)?.[1] }))
    })
    sent.on('error', reject).end()
  })

/** Replaced whole, as whoever writes such files should. */
async function give(name: string, text: string): Promise<void> {
  await writeFile(join(folder, `${name}.new`), text)
  await rename(join(folder, `${name}.new`), join(folder, name))
}

async function up(from: string, work: (state: string, up: Started) => Promise<void>): Promise<void> {
  const { port } = app.address() as AddressInfo
  const meshFile = join(folder, 'mesh.yaml')
  await writeFile(meshFile, meshOf({ from, inbound: await freePort(), outbound, app: port }))
  const state = join(folder, 'state')
  const started = start(['up', '-f', meshFile, '--state', state, '--policies', join(folder, 'policies')])
  try {
    await started.said(/^page /m)
    await work(state, started)
  } finally {
    started.signal('SIGTERM')
    await started.ended
  }
}

const told = async (state: string, path: string) => adminRequest(join(state, 'admin.sock'), 'GET', path)
const statusOf = async (state: string) =>
  ((await told(state, '/v1/policy-data')) as unknown as { readonly data: readonly PolicyDataStatus[] }).data[0]!
const newest = async (state: string) => {
  const answer = await told(state, '/v1/audit/query?direction=inbound')
  return (answer as unknown as { readonly rows: readonly { readonly id: string; readonly code: string }[] }).rows
}

test(
  'a file decides from the moment it is there, a broken one changes nothing, and records name the version',
  () =>
    up('file: roles.json, refresh: 1s', async (state) => {
      expect(await call('GET')).toEqual({ status: 503, code: 'policy_data_stale' })
      await give('roles.json', '{"GET":"open"}')
      await soon(async () => expect((await call('GET')).status).toBe(200))
      expect((await call('POST')).status).toBe(403)
      await give('roles.json', '{"POST":"open"')
      await soon(async () => expect((await statusOf(state)).problem).toContain('it is no JSON'))
      expect((await call('GET')).status).toBe(200)
      await give('roles.json', '{"POST":"open"}')
      await soon(async () => expect((await call('POST')).status).toBe(200))
      expect((await call('GET')).status).toBe(403)
      const { revision, sha256, stale } = await statusOf(state)
      expect({ sha256, stale }).toEqual({ sha256: digestOf('{"POST":"open"}'), stale: false })

      let id = ''
      await soon(async () => {
        id = (await newest(state))[0]!.id
        const { event } = (await told(state, `/v1/audit/record/${id}`)) as { readonly event: unknown }
        const data = { roles: { revision, sha256, age_s: expect.any(Number) } }
        expect(event).toMatchObject({ code: 'policy_denied', bundles: { app: {} }, data })
      })
      const codes = (await newest(state)).map(({ code }) => code)
      expect(codes).toEqual(expect.arrayContaining(['policy_data_stale', 'allowed']))
      const explained = (await writ('explain', id, '--state', state)).out
      expect(explained).toMatch(new RegExp(`^ {2}data {6}roles revision ${revision}, \\d+ s old$`, 'm'))
    }),
  120_000,
)

test('a server that is away past the age that is allowed lets nobody pass until it is back', async () => {
  let away = false
  const etag = '"one"'
  const server = createServer((asked, answer) => {
    if (away) answer.writeHead(503).end()
    else if (asked.headers['if-none-match'] === etag) answer.writeHead(304, { etag }).end()
    else answer.writeHead(200, { etag, 'content-type': 'application/json' }).end('{"GET":"open"}')
  })
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening))
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/roles`
  try {
    await up(`url: "${url}", refresh: 1s, maxAge: 4s`, async (state) => {
      await soon(async () => expect((await call('GET')).status).toBe(200))
      away = true
      await soon(async () => expect(await call('GET')).toEqual({ status: 503, code: 'policy_data_stale' }))
      await soon(async () => expect(await statusOf(state)).toMatchObject({ stale: true, problem: 'it answered 503' }))
      away = false
      await soon(async () => expect((await call('GET')).status).toBe(200))
      await soon(async () => {
        const codes = (await newest(state)).map(({ code }) => code)
        expect(codes[0]).toBe('allowed')
        expect(codes).toContain('policy_data_stale')
      })
      expect((await writ('status', '--state', state)).out).toMatch(
        /^roles +app, data\.bank\.roles +[0-9a-f]{16} +\d+ s of 4 s +good$/m,
      )
    })
  } finally {
    server.close()
  }
}, 120_000)

test('a place that the bundle has itself is refused before anything starts, with both named', async () => {
  await writeFile(
    join(folder, 'policies', 'app', 'bundle.tar.gz'),
    await bundleOf(rego, ['app/allow'], { bank: { roles: {} } }),
  )
  const meshFile = join(folder, 'mesh.yaml')
  await writeFile(meshFile, meshOf({ from: 'file: roles.json', inbound: 1, outbound, app: 2 }))
  const { code, err } = await writ(
    'up',
    '-f',
    meshFile,
    '--state',
    join(folder, 'state'),
    '--policies',
    join(folder, 'policies'),
  )
  expect(code).toBe(2)
  expect(err).toContain('data roles of policy app: the bundle has a value at bank/roles')
  const checked = await writ('check', '-f', meshFile, '--policies', join(folder, 'policies'))
  expect([checked.code, checked.err]).toEqual([2, expect.stringContaining('the bundle has a value at bank/roles')])
}, 60_000)

const meshOf = (at: {
  readonly from: string
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
kind: PolicyData
metadata: { name: roles }
spec: { bundle: app, path: bank/roles, ${at.from} }
---
apiVersion: writ.dev/v1
kind: PolicyBinding
metadata: { name: orders }
spec:
  targetRefs: [{ kind: Workload, name: orders }]
  bundle: app
  entrypoint: app/allow
`
