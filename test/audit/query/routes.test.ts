import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { getRequestListener } from '@hono/node-server'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from 'vitest'
import { openStore, type Store } from '../../../audit/node/store.ts'
import { auditCommand } from '../../../cli/audit.ts'
import { reporterOf } from '../../../cli/wire/report.ts'
import { auditRoutes, type MakeReport } from '../../../control/node/audit-routes.ts'
import { type DoorApp, doorApp } from '../../../control/node/http.ts'
import type { ComplianceReport } from '../../../core/compliance.ts'
import { filesOf, Mesh, Signer } from '../verify/log.ts'
import { sha256, startMs, verifyTestHead } from '../verify/producer.ts'
import { fill } from './store.ts'

/** One log, asked over the API, over the admin socket and by the commands. */
const signer = new Signer()
const mesh = new Mesh().calls(20).head()
let dir: string
let store: Store
let app: DoorApp
let server: Server | undefined
let printed: string

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'writ-routes-'))
  for (const [path, bytes] of await filesOf(mesh.leaves, signer)) {
    await mkdir(dirname(join(dir, 'log', '0', path)), { recursive: true })
    await writeFile(join(dir, 'log', '0', path), bytes)
  }
  await mkdir(join(dir, 'signer'))
  await writeFile(join(dir, 'signer', 'log.pub'), `${signer.text}\n`)
  store = await openStore({ kind: 'pglite' })
  await fill(store.db, mesh.leaves, signer)
  const place = { dir: join(dir, 'log'), key: signer.key, verifyHead: verifyTestHead, sha256, db: store.db }
  app = doorApp(() => undefined)
  const nowMs = () => startMs + 60_000
  const reporter = reporterOf({}, nowMs)
  const report: MakeReport = (question) => reporter.make(place, question)
  app.route('/', auditRoutes({ place, findReceipt: async () => undefined, report, nowMs }))
})
afterAll(async () => {
  await store.close()
  await rm(dir, { recursive: true, force: true })
})
beforeEach(() => {
  printed = ''
  vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
    printed += String(text)
    return true
  })
})
afterEach(async () => {
  vi.restoreAllMocks()
  process.exitCode = 0
  if (server) await new Promise((resolve) => server!.close(resolve))
  server = undefined
})

const listen = (): Promise<void> =>
  new Promise((resolve) => {
    server = createServer(getRequestListener(app.fetch)).listen(join(dir, 'admin.sock'), resolve)
  })

const get = async (path: string) => {
  const answer = await app.request(path)
  return { status: answer.status, body: (await answer.json()) as { [name: string]: unknown } }
}

test('the API answers a question with rows and a cursor, and refuses what is none', async () => {
  const { body } = await get('/v1/audit/query?verdict=deny&limit=2')
  expect((body['rows'] as { path: string }[]).map(({ path }) => path)).toEqual(['/orders/17', '/orders/14'])
  expect(body['next']).toMatch(/^0\.\d+$/)
  expect(await get('/v1/audit/query?verdict=perhaps')).toMatchObject({ status: 400, body: { code: 'usage' } })
  expect((await get('/v1/audit/latest?limit=3')).body['rows']).toHaveLength(3)
})

test('the API gives one record whole, edges with counts, and the signed checkpoint', async () => {
  const { body } = await get(`/v1/audit/record/${mesh.orders.epoch}-3`)
  expect(body).toMatchObject({ shard: 0, index: mesh.indexOf(3), event: { seq: 3 }, row: { path: '/orders/2' } })
  expect((await get('/v1/audit/record/none-such')).status).toBe(404)
  const edges = (await get('/v1/audit/edges?since=15m')).body
  expect(edges).toMatchObject({ edges: [{ allowed: 14, denied: 6 }], counts: { records: mesh.leaves.length } })
  expect((await get('/v1/checkpoint')).body).toMatchObject({ verifierKey: signer.text, checkpoints: [{ shard: 0 }] })
})

test('the API makes a report, one at a time', async () => {
  const [one, two] = await Promise.all([get('/v1/report?from=1h'), get('/v1/report')])
  expect([one.status, two.status].sort()).toEqual([200, 503])
  const { checks, from } = (one.status === 200 ? one : two).body as unknown as ComplianceReport
  expect(checks).toHaveLength(22)
  expect(checks.find(({ id }) => id === 'M01')).toMatchObject({ verdict: 'pass', denominator: { value: 20 } })
  expect(from).toBe(new Date(one.status === 200 ? startMs + 60_000 - 3_600_000 : startMs).toISOString())
  const page = await app.request('/v1/report?framework=hipaa&scope=workload=spiffe://bank.example/orders&format=html')
  expect(await page.text()).toContain('scope: workload=spiffe://bank.example/orders')
  expect(await get('/v1/report?framework=none')).toMatchObject({ status: 400, body: { code: 'usage' } })
  expect((await get('/v1/report?fron=1h')).status).toBe(400)
})

const audit = async (...words: string[]) => (await auditCommand()).exitOverride().parseAsync(words, { from: 'user' })

test('the command asks the running process, and prints a table, JSON or CSV', async () => {
  await listen()
  await audit('query', '--state', dir, '--caller', 'web', '--verdict', 'deny', '--limit', '3')
  expect(printed.split('\n')).toHaveLength(5)
  expect(printed).toContain('deny policy_denied')
  printed = ''
  await audit('query', '--state', dir, '--path', '/orders/1', '--json')
  expect(JSON.parse(printed).rows).toHaveLength(11)
  printed = ''
  await audit('query', '--state', dir, '--csv', '--limit', '1')
  expect(printed).toMatch(/^time,verdict,code,.*\r\n2026-/)
})

test('the command refuses a wrong question before it asks, and says where there is nobody to ask', async () => {
  await expect(audit('query', '--state', dir, '--since', 'yesterday')).rejects.toMatchObject({ code: 'usage' })
  await expect(audit('query', '--state', join(dir, 'nowhere'))).rejects.toMatchObject({ code: 'not_found' })
})

test('verify reads the key beside the state, and finds heads that no real certificate signed', async () => {
  // These heads carry bare keys where the command wants X.509: the tree holds, the heads do not.
  await audit('verify', '--state', dir)
  expect(printed).toMatch(/^BROKEN\n/)
  expect(printed).toContain('head_invalid')
  expect(printed).not.toContain('leaf_mismatch')
  expect(process.exitCode).toBe(1)
  printed = ''
  await audit('verify', '--log', join(dir, 'log'), '--key', signer.text, '--json')
  expect(JSON.parse(printed)).toMatchObject({ ok: false, shards: [{ size: mesh.leaves.length }] })
  await expect(audit('verify', '--log', join(dir, 'log'))).rejects.toMatchObject({ code: 'usage' })
})
