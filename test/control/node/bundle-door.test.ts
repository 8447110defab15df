import { writeFile } from 'node:fs/promises'
import { request } from 'node:https'
import { type AddressInfo, createServer } from 'node:net'
import { join } from 'node:path'
import { connect } from 'node:tls'
import { afterAll, beforeAll, expect, onTestFinished, vi } from 'vitest'
import { bundleJson } from '../../../ca/bundle.ts'
import { parseRevocationList } from '../../../ca/crl.ts'
import type { Authority } from '../../../ca/node/authority.ts'
import { type Federation, openFederation } from '../../../ca/node/federation.ts'
import { pemOf } from '../../../ca/pem.ts'
import { type BundleDoorParts, openBundleDoor } from '../../../control/node/bundle-door.ts'
import type { FederatedDomain } from '../../../core/federation.ts'
import type { Svid, TrustBundle } from '../../../core/identity.ts'
import { ask, buildWorkload, removeWorkload } from '../../ca/workload/kit.ts'
import { bundlesOf, domain, id, newAuthority, newSvid, tempFolder } from '../../ca/world.ts'
import { startChild } from '../../parts/child.ts'
import { needs, pathOf } from '../../parts/needs.ts'

/** Federation with go-spiffe on the other side: once as client, once as server, by both profiles. */

const test = needs('go')
let program: string
beforeAll(async () => {
  program = await buildWorkload(pathOf('go'))
})
afterAll(() => removeWorkload(program))

const other = domain('other.example')
const endpointId = id('spiffe://other.example/endpoint')
const pem = (ders: readonly Uint8Array[]): string => ders.map((der) => pemOf(der, 'CERTIFICATE')).join('')
const authority = (name = 'bank.example'): Promise<Authority> => newAuthority(domain(name), Date.now)

async function file(name: string, text: string): Promise<string> {
  const path = join(tempFolder(), name)
  await writeFile(path, text)
  return path
}
const fileOf = (bundle: TrustBundle): Promise<string> => file('bundle.json', JSON.stringify(bundleJson(bundle)))

async function serve(bank: Authority, as: BundleDoorParts['as']): Promise<number> {
  const door = await openBundleDoor({
    bundle: () => ({ ...bank.bundle(), sequence: 7, refreshHintS: 60 }),
    revocationList: () => bank.revocationList(['ff']),
    ...{ as, unexpected: console.error },
  })
  onTestFinished(door.close)
  return door.port
}
const sourceOf = (svid: Svid, bank: Authority) => ({
  current: () => ({ generation: 1, svid, bundles: bundlesOf(bank.bundle()), denied: new Set<string>() }),
  subscribe: () => () => {},
})

test('go-spiffe has our bundle by https_spiffe, from our id and no other', async () => {
  const bank = await authority()
  const control = newSvid(bank, id('spiffe://bank.example/writ/control'))
  const port = await serve(bank, { identity: sourceOf(control, bank) })
  const fetch = async (known: TrustBundle, endpoint: string) =>
    ask(program, 'fetch', `https://127.0.0.1:${port}/`, 'bank.example', await fileOf(known), endpoint)
  expect(await fetch(bank.bundle(), control.id)).toEqual(['bundle bank.example 1 1 7 1m0s'])
  await expect(fetch(bank.bundle(), 'spiffe://bank.example/somebody')).rejects.toThrow('unexpected ID')
  await expect(fetch((await authority()).bundle(), control.id)).rejects.toThrow('unknown authority')
})

test('go-spiffe has our bundle by https_web, under a certificate of other roots', async () => {
  const bank = await authority()
  const web = await authority('web.example')
  const leaf = newSvid(web, id('spiffe://web.example/server'), { dns: ['localhost'] })
  const port = await serve(bank, { certificates: pem(leaf.chain), key: leaf.keyPem })
  const fetch = async (roots: Authority) =>
    ask(
      program,
      'fetch',
      `https://localhost:${port}/`,
      'bank.example',
      await file('r.pem', pem(roots.bundle().roots)),
      'web',
    )
  expect(await fetch(web)).toEqual(['bundle bank.example 1 1 7 1m0s'])
  await expect(fetch(bank)).rejects.toThrow('unknown authority')
})

interface Publisher {
  readonly port: number
  publish(bundle: TrustBundle): Promise<void>
}

/** go-spiffe's handler over a file, with this certificate. */
async function publisher(svid: Svid, first: TrustBundle): Promise<Publisher> {
  const bundleFile = await fileOf(first)
  const certificate = await file('tls.pem', pem(svid.chain) + svid.keyPem)
  const child = startChild(program, ['publish', bundleFile, other, certificate])
  onTestFinished(child.kill)
  await child.printed(/port \d+/, 20_000)
  return {
    port: Number(/port (\d+)/.exec(child.logs())![1]),
    publish: (bundle) => writeFile(bundleFile, JSON.stringify(bundleJson(bundle))),
  }
}

interface Following {
  readonly federation: Federation
  readonly taken: string[]
  readonly problems: (string | undefined)[]
}

async function follow(of: FederatedDomain, dir = tempFolder()): Promise<Following> {
  const taken: string[] = []
  const problems: (string | undefined)[] = []
  const bank = await authority()
  const federation = openFederation({
    dir,
    own: () => bank.bundle(),
    nowMs: Date.now,
    onBundle: async ({ trustDomain, sequence }) => taken.push(`${trustDomain}:${sequence}`),
    onProblem: (_, problem) => problems.push(problem),
    shortestMs: 50,
  })
  onTestFinished(federation.close)
  federation.follow([of])
  return { federation, taken, problems }
}

const hint = (bundle: TrustBundle, sequence: number): TrustBundle => ({ ...bundle, sequence, refreshHintS: 0 })

test('a bundle is followed by https_spiffe through rotations, and an older one changes nothing', async () => {
  const [before, after] = [await authority(other), await authority(other)]
  const { port, publish } = await publisher(newSvid(before, endpointId), hint(before.bundle(), 2))
  const first = hint(before.bundle(), 1)
  const dir = tempFolder()
  const of = {
    trustDomain: other,
    url: `https://127.0.0.1:${port}/moved`,
    profile: { kind: 'https_spiffe', endpointId },
  } as const
  const { federation, taken } = await follow({ ...of, first }, dir)
  await vi.waitFor(() => expect(taken).toEqual(['other.example:2']), 10_000)
  await publish(hint({ ...before.bundle(), roots: [...before.bundle().roots, ...after.bundle().roots] }, 3))
  await vi.waitFor(() => expect(federation.bundles()[0]?.roots).toHaveLength(2), 10_000)
  await publish(hint(after.bundle(), 1))
  await new Promise((resolve) => setTimeout(resolve, 500))
  expect(federation.bundles()[0]).toMatchObject({ trustDomain: other, sequence: 3 })
  expect(taken).toEqual(['other.example:2', 'other.example:3'])
  // What was had is there after a restart, also where its endpoint is not, and where the first one is old.
  federation.close()
  const again = await follow({ ...of, url: 'https://127.0.0.1:1/', first }, dir)
  expect(again.federation.bundles()[0]?.roots).toHaveLength(2)
})

test('an endpoint of another id, or one that nothing vouches for, is not believed', async () => {
  const theirs = await authority(other)
  const { port } = await publisher(newSvid(theirs, id('spiffe://other.example/web')), hint(theirs.bundle(), 2))
  const of = {
    trustDomain: other,
    url: `https://127.0.0.1:${port}/`,
    profile: { kind: 'https_spiffe', endpointId },
  } as const
  const wrong = await follow({ ...of, first: hint(theirs.bundle(), 1) })
  await vi.waitFor(() => expect(wrong.problems[0]).toContain('it is spiffe://other.example/web'), 10_000)
  const unknown = await follow(of)
  await vi.waitFor(() => expect(unknown.problems[0]).toContain('no trust bundle for other.example'), 10_000)
  const stranger = await follow({ ...of, first: hint((await authority(other)).bundle(), 1) })
  await vi.waitFor(
    () => expect(stranger.problems[0]).toContain('no root of its trust domain issued this chain'),
    10_000,
  )
  expect([wrong, unknown, stranger].flatMap(({ taken }) => taken)).toEqual([])
})

test('a bundle is followed by https_web, under the roots and the name of the configuration alone', async () => {
  const web = await authority('web.example')
  const theirs = await authority(other)
  const leaf = newSvid(web, id('spiffe://web.example/server'), { dns: ['localhost'] })
  const { port } = await publisher(leaf, hint(theirs.bundle(), 2))
  const of = (url: string, roots: Authority): FederatedDomain => ({
    ...{ trustDomain: other, url, profile: { kind: 'https_web', roots: roots.bundle().roots } },
  })
  const good = await follow(of(`https://localhost:${port}/`, web))
  await vi.waitFor(() => expect(good.taken).toEqual(['other.example:2']), 10_000)
  const roots = await follow(of(`https://localhost:${port}/`, theirs))
  await vi.waitFor(() => expect(roots.problems[0]).toContain('gave no bundle of other.example'), 10_000)
  const name = await follow(of(`https://127.0.0.1:${port}/`, web))
  await vi.waitFor(() => expect(name.problems[0]).toContain('gave no bundle of other.example'), 10_000)
})

test('a domain that is followed no more is out of force at once', async () => {
  const theirs = await authority(other)
  const first = hint(theirs.bundle(), 1)
  const { federation } = await follow({
    trustDomain: other,
    url: 'https://127.0.0.1:1/',
    profile: { kind: 'https_web' },
    first,
  })
  expect(federation.bundles()).toEqual([first])
  federation.follow([])
  expect(federation.bundles()).toEqual([])
})

test('an endpoint that does not answer is asked again at the next interval, not at once', async () => {
  let asked = 0
  const server = createServer((socket) => {
    asked++
    socket.destroy()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => void server.close())
  const first = { ...hint((await authority(other)).bundle(), 1), refreshHintS: 3600 }
  const url = `https://127.0.0.1:${(server.address() as AddressInfo).port}/`
  const { problems } = await follow({ trustDomain: other, url, profile: { kind: 'https_web' }, first })
  await vi.waitFor(() => expect(problems).toHaveLength(1), 10_000)
  await new Promise((resolve) => setTimeout(resolve, 500))
  expect(asked).toBe(1)
})

test('beside the bundle is a revocation list, and nothing else', async () => {
  const bank = await authority()
  const leaf = newSvid(bank, id('spiffe://bank.example/writ/control'))
  const port = await serve(bank, { certificates: pem(leaf.chain), key: leaf.keyPem })
  const get = (path: string) =>
    new Promise<{ readonly status: number; readonly type: string; readonly bytes: Uint8Array }>((resolve, reject) => {
      const sending = request({ host: '127.0.0.1', port, path, rejectUnauthorized: false, agent: false }, (answer) => {
        const chunks: Buffer[] = []
        answer.on('data', (chunk: Buffer) => chunks.push(chunk))
        answer.once('end', () => {
          const type = answer.headers['content-type'] ?? ''
          resolve({ status: answer.statusCode ?? 0, type, bytes: new Uint8Array(Buffer.concat(chunks)) })
        })
      })
      sending.once('error', reject)
      sending.end()
    })
  const { status, type, bytes } = await get('/crl')
  expect([status, type]).toEqual([200, 'application/pkix-crl'])
  const read = parseRevocationList(bytes)
  expect('list' in read && [...read.list.revoked]).toEqual(['ff'])
  expect((await get('/')).type).toContain('application/json')
  expect((await get('/v1/status')).status).toBe(404)
})

test('it speaks the TLS of the intermediate profile, with either kind of certificate, and nothing weaker', async () => {
  const bank = await authority()
  const svid = newSvid(bank, id('spiffe://bank.example/writ/control'))
  const doors = [
    await serve(bank, { certificates: pem(svid.chain), key: svid.keyPem }),
    await serve(bank, { identity: sourceOf(svid, bank) }),
  ]
  const speak = (port: number, more: object) =>
    new Promise<string>((resolve) => {
      const socket = connect({ host: '127.0.0.1', port, rejectUnauthorized: false, ...more }, () => {
        resolve(socket.getCipher().name)
        socket.destroy()
      })
      socket.once('error', () => resolve('refused'))
    })
  const old = { minVersion: 'TLSv1.1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' }
  const tls12 = (ciphers: string) => ({ maxVersion: 'TLSv1.2', ciphers })
  for (const port of doors) {
    expect(await speak(port, {})).toMatch(/^TLS_/)
    expect(await speak(port, tls12('ECDHE-ECDSA-AES128-GCM-SHA256'))).toBe('ECDHE-ECDSA-AES128-GCM-SHA256')
    expect(await speak(port, tls12('ECDHE-ECDSA-AES128-SHA256'))).toBe('refused')
    expect(await speak(port, tls12('ECDHE-ECDSA-AES128-SHA'))).toBe('refused')
    expect(await speak(port, old)).toBe('refused')
  }
})
