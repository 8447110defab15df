import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, vi } from 'vitest'
import type { DecisionRow } from '../../audit/query/answer.ts'
import type { AuditEvent, OpaDecisionBody } from '../../core/record.ts'
import { needs, pathOf } from '../parts/needs.ts'
import { freePort } from '../parts/ports.ts'
import { repository, type Started, start, temporaryForAll, writ } from './writ.ts'

const test = needs('opa')

/** An ordinary OPA and `writ policy serve`, whose decisions go into the log of a running `writ up`. */

const folder = temporaryForAll()
const state = join(folder, 'state')
let up: Started
let opa: ChildProcess
let key: string
let opaUrl: string
let collectorUrl: string

const meshFile = `
apiVersion: writ.dev/v1
kind: Mesh
metadata: { name: till }
spec: { trustDomain: bank.example, cluster: test }
`

const till = `
package till
import rego.v1
default allow := false
allow if input.user == "ann"
big := input.text
wrong := x if { some x in [1, 2] }
`

/** What OPA leaves out of its log before it sends it, and which decisions it does not send at all. */
const system = `
package system.log
import rego.v1
mask contains "/input/password"
drop if input.path == "till/secret"
`

const configOf = (tokenFile: string): string => `
services:
  writ:
    url: ${collectorUrl}
    credentials: { bearer: { token_path: ${tokenFile} } }
labels: { app: till }
decision_logs:
  service: writ
  reporting: { min_delay_seconds: 1, max_delay_seconds: 1 }
`

beforeAll(async () => {
  await writeFile(join(folder, 'mesh.yaml'), meshFile)
  const policies = join(repository, 'policies')
  up = start([
    'up',
    '-f',
    join(folder, 'mesh.yaml'),
    '--state',
    state,
    '--policies',
    policies,
    '--collector',
    '127.0.0.1:0',
  ])
  key = (await up.said(/^log key {4}(\S+)$/m))[1]!
  collectorUrl = (await up.said(/^collector {2}(\S+)$/m))[1]!
  const token = await writ('token', 'spiffe://bank.example/opa/till', '--logs', '--state', state)
  expect(token).toMatchObject({ code: 0, err: '' })
  await writeFile(join(folder, 'token'), token.out, { mode: 0o600 })
  await mkdir(join(folder, 'rego'))
  await writeFile(join(folder, 'rego', 'till.rego'), till)
  await writeFile(join(folder, 'rego', 'system.rego'), system)
  await writeFile(join(folder, 'opa.yaml'), configOf(join(folder, 'token')))
  await startOpa()
})
afterAll(async () => {
  opa?.kill()
  if (opa && opa.exitCode === null && opa.signalCode === null) await once(opa, 'close')
  up?.signal('SIGTERM')
  await up?.ended
})

async function startOpa(): Promise<void> {
  const port = await freePort()
  const words = ['run', '--server', '--addr', `127.0.0.1:${port}`, '-c', join(folder, 'opa.yaml'), join(folder, 'rego')]
  opa = spawn(pathOf('opa'), words, { stdio: 'ignore' })
  opaUrl = `http://127.0.0.1:${port}`
  await vi.waitFor(async () => expect((await fetch(`${opaUrl}/health`)).ok).toBe(true), { timeout: 20_000 })
}

async function askOpa(path: string, input: object): Promise<string> {
  const answer = await fetch(`${opaUrl}/v1/data/${path}`, { method: 'POST', body: JSON.stringify({ input }) })
  return ((await answer.json()) as { decision_id: string }).decision_id
}

async function rows(...words: readonly string[]): Promise<readonly DecisionRow[]> {
  const { out, err } = await writ('audit', 'query', '--state', state, '--json', ...words)
  expect(err).toBe('')
  return (JSON.parse(out) as { rows: DecisionRow[] }).rows
}

async function proven(id: string): Promise<AuditEvent<OpaDecisionBody>> {
  const out = join(folder, 'proof')
  await expect
    .poll(async () => (await writ('audit', 'prove', id, '--state', state, '--out', out)).code, {
      timeout: 20_000,
      interval: 500,
    })
    .toBe(0)
  return JSON.parse(await readFile(join(out, `${id}.json`), 'utf8')) as AuditEvent<OpaDecisionBody>
}

test('an OPA that is told where the collector is has its decisions in the log, masked and dropped as it was told', async () => {
  const principal = 'spiffe://bank.example/web'
  const attributes = { source: { principal }, request: { http: { method: 'POST', path: '/pay' } } }
  const text = 'x'.repeat(80_000)
  const ids = [
    await askOpa('till/allow', { user: 'ann', password: 'p4ss', attributes, big: 9007199254740992 }),
    await askOpa('till/allow', { user: 'bob' }),
    await askOpa('till/nothing', {}),
    await askOpa('till/big', { text }),
  ]
  await askOpa('till/secret', { user: 'ann' })
  await expect.poll(async () => (await rows('--origin', 'opa')).length, { timeout: 30_000, interval: 500 }).toBe(4)

  const found = (await rows('--origin', 'opa', '--target', 'opa/till')).toReversed()
  expect(found.map(({ path, code, told }) => [path, code, told!.decisionId])).toEqual([
    ['till/allow', 'opa_result', ids[0]],
    ['till/allow', 'opa_result', ids[1]],
    ['till/nothing', 'opa_undefined', ids[2]],
    ['till/big', 'opa_result', ids[3]],
  ])
  expect(found.slice(0, 2).map(({ told }) => told!.result)).toEqual([true, false])
  expect(found[0]).toMatchObject({ caller: principal, method: 'POST', told: { labels: { app: 'till' } } })
  expect(await rows()).toEqual([])

  const first = await proven(found[0]!.id)
  expect(first).toMatchObject({ kind: 'opa_decision', workload: 'spiffe://bank.example/opa/till' })
  expect(first.producer).toBe('spiffe://bank.example/writ/control')
  expect(first.event).toMatchObject({ decision_id: ids[0], erased: ['/input/password'], input: { user: 'ann' } })
  expect(JSON.stringify(first)).not.toContain('p4ss')
  const long = await proven(found[3]!.id)
  expect(long.kept_as).toEqual({ input: 'digest', result: 'digest' })
  expect(long.event!['result']).toMatchObject({ bytes: text.length + 2 })
}, 120_000)

test('writ policy serve does not begin with a token that the collector does not take', async () => {
  const guessed = join(folder, 'guessed')
  await writeFile(guessed, 'wc_guessed-and-long-enough\n')
  const words = ['--listen', '127.0.0.1:0', '--collector', collectorUrl, '--collector-token-file', guessed]
  const { code, out, err } = await writ('policy', 'serve', ...words)
  expect([code, out, err]).toEqual([2, '', expect.stringMatching(/^error unauthorized: the collector answered 401/)])
})

test('writ policy serve answers what the log keeps, and nothing else', async () => {
  const words = [
    '--listen',
    '127.0.0.1:0',
    '--collector',
    collectorUrl,
    '--collector-token-file',
    join(folder, 'token'),
  ]
  const serve = start(['policy', 'serve', ...words])
  const url = (await serve.said(/serving {4}(\S+)/))[1]!
  const ask = () => fetch(`${url}/writ/authz/result`, { method: 'POST', body: '{"input":{}}' })
  const answer = await ask()
  const { decision_id: id } = (await answer.json()) as { decision_id: string }
  const mine = () => rows('--origin', 'opa', '--request-id', id)
  await expect.poll(async () => (await mine()).length, { timeout: 20_000, interval: 500 }).toBe(1)
  const [row] = await mine()
  expect(row).toMatchObject({ path: 'writ/authz/result', bundle: 'bank', told: { result: { allowed: false } } })
  expect((await proven(row!.id)).event).toMatchObject({ decision_id: id, input: {} })

  opa.kill()
  await once(opa, 'close')
  up.signal('SIGTERM')
  expect(await up.ended).toMatchObject({ code: 0 })
  const refused = await ask()
  expect([refused.status, await refused.json()]).toMatchObject([503, { code: 'unavailable' }])
  serve.signal('SIGTERM')
  const { code, err } = await serve.ended
  expect([code, err]).toEqual([
    0,
    expect.stringMatching(/^warn: the collector did not keep the decision: .*ECONNREFUSED/),
  ])
}, 120_000)

test('the log that holds them is whole, and they can be handed out with their proofs', async () => {
  const evidence = join(folder, 'evidence')
  const bundle = await writ('audit', 'bundle', '--origin', 'opa', '--out', evidence, '--state', state)
  expect([bundle.code, bundle.out]).toEqual([0, expect.stringMatching(/^5 records with their proofs/)])
  expect((await writ('audit', 'bundle', '--out', join(folder, 'none'), '--state', state)).err).toContain(
    'no decision fits',
  )

  const verify = await writ('audit', 'verify', '--log', join(state, 'log'), '--key', key, '--json')
  const { findings, kinds } = JSON.parse(verify.out) as { findings: { level: string }[]; kinds: Record<string, number> }
  expect([verify.code, findings.filter(({ level }) => level === 'broken'), kinds['opa_decision']]).toEqual([0, [], 5])
  expect(await writ('audit', 'verify', '--state', state, '--database')).toMatchObject({ code: 0 })
}, 120_000)

test('a collector takes a token, and a token a collector', async () => {
  const none = await writ('policy', 'serve', '--listen', '127.0.0.1:0', '--collector', 'https://collector.example')
  expect([none.code, none.err]).toEqual([2, expect.stringContaining('--collector takes a token')])
  const token = join(folder, 'token')
  const alone = await writ('policy', 'serve', '--listen', '127.0.0.1:0', '--collector-token-file', token)
  expect([alone.code, alone.err]).toEqual([2, expect.stringContaining('no --collector')])
})
