import { createServer } from 'node:http'
import { request } from 'node:https'
import type { AddressInfo } from 'node:net'
import { afterEach, expect, onTestFinished, test, vi } from 'vitest'
import { preparedOf } from '../../../ca/authorities.ts'
import { revise } from '../../../ca/entries.ts'
import { makeIdentify } from '../../../ca/identify.ts'
import { readJws } from '../../../ca/jwt.ts'
import { attestNode, followBundles, followEntries, issueEntry, mintEntry } from '../../../ca/node/attest.ts'
import type { Authority } from '../../../ca/node/authority.ts'
import { verifySignature } from '../../../ca/node/crypto.ts'
import { makeRegistration } from '../../../ca/node/registration.ts'
import { makeProvePlatform } from '../../../ca/platform/token.ts'
import { discoverKeys } from '../../../ca/token/discovery.ts'
import { holdKeys } from '../../../ca/token/keys.ts'
import { tokenAlgorithms } from '../../../ca/token/read.ts'
import { makeApplied } from '../../../cli/wire/applied.ts'
import { fetchKeysOver } from '../../../cli/wire/tokens.ts'
import type { MeshDoorParts } from '../../../control/node/mesh-door.ts'
import type { Svid } from '../../../core/identity.ts'
import type { PlatformIssuer } from '../../../core/platform.ts'
import type { IssuanceBody } from '../../../core/record.ts'
import type { SpiffeId } from '../../../core/spiffe.ts'
import type { RevisedEntry } from '../../../core/workload.ts'
import { openHttpTransport } from '../../../engine/node/http-transport.ts'
import { type Signing, signing } from '../../ca/token/issuer.ts'
import { bundlesOf, domain, id, newAuthority, newSvid } from '../../ca/world.ts'
import { type TestMesh, testMesh } from './mesh.ts'

/** What control gives by registration entries: to agents, to nodes with a proof, and to functions with a platform's token. */

const control = id('spiffe://bank.example/writ/control')
const agent = id('spiffe://bank.example/writ/agent/a')
const open: TestMesh[] = []
afterEach(async () => {
  await Promise.all(open.splice(0).map(({ door }) => door.close()))
})

const entry = (name: string, selectors: readonly string[], more: Partial<RevisedEntry> = {}): RevisedEntry =>
  revise({ name, id: id(`spiffe://bank.example/${name}`), selectors, ...more })

/** An issuer of OpenID Connect on loopback, as its discovery document says. */
async function platform(signed: Signing): Promise<{ readonly url: string; readonly asked: string[] }> {
  const asked: string[] = []
  const server = createServer((req, res) => {
    asked.push(req.url ?? '')
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    const known: Readonly<Record<string, object>> = {
      '/.well-known/openid-configuration': { issuer: url, jwks_uri: `${url}/keys` },
      '/keys': { keys: [signed.jwk] },
    }
    const found = known[req.url ?? '']
    res.writeHead(found ? 200 : 404, { 'content-type': 'application/json' }).end(JSON.stringify(found ?? {}))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => void server.close())
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, asked }
}

interface World {
  readonly mesh: TestMesh
  readonly bank: Authority
  readonly url: string
  readonly denied: Set<string>
  readonly factory: Authority
  /** What agents were given for workloads of their hosts, until when. */
  readonly served: readonly (readonly [SpiffeId, number])[]
  token(claims?: object): Promise<string>
  issuances(): readonly IssuanceBody[]
}

async function world(entries: readonly RevisedEntry[], more: Pick<MeshDoorParts, 'onTrust'> = {}): Promise<World> {
  const bank = await newAuthority(undefined, Date.now)
  const factory = await newAuthority(domain('factory.example'), Date.now)
  const signed = await signing('ES256', 'ci')
  const { url: issuer } = await platform(signed)
  const own = newSvid(bank, control)
  const denied = new Set<string>()
  const issuers: readonly PlatformIssuer[] = [
    {
      ...{ name: 'ci', issuer, audiences: ['writ'], clockSkewMs: 60_000, algorithms: tokenAlgorithms, reuse: false },
      keys: {
        kind: 'url',
        url: `${issuer}/.well-known/openid-configuration`,
        refreshMs: 300_000,
        privateAddresses: false,
      },
    },
  ]
  const keys = holdKeys(discoverKeys(fetchKeysOver(openHttpTransport())))
  const state = () => ({ generation: 1, svid: own, bundles: bundlesOf(bank.bundle()), denied })
  const late: { sink?: TestMesh['sink'] } = {}
  const served: [SpiffeId, number][] = []
  const registration = makeRegistration({
    authority: bank,
    sink: {
      keep: (body) => late.sink!.keep(body),
      outcome() {},
      refused: (refusal) => late.sink!.refused(refusal),
    },
    nowMs: Date.now,
    svidTtlMs: 3_600_000,
    onIssued: (id, { notAfterMs }) => void served.push([id, notAfterMs]),
    foreign: () => [],
    platform: { prove: makeProvePlatform(() => issuers, keys), entries: () => entries, denied: () => denied },
    roots: () => [{ name: 'factory', roots: factory.bundle().roots }],
  })
  const mesh = await testMesh(
    {},
    {
      identity: { current: state, subscribe: () => () => {} },
      identify: makeIdentify(state, verifySignature),
      trust: () => bank.bundle(),
      distrusted: bank.distrusted,
      registration,
      nowMs: Date.now,
      ...more,
    },
  )
  late.sink = mesh.sink
  open.push(mesh)
  const url = `https://127.0.0.1:${mesh.door.port}`
  const nowS = Math.floor(Date.now() / 1000)
  let serial = 0
  return {
    ...{ mesh, bank, url, denied, factory, served },
    token: (claims = {}) =>
      signed.sign({ iss: issuer, aud: 'writ', sub: 'job', iat: nowS, exp: nowS + 300, jti: `${serial++}`, ...claims }),
    issuances: () => mesh.sink.bodies.filter((body): body is IssuanceBody => body.kind === 'issuance'),
  }
}

const asAgent = (w: World, name = agent) => {
  const svid = newSvid(w.bank, name)
  const state = { generation: 1, svid, bundles: bundlesOf(w.bank.bundle()), denied: new Set<string>() }
  return { url: w.url, expect: control, state }
}

test('an agent is told of its own entries, and gets certificates and tokens for those alone', async () => {
  const orders = entry('orders', ['unix:uid:5'], {
    parent: agent,
    ttlMs: 120_000,
    dns: ['orders.bank.example'],
    jwtTtlMs: 60_000,
  })
  const w = await world([orders, entry('other', ['unix:uid:5'], { parent: id('spiffe://bank.example/writ/agent/b') })])
  const mine = asAgent(w)
  const signal = AbortSignal.timeout(10_000)
  expect((await followEntries({ ...mine, etag: undefined, signal }))?.value).toEqual([orders])

  const { svid } = await issueEntry({ ...mine, entry: orders })
  expect(svid.id).toBe(orders.id)
  expect(svid.notAfterMs - Date.now()).toBeLessThanOrEqual(120_000)
  expect(w.served).toEqual([[orders.id, svid.notAfterMs]])
  const minted = await mintEntry({ ...mine, entry: 'orders', audiences: ['a', 'b'] })
  expect(minted.notAfterMs - Date.now()).toBeLessThanOrEqual(61_000)
  const evidence = `svid:${mine.state.svid.serial} entry:orders@${orders.revision}`
  expect(w.issuances()).toMatchObject([
    { action: 'issued', subject: orders.id, serial: svid.serial, evidence },
    { action: 'issued', subject: orders.id, serial: minted.serial, evidence, audience: 'a b' },
  ])

  const stranger = asAgent(w, id('spiffe://bank.example/writ/agent/c'))
  await expect(issueEntry({ ...stranger, entry: orders })).rejects.toThrow('serves no entry orders')
  await expect(mintEntry({ ...stranger, entry: 'orders', audiences: ['a'] })).rejects.toThrow('serves no entry orders')
  await expect(issueEntry({ ...mine, entry: { ...orders, name: 'other' } })).rejects.toThrow('serves no entry other')
  expect(w.issuances().slice(2)).toMatchObject([{ action: 'refused' }, { action: 'refused' }, { action: 'refused' }])
  w.denied.add(orders.id)
  await expect(issueEntry({ ...mine, entry: orders })).rejects.toThrow('serves no entry orders')
})

test('an agent says by the version it asks with that it has a new root, and is waited for until then', async () => {
  let ms = Date.now()
  const applied = makeApplied({ shared: undefined, proxies: () => [], isOfMesh: (id) => id === job, nowMs: () => ms })
  const job = id('spiffe://bank.example/job')
  const w = await world([], applied)
  const [mine, proxy] = [asAgent(w), asAgent(w, job)]
  const signal = AbortSignal.timeout(30_000)
  const ask = async (who: typeof mine, etag?: string) => (await followBundles({ ...who, etag, signal }))?.etag
  const former = await ask(mine)
  await ask(proxy) // Its proxy reports what it has.
  await w.bank.prepare()
  const prepared = preparedOf(w.bank.authorities())
  expect(await applied.waiting(prepared)).toEqual([agent])
  const newest = await ask(mine, former)
  expect(await applied.waiting(prepared)).toEqual([agent])
  // Nothing is newer: the answer is awaited in vain, and what was said is heard at once.
  const asking = new AbortController()
  const inVain = followBundles({ ...mine, etag: newest, signal: asking.signal }).catch(() => undefined)
  await vi.waitFor(async () => expect(await applied.waiting(prepared)).toEqual([]))
  asking.abort()
  await inVain
  await ask(mine) // After a start it asks without, and what it said stands.
  expect(await applied.waiting(prepared)).toEqual([])
  const other = asAgent(w, id('spiffe://bank.example/writ/agent/b'))
  await ask(other)
  expect(await applied.waiting(prepared)).toEqual([other.state.svid.id])
  ms = other.state.svid.notAfterMs // Whose certificate is over has nothing to lose.
  expect(await applied.waiting(prepared)).toEqual([])
})

test('an agent that waits for news hears at once that an issuer is distrusted', async () => {
  const w = await world([])
  const mine = asAgent(w)
  const signal = AbortSignal.timeout(30_000)
  const first = await followBundles({ ...mine, etag: undefined, signal })
  expect(first?.value.distrusted).toEqual([])
  const waiting = followBundles({ ...mine, etag: first?.etag, signal })
  await w.bank.rotateIssuer(true)
  w.mesh.deny('spiffe://bank.example/nobody') // Whoever waits looks again.
  expect((await waiting)?.value.distrusted).toEqual(w.bank.distrusted())
  expect(w.bank.distrusted()).toHaveLength(1)
})

test("a node joins by its platform's token, whose keys are found by discovery, once for each token", async () => {
  const node = entry('node', ['ci:sub:job'], { id: agent })
  const w = await world([node])
  const token = await w.token()
  const bundle = w.bank.bundle()
  const joined = await attestNode({ url: w.url, expect: control, bundle, proof: { token } })
  expect(joined.svid.id).toBe(agent)
  expect(w.issuances()).toMatchObject([
    {
      action: 'issued',
      subject: agent,
      serial: joined.svid.serial,
      evidence: expect.stringMatching(/^ci:[0-9a-f]{8} entry:node@/),
    },
  ])
  await expect(attestNode({ url: w.url, expect: control, bundle, proof: { token } })).rejects.toThrow('shown before')
  const other = await w.token({ sub: 'somebody' })
  await expect(attestNode({ url: w.url, expect: control, bundle, proof: { token: other } })).rejects.toThrow(
    'nothing is registered',
  )
  expect(w.mesh.sink.refusals.map(({ code }) => code)).toEqual(['identity_invalid', 'identity_untrusted'])
})

test('a node joins by a certificate that it had before, whose key its connection proves', async () => {
  const w = await world([entry('node', ['factory:dns:box-1.factory.example'], { id: agent })])
  const bundle = w.bank.bundle()
  const box = newSvid(w.factory, id('spiffe://factory.example/box'), { dns: ['box-1.factory.example'] })
  const joined = await attestNode({ url: w.url, expect: control, bundle, proof: { certificate: box } })
  expect(joined.svid.id).toBe(agent)
  const second = newSvid(w.factory, id('spiffe://factory.example/box'), { dns: ['box-2.factory.example'] })
  const by = (certificate: Svid) => attestNode({ url: w.url, expect: control, bundle, proof: { certificate } })
  await expect(by(second)).rejects.toThrow('nothing is registered')
  const fake = newSvid(await newAuthority(domain('factory.example'), Date.now), box.id, {
    dns: ['box-1.factory.example'],
  })
  await expect(by(fake)).rejects.toThrow('identity_untrusted')
  w.denied.add(box.serial)
  await expect(by(box)).rejects.toThrow('deny list')
})

interface Answer {
  readonly status: number
  readonly body: { readonly [name: string]: unknown }
}

const exchangeType = 'urn:ietf:params:oauth:grant-type:token-exchange'
const jwtType = 'urn:ietf:params:oauth:token-type:jwt'

/** As a function would: a form over TLS, without a certificate. */
function post(url: string, fields: readonly (readonly [string, string])[]): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const sending = request(
      `${url}/v1/token`,
      {
        method: 'POST',
        rejectUnauthorized: false,
        agent: false,
        headers: { 'content-type': 'application/x-www-form-urlencoded' },
      },
      (response) => {
        let text = ''
        response.setEncoding('utf8').on('data', (part: string) => {
          text += part
        })
        response.once('end', () => resolve({ status: response.statusCode ?? 0, body: JSON.parse(text) }))
      },
    )
    sending.once('error', reject)
    sending.end(new URLSearchParams(fields.map(([name, value]) => [name, value])).toString())
  })
}

const asked = (token: string, ...more: readonly (readonly [string, string])[]) =>
  [['grant_type', exchangeType], ['subject_token', token], ['subject_token_type', jwtType], ...more] as const

test("a function exchanges its platform's token for a short JWT-SVID (RFC 8693)", async () => {
  const job = entry('job', ['ci:repository_id:42'], { jwtTtlMs: 120_000 })
  const w = await world([job])
  const token = await w.token({ repository_id: '42' })
  const answer = await post(
    w.url,
    asked(token, ['audience', 'orders'], ['audience', 'ledger'], ['requested_token_type', jwtType]),
  )
  expect(answer).toMatchObject({ status: 200, body: { issued_token_type: jwtType, token_type: 'N_A' } })
  expect(answer.body['expires_in']).toBeGreaterThan(60)
  expect(answer.body['expires_in']).toBeLessThanOrEqual(121)
  const read = readJws(String(answer.body['access_token']))
  const claims = JSON.parse(Buffer.from('jws' in read ? read.jws.payload : []).toString()) as object
  expect(claims).toMatchObject({ sub: job.id, aud: ['orders', 'ledger'] })
  expect(w.issuances()).toMatchObject([{ action: 'issued', subject: job.id, audience: 'orders ledger' }])
  expect(await post(w.url, asked(token, ['audience', 'orders']))).toMatchObject({
    status: 400,
    body: { error: 'invalid_grant' },
  })
})

test('an exchange that is not whole, or whose token is not good, says so in the words of OAuth', async () => {
  const w = await world([entry('job', ['ci:repository_id:42'])])
  const error = async (...fields: readonly (readonly [string, string])[]) => {
    const { status, body } = await post(w.url, fields)
    return `${status} ${body['error']}`
  }
  const audience = ['audience', 'orders'] as const
  const good = await w.token({ repository_id: '42' })
  expect(await error(...asked(good))).toBe('400 invalid_target')
  expect(await error(...asked(good, ['audience', 'two words']))).toBe('400 invalid_target')
  expect(await error(...asked(good, audience, ['actor_token', 'x']))).toBe('400 invalid_request')
  expect(await error(...asked(good, audience, ['subject_token', 'x']))).toBe('400 invalid_request')
  expect(await error(...asked(good, audience, ['scope', 'openid']))).toBe('400 invalid_scope')
  expect(await error(['grant_type', 'client_credentials'], audience)).toBe('400 unsupported_grant_type')
  expect(await error(...asked('nonsense', audience))).toBe('400 invalid_grant')
  expect(await error(...asked(await w.token({ repository_id: '43' }), audience))).toBe('400 invalid_grant')
  const elsewhere = ['scope', 'spiffe://bank.example/elsewhere'] as const
  expect(await error(...asked(good, audience, elsewhere))).toBe('400 invalid_grant')
  expect(w.issuances()).toEqual([])
  // None of these has used the token up.
  expect((await post(w.url, asked(good, audience, ['scope', 'spiffe://bank.example/job']))).status).toBe(200)
})
