import { createServer } from 'node:net'
import { expect, test } from 'vitest'
import { makeJwtIdentify } from '../../../ca/jwt.ts'
import { caRequest, fetchJwtSvid, joinMesh, renewSvid } from '../../../ca/node/client.ts'
import { verifySignature } from '../../../ca/node/crypto.ts'
import { verifySvid } from '../../../ca/svid.ts'
import { fromUtf8 } from '../../../core/bytes.ts'
import { WritError } from '../../../core/fault.ts'
import type { IdentityState } from '../../../core/identity.ts'
import { controlId, startControl } from '../control.ts'
import { bank, bundlesOf, domain, id, newAuthority, newSvid, orders } from '../world.ts'

const expectControl = controlId

const codeOf = (answer: Promise<unknown>): Promise<string> =>
  answer.then(
    () => 'ok',
    (thrown: unknown) => (thrown instanceof WritError && thrown.cure ? thrown.code : String(thrown)),
  )

async function joined() {
  const authority = await newAuthority(bank, Date.now)
  const control = await startControl(authority)
  const token = await control.registrar.createToken(orders)
  const { svid, bundles } = await joinMesh({ url: control.url, token, expect: expectControl })
  const state: IdentityState = { generation: 1, svid, bundles, denied: new Set() }
  return { authority, control, token, state }
}

test('a newcomer gets the certificate that its token is for, and every handshake is a full one', async () => {
  const { authority, control, state } = await joined()
  expect(state.svid.id).toBe(orders)
  expect(state.bundles).toEqual(bundlesOf(authority.bundle()))
  expect(verifySvid(state.svid.chain, authority.bundle(), Date.now(), verifySignature).ok).toBe(true)
  expect(control.seen).toEqual(['GET /v1/trust', 'POST /v1/join'])
})

test('a certificate renews itself over mTLS under the same name, with a new key', async () => {
  const { control, state } = await joined()
  const next = await renewSvid({ url: control.url, expect: expectControl, state })
  expect(next.svid.id).toBe(orders)
  expect(next.svid.serial).not.toBe(state.svid.serial)
  expect(next.svid.keyPem).not.toBe(state.svid.keyPem)
  expect(control.seen).not.toContain('resumed')
})

test('a renewal by a control plane that is behind takes no bundle back', async () => {
  const { control, state } = await joined()
  const newer = { ...state.bundles.get(bank)!, sequence: 9 }
  const next = await renewSvid({
    url: control.url,
    expect: expectControl,
    state: { ...state, bundles: bundlesOf(newer) },
  })
  expect(next.bundles.get(bank)).toEqual(newer)
  const older = bundlesOf({ ...newer, sequence: 0 })
  const again = await renewSvid({ url: control.url, expect: expectControl, state: { ...state, bundles: older } })
  expect(again.bundles.get(bank)).toEqual(state.bundles.get(bank))
})

test('a token that was redeemed is refused with the reason that control gives', async () => {
  const { control, token } = await joined()
  const again = joinMesh({ url: control.url, token, expect: expectControl })
  await expect(again).rejects.toThrow('this join token is unknown or was redeemed')
  expect(await codeOf(joinMesh({ url: control.url, token, expect: expectControl }))).toBe('token_invalid')
})

test('a bundle other than the promised one ends the join before the token is sent', async () => {
  const authority = await newAuthority(bank, Date.now)
  const impostor = await startControl(await newAuthority(bank, Date.now))
  const token = await (await startControl(authority)).registrar.createToken(orders)
  expect(await codeOf(joinMesh({ url: impostor.url, token, expect: expectControl }))).toBe('trust_mismatch')
  expect(impostor.seen).toEqual(['GET /v1/trust'])
})

test('an impostor who shows the right bundle without its key never sees the token', async () => {
  const authority = await newAuthority(bank, Date.now)
  const impostor = await startControl(await newAuthority(bank, Date.now), { show: authority.bundle() })
  const token = await (await startControl(authority)).registrar.createToken(orders)
  expect(await codeOf(joinMesh({ url: impostor.url, token, expect: expectControl }))).toBe('certificate_invalid')
  expect(impostor.seen).toEqual(['GET /v1/trust'])
})

test('another workload of the mesh cannot stand in for control', async () => {
  const authority = await newAuthority(bank, Date.now)
  const other = await startControl(authority, { as: id('spiffe://bank.example/writ/contro1') })
  const token = await other.registrar.createToken(orders)
  expect(await codeOf(joinMesh({ url: other.url, token, expect: expectControl }))).toBe('certificate_invalid')
  expect(other.seen).toEqual(['GET /v1/trust'])
})

test('a request goes out with our certificate and comes back whole', async () => {
  const { control, state } = await joined()
  const path = '/v1/receipts?id=1'
  const reply = await caRequest({
    url: control.url,
    expect: expectControl,
    state,
    method: 'POST',
    path,
    body: { a: 1 },
    etag: '"x"',
  })
  expect(reply.status).toBe(200)
  expect(JSON.parse(fromUtf8(reply.bytes))).toEqual({ caller: orders, body: { a: 1 }, etag: '"x"' })
})

test('a certificate of another authority does not renew, and a denied server is not asked', async () => {
  const { control, state } = await joined()
  const stranger = { ...state, svid: newSvid(await newAuthority(bank, Date.now)) }
  expect(await codeOf(renewSvid({ url: control.url, expect: expectControl, state: stranger }))).toBe('unauthorized')
  const before = control.seen.length
  const denying = { ...state, denied: new Set([controlId]) }
  expect(await codeOf(renewSvid({ url: control.url, expect: expectControl, state: denying }))).toBe(
    'certificate_invalid',
  )
  expect(control.seen.length).toBe(before)
})

test('the bundle of a federated trust domain does not vouch for control', async () => {
  const { control, state } = await joined()
  const other = await newAuthority(domain('other.example'), Date.now)
  const bundles = new Map([[bank, { ...other.bundle(), trustDomain: bank }]])
  const answer = caRequest({
    url: control.url,
    expect: expectControl,
    state: { ...state, bundles },
    method: 'GET',
    path: '/',
  })
  expect(await codeOf(answer)).toBe('certificate_invalid')
})

test('an answer that is too long, too late, or no HTTP at all is an error with a cure', async () => {
  const { control, state } = await joined()
  const get = (path: string, more: object = {}) =>
    codeOf(caRequest({ url: control.url, expect: expectControl, state, method: 'GET', path, ...more }))
  expect(await get('/v1/large', { maxBytes: 10_002 })).toBe('ok')
  expect(await get('/v1/large', { maxBytes: 10_001 })).toBe('unavailable')
  expect(await get('/v1/silence', { timeoutMs: 200 })).toBe('unavailable')
  expect(await get('/', { url: 'https://127.0.0.1:1' })).toBe('unavailable')
  expect(await get('/', { url: 'http://127.0.0.1:1' })).toBe('config_invalid')
  expect(await get('/', { url: 'nowhere' })).toBe('config_invalid')
})

test('a server that speaks no TLS is unavailable', async () => {
  const server = createServer((socket) => socket.end('hello'))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as { port: number }
  const token = await (await startControl(await newAuthority(bank, Date.now))).registrar.createToken(orders)
  expect(await codeOf(joinMesh({ url: `https://127.0.0.1:${port}`, token, expect: expectControl }))).toBe('unavailable')
  server.close()
})

test('token keys that the first answer shows are not believed: the join token’s digest does not cover them', async () => {
  const authority = await newAuthority(bank, Date.now)
  const forged = (await newAuthority(bank, Date.now)).bundle().jwtKeys!
  const control = await startControl(authority, { show: { ...authority.bundle(), jwtKeys: forged } })
  const token = await control.registrar.createToken(orders)
  const { bundles } = await joinMesh({ url: control.url, token, expect: expectControl })
  expect(bundles).toEqual(bundlesOf(authority.bundle()))
})

test('a token is fetched over mTLS in the name of the certificate, for the audience that was asked for', async () => {
  const { control, state, authority } = await joined()
  const audience = 'spiffe://bank.example/edge-fn'
  const { token, serial } = await fetchJwtSvid({ url: control.url, expect: expectControl, state, audience })
  const identify = makeJwtIdentify({ keysOf: () => authority.bundle().jwtKeys, audience })
  const peer = { evidence: { kind: 'jwt', token } as const, address: '', port: 0 }
  expect(await identify(peer, Date.now())).toMatchObject({ ok: true, identity: { id: orders, serial } })
})
