import { chmodSync, existsSync, mkdtempSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { createServer as createSocket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Hono } from 'hono'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { makeHealth } from '../../../control/health.ts'
import { openAdminDoor } from '../../../control/node/admin-door.ts'
import type { AdminParts } from '../../../control/node/admin-routes.ts'
import { adminRequest } from '../../../control/node/client.ts'
import type { DoorApp } from '../../../control/node/http.ts'
import { partsOf } from '../../../control/parts.ts'
import { WritError } from '../../../core/fault.ts'
import type { SpiffeId } from '../../../core/spiffe.ts'
import { bankText, sha256, snapshotOf } from '../world.ts'
import { testSink } from './mesh.ts'

const orders = 'spiffe://bank.example/orders' as SpiffeId
const snapshot = snapshotOf(bankText)

let folder = ''
let closing: (() => Promise<void>)[] = []
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'writ-'))
})
afterEach(async () => {
  await Promise.all(closing.map((close) => close()))
  closing = []
  rmSync(folder, { recursive: true, force: true })
})

const socket = (): string => join(folder, 'admin.sock')

async function door(change: Partial<AdminParts> = {}) {
  const sink = testSink()
  const health = makeHealth()
  const done: unknown[] = []
  const opened = await openAdminDoor(socket(), {
    snapshot: () => snapshot,
    partOf: partsOf(() => snapshot, sha256),
    health,
    spool: () => ({ bytes: 5 }),
    createToken: (id, ttlMs) => {
      done.push(['token', id, ttlMs])
      return 'join-me'
    },
    createCollectorToken: (id, _ttlMs, right) => {
      done.push(['collector', id, right])
      return 'collect-me'
    },
    deny: (subject) => void done.push(['deny', subject]),
    sink,
    actor: 'uid 7',
    mounted: [],
    unexpected: () => {},
    ...change,
  })
  closing.push(opened.close)
  return { sink, health, done }
}

const ask = (method: string, path: string, body?: object) => adminRequest(socket(), method, path, body as never)
const codeOf = (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => 'good',
    (thrown: unknown) => (thrown instanceof WritError ? thrown.code : `not ours: ${String(thrown)}`),
  )

test('the socket is its owner’s alone, and a folder that others can enter gets none', async () => {
  await door()
  expect(statSync(socket()).mode & 0o777).toBe(0o600)
  await closing.pop()?.()
  chmodSync(folder, 0o755)
  expect(await codeOf(door())).toBe('forbidden')
})

test('a token is made for a workload of the mesh, by name or id, and recorded first', async () => {
  const { done, sink } = await door()
  expect(await ask('POST', '/v1/tokens', { workload: 'orders' })).toEqual({
    workload: orders,
    token: 'join-me',
    ttl_ms: 600_000,
  })
  expect(await ask('POST', '/v1/tokens', { workload: orders, ttl_ms: 5000 })).toMatchObject({ ttl_ms: 5000 })
  expect(done).toEqual([
    ['token', orders, 600_000],
    ['token', orders, 5000],
  ])
  expect(sink.bodies[0]).toEqual({
    kind: 'admin',
    action: 'token_created',
    actor: 'uid 7',
    detail: `${orders} for 600000 ms`,
  })
  expect(JSON.stringify(sink.bodies)).not.toContain('join-me')
  expect(await codeOf(ask('POST', '/v1/tokens', { workload: 'nobody' }))).toBe('not_found')
  expect(await codeOf(ask('POST', '/v1/tokens', { workload: 'spiffe://other.example/orders' }))).toBe('not_found')
  expect(await codeOf(ask('POST', '/v1/tokens', { workload: 'orders', admin: true }))).toBe('usage')
  expect(await codeOf(ask('POST', '/v1/tokens', { workload: 'x'.repeat(20_000) }))).toBe('usage')
  expect(await ask('POST', '/v1/collector-tokens', { workload: 'orders' })).toMatchObject({ token: 'collect-me' })
})

test('a token for decision logs is one of its own, and its record says so; another right there is none', async () => {
  const { done, sink } = await door()
  await ask('POST', '/v1/collector-tokens', { workload: 'orders' })
  await ask('POST', '/v1/collector-tokens', { workload: 'orders', right: 'logs' })
  expect(done.map((one) => (one as unknown[])[2])).toEqual(['records', 'logs'])
  expect(sink.bodies.map((body) => /for decision logs$/.test((body as { detail: string }).detail))).toEqual([
    false,
    true,
  ])
  expect(await codeOf(ask('POST', '/v1/collector-tokens', { workload: 'orders', right: 'all' }))).toBe('usage')
})

test('an act whose record cannot be kept does not happen', async () => {
  const full = { ...testSink(), keep: () => Promise.reject(new WritError('audit_unavailable', 'full')) }
  const { done } = await door({ sink: full })
  expect(await codeOf(ask('POST', '/v1/tokens', { workload: 'orders' }))).toBe('audit_unavailable')
  expect(await codeOf(ask('POST', '/v1/denied', { id: 'orders', reason: 'stolen' }))).toBe('audit_unavailable')
  expect(done).toEqual([])
})

test('an id or a serial is denied, with a reason', async () => {
  const { done, sink } = await door()
  expect(await ask('POST', '/v1/denied', { id: 'orders', reason: 'stolen' })).toEqual({ denied: orders })
  expect(await ask('POST', '/v1/denied', { serial: 'ab12', reason: 'leaked' })).toEqual({ denied: 'ab12' })
  expect(done).toEqual([
    ['deny', orders],
    ['deny', 'ab12'],
  ])
  expect(sink.bodies).toMatchObject([{ detail: `${orders}: stolen` }, { detail: 'ab12: leaked' }])
  expect(await codeOf(ask('POST', '/v1/denied', { id: 'orders' }))).toBe('usage')
  expect(await codeOf(ask('POST', '/v1/denied', { serial: 'AB', reason: 'x' }))).toBe('usage')
})

test('status tells who runs the snapshot that it should', async () => {
  const { health } = await door()
  const expected = partsOf(() => snapshot, sha256)(orders)?.name ?? ''
  health.keep(orders, { snapshot: expected }, 0)
  health.keep('spiffe://bank.example/payments' as SpiffeId, { snapshot: 'sha256:old' }, 0)
  const status = (await ask('GET', '/v1/status')) as { workloads: { name: string; current: boolean }[] }
  expect(status).toMatchObject({ trust_domain: 'bank.example', snapshot: snapshot.name, spool: { bytes: 5 } })
  expect(status.workloads.map(({ name, current }) => [name, current])).toEqual([
    ['orders', true],
    ['payments-1', false],
    ['payments-2', false],
    ['teller', false],
  ])
  expect(await ask('GET', '/v1/snapshot')).toMatchObject({ name: snapshot.name })
})

test('mounted routes answer beside our own, and what they throw is told by its code', async () => {
  const audit = new Hono() as unknown as DoorApp
  audit.get('/v1/audit/ping', (c) => c.text('pong'))
  audit.get('/v1/audit/broken', () => {
    throw new WritError('store_unavailable', 'the database is gone', { cure: 'start it' })
  })
  await door({ mounted: [audit] })
  expect(await ask('GET', '/v1/audit/ping')).toBe('pong')
  await expect(ask('GET', '/v1/audit/broken')).rejects.toMatchObject({ code: 'store_unavailable', cure: 'start it' })
  expect(await codeOf(ask('GET', '/v1/else'))).toBe('not_found')
})

test('a socket that a crash left behind is replaced, one that is answered is not, another file is not', async () => {
  writeFileSync(socket(), 'text')
  expect(await codeOf(door())).toBe('in_use')
  rmSync(socket())

  const other = createSocket().listen(socket())
  await new Promise((resolve) => other.once('listening', resolve))
  expect(await codeOf(door())).toBe('in_use')
  await new Promise((resolve) => other.close(resolve))

  // A server that is closed removes the file it made; under another name the file stays, as after a crash.
  const dead = createSocket().listen(`${socket()}.first`)
  await new Promise((resolve) => dead.once('listening', resolve))
  renameSync(`${socket()}.first`, socket())
  await new Promise((resolve) => dead.close(resolve))
  expect(existsSync(socket())).toBe(true)
  await door()
  expect(await codeOf(ask('GET', '/v1/status'))).toBe('good')
})

test('without a process behind it the client says so, and a nonsense answer is no answer', async () => {
  expect(await codeOf(ask('GET', '/v1/status'))).toBe('unavailable')
  writeFileSync(socket(), '')
  expect(await codeOf(ask('GET', '/v1/status'))).toBe('unavailable')
  rmSync(socket())
  const server = createServer((_, answer) => answer.writeHead(500).end('{"code":"made up"}')).listen(socket())
  await new Promise((resolve) => server.once('listening', resolve))
  closing.push(() => new Promise((resolve) => void server.close(() => resolve())))
  await expect(ask('GET', '/v1/status')).rejects.toMatchObject({ code: 'unavailable', message: 'control answered 500' })
})
