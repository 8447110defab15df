import { createHash } from 'node:crypto'
import { appendFile, chmod, copyFile, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, vi } from 'vitest'
import { type Authority, openAuthority } from '../../ca/node/authority.ts'
import { pemOf } from '../../ca/pem.ts'
import { type Signing, setOf, signing } from '../ca/token/issuer.ts'
import { ask, buildWorkload, removeWorkload } from '../ca/workload/kit.ts'
import { domain, id, newSvid, random } from '../ca/world.ts'
import { type Started, start, temporaryForAll, writ } from '../cli/writ.ts'
import { startChild } from '../parts/child.ts'
import { needs, pathOf } from '../parts/needs.ts'
import { freePort } from '../parts/ports.ts'

/** `writ agent` beside `writ up`, and a workload of others that knows the Workload API alone. */

const test = needs('go')
const folder = temporaryForAll()
const state = join(folder, 'state')
const socket = join(folder, 'workload.sock')
const url = `unix://${socket}`
const uid = process.getuid!()
let adminPort: number
let up: Started
let agent: Started
let program: string
let control: readonly string[]
let cluster: Signing
let factory: Authority

const mesh = (digest: string): string => `
apiVersion: writ.dev/v1
kind: Mesh
metadata: {name: mesh}
spec: {trustDomain: bank.example}
---
apiVersion: writ.dev/v1
kind: RegistrationEntry
metadata: {name: orders}
spec:
  parent: /writ/agent/host-1
  selectors: ["unix:uid:${uid}", "unix:sha256:${digest}"]
---
apiVersion: writ.dev/v1
kind: RegistrationEntry
metadata: {name: somebody-else}
spec:
  parent: /writ/agent/host-1
  selectors: ["unix:uid:${uid + 1}"]
---
apiVersion: writ.dev/v1
kind: RegistrationEntry
metadata: {name: elsewhere}
spec:
  parent: /writ/agent/host-2
  selectors: ["unix:uid:${uid}"]
---
apiVersion: writ.dev/v1
kind: PlatformIssuer
metadata: {name: cluster}
spec: {type: kubernetes, issuer: "https://cluster.example", audiences: [writ], jwksFile: keys.json}
---
apiVersion: writ.dev/v1
kind: PlatformIssuer
metadata: {name: factory}
spec: {type: x509, rootsFile: roots.pem}
---
apiVersion: writ.dev/v1
kind: RegistrationEntry
metadata: {name: node}
spec: {identity: /writ/agent/host-2, selectors: ["cluster:kubernetes.io/serviceaccount/name:writ-agent"]}
---
apiVersion: writ.dev/v1
kind: RegistrationEntry
metadata: {name: box}
spec: {identity: /writ/agent/host-3, selectors: ["factory:dns:box.factory.example"]}
`

beforeAll(async () => {
  program = await buildWorkload(pathOf('go'))
  const digest = createHash('sha256')
    .update(await readFile(program))
    .digest('hex')
  await writeFile(join(folder, 'mesh.yaml'), mesh(digest))
  cluster = await signing('ES256', 'k')
  await writeFile(join(folder, 'keys.json'), setOf(cluster.jwk))
  const dir = join(folder, 'factory')
  factory = await openAuthority({ dir, trustDomain: domain('factory.example'), nowMs: Date.now, random })
  const pem = (ders: readonly Uint8Array[]): string => ders.map((der) => pemOf(der, 'CERTIFICATE')).join('')
  await writeFile(join(folder, 'roots.pem'), pem(factory.bundle().roots))
  const box = newSvid(factory, id('spiffe://factory.example/box'), { dns: ['box.factory.example'] })
  await writeFile(join(folder, 'box.pem'), pem(box.chain) + box.keyPem, { mode: 0o600 })
  const port = await freePort()
  up = start(['up', '-f', join(folder, 'mesh.yaml'), '--state', state, '--listen', `127.0.0.1:${port}`])
  await up.said(/^page /m)
  const { out } = await writ('token', 'spiffe://bank.example/writ/agent/host-1', '--state', state)
  await writeFile(join(folder, 'token'), out, { mode: 0o600 })
  control = ['--control', `https://127.0.0.1:${port}`, '--trust-domain', 'bank.example']
  const admin = ['--admin', `127.0.0.1:${(adminPort = await freePort())}`]
  const own = ['--token-file', join(folder, 'token'), '--state', join(folder, 'agent'), '--socket', socket, ...admin]
  agent = start(['agent', ...control, ...own])
  await agent.said(/^ready {6}spiffe:\/\/bank\.example\/writ\/agent\/host-1$/m)
})

afterAll(async () => {
  agent?.signal('SIGTERM')
  up?.signal('SIGTERM')
  await Promise.all([agent?.ended, up?.ended])
  await removeWorkload(program)
})

/** Which agent another host's is, by this proof. */
async function joined(...proof: readonly string[]): Promise<string> {
  const dir = join(folder, 'other-agent', String(Math.random()))
  const own = ['--state', join(dir, 'state'), '--socket', join(dir, 'workload.sock')]
  const other = start(['agent', ...control, ...own, ...proof])
  try {
    return (await other.said(/^ready {6}(\S+)$/m))[1]!
  } finally {
    other.signal('SIGTERM')
    await other.ended
  }
}

test('an agent joins by a service account token in a file, or by a certificate that its host had before', async () => {
  const { out } = await writ('token', 'spiffe://bank.example/x', '--state', state)
  await writeFile(join(folder, 'x-token'), out, { mode: 0o600 })
  const files = await writ('svid', ...control, '--token-file', join(folder, 'x-token'), '--out', join(folder, 'x'))
  expect(files).toMatchObject({ code: 0, err: '' })
  const trust = ['--trust-bundle', join(folder, 'x', 'trust.json')]
  const nowS = Math.floor(Date.now() / 1000)
  const claims = { iss: 'https://cluster.example', aud: ['writ'], sub: 'x', iat: nowS, exp: nowS + 600 }
  const account = { 'kubernetes.io': { serviceaccount: { name: 'writ-agent' } } }
  await writeFile(join(folder, 'sa-token'), await cluster.sign({ ...claims, ...account }))
  expect(await joined('--platform-token', join(folder, 'sa-token'), ...trust)).toBe(
    'spiffe://bank.example/writ/agent/host-2',
  )
  expect(await joined('--certificate', join(folder, 'box.pem'), ...trust)).toBe(
    'spiffe://bank.example/writ/agent/host-3',
  )
  const none = await writ(
    'agent',
    ...control,
    '--platform-token',
    join(folder, 'sa-token'),
    '--state',
    join(folder, 'y'),
  )
  expect([none.code, none.err]).toEqual([2, expect.stringContaining('--trust-bundle is missing')])
})

const entry = (...words: readonly string[]) => writ('entry', ...words, '--state', state)

test('a workload gets the identities whose selectors its process proves, and every change of them', async () => {
  await vi.waitFor(async () => expect(await ask(program, 'watch', url, '1')).toHaveLength(1), 20_000)
  const watching = startChild(program, ['watch', url, '3'])
  await watching.printed(/svid spiffe:\/\/bank\.example\/orders [0-9a-f]{32} {2}1 of 2\n/, 20_000)
  const put = ['put', 'api', '--parent', '/writ/agent/host-1', '--selector', `unix:uid:${uid}`, '--hint', 'second']
  expect(await entry(...put)).toMatchObject({ code: 0, err: '' })
  await watching.printed(/svid spiffe:\/\/bank\.example\/api [0-9a-f]{32} second 1 of 2\n/, 20_000)
  expect(await entry(...put, '--dns', 'api.bank.example')).toMatchObject({ code: 0 })
  expect(await watching.ended).toBe(0)
  const seen = watching
    .logs()
    .match(/svid \S+/g)!
    .map((line) => line.split('/').at(-1))
  expect(seen).toEqual(['orders', 'orders', 'api', 'orders', 'api'])
  expect(new Set(watching.logs().match(/api [0-9a-f]{32}/g)).size).toBe(2)
  expect(await entry('remove', 'api')).toMatchObject({ code: 0 })
  await vi.waitFor(async () => expect(await ask(program, 'watch', url, '1')).toHaveLength(1), 20_000)
})

test('an agent shows how long each certificate on its host holds, and what failed', async () => {
  const text = await (await fetch(`http://127.0.0.1:${adminPort}/metrics`)).text()
  for (const id of ['writ/agent/host-1', 'orders']) {
    expect(text).toMatch(
      new RegExp(`^writ_identity_remaining_seconds\\{id="spiffe://bank.example/${id}"\\} [1-9]`, 'm'),
    )
  }
  expect(text).toMatch(/^writ_identity_renewals_failed_total\{id="spiffe:\/\/bank.example\/orders"\} \d+$/m)
})

test('it gets JWT-SVIDs in its name, which it and its peers validate', async () => {
  const lines = await ask(program, 'jwt', url, 'https://one.example')
  expect(lines.slice(0, 2)).toEqual([
    'local spiffe://bank.example/orders https://one.example',
    'remote spiffe://bank.example/orders spiffe://bank.example/orders',
  ])
})

test('a program that is another one, by its digest, gets nothing', async () => {
  const other = join(folder, 'other')
  await copyFile(program, other)
  await chmod(other, 0o700)
  await appendFile(other, '\n')
  const watching = startChild(other, ['watch', url, '1'])
  await watching.printed(/watch error PermissionDenied/, 20_000)
  await watching.kill()
})

test('entries are listed with where they are from; those of the mesh file and ids of the mesh itself are not made here', async () => {
  const { out } = await entry('list', '--json')
  const { entries } = JSON.parse(out) as { entries: { name: string; id: string; source: string }[] }
  expect(entries.map(({ name, id, source }) => `${name} ${id} ${source}`)).toEqual([
    'box spiffe://bank.example/writ/agent/host-3 mesh',
    'elsewhere spiffe://bank.example/elsewhere mesh',
    'node spiffe://bank.example/writ/agent/host-2 mesh',
    'orders spiffe://bank.example/orders mesh',
    'somebody-else spiffe://bank.example/somebody-else mesh',
  ])
  expect((await entry('list')).out).toMatch(/^orders +spiffe:\/\/bank\.example\/orders/m)
  const taken = await entry('put', 'orders', '--selector', 'unix:uid:0')
  expect([taken.code, taken.err]).toEqual([3, expect.stringContaining('orders is of the mesh file')])
  const control = await entry('put', 'x', '--identity', '/writ/control', '--selector', 'unix:uid:0')
  expect([control.code, control.err]).toEqual([2, expect.stringContaining('is of the mesh itself')])
  const unknown = await entry('remove', 'nothing')
  expect([unknown.code, unknown.err]).toEqual([2, expect.stringContaining('there is no entry nothing')])
})

test('each issuance is in the log, with the agent, the entry and its revision', async () => {
  await vi.waitFor(async () => {
    const { out } = await writ('audit', 'who', 'spiffe://bank.example/orders', '--state', state, '--json')
    expect(out).toMatch(/svid:[0-9a-f]{32} entry:orders@[0-9a-f]{16}/)
  }, 30_000)
})

test('what a lost issuer signed for a workload is renewed at once, and the stream goes on', async () => {
  const watching = startChild(program, ['watch', url, '2'])
  await watching.printed(/svid spiffe:\/\/bank\.example\/orders /, 20_000)
  const lost = await writ('ca', 'rotate', '--issuer', '--distrust', '--reason', 'a test', '--state', state)
  expect(lost).toMatchObject({ code: 0, err: '' })
  expect(await watching.ended).toBe(0)
  expect(new Set(watching.logs().match(/orders [0-9a-f]{32}/g)).size).toBe(2)
})
