import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { request } from 'node:https'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { receiptInLog } from '../../../audit/log/prove.ts'
import { parseReceipt, verifyReceipt } from '../../../audit/log/receipt.ts'
import { verifyEd25519 } from '../../../audit/node/ed25519.ts'
import { sourcesIn } from '../../../audit/node/logfolder.ts'
import { openStore, type Store } from '../../../audit/node/store.ts'
import { findLeaf } from '../../../audit/query/node/leaf.ts'
import { reporterOf, scopeOf } from '../../../cli/wire/report.ts'
import { openAuditorsDoor } from '../../../control/node/auditors-door.ts'
import { grantRoutes } from '../../../control/node/grant-routes.ts'
import { type Grants, openGrants } from '../../../control/node/grants.ts'
import { type DoorApp, doorApp } from '../../../control/node/http.ts'
import type { Door } from '../../../control/node/open-door.ts'
import type { CheckResult } from '../../../core/compliance.ts'
import type { Identified } from '../../../core/identity.ts'
import { type AuditReadBody, decisionId } from '../../../core/record.ts'
import type { SpiffeId } from '../../../core/spiffe.ts'
import { fill } from '../../audit/query/store.ts'
import { filesOf, Mesh, Signer } from '../../audit/verify/log.ts'
import { leafHashOf, Producer, sha256, startMs, verifyTestHead } from '../../audit/verify/producer.ts'
import { needs } from '../../parts/needs.ts'
import { testSink } from './mesh.ts'
import { identityOf, rootPem, stateOf, type TestIdentity } from './pki.ts'

/** The auditors' door over real sockets: what a grant covers, and that nothing else comes out of it. */

const withTools = needs('curl', 'openssl')
const maxPerMinute = 20
const signer = new Signer()
const mesh = new Mesh().calls(12)
const ids = { early: decisionId({ epoch: mesh.orders.epoch, seq: 1 }), inside: '', other: '' }
const sink = testSink()
let dir: string
let store: Store
let grants: Grants
let door: Door
let operator: DoorApp
let nowMs: number

const inside = { from: new Date(startMs + 55).toISOString(), to: new Date(startMs + 3_600_000).toISOString() }
const until = new Date(startMs + 7 * 86_400_000).toISOString()
const scope = 'workload=spiffe://bank.example/orders'
const auditorName = 'spiffe://bank.example/outside/ada' as SpiffeId

beforeAll(async () => {
  const idOf = () => decisionId({ epoch: mesh.orders.epoch, seq: mesh.orders.seq - 1 })
  mesh.leaves.push(mesh.orders.decision({ path: '/orders/inside' }))
  ids.inside = idOf()
  mesh.head()
  const ledger = new Producer('ledger', startMs + 100)
  mesh.leaves.push(ledger.start(), ledger.decision({ path: '/ledger' }), ledger.head())
  ids.other = decisionId({ epoch: ledger.epoch, seq: 1 })
  dir = await mkdtemp(join(tmpdir(), 'writ-auditors-'))
  for (const [path, bytes] of await filesOf(mesh.leaves, signer)) {
    await mkdir(dirname(join(dir, 'log', '0', path)), { recursive: true })
    await writeFile(join(dir, 'log', '0', path), bytes)
  }
  store = await openStore({ kind: 'pglite' })
  await fill(store.db, mesh.leaves, signer)
  grants = await openGrants(join(dir, 'grants.json'), () => nowMs)
  const place = { dir: join(dir, 'log'), key: signer.key, verifyHead: verifyTestHead, sha256 }
  const reporter = reporterOf({}, () => nowMs)
  const [source] = await sourcesIn(place.dir)
  const identity = { current: () => stateOf('spiffe://bank.example/writ/control', 1), subscribe: () => () => undefined }
  door = await openAuditorsDoor({
    ...{ grants, db: store.db, verifierKey: signer.text, sha256, nowMs: () => nowMs, sink: () => sink },
    identity: identity as never,
    identify: ({ evidence }): Identified =>
      evidence.kind === 'x509'
        ? ({ ok: true, identity: { id: auditorName } } as never)
        : { ok: false, code: 'identity_missing', detail: 'no certificate' },
    findReceipt: async (one) => {
      const leaf = await findLeaf(store.db, one)
      return leaf && receiptInLog(source!.read, leaf.index, sha256)
    },
    zones: async () => ({}),
    report: (question) => reporter.make(place, question),
    maxPerMinute,
    unexpected: () => undefined,
  })
  operator = doorApp(() => undefined)
  operator.route(
    '/',
    grantRoutes({
      ...{ grants, sink: () => sink, actor: 'uid 1000', nowMs: () => nowMs },
      scopeOf: async (text) => scopeOf(text === '' ? undefined : text, await reporter.declared()),
    }),
  )
})
beforeEach(() => {
  nowMs = startMs + 60_000
  sink.bodies.length = 0
})
afterAll(async () => {
  await door.close()
  await store.close()
  await rm(dir, { recursive: true })
})

const grant = async (
  body: object,
): Promise<{ readonly status: number; readonly token?: string; readonly code?: string }> => {
  const init = { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }
  const answer = await operator.request('/v1/grants', init)
  return { status: answer.status, ...((await answer.json()) as object) }
}

interface Answer {
  readonly status: number
  readonly text: string
  readonly json: { readonly [member: string]: unknown }
}

const ask = (path: string, { token, as }: { token?: string | undefined; as?: TestIdentity } = {}): Promise<Answer> =>
  new Promise((resolve, reject) => {
    const headers = token === undefined ? {} : { authorization: `Bearer ${token}` }
    const client = as ? { cert: as.certPem, key: as.keyPem } : {}
    const tls = { ca: rootPem, checkServerIdentity: () => undefined, agent: false, ...client } as const
    request({ host: '127.0.0.1', port: door.port, path, headers, ...tls }, (answer) => {
      const chunks: Buffer[] = []
      answer.on('data', (chunk: Buffer) => chunks.push(chunk))
      answer.on('end', () => {
        const text = Buffer.concat(chunks).toString()
        const isJson = /json/.test(answer.headers['content-type'] ?? '')
        resolve({ status: answer.statusCode!, text, json: isJson ? JSON.parse(text) : {} })
      })
    })
      .on('error', reject)
      .end()
  })

const reads = (): string[] =>
  (sink.bodies as AuditReadBody[])
    .filter(({ kind }) => kind === 'audit_read')
    .map(({ reader, action, verdict, count }) => `${reader} ${action} ${verdict} ${count}`)

test('an auditor draws by a seed of their own, reads what was drawn, and the proof holds; each is an entry', async () => {
  const { token } = await grant({ name: 'ada', scope, ...inside, until })
  expect(sink.bodies[0]).toMatchObject({ kind: 'admin', action: 'audit_granted', actor: 'uid 1000' })
  expect(JSON.stringify(sink.bodies[0])).not.toContain(token)
  expect(await readFile(join(dir, 'grants.json'), 'utf8')).not.toContain(token)
  sink.bodies.length = 0

  expect((await ask('/v1/grant', { token })).json).toMatchObject({ name: 'ada', ...inside, verifierKey: signer.text })
  const drawn = await ask('/v1/sample?seed=0123456789abcdef&check=M02', { token })
  const [check] = drawn.json['checks'] as CheckResult[]
  expect(check).toMatchObject({ id: 'M02', verdict: 'pass' })
  expect(check!.sample.map((one) => one.id)).toContain(ids.inside)
  expect(check!.sample.map((one) => one.id)).not.toContain(ids.early)
  expect(check!.sample.map((one) => one.id)).not.toContain(ids.other)
  expect((await ask('/v1/sample?seed=0123456789abcdef&check=M02', { token })).text).toBe(drawn.text)

  const record = await ask(`/v1/record/${ids.inside}`, { token })
  const proof = parseReceipt((await ask(`/v1/record/${ids.inside}/proof`, { token })).text)!
  const leaf = new TextEncoder().encode(record.text)
  expect(record.json).toMatchObject({ kind: 'decision', decision_id: ids.inside })
  expect(await verifyReceipt(proof, leafHashOf(leaf), [signer.key], sha256, verifyEd25519)).toMatchObject({ ok: true })
  expect(reads()).toEqual([
    'auditor ada grant allow 1',
    `auditor ada sample allow ${check!.sample.length}`,
    `auditor ada sample allow ${check!.sample.length}`,
    'auditor ada record allow 1',
    'auditor ada proof allow 1',
  ])
})

withTools('what docs/AUDITORS.md says of it, does what it says', async () => {
  const { token = '' } = await grant({ name: 'cleo', scope, ...inside, until })
  const page = await readFile(join(import.meta.dirname, '../../../docs/AUDITORS.md'), 'utf8')
  const [, block] = /## A sample of your own\n[^`]*```\n([^`]*)```/.exec(page)!
  const script = block!
    .replaceAll('https://audit.example:7450', `https://127.0.0.1:${door.port}`)
    .replaceAll('curl -s', 'curl -sk') // Its certificate is the mesh's here.
    .replaceAll(/\bID\b/g, ids.inside)
  const env = { ...process.env, TOKEN: token }
  const { stdout } = await promisify(execFile)('sh', ['-ec', script], { cwd: dir, env })
  expect(stdout).toMatch(/"name": ?"cleo".*"id": ?"M02"/s)
  expect(await readFile(join(dir, `${ids.inside}.json`), 'utf8')).toContain(ids.inside)
  const proof = parseReceipt(await readFile(join(dir, `${ids.inside}.tlog-proof`), 'utf8'))!
  const leaf = new Uint8Array(await readFile(join(dir, `${ids.inside}.json`)))
  expect(await verifyReceipt(proof, leafHashOf(leaf), [signer.key], sha256, verifyEd25519)).toMatchObject({ ok: true })
})

test('what is of another time, another scope or nowhere is refused with a code, and that is an entry too', async () => {
  const { token } = await grant({ name: 'bea', scope, ...inside, until })
  sink.bodies.length = 0
  for (const [what, path, status, code] of [
    ['another time', `/v1/record/${ids.early}`, 403, 'forbidden'],
    ['another time', `/v1/record/${ids.early}/proof`, 403, 'forbidden'],
    ['another scope', `/v1/record/${ids.other}`, 403, 'forbidden'],
    ['of the log’s own keeper', `/v1/record/${decisionId({ epoch: mesh.auditor.epoch, seq: 0 })}`, 403, 'forbidden'],
    ['nowhere', `/v1/record/${'0'.repeat(24)}-1`, 404, 'not_found'],
    ['no seed', '/v1/sample?check=M02', 400, 'usage'],
    ['no check', '/v1/sample?seed=0123456789abcdef&check=M99', 400, 'usage'],
    ['no such place', '/v1/audit/query', 404, 'not_found'],
  ] as const) {
    const answer = await ask(path, { token })
    expect({ status: answer.status, code: answer.json['code'] }, what).toEqual({ status, code })
    expect(answer.text, what).not.toContain('"input"')
  }
  expect(reads()).toEqual([
    'auditor bea record deny 0',
    'auditor bea proof deny 0',
    'auditor bea record deny 0',
    'auditor bea record deny 0',
    'auditor bea record allow 0',
  ])
})

test('without a grant nobody comes in: no token, a wrong one, one that is over, one that was revoked, another certificate', async () => {
  const refused = async (by: Parameters<typeof ask>[1]) => {
    const { status, json } = await ask(`/v1/record/${ids.inside}`, by)
    return `${status} ${String(json['code'])}`
  }
  const as = identityOf(auditorName)
  expect(await refused({})).toBe('401 unauthorized')
  expect(await refused({ token: `wa_${'A'.repeat(43)}` })).toBe('401 unauthorized')
  expect(await refused({ as })).toBe('401 unauthorized')
  const { token } = await grant({ name: 'cy', ...inside, until })
  expect(await refused({ token })).toBe('200 allowed')
  nowMs = Date.parse(until)
  expect(await refused({ token })).toBe('401 unauthorized')
  nowMs -= 1
  expect(await refused({ token })).toBe('200 allowed')
  await operator.request('/v1/grants/cy', { method: 'DELETE' })
  expect(await refused({ token })).toBe('401 unauthorized')

  expect((await grant({ name: 'dan', ...inside, until, id: auditorName })).token).toBeUndefined()
  expect(await refused({ as })).toBe('200 allowed')
  expect(await refused({ as, token: `wa_${'A'.repeat(43)}` })).toBe('401 unauthorized')
  expect(reads().at(-1)).toBe('auditor dan record allow 1')
})

test('a grant outlives a restart, and one that makes no sense is refused', async () => {
  const { token } = await grant({ name: 'eve', ...inside, until })
  const again = await openGrants(join(dir, 'grants.json'), () => nowMs)
  expect(again.find({ token: token! })?.name).toBe('eve')
  for (const [what, body] of [
    ['no time', { ...inside, to: inside.from, until }],
    ['over already', { ...inside, until: inside.from }],
    ['for good', { ...inside, until: '2036-01-01T00:00:00Z' }],
    ['no scope', { ...inside, until, scope: 'everything that matters' }],
  ] as const) {
    expect(await grant({ name: 'fay', ...body }), what).toMatchObject({ status: 400, code: 'usage' })
  }
  expect((await grant({ name: 'eve', ...inside, until })).code).toBe('in_use')
})

test('a grant asks so often in a minute, and an entry that cannot be kept hands out nothing', async () => {
  const { token } = await grant({ name: 'gil', ...inside, until })
  const keep = sink.keep
  sink.keep = () => Promise.reject(new Error('the spool is full'))
  expect(await ask(`/v1/record/${ids.inside}`, { token })).toMatchObject({ status: 500, json: { code: 'internal' } })
  sink.keep = keep
  const asks = async (): Promise<number> => (await ask('/v1/sample?seed=none', { token })).status
  for (let i = 2; i <= maxPerMinute; i++) expect(await asks()).toBe(400)
  expect(await asks()).toBe(503)
  nowMs += 60_000
  expect(await asks()).toBe(400)
})
