import { Agent } from 'node:https'
import { connect } from 'node:tls'
import { afterEach, expect, test } from 'vitest'
import { checkSnapshot, nameSnapshot } from '../../../control/mesh/name.ts'
import type { MeshDoorParts } from '../../../control/node/mesh-door.ts'
import type { DoorOptions } from '../../../control/node/open-door.ts'
import { bankText, sha256, snapshotOf } from '../world.ts'
import { type Answer, ask, type TestMesh, testMesh, trust } from './mesh.ts'
import { identityOf, stateOf } from './pki.ts'

const orders = identityOf('spiffe://bank.example/orders')
const payments = identityOf('spiffe://bank.example/payments')
const stranger = identityOf('spiffe://bank.example/stranger')
const foreigner = identityOf('spiffe://other.example/orders')
const csr = Buffer.from('request').toString('base64')

const open: TestMesh[] = []
async function mesh(options?: DoorOptions, change?: Partial<MeshDoorParts>): Promise<TestMesh> {
  const made = await testMesh(options, change)
  open.push(made)
  return made
}
afterEach(async () => {
  await Promise.all(open.splice(0).map(({ door }) => door.close()))
})

const codeIn = ({ status, json, headers }: Answer) => {
  expect(headers['content-type']).toBe('application/problem+json')
  expect(json).toMatchObject({ status, type: expect.stringMatching(/^urn:writ:problem:/) })
  return `${status} ${(json as { code: string }).code}`
}

test('trust and join are open to a caller without a certificate, nothing else is', async () => {
  const { door, joins, sink } = await mesh()
  expect((await ask(door.port, 'GET', '/v1/trust')).json).toEqual({
    trust_domain: 'bank.example',
    sequence: 7,
    roots: [Buffer.from(trust.roots[0]!).toString('base64')],
  })
  const joined = await ask(door.port, 'POST', '/v1/join', { body: { token: 'good', csr } })
  expect(joined.json).toMatchObject({ svid: ['AQI='], trust: [{ trust_domain: 'bank.example', sequence: 7 }] })
  expect(joins).toEqual([['good', new Uint8Array(Buffer.from('request'))]])

  const closed = [
    ['POST', '/v1/renew'],
    ['GET', '/v1/snapshot'],
    ['GET', `/v1/bundles/${'ab'.repeat(32)}`],
    ['GET', `/v1/data/${'ab'.repeat(32)}`],
    ['GET', '/v1/data-freshness'],
    ['GET', '/v1/denied'],
    ['POST', '/v1/status'],
    ['GET', `/v1/receipts/${'ab'.repeat(12)}/5`],
  ] as const
  for (const [method, path] of closed) {
    expect(codeIn(await ask(door.port, method, path, method === 'POST' ? { body: {} } : {})), path).toBe(
      '401 identity_missing',
    )
  }
  expect(sink.refusals).toHaveLength(closed.length)
  expect(codeIn(await ask(door.port, 'POST', '/v1/records', { body: {} }))).toBe('401 unauthorized')
  expect(codeIn(await ask(door.port, 'GET', '/v1/tokens'))).toBe('404 not_found')
})

test('a certificate counts for what Identify says of it, whatever TLS thought', async () => {
  const { door, chains } = await mesh()
  expect(codeIn(await ask(door.port, 'GET', '/v1/snapshot', { as: foreigner }))).toBe('401 identity_untrusted')
  expect((await ask(door.port, 'GET', '/v1/snapshot', { as: orders })).status).toBe(200)
  expect(chains.every((length) => length >= 2)).toBe(true) // The leaf and the issuer that came with it.
})

test('a workload gets its own part of the snapshot and cannot ask for another’s', async () => {
  const { door } = await mesh()
  const part = async (as: typeof orders, path = '/v1/snapshot') =>
    checkSnapshot((await ask(door.port, 'GET', path, { as })).json, sha256)
  expect((await part(orders)).workloads.map(({ name }) => name)).toEqual(['orders'])
  const own = await part(payments)
  expect(own.workloads.map(({ name }) => name)).toEqual(['payments-1'])
  expect(await part(payments, '/v1/snapshot?workload=orders')).toEqual(own)
  expect(codeIn(await ask(door.port, 'GET', '/v1/snapshot', { as: stranger }))).toBe('403 forbidden')
})

test('a snapshot is sent once: its name is its ETag, and a wait ends when it changes', async () => {
  const { door, setSnapshot, listening } = await mesh()
  const first = await ask(door.port, 'GET', '/v1/snapshot', { as: orders })
  const etag = String(first.headers['etag'])
  expect(etag).toBe(`"${(first.json as { name: string }).name}"`)
  const again = await ask(door.port, 'GET', '/v1/snapshot', { as: orders, headers: { 'if-none-match': etag } })
  expect([again.status, again.text, again.headers['etag']]).toEqual([304, '', etag])

  const idle = listening()
  const headers = { 'if-none-match': etag, prefer: 'wait=20' }
  const waiting = ask(door.port, 'GET', '/v1/snapshot', { as: orders, headers })
  await until(() => listening() > idle)
  setSnapshot(snapshotOf(bankText.replace('port: 9101', 'port: 9109')))
  const next = await waiting
  expect(next.status).toBe(200)
  expect(next.headers['etag']).not.toBe(etag)
  expect(listening()).toBe(idle)
})

test('a change that is none of a workload’s leaves it waiting; closing the door ends the wait', async () => {
  const { door, setSnapshot, listening } = await mesh()
  const { headers } = await ask(door.port, 'GET', '/v1/snapshot', { as: payments })
  const idle = listening()
  let over = false
  const waiting = ask(door.port, 'GET', '/v1/snapshot', {
    as: payments,
    headers: { 'if-none-match': String(headers['etag']), prefer: 'wait=20' },
  }).then((answer) => {
    over = true
    return answer
  })
  await until(() => listening() > idle)
  setSnapshot(snapshotOf(bankText.replace('port: 9101', 'port: 9109')))
  await ask(door.port, 'GET', '/v1/trust')
  expect(over).toBe(false)
  await door.close()
  expect((await waiting).status).toBe(304)
})

test('who is revoked while waiting gets no news, and a caller who hangs up leaves nothing behind', async () => {
  const { door, setSnapshot, listening, revoked } = await mesh()
  const { headers } = await ask(door.port, 'GET', '/v1/snapshot', { as: orders })
  const idle = listening()
  const wait = { 'if-none-match': String(headers['etag']), prefer: 'wait=20' }
  const waiting = ask(door.port, 'GET', '/v1/snapshot', { as: orders, headers: wait })
  await until(() => listening() > idle)
  revoked.add('spiffe://bank.example/orders')
  setSnapshot(snapshotOf(bankText.replace('port: 9101', 'port: 9109')))
  expect(codeIn(await waiting)).toBe('403 forbidden')
  revoked.clear()

  const gone = new AbortController()
  const { headers: now } = await ask(door.port, 'GET', '/v1/snapshot', { as: orders })
  const left = ask(door.port, 'GET', '/v1/snapshot', {
    as: orders,
    headers: { ...wait, 'if-none-match': String(now['etag']) },
    options: { signal: gone.signal },
  })
  await until(() => listening() > idle)
  gone.abort()
  await expect(left).rejects.toThrow()
  await until(() => listening() === idle)
})

test('an identity is judged on every request of a connection, not once', async () => {
  const { door, revoked } = await mesh()
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  const get = () => ask(door.port, 'GET', '/v1/denied', { as: orders, options: { agent } })
  expect((await get()).json).toEqual({ generation: 3, denied: [] })
  revoked.add('spiffe://bank.example/orders')
  expect(codeIn(await get())).toBe('403 identity_revoked')
  agent.destroy()
})

test('the deny list arrives at who waits for it', async () => {
  const { door, deny, listening } = await mesh()
  const idle = listening()
  const waiting = ask(door.port, 'GET', '/v1/denied', {
    as: orders,
    headers: { 'if-none-match': '"3"', prefer: 'respond-async, wait=20' },
  })
  await until(() => listening() > idle)
  deny('spiffe://bank.example/teller')
  expect((await waiting).json).toEqual({ generation: 4, denied: ['spiffe://bank.example/teller'] })
})

test('a bundle is for the workloads that it judges', async () => {
  const { door } = await mesh()
  const path = `/v1/bundles/${'ab'.repeat(32)}`
  const got = await ask(door.port, 'GET', path, { as: orders })
  expect([got.status, got.headers['content-type']]).toEqual([200, 'application/gzip'])
  const teller = identityOf('spiffe://bank.example/ns/front/sa/teller')
  expect(codeIn(await ask(door.port, 'GET', path, { as: teller }))).toBe('404 not_found')
  expect(codeIn(await ask(door.port, 'GET', '/v1/bundles/..%2f..%2fetc', { as: orders }))).toBe('404 not_found')
})

test('data is for the workloads whose policy reads it, and so is its age', async () => {
  const digest = 'cd'.repeat(32)
  const { door, setSnapshot } = await mesh(
    {},
    {
      data: (asked) => (asked === digest ? new Uint8Array([123, 125]) : undefined),
      dataAgeMs: (name, asked) => (name === 'roles' && asked === digest ? 1500 : undefined),
    },
  )
  const whole = snapshotOf(bankText)
  const bundle = whole.workloads
    .find(({ name }) => name === 'orders')!
    .listeners.flatMap((one) => (one.direction === 'inbound' && one.policy ? [one.policy.bundle] : []))[0]!
  const use = { name: 'roles', bundle, path: 'bank/roles' }
  const teller = identityOf('spiffe://bank.example/ns/front/sa/teller')
  const age = async (as = orders) => (await ask(door.port, 'GET', '/v1/data-freshness', { as })).json

  expect(await age()).toEqual({ data: [] })
  expect(codeIn(await ask(door.port, 'GET', `/v1/data/${digest}`, { as: orders }))).toBe('404 not_found')
  setSnapshot(nameSnapshot({ ...whole, data: [{ ...use, version: { revision: 'r', sha256: digest } }] }, sha256))
  expect((await ask(door.port, 'GET', `/v1/data/${digest}`, { as: orders })).text).toBe('{}')
  expect(await age()).toEqual({ data: [{ name: 'roles', sha256: digest, age_ms: 1500 }] })
  expect(codeIn(await ask(door.port, 'GET', `/v1/data/${digest}`, { as: teller }))).toBe('404 not_found')
  expect(await age(teller)).toEqual({ data: [] })
  expect(codeIn(await ask(door.port, 'GET', '/v1/data-freshness'))).toBe('401 identity_missing')
})

test('health is kept of workloads of the mesh, in the shape that is read', async () => {
  const { door, health } = await mesh()
  const report = { snapshot: 'sha256:x', spool: { state: 'ok', bytes: 1, max_bytes: 2, pending: 0 } }
  const post = (body: unknown, as = orders) => ask(door.port, 'POST', '/v1/status', { as, body })
  expect((await post(report)).status).toBe(204)
  expect(codeIn(await post(report, stranger))).toBe('403 forbidden')
  expect(codeIn(await post({ ...report, more: 1 }))).toBe('400 usage')
  expect(codeIn(await post('{'))).toBe('400 usage')
  expect(codeIn(await post(new Uint8Array([0xff])))).toBe('400 usage')
  expect(codeIn(await post({ ...report, software: 'x'.repeat(17_000) }))).toBe('413 usage')
  const listed = health.list(snapshotOf(bankText), () => 'sha256:x')
  expect(listed.filter(({ report }) => report).map(({ name, current }) => [name, current])).toEqual([['orders', true]])
})

test('a receipt is found by epoch and number', async () => {
  const { door } = await mesh()
  const get = (path: string) => ask(door.port, 'GET', `/v1/receipts/${path}`, { as: orders })
  expect((await get(`${'ab'.repeat(12)}/5`)).json).toEqual({ index: 9, path: ['/w=='], note: 'n\n' })
  for (const path of [
    `${'ab'.repeat(12)}/6`,
    `${'ab'.repeat(12)}/05`,
    'zz/5',
    `${'ab'.repeat(12)}/99999999999999999`,
  ]) {
    expect(codeIn(await get(path))).toBe('404 not_found')
  }
})

test('renewing passes on the name that was proven', async () => {
  const { door, renewals } = await mesh()
  const renewed = await ask(door.port, 'POST', '/v1/renew', { as: payments, body: { csr } })
  expect(renewed.json).toMatchObject({ svid: ['Aw=='] })
  expect(renewals).toEqual(['spiffe://bank.example/payments'])
  expect(codeIn(await ask(door.port, 'POST', '/v1/renew', { as: payments, body: { csr: 'a' } }))).toBe(
    '400 certificate_invalid',
  )
})

test('a wrong token, a large body and too many attempts are refused, each by name', async () => {
  const { door, joins } = await mesh({}, { joinRate: { burst: 4, perSecond: 1, sources: 8 } })
  const join = (body: unknown, headers = {}) => ask(door.port, 'POST', '/v1/join', { body, headers })
  expect(codeIn(await join({ token: 'bad', csr }))).toBe('401 token_invalid')
  expect(codeIn(await join({ token: 'good', csr: 'A'.repeat(17_000) }))).toBe('413 usage')
  // The same without a length, in chunks.
  expect(codeIn(await join('A'.repeat(17_000), { 'transfer-encoding': 'chunked' }))).toBe('413 usage')
  expect((await join({ token: 'good', csr })).status).toBe(200)
  expect(codeIn(await join({ token: 'good', csr }))).toBe('429 unavailable')
  expect(joins).toHaveLength(1)
})

test('a body that does not arrive ends the connection', async () => {
  const { door } = await mesh({ requestMs: 200 })
  const socket = connect({ port: door.port, host: '127.0.0.1', rejectUnauthorized: false })
  socket.write('POST /v1/join HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{')
  const said = await new Promise<string>((resolve) => {
    let text = ''
    socket.on('data', (chunk) => (text += String(chunk)))
    socket.on('close', () => resolve(text))
    socket.on('error', () => {})
  })
  expect(said).toMatch(/^HTTP\/1\.1 408/)
})

test('TLS below 1.3 is refused, and a failed handshake is counted', async () => {
  const { door, sink } = await mesh()
  await expect(ask(door.port, 'GET', '/v1/trust', { options: { maxVersion: 'TLSv1.2' } })).rejects.toThrow()
  expect(sink.refusals).toMatchObject([{ code: 'handshake_failed' }])
})

test('a renewed SVID serves the next handshake, and TLS below 1.3 stays refused', async () => {
  const { door, rotate, unexpected } = await mesh()
  expect((await ask(door.port, 'GET', '/v1/trust')).server).toBe('control')
  rotate(stateOf('spiffe://bank.example/writ/control-2', 2))
  expect((await ask(door.port, 'GET', '/v1/trust')).server).toBe('control-2')
  await expect(ask(door.port, 'GET', '/v1/trust', { options: { maxVersion: 'TLSv1.2' } })).rejects.toThrow()
  const broken = stateOf('spiffe://bank.example/writ/control-3', 3)
  rotate({ ...broken, svid: { ...broken.svid, keyPem: 'no key' } })
  expect(unexpected).toHaveLength(1)
  expect((await ask(door.port, 'GET', '/v1/trust')).server).toBe('control-2')
})

test('a part that breaks answers 500 without telling why, and is reported', async () => {
  const { door, unexpected } = await mesh({}, { findReceipt: () => Promise.reject(new Error('password: hunter2')) })
  const answer = await ask(door.port, 'GET', `/v1/receipts/${'ab'.repeat(12)}/5`, { as: orders })
  expect(codeIn(answer)).toBe('500 internal')
  expect(answer.text).not.toContain('hunter2')
  expect(unexpected).toHaveLength(1)
})

async function until(done: () => boolean): Promise<void> {
  while (!done()) await new Promise((resolve) => setTimeout(resolve, 5))
}
