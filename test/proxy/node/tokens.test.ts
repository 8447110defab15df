import { createHash } from 'node:crypto'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { exportJWK, generateKeyPair, type JWK, SignJWT } from 'jose'
import { expect, onTestFinished, test } from 'vitest'
import { makeAuthenticate } from '../../../ca/token/authenticate.ts'
import { holdKeys, type KeyNews } from '../../../ca/token/keys.ts'
import { tokenAlgorithms } from '../../../ca/token/read.ts'
import { fetchKeysOver } from '../../../cli/wire/tokens.ts'
import type { RequestFacts } from '../../../core/facts.ts'
import type { Listener } from '../../../core/snapshot.ts'
import type { TokenProvider, TokenUse } from '../../../core/token.ts'
import { openHttpTransport } from '../../../engine/node/http-transport.ts'
import {
  allow,
  call,
  callerTls,
  inbound,
  makeCa,
  makeSource,
  ok,
  orders,
  service,
  startApp,
  startProxy,
  web,
} from './kit.ts'

const ca = makeCa()
const source = makeSource(ca.issue(orders), ca)
const caller = ca.issue(web)
const tls = callerTls(caller, ca)
const issuer = 'https://id.example'

/** An issuer with a server of its own, which shows the keys that it is given. */
async function startIssuer() {
  const state = { asked: 0, status: 200, keys: [] as JWK[] }
  const server = createServer((_, response) => {
    state.asked++
    response.writeHead(state.status, { 'content-type': 'application/json', location: 'http://127.0.0.1:1/' })
    response.end(JSON.stringify({ keys: state.keys }))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => void server.close().closeAllConnections())
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/jwks`
  async function key(kid: string, publish = true) {
    const { publicKey, privateKey } = await generateKeyPair('ES256')
    if (publish) state.keys.push({ ...(await exportJWK(publicKey)), kid, alg: 'ES256' })
    return (claims: object = {}): Promise<string> =>
      new SignJWT({ iss: issuer, aud: 'shop', sub: 'ada', exp: Math.floor(Date.now() / 1000) + 300, ...claims })
        .setProtectedHeader({ alg: 'ES256', kid })
        .sign(privateKey)
  }
  return { state, url, key }
}

function taking(url: string, more: Partial<TokenProvider> = {}, use: Partial<TokenUse> = {}): TokenUse {
  const provider: TokenProvider = {
    ...{ name: 'staff', issuer, audiences: ['shop'], algorithms: tokenAlgorithms, clockSkewMs: 0 },
    keys: { kind: 'url', url, refreshMs: 300_000, privateAddresses: false },
    from: [{ kind: 'header', name: 'authorization', prefix: 'Bearer ' }],
    certificateBound: false,
    ...more,
  }
  return { providers: [provider], forward: true, ...use }
}

async function started(tokens: TokenUse, bodyBytes = 0) {
  const app = await startApp((text, socket) => {
    for (const _ of text.matchAll(/\r\n\r\n/g)) socket.write(ok('fine'))
  })
  const listener = inbound(app.port) as Extract<Listener, { direction: 'inbound' }>
  const policy = { ...listener.policy!, tokens, bodyBytes, recordClaims: [['sub']] }
  const seen: RequestFacts['token'][] = []
  const news: KeyNews[] = []
  let nowMs = 0
  const real = makeAuthenticate({ keys: holdKeys(fetchKeysOver(openHttpTransport()), (it) => news.push(it)) })
  const { port, sink } = await startProxy({
    source,
    listener: { ...listener, policy },
    decide: (facts) => {
      seen.push(facts.token)
      return allow
    },
    more: { authenticate: (head, peer, use, atMs) => real(head, peer, use, atMs + nowMs) },
  })
  const ask = async (fields: string, body = ''): Promise<string> => {
    const one = call(port, tls)
    one.send(`GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n${fields}\r\n${body}`)
    return one.closed()
  }
  const later = (ms: number): void => void (nowMs += ms)
  return { app, seen, sink, news, ask, later }
}

const bearer = (token: string): string => `Authorization: Bearer ${token}\r\n`

test('what a good token says is judged, recorded as far as the binding says, and sent on', async () => {
  const id = await startIssuer()
  const token = await (await id.key('k1'))({ scope: 'read' })
  const { ask, seen, sink, app } = await started(taking(id.url))
  for (let i = 0; i < 3; i++) expect(await ask(bearer(token))).toMatch(/^HTTP\/1.1 200 [\s\S]*fine/)
  expect(await ask('')).toMatch(/^HTTP\/1.1 200 /)
  expect(seen.map((it) => it?.claims['scope'])).toEqual(['read', 'read', 'read', undefined])
  expect(id.state.asked).toBe(1)
  expect(app.received()).toContain(token)
  const sha256 = createHash('sha256').update(token).digest('hex')
  expect(sink.decisions[0]!.input).toMatchObject({
    writ: { token: { claims: { sub: 'ada' }, issuer, provider: 'staff', sha256 } },
  })
  expect(JSON.stringify(sink.decisions)).not.toContain('read')
  expect(JSON.stringify(sink.decisions)).not.toContain(token)
  expect(sink.decisions[3]!.input).not.toHaveProperty('writ.token')
})

test('a bad token is refused, recorded and never judged, and its caller does not hear why', async () => {
  const id = await startIssuer()
  const sign = await id.key('k1')
  const stranger = await id.key('k1', false)
  const { ask, seen, sink } = await started(taking(id.url))
  const answers = [
    ['token_invalid', 401, await ask(bearer(await stranger()))],
    ['token_expired', 401, await ask(bearer(await sign({ exp: 1 })))],
    ['token_invalid', 401, await ask(bearer(await sign({ aud: 'bank' })))],
    ['token_invalid', 401, await ask('Authorization: Bearer\r\n')],
    ['token_ambiguous', 400, await ask(bearer(await sign()).repeat(2))],
  ] as const
  for (const [code, status, answer] of answers) {
    expect(answer).toMatch(new RegExp(`^HTTP/1.1 ${status} [\\s\\S]*www-authenticate: Bearer error="invalid_`, 'i'))
    expect(answer).toContain(`"code":"${code}"`)
    expect(answer).not.toMatch(/signature|audience|detail|staff/)
  }
  expect(seen).toEqual([])
  expect(sink.decisions.map(({ code }) => code)).toEqual(answers.map(([code]) => code))
  expect(sink.decisions[0]!.reasons).toEqual(['staff: a signature that does not hold'])
})

test('no body is read for a token that does not hold', async () => {
  const id = await startIssuer()
  const sign = await id.key('k1')
  const { ask, seen } = await started(taking(id.url), 100)
  const fields = 'Content-Type: application/json\r\nContent-Length: 7\r\n'
  const waiting = `Expect: 100-continue\r\n${fields}` // Told to go on once reading begins.
  const refused = await ask(`${waiting}${bearer(await sign({ aud: 'bank' }))}`)
  expect(refused).toContain('token_invalid')
  expect(refused).not.toContain('100 Continue')
  expect(await ask(`${waiting}${bearer(await sign())}`, '{"a":1}')).toContain('fine')
  expect(seen).toHaveLength(1)
})

test('a new key is found by the first token that it signs, an old one stops with it, and unknown ones ask once', async () => {
  const id = await startIssuer()
  const before = await (await id.key('k1'))()
  const { ask, later } = await started(taking(id.url))
  expect(await ask(bearer(before))).toContain('fine')
  id.state.keys.length = 0
  const after = await (await id.key('k2'))()
  later(30_000)
  expect(await ask(bearer(after))).toContain('fine')
  expect(await ask(bearer(before))).toContain('token_invalid')
  expect(id.state.asked).toBe(2)
  for (let i = 0; i < 20; i++) {
    const unknown = await (await id.key(`x${i}`, false))()
    expect(await ask(bearer(unknown))).toContain('token_invalid')
  }
  expect(id.state.asked).toBe(2)
})

test('while the issuer is away its last keys stay; where it never was there, nobody with a token passes', async () => {
  const id = await startIssuer()
  const token = await (await id.key('k1'))({ exp: Math.floor(Date.now() / 1000) + 86_400 })
  id.state.status = 302
  const { ask, later, news, seen } = await started(taking(id.url))
  expect(await ask(bearer(token))).toMatch(/^HTTP\/1.1 503 [\s\S]*token_unverifiable/)
  expect(await ask('')).toContain('fine')
  expect(seen).toEqual([undefined])
  id.state.status = 200
  later(5000)
  expect(await ask(bearer(token))).toContain('fine')
  id.state.status = 500
  later(3_600_000)
  expect(await ask(bearer(token))).toContain('fine')
  expect(news.map(({ problem, kept }) => [problem, kept])).toEqual([
    ['it answered 302', false],
    [undefined, true],
    ['it answered 500', true],
  ])
})

test('a token that is bound to a certificate is good over that caller’s connections alone', async () => {
  const id = await startIssuer()
  const sign = await id.key('k1')
  const { ask } = await started(taking(id.url, { certificateBound: true }))
  const thumbprint = createHash('sha256').update(caller.chain[0]!).digest('base64url')
  expect(await ask(bearer(await sign({ cnf: { 'x5t#S256': thumbprint } })))).toContain('fine')
  const other = createHash('sha256').update(ca.root).digest('base64url')
  expect(await ask(bearer(await sign({ cnf: { 'x5t#S256': other } })))).toContain('token_invalid')
  expect(await ask(bearer(await sign()))).toContain('token_invalid')
})

test('a token that is not to be sent on does not reach the service, and what stands beside it does', async () => {
  const id = await startIssuer()
  const sign = await id.key('k1')
  const from = [
    { kind: 'header', name: 'authorization', prefix: 'Bearer ' },
    { kind: 'cookie', name: 'token' },
  ] as const
  const { ask, app } = await started(taking(id.url, { from }, { forward: false }))
  const token = await sign()
  expect(await ask(`X-Other: 1\r\n${bearer(token)}`)).toContain('fine')
  expect(await ask(`Cookie: a=1; token=${token}; b=2\r\n`)).toContain('fine')
  expect(await ask(`Cookie: token=${token}\r\n`)).toContain('fine')
  expect(await ask(`Cookie: c=3\r\nCookie: token=${token}\r\n`)).toContain('fine')
  expect(await ask('Authorization: Basic YTpi\r\n')).toContain('fine')
  expect(app.received()).not.toContain(token)
  expect(app.received()).toMatch(/x-other: 1/i)
  expect(app.received()).toMatch(/cookie: a=1; *b=2\r\n/i)
  expect(app.received()).toMatch(/authorization: Basic YTpi/i)
  expect(app.received()).toMatch(/cookie: c=3\r\n/i)
  expect(app.received().match(/cookie:/gi)).toHaveLength(2)
})

test('a proxy that cannot judge tokens passes nobody whose binding takes them', async () => {
  const id = await startIssuer()
  const app = await startApp((_, socket) => void socket.write(ok('fine')))
  const listener = inbound(app.port) as Extract<Listener, { direction: 'inbound' }>
  const policy = { ...listener.policy!, tokens: taking(id.url) }
  const { port } = await startProxy({ source, listener: { ...listener, policy } })
  const one = call(port, tls)
  one.send('GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')
  expect(await one.closed()).toMatch(/^HTTP\/1.1 503 [\s\S]*token_unverifiable/)
})

test('at a gateway a token is what is known of a stranger, and a bad one is counted by where it came from', async () => {
  const id = await startIssuer()
  const sign = await id.key('k1')
  const app = await startApp((text, socket) => {
    for (const _ of text.matchAll(/\r\n\r\n/g)) socket.write(ok('fine'))
  })
  const of = (from: TokenProvider['from']) => ({
    ...(inbound(app.port) as Extract<Listener, { direction: 'inbound' }>).policy!,
    tokens: taking(id.url, { from }),
  })
  const route = (name: string, value: string) => ({
    ...{ name, hosts: ['a'], match: { path: { type: 'prefix', value } } as const, timeoutMs: 5000 },
    backends: [{ service: 'orders', weight: 1 }],
  })
  const seen: (string | undefined)[] = []
  const real = makeAuthenticate({ keys: holdKeys(fetchKeysOver(openHttpTransport()), () => {}) })
  const { port, sink } = await startProxy({
    source,
    listener: {
      ...{ direction: 'gateway', name: 'edge', bind: { kind: 'tcp', address: '127.0.0.1', port: 0 } },
      sites: [{ host: 'a', serves: 'http' }],
      routes: [route('cookie', '/page'), route('query', '/link'), route('header', '/')],
      policy: of([{ kind: 'header', name: 'authorization', prefix: 'Bearer ' }]),
      policies: [
        { route: 'cookie', policy: of([{ kind: 'cookie', name: 'session' }]) },
        { route: 'query', policy: of([{ kind: 'query', name: 'token' }]) },
      ],
    },
    services: [service('orders', app.port)],
    decide: ({ token, source: { identified } }) => {
      seen.push(`${identified.ok} ${token?.subject}`)
      return allow
    },
    more: { authenticate: real },
  })
  const ask = async (target: string, fields = ''): Promise<string> => {
    const one = call(port)
    one.send(`GET ${target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n${fields}\r\n`)
    return (await one.closed()).slice(9, 12)
  }
  const token = await sign()
  expect(await ask('/', bearer(token))).toBe('200')
  expect(await ask('/page', `Cookie: session=${token}\r\n`)).toBe('200')
  expect(await ask(`/link?token=${token}`)).toBe('200')
  expect(await ask('/page', bearer(token))).toBe('200') // Nobody looks there on this route.
  expect(seen).toEqual(['false ada', 'false ada', 'false ada', 'false undefined'])
  expect(id.state.asked).toBe(1)

  expect(await ask('/', bearer(await sign({ exp: 1 })))).toBe('401')
  expect(await ask('/', bearer(token) + bearer(token))).toBe('400')
  expect(sink.decisions).toHaveLength(4)
  expect(sink.refusals.map(({ code }) => code)).toEqual(['token_expired', 'token_ambiguous'])
})
