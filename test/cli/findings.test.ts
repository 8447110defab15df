import { createHmac } from 'node:crypto'
import { mkdir, writeFile } from 'node:fs/promises'
import { createServer, request, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, vi } from 'vitest'
import { parseCheckpoint } from '../../audit/log/checkpoint.ts'
import { readBundle } from '../../audit/log/tiles.ts'
import { sourcesIn } from '../../audit/node/logfolder.ts'
import { opaBuild } from '../engine/signed.ts'
import { needs, pathOf } from '../parts/needs.ts'
import { freePort } from '../parts/ports.ts'
import { start, temporaryForAll, writ } from './writ.ts'

/** What the log tells by itself, from a call to the webhook, and who may ask: by `writ up` and its commands. */

const test = needs('opa')
vi.setConfig({ testTimeout: 180_000 })

const folder = temporaryForAll()
const state = join(folder, 'state')
const meshFile = join(folder, 'mesh.yaml')
const policies = join(folder, 'policies')
const secret = 'a secret of the test'
let app: Server
let hook: Server
let outbound: number
const posts: { readonly signature: string; readonly id: string; readonly body: string }[] = []
let refuse = 2

const listening = (server: Server): Promise<number> =>
  new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve((server.address() as AddressInfo).port)))

const own = (kind: string, name: string, spec: string): string =>
  `---\napiVersion: writ.dev/v1\nkind: ${kind}\nmetadata: {name: ${name}}\nspec: ${spec}\n`

beforeAll(async () => {
  app = createServer((_, answer) => answer.end('served\n'))
  hook = createServer(async (asked, answer) => {
    const body = (await asked.toArray()).join('')
    if (refuse-- > 0) {
      answer.writeHead(503).end()
      return
    }
    posts.push({ body, signature: `${asked.headers['writ-signature']}`, id: `${asked.headers['writ-finding-id']}` })
    answer.end()
  })
  const [appPort, hookPort, inbound] = [await listening(app), await listening(hook), await freePort()]
  outbound = await freePort()
  const rego = {
    base: 'package app\n# METADATA\n# entrypoint: true\ndefault allow := true\n',
    readers: `package app\n# METADATA\n# entrypoint: true\ndefault allow := false\nallow if input.action in {"findings"}\n`,
  }
  for (const [name, text] of Object.entries(rego)) {
    await mkdir(join(policies, name), { recursive: true })
    await writeFile(
      join(policies, name, 'bundle.tar.gz'),
      await opaBuild(pathOf('opa'), { rego: text, flags: ['-r', '1'] }),
    )
  }
  const webhook = `webhook: {url: "http://127.0.0.1:${hookPort}/", secretEnv: WRIT_TEST_HOOK}`
  const mesh = [
    own(
      'Mesh',
      'shop',
      `{trustDomain: shop.example, audit: {findings: {learning: 1ms, ${webhook}}, access: {bundle: readers, entrypoint: app/allow}}}`,
    ),
    own('Workload', 'shop', `{inbound: {port: ${inbound}, app: {port: ${appPort}}}}`),
    own('Workload', 'web', `{outbound: {port: ${outbound}}}`),
    own('PolicyBinding', 'shop', '{targetRefs: [{kind: Workload, name: shop}], bundle: base, entrypoint: app/allow}'),
    `---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: shop}
spec:
  parentRefs: [{group: "", kind: Service, name: shop}]
  rules: [{matches: [{path: {value: /}}], backendRefs: [{name: shop}]}]
`,
  ]
  await writeFile(meshFile, mesh.join(''))
})
afterAll(() => {
  app?.close()
  hook?.close()
})

const call = (path: string): Promise<number> =>
  new Promise((resolve, reject) => {
    const where = { host: '127.0.0.1', port: outbound, agent: false as const }
    const sent = request({ ...where, path, headers: { host: 'shop' } }, (answer) => {
      answer.resume().on('end', () => resolve(answer.statusCode ?? 0))
    })
    sent.on('error', reject)
    sent.end()
  })

interface Found {
  readonly id: string
  readonly body: { readonly finding: string; readonly subject: string }
  readonly acknowledged?: { readonly by: string; readonly note: string }
}

async function findings(...words: readonly string[]): Promise<readonly Found[]> {
  const { out } = await writ('audit', 'findings', '--json', '--state', state, ...words)
  return (JSON.parse(out) as { findings: readonly Found[] }).findings
}

test('a first use is an entry, reaches the webhook signed, is acknowledged by name; readings are judged and recorded', async () => {
  const up = start(['up', '-f', meshFile, '--state', state, '--policies', policies], {
    env: { ...process.env, NO_COLOR: '1', FORCE_COLOR: undefined, WRIT_TEST_HOOK: secret },
  })
  await up.said(/^page /m)
  expect(await call('/orders/1')).toBe(200)
  const wait = { timeout: 90_000, interval: 500 }
  await vi.waitFor(async () => expect(await findings('--open')).toHaveLength(1), wait)
  const [first] = await findings()
  expect(first).toMatchObject({ body: { finding: 'first_seen', subject: 'spiffe://shop.example/web' } })

  await vi.waitFor(() => expect(posts).toHaveLength(1), wait)
  const { body, id, signature } = posts[0]!
  const { t, v1 } = /^t=(?<t>\d+),v1=(?<v1>[0-9a-f]{64})$/.exec(signature)!.groups!
  expect(v1).toBe(createHmac('sha256', secret).update(`${t}.${body}`).digest('hex'))
  expect([id, JSON.parse(body).class_uid]).toEqual([first!.id, 2004])

  const words = ['--by', 'Ada', '--note', 'the new release', '--state', state]
  expect((await writ('audit', 'acknowledge', `${'0'.repeat(24)}-1`, ...words)).err).toContain('there is no finding')
  expect(await writ('audit', 'acknowledge', first!.id, ...words)).toMatchObject({ code: 0 })
  await vi.waitFor(async () => expect(await findings('--open')).toEqual([]), wait)
  expect((await findings())[0]?.acknowledged).toMatchObject({ by: 'Ada', note: 'the new release' })

  // The policy lets readers ask for findings, and for nothing else.
  expect((await writ('audit', 'query', '--caller', 'web', '--state', state)).err).toContain('error forbidden')
  up.signal('SIGTERM')
  expect(await up.ended).toMatchObject({ code: 0 })
  const reads: { action: string; verdict: string; count: number; question: string; reader: string }[] = []
  const [source] = await sourcesIn(join(state, 'log'))
  const note = new TextDecoder().decode(await source!.read('checkpoint'))
  const { size } = parseCheckpoint(note.slice(0, note.indexOf('\n\n') + 1))!
  for (let index = 0; index * 256 < size; index++) {
    for (const leaf of await readBundle(source!.read, index, size)) {
      const event = JSON.parse(new TextDecoder().decode(leaf)) as { kind: string } & (typeof reads)[number]
      if (event.kind === 'audit_read') reads.push(event)
    }
  }
  expect(reads.find(({ action }) => action === 'query')).toMatchObject({
    ...{ verdict: 'deny', count: 0, question: '/v1/audit/query?caller=web&limit=50' },
    reader: expect.stringMatching(/^uid \d+$/),
  })
  expect(reads.some(({ action, verdict, count }) => action === 'findings' && verdict === 'allow' && count === 1)).toBe(
    true,
  )
  expect((await writ('audit', 'verify', '--state', state)).code).toBe(0)
})
