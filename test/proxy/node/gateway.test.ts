import { connect, type IncomingHttpHeaders } from 'node:http2'
import type { TLSSocket } from 'node:tls'
import { expect, onTestFinished, test } from 'vitest'
import type { Decision } from '../../../core/decision.ts'
import type { RequestFacts } from '../../../core/facts.ts'
import { policyInput } from '../../../core/input.ts'
import type { Certificates } from '../../../core/ports.ts'
import type { GatewayListener, Route, Site } from '../../../core/snapshot.ts'
import type { SpiffeId } from '../../../core/spiffe.ts'
import type { ProxyOptions } from '../../../proxy/node/proxy.ts'
import { pem } from '../../../proxy/node/tls.ts'
import {
  allow,
  call,
  callerTls,
  eventually,
  inbound,
  makeCa,
  makeSource,
  ok,
  orders,
  policy,
  service,
  snapshotOf,
  startAnswering,
  startProxy,
  web,
} from './kit.ts'

const ca = makeCa()
const outsideCa = makeCa()
const edge = 'spiffe://bank.example/edge' as SpiffeId
const edgeSvid = ca.issue(edge)
const ordersSvid = ca.issue(orders)

const routeTo = (host: string, name = 'orders'): Route => ({
  name: `${name}/0/0`,
  hosts: [host],
  match: { path: { type: 'prefix', value: '/' } },
  backends: [{ service: 'orders', weight: 1 }],
  timeoutMs: 5000,
})

interface HeldCertificates extends Certificates {
  put(name: string, pair: { readonly certificates: string; readonly key: string }): void
}

function holdCertificates(): HeldCertificates {
  const held = new Map<string, { certificates: string; key: string }>()
  const told = new Set<() => void>()
  return {
    serving: (name) => held.get(name),
    roots: () => '',
    subscribe(changed) {
      told.add(changed)
      return () => told.delete(changed)
    },
    put(name, pair) {
      held.set(name, pair)
      for (const changed of told) changed()
    },
  }
}

const https = (host: string, ...certificates: string[]): Site => ({ host, serves: 'https', certificates })

/** A gateway in front of a sidecar in front of an application. */
async function startEdge(
  sites: readonly Site[],
  more: Partial<GatewayListener> = {},
  decide: (facts: RequestFacts) => Decision = () => allow,
  options: Partial<ProxyOptions> = {},
) {
  const app = await startAnswering(ok('hello'))
  const callee = await startProxy({ source: makeSource(ordersSvid, ca), listener: inbound(app.port) })
  const certificates = holdCertificates()
  const source = makeSource(edgeSvid, ca)
  const listener: GatewayListener = {
    direction: 'gateway',
    name: 'edge',
    bind: { kind: 'tcp', address: '127.0.0.1', port: 0 },
    sites,
    routes: [routeTo('shop.example')],
    policy,
    ...more,
  }
  const services = [service('orders', callee.port, orders)]
  const gateway = await startProxy({ source, listener, services, decide, more: { certificates, ...options } })
  return { app, callee, certificates, gateway, listener, services, source }
}

const outsider = (servername: string) => ({ servername, ca: [pem(outsideCa.root)] })
const get = (host: string, path = '/', more = ''): string => `GET ${path} HTTP/1.1\r\nHost: ${host}\r\n${more}\r\n`
const shown = (socket: unknown): string | undefined => (socket as TLSSocket).getPeerX509Certificate()?.subjectAltName

test('a caller from outside is judged without a name, and goes on into the mesh as the gateway', async () => {
  const inputs: unknown[] = []
  const { app, callee, certificates, gateway } = await startEdge([https('shop.example', 'shop')], {}, (facts) => {
    inputs.push(policyInput(facts))
    return allow
  })
  certificates.put('shop', outsideCa.issueFor('shop.example'))
  const caller = call(gateway.port, outsider('shop.example'))
  caller.send(get('shop.example', '/a?b=c', 'X-Forwarded-For: 6.6.6.6\r\nForwarded: for=6.6.6.6\r\n'))
  expect(await caller.until('hello')).toMatch(/^HTTP\/1.1 200 OK\r\n/)

  expect(inputs).toMatchObject([{ writ: { direction: 'inbound', service: 'orders', workload: edge } }])
  expect(inputs[0]).not.toHaveProperty('source_principal')
  expect(gateway.sink.decisions).toMatchObject([{ verdict: 'allow', route: 'orders/0/0', service: 'orders' }])
  expect(gateway.sink.decisions[0]).not.toHaveProperty('peer')
  expect(callee.sink.decisions).toMatchObject([{ input: { attributes: { source: { principal: edge } } } }])
  expect(callee.sink.decisions[0]!.request_id).toBe(gateway.sink.decisions[0]!.request_id)
  await eventually(() => gateway.sink.outcomes.length === 1)
  expect(gateway.sink.outcomes).toMatchObject([{ code: 'completed', status: 200, peer: { status: 200 } }])
  expect(app.received()).toMatch(/x-forwarded-for: 127\.0\.0\.1\r\n/i)
  expect(app.received()).toMatch(/x-forwarded-proto: https\r\n/i)
  expect(app.received()).not.toContain('6.6.6.6')
})

test('TLS 1.2 is spoken where the port says so, with ephemeral keys and ciphers that authenticate, and nowhere else', async () => {
  const asked = async (more: Partial<GatewayListener>, tls: object) => {
    const { certificates, gateway } = await startEdge([https('shop.example', 'shop')], more)
    certificates.put('shop', outsideCa.issueFor('shop.example'))
    const caller = call(gateway.port, { ...outsider('shop.example'), ...tls })
    caller.send(get('shop.example'))
    const answer = await caller.until('hello')
    return { answer, socket: caller.socket as TLSSocket, refusals: gateway.sink.refusals }
  }
  const old = { maxVersion: 'TLSv1.2' } as const
  const [older, newer] = [await asked({ minTls: '1.2' }, old), await asked({ minTls: '1.2' }, {})]
  expect(older.answer).toMatch(/^HTTP\/1.1 200 OK/)
  expect([older.socket.getProtocol(), newer.socket.getProtocol()]).toEqual(['TLSv1.2', 'TLSv1.3'])
  expect(older.socket.getCipher().name).toMatch(/^ECDHE-ECDSA-(?:AES128-GCM|AES256-GCM|CHACHA20)/)
  expect(older.socket.getSession()).toBeDefined()
  for (const [more, tls] of [
    [{}, old],
    [{ minTls: '1.2' }, { ...old, ciphers: 'ECDHE-ECDSA-AES128-SHA:ECDHE-ECDSA-AES128-SHA256' }],
    [{ minTls: '1.2' }, { ...old, ciphers: 'AES128-GCM-SHA256' }],
  ] as const) {
    const { answer, refusals } = await asked(more, tls)
    expect(answer).toBe('')
    await eventually(() => refusals.length === 1)
    expect(refusals).toMatchObject([{ code: 'handshake_failed' }])
  }
  // A session of 1.2 is not taken up again: it would show no certificate.
  const { certificates, gateway } = await startEdge([https('shop.example', 'shop')], { minTls: '1.2' })
  certificates.put('shop', outsideCa.issueFor('shop.example'))
  const first = call(gateway.port, { ...outsider('shop.example'), ...old })
  first.send(get('shop.example'))
  await first.until('hello')
  const again = call(gateway.port, {
    ...outsider('shop.example'),
    ...old,
    session: (first.socket as TLSSocket).getSession(),
  })
  again.send(get('shop.example'))
  await again.until('hello')
  expect((again.socket as TLSSocket).isSessionReused()).toBe(false)
})

test('a host is shown its own certificate, and one that is not served gets no handshake', async () => {
  const { certificates, gateway } = await startEdge([https('shop.example', 'shop'), https('pay.example', 'pay')])
  certificates.put('shop', outsideCa.issueFor('shop.example'))
  certificates.put('pay', outsideCa.issueFor('pay.example'))
  for (const host of ['shop.example', 'pay.example']) {
    const caller = call(gateway.port, outsider(host))
    await new Promise((resolve) => caller.socket.on('secureConnect', resolve))
    expect(shown(caller.socket)).toBe(`DNS:${host}`)
  }
  for (const host of ['other.example', '']) {
    const refused = call(gateway.port, outsider(host))
    refused.send(get('shop.example'))
    expect(await refused.closed()).toBe('')
  }
  expect(gateway.sink.refusals).toMatchObject([{ code: 'handshake_failed' }, { code: 'handshake_failed' }])
})

test('a name below a wildcard is shown the certificate of the narrowest, and reaches its route', async () => {
  const { certificates, gateway } = await startEdge(
    [https('*.shop.example', 'all'), https('pay.shop.example', 'pay')],
    { routes: [routeTo('*.shop.example'), routeTo('pay.shop.example', 'pay')] },
  )
  certificates.put('all', outsideCa.issueFor('*.shop.example'))
  certificates.put('pay', outsideCa.issueFor('pay.shop.example'))
  for (const [host, route] of [
    ['a.shop.example', 'orders/0/0'],
    ['pay.shop.example', 'pay/0/0'],
  ] as const) {
    const caller = call(gateway.port, outsider(host))
    caller.send(get(host))
    expect(await caller.until('hello')).toMatch(/^HTTP\/1.1 200 /)
    expect(gateway.sink.decisions.at(-1)).toMatchObject({ route })
  }
  const refused = call(gateway.port, outsider('shop.example'))
  refused.send(get('shop.example'))
  expect(await refused.closed()).toBe('')
})

test('a certificate that is replaced is shown to the next connection, and the open one goes on', async () => {
  const { certificates, gateway } = await startEdge([https('shop.example', 'shop')])
  certificates.put('shop', outsideCa.issueFor('shop.example'))
  const before = call(gateway.port, outsider('shop.example'))
  before.send(get('shop.example'))
  await before.until('hello')
  certificates.put('shop', outsideCa.issueFor('shop.example', 'new.example'))
  const after = call(gateway.port, outsider('shop.example'))
  after.send(get('shop.example'))
  await after.until('hello')
  expect(shown(after.socket)).toContain('new.example')
  before.send(get('shop.example'))
  expect((await before.until(/hello.*hello/s)).match(/hello/g)).toHaveLength(2)

  certificates.put('shop', { certificates: 'nothing', key: 'nothing' })
  const none = call(gateway.port, outsider('shop.example'))
  expect(await none.closed()).toBe('')
})

test('over plain HTTP a host of TLS is told where to go, and what it asked is counted, not kept', async () => {
  const { gateway } = await startEdge([{ host: 'shop.example', serves: 'redirect', port: 443 }])
  const caller = call(gateway.port)
  caller.send(get('shop.example', '/cart?item=1'))
  const answer = await caller.until('\r\n\r\n')
  expect(answer).toMatch(/^HTTP\/1.1 308 /)
  expect(answer).toContain('location: https://shop.example/cart?item=1\r\n')
  expect(gateway.sink.decisions).toEqual([])
  expect(gateway.sink.refusals).toMatchObject([{ code: 'tls_required', source: '127.0.0.1' }])
})

test('a plain port takes HTTP/2 by prior knowledge, by the same routes and limits of strangers', async () => {
  const sites: readonly Site[] = [{ host: 'shop.example', serves: 'http' }]
  const { callee, gateway } = await startEdge(sites)
  const session = connect(`http://127.0.0.1:${gateway.port}`)
  onTestFinished(() => session.destroy())
  const ask = async (authority: string): Promise<readonly [unknown, string]> => {
    const stream = session.request({ ':path': '/a', ':authority': authority })
    const head = new Promise<IncomingHttpHeaders>((resolve) => stream.on('response', resolve))
    return [(await head)[':status'], (await stream.setEncoding('utf8').toArray()).join('')]
  }
  expect(await ask('shop.example')).toEqual([200, 'hello'])
  expect((await ask('nobody.example'))[0]).toBe(404)
  expect(callee.sink.decisions).toMatchObject([{ input: { attributes: { source: { principal: edge } } } }])
})

test('only what a route names is reached, whatever host a caller writes', async () => {
  const { app, gateway } = await startEdge([{ host: 'shop.example', serves: 'http' }])
  const caller = call(gateway.port)
  caller.send(get('orders'))
  expect(await caller.until('\r\n\r\n')).toMatch(/^HTTP\/1.1 404 /)
  caller.send(get('shop.example'))
  expect(await caller.until('hello')).toContain(' 200 OK')
  expect(app.sockets).toHaveLength(1)
  expect(gateway.sink.refusals).toMatchObject([{ code: 'no_route' }])
})

test('a certificate is optional or required, and one that is shown has to hold', async () => {
  const sites = [https('shop.example', 'shop')]
  const svid = callerTls(ca.issue(web), ca)
  const pair = outsideCa.issueFor('shop.example')
  const asking = { ...outsider('shop.example') }

  const optional = await startEdge(sites, { clients: { mode: 'optional' } })
  optional.certificates.put('shop', pair)
  const nameless = call(optional.gateway.port, asking)
  nameless.send(get('shop.example'))
  await nameless.until('hello')
  const named = call(optional.gateway.port, { ...asking, cert: svid.cert!, key: svid.key! })
  named.send(get('shop.example'))
  await named.until('hello')
  expect(optional.gateway.sink.decisions.map(({ peer }) => peer?.proof)).toEqual([undefined, 'x509'])
  const foreign = outsideCa.issue(web)
  const unknown = call(optional.gateway.port, { ...asking, cert: pem(foreign.chain[0]!), key: foreign.keyPem })
  unknown.send(get('shop.example'))
  expect(await unknown.closed()).toBe('')
  expect(optional.gateway.sink.refusals).toMatchObject([{ code: 'identity_untrusted' }])
  optional.source.change({ denied: new Set([web]) })
  await named.closed()
  nameless.send(get('shop.example'))
  await nameless.until(/hello.*hello/s)

  const required = await startEdge(sites, { clients: { mode: 'required' } })
  required.certificates.put('shop', pair)
  const refused = call(required.gateway.port, asking)
  refused.send(get('shop.example'))
  expect(await refused.closed()).toBe('')
  expect(required.gateway.sink.refusals).toMatchObject([{ code: 'identity_missing' }])
  const admitted = call(required.gateway.port, { ...asking, cert: svid.cert!, key: svid.key! })
  admitted.send(get('shop.example'))
  expect(await admitted.until('hello')).toContain(' 200 OK')
})

test('a route asks its own policy, and what it refuses to strangers is kept up to a number', async () => {
  const asked = new Set<string | undefined>()
  const { gateway } = await startEdge(
    [{ host: 'shop.example', serves: 'http' }],
    { policies: [{ route: 'orders/0/0', policy: { ...policy, bundle: 'shop' } }] },
    () => allow,
    {
      now: () => 1_700_000_000_000_000_000n, // Time stands still, and no room comes back.
      decide(_, use) {
        asked.add(use?.bundle)
        return { ...allow, verdict: 'deny', code: 'policy_denied' }
      },
    },
  )
  const caller = call(gateway.port)
  let answers = 0
  caller.socket.on('data', (bytes: Buffer) => {
    answers += bytes.toString().split('HTTP/1.1 403').length - 1
  })
  caller.send(get('shop.example').repeat(250))
  await eventually(() => answers === 250)
  expect([...asked]).toEqual(['shop'])
  expect(gateway.sink.decisions).toHaveLength(200)
  expect(gateway.sink.refusals).toHaveLength(50)
})

test('a preflight is answered by its route, and nothing else without the policy', async () => {
  const cors = {
    ...{ origins: ['https://shop.example'], methods: ['PUT'], headers: [], expose: [], credentials: true, maxAgeS: 5 },
  }
  const { app, certificates, gateway } = await startEdge(
    [https('shop.example', 'shop')],
    { routes: [{ ...routeTo('shop.example'), filters: { cors } }] },
    () => ({ ...allow, verdict: 'deny', code: 'policy_denied' }),
  )
  certificates.put('shop', outsideCa.issueFor('shop.example'))
  const asked = 'Origin: https://shop.example\r\nAccess-Control-Request-Method: PUT\r\n'
  const options = (more: string): string => get('shop.example', '/', more).replace('GET', 'OPTIONS')
  const caller = call(gateway.port, outsider('shop.example'))
  caller.send(options(asked))
  expect(await caller.until('\r\n\r\n')).toMatch(/^HTTP\/1.1 204 [\s\S]*access-control-allow-methods: PUT\r\n/)
  for (const message of [options('Origin: https://shop.example\r\n'), get('shop.example', '/', asked)]) {
    const refused = call(gateway.port, outsider('shop.example'))
    refused.send(message)
    expect(await refused.until('policy_denied')).toMatch(/^HTTP\/1.1 403 /)
  }
  expect(gateway.sink.decisions).toMatchObject([
    { verdict: 'allow', code: 'routed' },
    { verdict: 'deny', code: 'policy_denied' },
    { verdict: 'deny', code: 'policy_denied' },
  ])
  expect(app.received()).toBe('')
})

test('sites change with the snapshot while connections stay', async () => {
  const { certificates, gateway, listener, services } = await startEdge([https('shop.example', 'shop')])
  certificates.put('shop', outsideCa.issueFor('shop.example', 'new.example'))
  const caller = call(gateway.port, outsider('shop.example'))
  caller.send(get('shop.example'))
  await caller.until('hello')
  const next = {
    ...listener,
    sites: [https('new.example', 'shop'), https('shop.example', 'shop')],
    routes: [routeTo('shop.example'), routeTo('new.example', 'new')],
  }
  await gateway.proxy.apply(snapshotOf([{ name: 'edge', id: edge, listeners: [next] }], services))
  const other = call(gateway.port, outsider('new.example'))
  other.send(get('new.example'))
  await other.until('hello')
  caller.send(get('shop.example'))
  await caller.until(/hello.*hello/s)
  expect(gateway.proxy.listeners()).toHaveLength(1)
})
