import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import type { AuthorityStatus } from '../../control/node/authority-routes.ts'
import { repository, writ } from '../cli/writ.ts'
import { run } from '../parts/child.ts'
import { type RunningKafka, startKafka } from '../parts/kafka.ts'
import { freePort } from '../parts/ports.ts'
import { type RunningPostgres, startPostgres } from '../parts/postgres.ts'
import { Process } from './mesh.ts'
import { startTraffic } from './traffic.ts'

/**
 * Two control planes over one database, a root rotated while one of them is killed and the database restarted, and
 * certificates of a minute renewed through whoever is there. Requests a second: RATE, default 50.
 */

const rate = Number(process.env['RATE'] ?? 50)
/** As a drill, until the former root is withdrawn, which its last certificate takes a minute for. */
const whole = process.env['RATE'] !== undefined
const main = join(repository, 'cli/main.ts')
const env = { WRIT_CA_KEY: 'a passphrase for this test alone', WRIT_CA_DATABASE: '' }
const processes: Process[] = []
let folder: string
let kafka: RunningKafka
let postgres: RunningPostgres
let app: Server

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'writ-replicas-'))
  ;[kafka, postgres] = await Promise.all([startKafka(), startPostgres()])
  env.WRIT_CA_DATABASE = postgres.url
  app = createServer((_, answer) => answer.end('served\n'))
  await new Promise<void>((listening) => app.listen(0, '127.0.0.1', listening))
})

afterAll(async () => {
  await Promise.all(processes.map((one) => one.kill()))
  app?.close()
  await Promise.all([kafka?.remove(), postgres?.remove()])
  await rm(folder, { recursive: true, force: true })
})

test('a control plane is killed and the database restarted in the middle of a rotation: no request fails', async () => {
  const [inbound, outbound, first, second] = await Promise.all([freePort(), freePort(), freePort(), freePort()])
  const file = join(folder, 'mesh.yaml')
  await writeFile(file, meshText({ broker: kafka.broker, inbound, outbound, app: (app.address() as AddressInfo).port }))
  await run(process.execPath, [main, 'kafka', 'prepare', '--brokers', kafka.broker, '--replication', '1'])
  const control = async (name: string, port: number): Promise<Process> => {
    const words = ['-f', file, '--state', join(folder, name), '--policies', join(repository, 'policies')]
    return started('control', [...words, '--listen', `127.0.0.1:${port}`], /mesh door/)
  }
  const [one] = [await control('one', first), await control('two', second)]
  const url = `https://127.0.0.1:${first},https://127.0.0.1:${second}`
  const status = (name: string, ...args: readonly string[]): Promise<AuthorityStatus> => authority(name, ...args)
  expect((await status('one', 'status')).authorities).toEqual((await status('two', 'status')).authorities)

  for (const name of ['orders', 'storefront']) {
    const token = join(folder, `${name}.token`)
    // Made at one and redeemed at whichever answers.
    const { code, out } = await writ('token', name, '--state', join(folder, 'two'))
    expect(code).toBe(0)
    await writeFile(token, out, { mode: 0o600 })
    const words = ['--trust-domain', 'bank.example', '--control', url, '--state', join(folder, name)]
    await started('proxy', [...words, '--token-file', token], /ready/)
  }
  const traffic = startTraffic(outbound, rate)
  await sleep(2000)
  const { authorities } = await status('one', 'rotate', '--reason', 'a drill', '--by', 'ann')
  await one.kill()
  await vi.waitFor(async () => {
    const now = await status('two', 'status')
    expect(now.authorities.map(({ phase }) => phase)).toEqual(['retired', 'active'])
  }, soon)
  await postgres.restart()
  await vi.waitFor(async () => {
    const now = await status('two', 'status')
    const after = whole ? [3, [authorities[1]!.id]] : [2, authorities.map(({ id }) => id)]
    expect([now.sequence, now.authorities.map(({ id }) => id)]).toEqual(after)
  }, soon)
  await sleep(5000)
  one.start()
  await one.ready()
  expect((await status('one', 'status')).authorities).toEqual((await status('two', 'status')).authorities)
  const { asked, failed } = await traffic.stop()
  expect(failed).toEqual([])
  expect(asked).toBeGreaterThan(rate * 10)
}, 300_000)

const soon = { timeout: 150_000, interval: 1000 }

async function started(name: string, args: readonly string[], ready: RegExp): Promise<Process> {
  const one = new Process(name, args, ready, env)
  processes.push(one)
  one.start()
  await one.ready()
  return one
}

async function authority(name: string, ...args: readonly string[]): Promise<AuthorityStatus> {
  const { code, out, err } = await writ('ca', ...args, '--state', join(folder, name), '--json')
  expect({ code, err }).toEqual({ code: 0, err: '' })
  return JSON.parse(out) as AuthorityStatus
}

interface MeshText {
  readonly broker: string
  readonly inbound: number
  readonly outbound: number
  readonly app: number
}

const meshText = (of: MeshText): string => `
apiVersion: writ.dev/v1
kind: Mesh
metadata: { name: mine }
spec:
  trustDomain: bank.example
  cluster: test
  identity:
    ttl: 1m
    roots: { publish: 10s, keep: 1s }
    store: { postgres: { urlEnv: WRIT_CA_DATABASE } }
  audit:
    stream: { kafka: { brokers: ['${of.broker}'] } }
---
apiVersion: writ.dev/v1
kind: Workload
metadata: { name: storefront }
spec:
  outbound: { port: ${of.outbound} }
---
apiVersion: writ.dev/v1
kind: Workload
metadata: { name: orders }
spec:
  service: orders
  inbound: { port: ${of.inbound}, app: { port: ${of.app} } }
---
apiVersion: writ.dev/v1
kind: Service
metadata: { name: orders }
spec: { hosts: [orders] }
---
apiVersion: writ.dev/v1
kind: PolicyBinding
metadata: { name: orders }
spec:
  targetRefs:
    - { kind: Workload, name: orders }
  bundle: bank
  entrypoint: writ/authz/result
`
