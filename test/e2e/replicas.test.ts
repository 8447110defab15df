import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, expect, inject, vi } from 'vitest'
import type { AuthorityStatus } from '../../control/node/authority-routes.ts'
import { adminRequest } from '../../control/node/client.ts'
import { buildPolicy } from '../../engine/node/build.ts'
import { ordersMesh } from '../cli/orders-mesh.ts'
import { writ } from '../cli/writ.ts'
import { run } from '../parts/child.ts'
import { commandFile } from '../parts/command.ts'
import { type RunningKafka, startKafka } from '../parts/kafka.ts'
import { needs } from '../parts/needs.ts'
import { freePort } from '../parts/ports.ts'
import { type RunningPostgres, startPostgres } from '../parts/postgres.ts'
import { Process } from './mesh.ts'
import { startTraffic } from './traffic.ts'
import { type OtherDomain, openOtherDomain } from './visitor.ts'

/**
 * Two control planes over one database. Their issuer is lost and replaced, their root rotated while one of them is killed and
 * the database restarted, certificates of a minute are renewed through whoever is there, and a visitor of a federated domain
 * calls too, whose root is rotated meanwhile. Requests a second: RATE, default 500. As a drill, which says RATE, it goes on
 * until the former roots are withdrawn, which their last certificates take a minute for.
 */

const test = needs('kafka', 'postgres', 'vegeta')
const here = Object.values(inject('parts')).every((part) => 'path' in part)
const rate = Number(process.env['RATE'] ?? 500)
const whole = process.env['RATE'] !== undefined
const env = { WRIT_CA_KEY: 'a passphrase for this test alone', WRIT_CA_DATABASE: '' }
const processes: Process[] = []
let folder: string
let kafka: RunningKafka
let postgres: RunningPostgres
let app: Server
let other: OtherDomain
let policies: string

beforeAll(async () => {
  if (!here) return
  folder = await mkdtemp(join(tmpdir(), 'writ-replicas-'))
  ;[kafka, postgres, other, policies] = await Promise.all([
    startKafka(),
    startPostgres(),
    openOtherDomain(folder),
    policiesOf(folder),
  ])
  env.WRIT_CA_DATABASE = postgres.url
  app = createServer((_, answer) => answer.end('served\n'))
  await new Promise<void>((listening) => app.listen(0, '127.0.0.1', listening))
})

afterAll(async () => {
  other?.mesh.signal('SIGKILL')
  await Promise.all(processes.map((one) => one.kill()))
  app?.close()
  await Promise.all([kafka?.remove(), postgres?.remove()])
  if (folder) await rm(folder, { recursive: true, force: true })
})

test('a control plane is killed and the database restarted in the middle of a rotation: no request fails', async () => {
  const [inbound, outbound, first, second] = await Promise.all([freePort(), freePort(), freePort(), freePort()])
  const file = join(folder, 'mesh.yaml')
  const ports = { inbound, outbound, app: (app.address() as AddressInfo).port }
  const spec = specOf(kafka.broker)
  await writeFile(file, ordersMesh({ ports, spec, policy: drill }) + other.document)
  await run(process.execPath, [commandFile, 'kafka', 'prepare', '--brokers', kafka.broker, '--replication', '1'])
  const control = async (name: string, port: number): Promise<Process> => {
    const words = ['-f', file, '--state', join(folder, name), '--policies', policies]
    return started('control', [...words, '--listen', `127.0.0.1:${port}`], /mesh door/)
  }
  const [one] = [await control('one', first), await control('two', second)]
  const url = `https://127.0.0.1:${first},https://127.0.0.1:${second}`
  expect((await status('one')).authorities).toEqual((await status('two')).authorities)

  const theirs = await order('other', 'rotate', '--reason', 'a drill') // Its root is published for half a minute.
  for (const name of ['orders', 'storefront']) {
    const token = join(folder, `${name}.token`)
    // Made at one and redeemed at whichever answers.
    const { code, out } = await writ('token', name, '--state', join(folder, 'two'))
    expect(code).toBe(0)
    await writeFile(token, out, { mode: 0o600 })
    const words = ['--trust-domain', 'bank.example', '--control', url, '--state', join(folder, name)]
    await started('proxy', [...words, '--token-file', token], /ready/)
  }
  const traffic = await startTraffic(outbound, rate)
  const fromMs = performance.now()
  const visits = await other.visit(inbound, rate / 50)
  // The other one is to refuse what it signed, once everybody has renewed.
  const lost = await order('one', 'rotate', '--issuer', '--distrust', '--reason', 'a drill')
  await sleep(2000)
  const { authorities } = await order('one', 'rotate', '--reason', 'a drill', '--by', 'ann')
  await one.kill()
  await vi.waitFor(async () => {
    const now = await status('two')
    expect(now.authorities.map(({ phase }) => phase)).toEqual(['retired', 'active'])
  }, soon)
  await postgres.restart()
  await vi.waitFor(async () => {
    const { authorities } = await status('two')
    const [former] = authorities.find(({ id }) => id === lost.authorities[0]!.id)?.former_issuers ?? []
    // What is forgotten by now was denied before.
    expect(former?.denied_at ?? (former ? 'trusted still' : 'forgotten')).not.toBe('trusted still')
  }, soon)
  await vi.waitFor(async () => {
    const now = await status('other')
    expect(now.authorities.map(({ phase }) => phase)).toEqual(['retired', 'active'])
  }, soon)
  if (whole) {
    await withdrawn('two', authorities[1]!.id)
    await withdrawn('other', theirs.authorities[1]!.id)
  }
  await sleep(2000)
  one.start()
  await one.ready()
  expect((await status('one')).authorities).toEqual((await status('two')).authorities)
  const seconds = (performance.now() - fromMs) / 1000
  const [{ asked, failed }, visited] = await Promise.all([traffic.stop(), visits.stop()])
  expect([...failed, ...visited.failed]).toEqual([])
  expect(asked).toBeGreaterThan(rate * 4)
  if (whole) {
    const load = loadavg().map((one) => one.toFixed(1))
    const each = Math.round(asked / seconds)
    const text = `${asked} requests, ${each} a second, and ${visited.asked} visits: none failed; load ${load.join(', ')}`
    process.stdout.write(`${text}\n`)
  }
}, 600_000)

/** Until the root before this one has left the bundle. */
const withdrawn = (name: string, id: string): Promise<void> =>
  vi.waitFor(async () => {
    const now = await status(name)
    expect([now.sequence, now.authorities.map((one) => one.id)]).toEqual([3, [id]])
  }, soon)

const soon = { timeout: 240_000, interval: 1000 }
const drill = { bundle: 'drill', entrypoint: 'drill/result' }

async function policiesOf(folder: string): Promise<string> {
  const policies = join(folder, 'policies')
  await mkdir(join(policies, 'drill'), { recursive: true })
  const bundle = await buildPolicy(join(import.meta.dirname, 'policies/drill'))
  await writeFile(join(policies, 'drill/bundle.tar.gz'), bundle)
  return policies
}

async function started(name: string, args: readonly string[], ready: RegExp): Promise<Process> {
  const one = new Process(name, args, ready, env)
  processes.push(one)
  one.start()
  await one.ready()
  return one
}

/** As `writ ca status` asks, without a process for each look. */
async function status(name: string): Promise<AuthorityStatus> {
  const answer: unknown = await adminRequest(join(folder, name, 'admin.sock'), 'GET', '/v1/authority')
  return answer as AuthorityStatus
}

async function order(name: string, ...args: readonly string[]): Promise<AuthorityStatus> {
  const { code, out, err } = await writ('ca', ...args, '--state', join(folder, name), '--json')
  expect({ code, err }).toEqual({ code: 0, err: '' })
  return JSON.parse(out) as AuthorityStatus
}

const specOf = (broker: string): string => `
identity:
  ttl: 1m
  roots: { publish: 10s, keep: 1s }
  store: { postgres: { urlEnv: WRIT_CA_DATABASE } }
audit:
  stream: { kafka: { brokers: ['${broker}'] } }
`
