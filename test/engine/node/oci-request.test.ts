import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import type { RequestListener } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, expect } from 'vitest'
import { type OciPlace, requestOci } from '../../../engine/node/oci-request.ts'
import { openBundleSource, type SourceEvent } from '../../../engine/node/poll.ts'
import { needs, pathOf } from '../../parts/needs.ts'
import { digestOf, type RunningRegistry, registryUser, startRegistry } from '../../parts/registry.ts'
import { opaBuild } from '../signed.ts'
import { type BundleServer, openBundleServer } from './bundle-server.ts'

const test = needs('opa', 'registry')
const bytes = new TextEncoder().encode('a bundle, for all that a registry knows')
const repository = 'org/bank'
let registry: RunningRegistry
let server: BundleServer
let dir: string
let tokenFile: string

beforeAll(async () => {
  registry = await startRegistry()
})
afterAll(() => registry.remove())
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'writ-oci-'))
  tokenFile = join(dir, 'token')
  await writeFile(tokenFile, `${registryUser}\n`)
  server = await openBundleServer()
})
afterEach(async () => {
  await server.close()
  await rm(dir, { recursive: true, force: true })
})

const ask = (place: Partial<OciPlace>, known?: string) =>
  requestOci(
    { url: registry.url, repository, reference: '1', maxBytes: 1024, tokenFile, ...place },
    known,
    new AbortController().signal,
  )

/** A registry that answers as it is told to; what it does not know is 404. */
function standIn(answers: { readonly [path: string]: RequestListener }): void {
  server.answer((request, response) => {
    const path = request.url!.split('?')[0]!
    if (Object.hasOwn(answers, path)) answers[path]!(request, response)
    else response.writeHead(404).end()
  })
}

const manifestOf = (digest: string, size: number): string =>
  JSON.stringify({ layers: [{ mediaType: 'application/vnd.oci.image.layer.v1.tar+gzip', digest, size }] })

test('a tag gives its bundle once, and again when it names another', async () => {
  const first = await registry.push(repository, '1', bytes)
  const given = await ask({})
  expect(given).toEqual({ kind: 'bundle', bytes, etag: first, longPoll: false })
  expect(await ask({}, first)).toEqual({ kind: 'unchanged' })
  const other = new Uint8Array([...bytes, 1])
  await registry.push(repository, '1', other)
  expect(await ask({}, first)).toMatchObject({ kind: 'bundle', bytes: other })
  expect(await ask({ reference: first })).toMatchObject({ kind: 'bundle', bytes })
})

test('who is nobody, or gives a wrong password, gets nothing, and is told so', async () => {
  await registry.push(repository, '1', bytes)
  const { tokenFile: _, ...nobody } = { url: registry.url, repository, reference: '1', maxBytes: 1024, tokenFile }
  await expect(requestOci(nobody, undefined, AbortSignal.timeout(5000))).rejects.toMatchObject({ code: 'unauthorized' })
  await writeFile(tokenFile, 'writ:wrong')
  await expect(ask({})).rejects.toMatchObject({ code: 'unauthorized' })
  await writeFile(tokenFile, registryUser)
  await expect(ask({ reference: '2' })).rejects.toThrow('it has no manifests/2 of org/bank')
})

test('a bundle that is longer than allowed is not fetched', async () => {
  await registry.push(repository, '1', bytes)
  await expect(ask({ maxBytes: bytes.length - 1 })).rejects.toMatchObject({ code: 'policy_invalid' })
  expect(await ask({ maxBytes: bytes.length })).toMatchObject({ kind: 'bundle' })
})

test('a registry that asks for a token gets the one that its own authority gives', async () => {
  const manifest = manifestOf(digestOf(bytes), bytes.length)
  const asked: string[] = []
  const guarded =
    (body: string | Uint8Array): RequestListener =>
    (request, response) => {
      if (request.headers.authorization === 'Bearer t0ken') return void response.end(body)
      const challenge = `Bearer realm="${server.url}/token",service="here",scope="repository:${repository}:pull"`
      response.writeHead(401, { 'www-authenticate': challenge }).end()
    }
  standIn({
    '/v2/org/bank/manifests/1': guarded(manifest),
    [`/v2/org/bank/blobs/${digestOf(bytes)}`]: guarded(bytes),
    '/token': (request, response) => {
      asked.push(`${request.url} ${request.headers.authorization}`)
      response.end('{"token":"t0ken"}')
    },
  })
  expect(await ask({ url: server.url })).toMatchObject({ kind: 'bundle', bytes, etag: digestOf(manifest) })
  const basic = `Basic ${Buffer.from(registryUser).toString('base64')}`
  expect(asked).toEqual([`/token?service=here&scope=repository%3Aorg%2Fbank%3Apull ${basic}`])
})

test('a place for tokens that is elsewhere in plain HTTP is not told the password', async () => {
  standIn({
    '/v2/org/bank/manifests/1': (_, response) =>
      response.writeHead(401, { 'www-authenticate': 'Bearer realm="http://auth.example/token"' }).end(),
  })
  await expect(ask({ url: server.url })).rejects.toThrow('plain HTTP')
})

test('a layer may lie elsewhere: whoever keeps it sees no credential, and other bytes are refused', async () => {
  const elsewhere = await openBundleServer()
  try {
    const layer = `/v2/org/bank/blobs/${digestOf(bytes)}`
    standIn({
      '/v2/org/bank/manifests/1': (_, response) => response.end(manifestOf(digestOf(bytes), bytes.length)),
      [layer]: (_, response) => response.writeHead(307, { location: `${elsewhere.url}/kept` }).end(),
    })
    elsewhere.answer((_, response) => response.end(bytes))
    await writeFile(tokenFile, 'bearer-token')
    expect(await ask({ url: server.url })).toMatchObject({ kind: 'bundle', bytes })
    expect(elsewhere.asked.map(({ headers }) => headers.authorization)).toEqual([undefined])
    elsewhere.answer((_, response) => response.end(bytes.map((byte) => byte ^ 1)))
    await expect(ask({ url: server.url })).rejects.toThrow('is not the one of')
    elsewhere.answer((_, response) => response.writeHead(307, { location: 'http://bucket.example/kept' }).end())
    await expect(ask({ url: server.url })).rejects.toThrow('redirects to bucket.example, which is plain HTTP')
    elsewhere.answer((_, response) => response.writeHead(307, { location: '/kept' }).end())
    await expect(ask({ url: server.url })).rejects.toMatchObject({ code: 'unavailable' }) // Not for ever.
  } finally {
    await elsewhere.close()
  }
})

test('a manifest that is not the one of the digest that was asked for is refused', async () => {
  const reference = digestOf('another')
  standIn({
    [`/v2/org/bank/manifests/${reference}`]: (_, response) => response.end(manifestOf(digestOf(bytes), bytes.length)),
  })
  await expect(ask({ url: server.url, reference })).rejects.toThrow('the manifest that the registry gave is not')
})

test('a policy is polled from a registry, and a layer that is no bundle leaves the one in force there', async () => {
  await registry.push('org/app', '1', await opaBuild(pathOf('opa'), { flags: ['-r', 'r1'] }))
  const events: SourceEvent[] = []
  const waits: (() => void)[] = []
  const source = await openBundleSource({
    name: 'app',
    type: 'oci',
    url: registry.url,
    resource: 'org/app:1',
    tokenFile,
    dir: join(dir, 'app'),
    now: () => 0n,
    random: () => 0,
    pause: (_, signal) =>
      new Promise((resolve) => {
        waits.push(resolve)
        signal.addEventListener('abort', () => resolve())
      }),
    onEvent: (event) => events.push(event),
  })
  const asked = async (times: number): Promise<void> => {
    while (waits.length < times) await new Promise((resolve) => setTimeout(resolve, 5))
  }
  try {
    await asked(1)
    expect(source.current()?.ref.revision).toBe('r1')
    await registry.push('org/app', '1', bytes)
    waits[0]!()
    await asked(2)
    expect(events.map(({ kind }) => kind)).toEqual(['in_force', 'refused'])
    expect(source.current()?.ref.revision).toBe('r1')
    await registry.push('org/app', '1', await opaBuild(pathOf('opa'), { flags: ['-r', 'r2'] }))
    waits[1]!()
    await asked(3)
    expect(source.current()?.ref.revision).toBe('r2')
  } finally {
    await source.close()
  }
})
