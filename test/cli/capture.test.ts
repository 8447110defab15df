import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, vi } from 'vitest'
import { buildPolicy } from '../../engine/node/build.ts'
import { run, startChild } from '../parts/child.ts'
import { commandFile } from '../parts/command.ts'
import { needs, pathOf } from '../parts/needs.ts'
import { startHosts } from '../parts/netns.ts'
import { startAsked } from '../soak/child.ts'
import type { Counts, Hub, HubAsk } from '../soak/hub.ts'

const test = needs('netns', 'curl', 'opa')
const soak = join(import.meta.dirname, '../soak')

test('a program that knows nothing of the mesh reaches its sidecar by name, and by an address that it knew', {
  timeout: 300_000,
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
  const counted = (counts: Partial<Counts>): Promise<void> =>
    vi.waitFor(async () => expect(await hub.ask({ do: 'counts' })).toMatchObject(counts), 30_000)
  const app = startChild(there.enter[0]!, [...there.enter.slice(1), process.execPath, join(soak, 'app.ts'), '8080'])
  const ledger = startChild(there.enter[0]!, [...there.enter.slice(1), process.execPath, '-e', echo])
  ending.push(
    () => app.kill(),
    () => ledger.kill(),
  )
  await Promise.all([app.printed(/ready/, 60_000), ledger.printed(/ready/, 60_000)])
  const where = { orders: there, ledger: there, web: here }
  const wordsOf = (name: string) => [url, 'capture.example', tokens[name]!, join(folder, name), socket]
  const sidecars = Object.entries(where).map(async ([name, { enter }]) => {
    const sidecar = await startAsked(join(soak, 'sidecar.ts'), wordsOf(name), enter)
    ending.push(() => sidecar.kill())
    return [name, sidecar] as const
  })
  const { web } = Object.fromEntries(await Promise.all(sidecars))

  // The caller's host, where nothing is changed but by the command.
  const enter = (...words: readonly string[]): Promise<string> =>
    run(here.enter[0]!, [...here.enter.slice(1), ...words])
  const curl = (target: string): Promise<string> => enter('curl', '-sS', '--max-time', '20', target)
  const writ = (...words: readonly string[]): Promise<string> =>
    enter(process.execPath, commandFile, 'capture', '--workload', 'web', ...words)
  // Nobody answers there at first, and who asks is told so soon.
  await writeFile(
    `/etc/netns/${here.enter[3]}/resolv.conf`,
    `nameserver ${there.address}\noptions timeout:1 attempts:1\n`,
  )
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
  await counted({ allowed: 4, denied: 1, broken: [] })

  await writ('--undo')
  expect(await enter('cat', '/etc/hosts')).toBe(before)
  expect(await enter('nft', 'list', 'tables')).not.toContain('writ')
  await expect(curl('http://orders/open')).rejects.toThrow(/resolve/)

  // Once more: the sidecar has no privileges, its one socket sees what was called, and names come by DNS.
  await web!.ask({ do: 'close' })
  web!.kill()
  const user = 12_345
  await run('chown', ['-R', String(user), join(folder, 'web')])
  await Promise.all([chmod(folder, 0o755), chmod(socket, 0o777)])
  const other = startChild(there.enter[0]!, [...there.enter.slice(1), process.execPath, '-e', resolver(there.address)])
  ending.push(() => other.kill())
  await other.printed(/ready/, 60_000)
  const launch = ['launch', '--socket', 'web/outbound=127.0.0.1:15001', '--transparent', '--uid', String(user), '--']
  const command = [
    process.execPath,
    commandFile,
    ...launch,
    process.execPath,
    join(soak, 'sidecar.ts'),
    ...wordsOf('web'),
  ]
  const launched = startChild(here.enter[0]!, [...here.enter.slice(1), ...command, '15053'])
  ending.push(() => launched.kill())
  await writ('-f', meshFile, '--apply', '--transparent', '--dns', '15053', '--except-uid', String(user))
  expect(await enter('cat', '/etc/hosts')).toBe(before)
  await vi.waitFor(async () => expect(await curl('http://orders/open')).toBe('GET 0\n'), 60_000)
  expect(await readFile(`/proc/${launched.pid}/status`, 'utf8')).toMatch(
    new RegExp(`^Uid:\\t${user}\\t${user}\\t.*^CapEff:\\t0{16}$`, 'ms'),
  )
  expect(await curl('http://orders.shop:8080/closed')).toContain('"code":"policy_denied"')
  expect(await enter(process.execPath, '-e', asking)).toBe('hello ledger')
  expect(await enter(process.execPath, '-e', looking)).toBe('192.0.2.9')
  await counted({ allowed: 6, denied: 2, broken: [] })
})

/** Says back what it hears. */
const echo = `require('net').createServer((socket) => socket.pipe(socket)).listen(5432, '127.0.0.1', () => console.log('ready'))`
const asking = `const socket = require('net').connect(5432, 'ledger', () => socket.write('hello ledger'))
socket.once('data', (bytes) => { process.stdout.write(bytes); socket.end() })`

const looking = `require('dns').lookup('outside.example', (wrong, address) => process.stdout.write(wrong ? wrong.code : address))`

/** Knows one address, whatever it is asked. */
const resolver = (address: string): string => `const socket = require('dgram').createSocket('udp4')
socket.on('message', (query, from) => {
  const type = query[query.indexOf(0, 12) + 2]
  const answer = Buffer.concat([query.subarray(0, query.indexOf(0, 12) + 5), Buffer.from(type === 1 ? [192, 12, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4, 192, 0, 2, 9] : [])])
  answer.set([0x81, 0x80, 0, 1, 0, type === 1 ? 1 : 0, 0, 0, 0, 0], 2)
  socket.send(answer, from.port, from.address)
})
socket.bind(53, '${address}', () => console.log('ready'))`

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
