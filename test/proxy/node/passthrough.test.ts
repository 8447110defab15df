import { createServer, type TLSSocket } from 'node:tls'
import { expect, onTestFinished, test, vi } from 'vitest'
import { type Decision, refuse } from '../../../core/decision.ts'
import type { RequestFacts } from '../../../core/facts.ts'
import { policyInput } from '../../../core/input.ts'
import type { Certificates } from '../../../core/ports.ts'
import type { GatewayListener, Listener, Service } from '../../../core/snapshot.ts'
import type { SpiffeId } from '../../../core/spiffe.ts'
import { pem } from '../../../proxy/node/tls.ts'
import {
  allow,
  call,
  eventually,
  inbound,
  makeCa,
  makeSource,
  ok,
  orders,
  policy,
  snapshotOf,
  startAnswering,
  startProxy,
} from './kit.ts'

const ca = makeCa()
const publicCa = makeCa()
const edge = 'spiffe://bank.example/edge' as SpiffeId
const edgeSvid = ca.issue(edge)
const ordersSvid = ca.issue(orders)

/** A gateway that passes vault.example on and ends shop.example, before a sidecar, before an application with TLS of its own. */
async function startEdge(decide: (facts: RequestFacts) => Decision = () => allow, handshakeMs = 10_000) {
  const { certificates, key } = publicCa.issueFor('vault.example')
  const sockets: TLSSocket[] = []
  const app = createServer({ cert: certificates, key }, (socket) => {
    sockets.push(socket)
    socket.on('error', () => {})
    socket.on('data', (bytes) => socket.write(`vault heard ${bytes}`))
  })
  await new Promise<void>((resolve) => app.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    app.close()
    for (const socket of sockets) socket.destroy()
  })
  const { port } = app.address() as { port: number }
  const callee = await startProxy({
    source: makeSource(ordersSvid, ca),
    listener: { ...inbound(port), protocol: 'tcp' } as Listener,
  })
  const web = await startAnswering(ok('hello'))
  const vault: Service = {
    name: 'vault',
    hosts: ['vault'],
    endpoints: [{ address: '127.0.0.1', port: callee.port, identity: orders }],
    protocol: 'tcp',
  }
  const shop: Service = {
    name: 'shop',
    hosts: ['shop'],
    endpoints: [{ address: '127.0.0.1', port: web.port, identity: undefined }],
  }
  const held: Certificates = {
    serving: () => publicCa.issueFor('shop.example'),
    roots: () => '',
    subscribe: () => () => {},
  }
  const listener: GatewayListener = {
    direction: 'gateway',
    name: 'edge',
    bind: { kind: 'tcp', address: '127.0.0.1', port: 0 },
    sites: [
      { host: 'shop.example', serves: 'https', certificates: ['shop'] },
      { host: 'vault.example', serves: 'tls', route: 'to-vault', backends: [{ service: 'vault', weight: 1 }] },
    ],
    routes: [
      {
        name: 'shop/0/0',
        hosts: ['shop.example', 'vault.example'],
        match: { path: { type: 'prefix', value: '/' } },
        backends: [{ service: 'shop', weight: 1 }],
        timeoutMs: 5000,
      },
    ],
    policy,
  }
  const gateway = await startProxy({
    source: makeSource(edgeSvid, ca),
    listener,
    services: [vault, shop],
    decide,
    limits: { handshakeMs, headMs: 400 },
    more: { certificates: held },
  })
  return { gateway, callee, listener, services: [vault, shop], app: sockets }
}

const reach = (port: number, servername: string) => call(port, { servername, ca: [pem(publicCa.root)] })

test('TLS is passed on by the name it asks for, by one decision, and ends where it leads', async () => {
  const inputs: unknown[] = []
  const { gateway, callee } = await startEdge((facts) => {
    inputs.push(policyInput(facts))
    return allow
  })
  const caller = reach(gateway.port, 'Vault.Example')
  caller.send('one')
  await caller.until('vault heard one')
  caller.send('two')
  await caller.until('heard two')
  expect((caller.socket as TLSSocket).authorized).toBe(true)
  caller.socket.end()
  await eventually(() => gateway.sink.outcomes.length === 1 && callee.sink.outcomes.length === 1)

  expect(inputs[0]).toMatchObject({ writ: { direction: 'inbound', protocol: 'tcp', service: 'vault', workload: edge } })
  expect(inputs[0]).not.toHaveProperty('source_principal')
  expect(gateway.sink.decisions).toMatchObject([{ verdict: 'allow', route: 'to-vault', service: 'vault' }])
  expect(callee.sink.decisions).toMatchObject([{ input: { attributes: { source: { principal: edge } } } }])
  expect(callee.sink.decisions[0]!.request_id).toBe(gateway.sink.decisions[0]!.request_id)
  expect(gateway.sink.outcomes[0]!.requestBytes).toBeGreaterThan(200) // The first message is among them.
})

test('at the same port the other names end here', async () => {
  const { gateway, callee } = await startEdge()
  const caller = reach(gateway.port, 'shop.example')
  caller.send('GET / HTTP/1.1\r\nHost: shop.example\r\n\r\n')
  expect(await caller.until('hello')).toContain(' 200 OK')
  const unknown = reach(gateway.port, 'other.example')
  expect(await unknown.closed()).toBe('')
  expect(gateway.sink.refusals).toMatchObject([{ code: 'handshake_failed' }])
  expect(callee.sink.decisions).toEqual([])
})

test('a refusal closes without a byte, and one that comes later cuts what is open', async () => {
  let allowed = true
  const { app, gateway } = await startEdge(() => (allowed ? allow : refuse('policy_denied', 'no')))
  const open = reach(gateway.port, 'vault.example')
  open.send('x')
  await open.until('heard x')
  allowed = false
  await open.closed()
  await vi.waitFor(() => expect(gateway.sink.outcomes).toMatchObject([{ code: 'revoked' }]))
  const refused = reach(gateway.port, 'vault.example')
  expect(await refused.closed()).toBe('')
  expect(app).toHaveLength(1)
})

test('what is no TLS, names nothing, or does not come, is refused and counted', async () => {
  const { gateway } = await startEdge(() => allow, 200)
  const plain = call(gateway.port)
  plain.send('GET / HTTP/1.1\r\nHost: vault.example\r\n\r\n')
  expect(await plain.closed()).toBe('')
  const silent = call(gateway.port)
  expect(await silent.closed()).toBe('')
  const half = call(gateway.port)
  half.send(Buffer.from([22, 3, 1, 1, 0, 1, 0, 0]))
  expect(await half.closed()).toBe('')
  const gone = call(gateway.port)
  gone.socket.end()
  await eventually(() => gateway.sink.refusals.length === 4)
  expect(gateway.sink.refusals.map(({ code }) => code).sort()).toEqual([
    'handshake_failed',
    'handshake_failed',
    'handshake_timeout',
    'handshake_timeout',
  ])
  expect(gateway.proxy.stats().listeners[0]).toMatchObject({ connections: 0, handshakesFailed: 4 })
})

test('a name that a newer snapshot no longer passes on is cut', async () => {
  const { gateway, listener, services } = await startEdge()
  const open = reach(gateway.port, 'vault.example')
  open.send('x')
  await open.until('heard x')
  const next = { ...listener, sites: listener.sites.slice(0, 1) }
  await gateway.proxy.apply(snapshotOf([{ name: 'edge', id: edge, listeners: [next] }], services))
  await open.closed()
  await vi.waitFor(() => expect(gateway.sink.outcomes).toMatchObject([{ code: 'revoked' }]))
  const again = reach(gateway.port, 'vault.example')
  expect(await again.closed()).toBe('')
})
