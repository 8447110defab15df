import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished } from 'vitest'
import { buildPolicy } from '../../engine/node/build.ts'
import { run, startChild } from '../parts/child.ts'
import { needs, pathOf } from '../parts/needs.ts'
import { startHosts } from '../parts/netns.ts'
import { startAsked } from '../soak/child.ts'
import type { Counts, Hub, HubAsk } from '../soak/hub.ts'

const test = needs('netns', 'curl', 'opa')
const soak = join(import.meta.dirname, '../soak')
const main = join(import.meta.dirname, '../../cli/main.ts')

test('a program that knows nothing of the mesh reaches its sidecar by name, and by an address that it knew', {
  timeout: 180_000,
}, async () => {
  const folder = await mkdtemp(join(tmpdir(), 'writ-capture-'))
  const { hosts, remove } = await startHosts(pathOf('netns'))
  const ending: (() => unknown)[] = [() => rm(folder, { recursive: true, force: true }), remove]
  onTestFinished(async () => {
    for (const end of ending.reverse()) await end()
  })
  const [here, there] = hosts
  const meshFile = join(folder, 'mesh.yaml')
  await writeFile(meshFile, meshText(there.address))
  await mkdir(join(folder, 'policies/soak'), { recursive: true })
  await writeFile(join(folder, 'policies/soak/bundle.tar.gz'), await buildPolicy(join(soak, 'policy/soak')))
  const socket = join(folder, 'records.sock')

  // The other host: everything but the caller.
  const hub = await startAsked<HubAsk>(
    join(soak, 'hub.ts'),
    [meshFile, join(folder, 'state'), join(folder, 'policies'), socket, there.address],
    there.enter,
  )
  ending.push(() => hub.kill())
  const { url, tokens } = hub.ready as Hub
  const app = startChild(there.enter[0]!, [...there.enter.slice(1), process.execPath, join(soak, 'app.ts'), '8080'])
  const ledger = startChild(there.enter[0]!, [...there.enter.slice(1), process.execPath, '-e', echo])
  ending.push(
    () => app.kill(),
    () => ledger.kill(),
  )
  await Promise.all([app.printed(/ready/, 60_000), ledger.printed(/ready/, 60_000)])
  const where = { orders: there, ledger: there, web: here }
  const sidecars = Object.entries(where).map(async ([name, { enter }]) => {
    const words = [url, 'capture.example', tokens[name]!, join(folder, name), socket]
    const sidecar = await startAsked(join(soak, 'sidecar.ts'), words, enter)
    ending.push(() => sidecar.kill())
  })
  await Promise.all(sidecars)

  // The caller's host, where nothing is changed but by the command.
  const enter = (...words: readonly string[]): Promise<string> =>
    run(here.enter[0]!, [...here.enter.slice(1), ...words])
  const curl = (target: string): Promise<string> => enter('curl', '-sS', '--max-time', '20', target)
  const writ = (...words: readonly string[]): Promise<string> =>
    enter(process.execPath, main, 'capture', '--workload', 'web', ...words)
  const before = await enter('cat', '/etc/hosts')
  await expect(curl('http://orders/open')).rejects.toThrow(/resolve/)

  expect(await writ('-f', meshFile)).toMatch(/^127\.\d+\.\d+\.\d+ orders orders\.shop$/m)
  await expect(curl('http://orders/open')).rejects.toThrow(/resolve/) // It was printed only.
  const known = ['--address', 'orders=192.0.2.7', '--except-uid', '12345']
  for (let i = 0; i < 2; i++) await writ('-f', meshFile, '--apply', ...known) // Twice is as once.
  expect(await curl('http://orders/open')).toBe('GET 0\n')
  expect(await curl('http://orders.shop:8080/open')).toBe('GET 0\n')
  expect(await curl('http://orders/closed')).toContain('"code":"policy_denied"')
  expect(await enter('curl', '-sS', '--max-time', '20', '-H', 'host: orders', 'http://192.0.2.7/open')).toBe('GET 0\n')
  expect(await enter(process.execPath, '-e', asking)).toBe('hello ledger')
  expect(await hub.ask({ do: 'counts' })).toMatchObject({ allowed: 4, denied: 1, broken: [] } satisfies Partial<Counts>)

  await writ('--undo')
  expect(await enter('cat', '/etc/hosts')).toBe(before)
  expect(await enter('nft', 'list', 'tables')).not.toContain('writ')
  await expect(curl('http://orders/open')).rejects.toThrow(/resolve/)
})

/** Says back what it hears. */
const echo = `require('net').createServer((socket) => socket.pipe(socket)).listen(5432, '127.0.0.1', () => console.log('ready'))`
const asking = `const socket = require('net').connect(5432, 'ledger', () => socket.write('hello ledger'))
socket.once('data', (bytes) => { process.stdout.write(bytes); socket.end() })`

const meshText = (address: string): string => `
apiVersion: writ.dev/v1
kind: Mesh
metadata: { name: capture }
spec: { trustDomain: capture.example, cluster: test }
---
apiVersion: writ.dev/v1
kind: Workload
metadata: { name: web }
spec: { outbound: { port: 15001, tcp: [{ service: ledger, port: 15002 }] } }
---
apiVersion: writ.dev/v1
kind: Workload
metadata: { name: orders }
spec: { service: orders, inbound: { address: ${address}, port: 8443, app: { port: 8080 } } }
---
apiVersion: writ.dev/v1
kind: Workload
metadata: { name: ledger }
spec: { service: ledger, inbound: { address: ${address}, port: 8444, app: { port: 5432, appProtocol: tcp } } }
---
apiVersion: writ.dev/v1
kind: Service
metadata: { name: orders }
spec: { hosts: [orders, orders.shop] }
---
apiVersion: writ.dev/v1
kind: Service
metadata: { name: ledger }
spec: { hosts: [ledger] }
---
apiVersion: writ.dev/v1
kind: PolicyBinding
metadata: { name: soak }
spec:
  targetRefs: [{ kind: Workload, name: orders }, { kind: Workload, name: ledger }]
  bundle: soak
  entrypoint: soak/result
`
