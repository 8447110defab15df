import { readdirSync, readFileSync, statSync } from 'node:fs'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer, request, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, vi } from 'vitest'
import { statusCommand } from '../../cli/status.ts'
import { openUp, type Up } from '../../cli/wire/up.ts'
import { readPolicyFolder } from '../../engine/node/open.ts'
import { opaBuild } from '../engine/signed.ts'
import { needs, pathOf } from '../parts/needs.ts'
import { freePort } from '../parts/ports.ts'
import { printed } from './recorded.ts'

/** A new version takes half of the requests, fails, and loses them: in the proxy at once, then everywhere, and in the log. */

const test = needs('opa')
vi.setConfig({ testTimeout: 120_000 }) // A proxy reports every five seconds.

let folder: string
let up: Up
let ports: Record<'web' | 'orders' | 'next', number>
const apps: Server[] = []

const policies = (): string => join(folder, 'policies')
const state = (): string => join(folder, 'state')

async function app(status: () => number, body: string): Promise<number> {
  const server = createServer((_, answer) => answer.writeHead(status()).end(body))
  apps.push(server)
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening))
  return (server.address() as AddressInfo).port
}

let broken = true
let [old, fresh] = [0, 0]

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'writ-versions-'))
  await mkdir(join(policies(), 'base'), { recursive: true })
  const rego = 'package app\n# METADATA\n# entrypoint: true\ndefault allow := true\n'
  await writeFile(join(policies(), 'base', 'bundle.tar.gz'), await opaBuild(pathOf('opa'), { rego, flags: [] }))
  old = await app(() => 200, 'old')
  fresh = await app(() => (broken ? 500 : 200), 'new')
  ports = { web: await freePort(), orders: await freePort(), next: await freePort() }
  up = await openHere(meshOf(50))
})
afterAll(async () => {
  await up?.close()
  for (const one of apps) one.close()
  await rm(folder, { recursive: true, force: true })
})

test('a version that fails more than the other loses its weight everywhere, stays without it, and gets another chance by another weight', {
  timeout: 180_000,
}, async () => {
  const seen: string[] = []
  // A breaker may hold the failing version back for some seconds before it has failed often enough to lose its weight.
  await vi.waitFor(
    async () => {
      for (let i = 0; i < 10; i++) seen.push(await call())
      expect(weights()).toEqual([100, 0])
    },
    { timeout: 50_000, interval: 100 },
  )
  for (let i = 0; i < 15; i++) seen.push(await call())
  expect(new Set(seen)).toEqual(new Set(['200 old', '500 new']))
  expect(seen.slice(-15)).not.toContain('500 new')
  await told(
    /^weight went back \S+: orders\/0: next 2\.1\.0 failed (\d+) of \1 requests, the others 0 of \d+ \(by spiffe:\/\/shop\.example\/web\)$/m,
  )
  await vi.waitFor(() => expect(weights()).toEqual([100, 0]), { timeout: 60_000 })

  // Recorded by the proxy that saw it, and by control.
  await up.settled(10_000)
  const { verification } = await up.verify()
  expect(verification.findings.filter(({ level }) => level === 'broken')).toEqual([])
  await vi.waitFor(() => expect(entriesOf('weight_returned')).toEqual(['control', 'web']), { timeout: 60_000 })

  await up.close()
  up = await openHere(meshOf(50))
  expect(weights()).toEqual([100, 0])
  expect(await statusText()).toContain('weight went back')

  broken = false
  await apply(meshOf(20))
  expect(weights()).toEqual([100, 20])
  expect(await statusText()).not.toContain('weight went back')
  const answers = new Set<string>()
  for (let i = 0; i < 200 && answers.size < 2; i++) answers.add(await call())
  expect([...answers].sort()).toEqual(['200 new', '200 old'])
  await told(/^orders\/0 +next 2\.1\.0 +web +0 of \d+, others 0 of \d+ +- +on trial$/m)
})

/** Who wrote entries of this action, as the published log has them. */
const entriesOf = (action: string): readonly string[] => {
  const files = readdirSync(state(), { recursive: true, encoding: 'utf8' }).filter((name) =>
    /^log\/.*entries\//.test(name),
  )
  const texts = files.map((name) => join(state(), name)).filter((file) => statSync(file).isFile())
  const all = texts.map((file) => readFileSync(file, 'latin1')).join('')
  const found = all.match(new RegExp(`\\{"action":"${action}"[^{}]*\\}`, 'g')) ?? []
  return [...new Set(found.map((text) => /"producer":"[^"]*\/([a-z]+)"/.exec(text)![1]!))].sort()
}

const weights = (): readonly number[] =>
  up
    .snapshot()
    .routes.find(({ name }) => name === 'orders/0/0')!
    .backends.map(({ weight }) => weight)

const statusText = async (): Promise<string> => (await printed(statusCommand(), '--state', state())).out

/** Until a proxy's next report has come. */
const told = (pattern: RegExp): Promise<void> =>
  vi.waitFor(async () => expect(await statusText()).toMatch(pattern), { timeout: 60_000, interval: 200 })

const openHere = async (mesh: string): Promise<Up> =>
  openUp({
    mesh,
    meshFile: join(folder, 'mesh.yaml'),
    state: state(),
    policiesDir: policies(),
    onEvent: () => undefined,
  })
const apply = async (mesh: string): Promise<void> => up.apply(mesh, await readPolicyFolder(policies()))

function call(): Promise<string> {
  return new Promise((resolve, reject) => {
    const where = { host: '127.0.0.1', port: ports.web, agent: false as const }
    const sent = request({ ...where, path: '/', headers: { host: 'orders' } }, (answer) => {
      let body = ''
      answer.on('data', (bytes: Buffer) => (body += bytes.toString()))
      answer.on('end', () => resolve(`${answer.statusCode} ${body}`))
    })
    sent.on('error', reject)
    sent.end()
  })
}

const own = (kind: string, name: string, spec: string): string =>
  `---\napiVersion: writ.dev/v1\nkind: ${kind}\nmetadata: {name: ${name}}\nspec: ${spec}\n`

const meshOf = (weight: number): string =>
  [
    own('Mesh', 'shop', '{trustDomain: shop.example}'),
    own('Workload', 'web', `{outbound: {port: ${ports.web}}}`),
    own('Workload', 'orders', `{inbound: {port: ${ports.orders}, app: {port: ${old}}}}`),
    own('Workload', 'next', `{inbound: {port: ${ports.next}, app: {port: ${fresh}}}}`),
    own(
      'PolicyBinding',
      'all',
      '{targetRefs: [{kind: Workload, name: orders}, {kind: Workload, name: next}], bundle: base, entrypoint: app/allow}',
    ),
    `---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: orders}
spec:
  parentRefs: [{group: "", kind: Service, name: orders}]
  rules: [{backendRefs: [{name: orders, weight: 100}, {name: next, weight: ${weight}}]}]
`,
    own(
      'TrafficPolicy',
      'canary',
      '{targetRefs: [{group: gateway.networking.k8s.io, kind: HTTPRoute, name: orders}], canary: {backend: next, version: 2.1.0, minRequests: 5}}',
    ),
  ].join('')
