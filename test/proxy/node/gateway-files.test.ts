import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TLSSocket } from 'node:tls'
import { expect, onTestFinished, test, vi } from 'vitest'
import { makeIdentifyClients } from '../../../ca/clients.ts'
import { makeIdentify } from '../../../ca/identify.ts'
import { verifySignature } from '../../../ca/node/crypto.ts'
import { rootsOf } from '../../../cli/wire/sidecar.ts'
import type { GatewayListener } from '../../../core/snapshot.ts'
import type { SpiffeId, TrustDomain } from '../../../core/spiffe.ts'
import { openCertificates } from '../../../proxy/node/certificates.ts'
import { pem } from '../../../proxy/node/tls.ts'
import { call, eventually, makeCa, makeSource, ok, service, startAnswering, startProxy, web } from './kit.ts'

const ca = makeCa()
const publicCa = makeCa()
const partnersCa = makeCa()
const edge = 'spiffe://bank.example/edge' as SpiffeId
const partners = 'partners.example' as TrustDomain

function makeFolder() {
  const dir = mkdtempSync(join(tmpdir(), 'writ-secrets-'))
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }))
  let count = 0
  return {
    dir,
    /** As Kubernetes does: a new folder, and a link that is swapped in one step. */
    put(name: string, files: Readonly<Record<string, string>>): void {
      const real = join(dir, `..data${++count}`)
      mkdirSync(real)
      for (const [file, text] of Object.entries(files)) writeFileSync(join(real, file), text)
      symlinkSync(real, join(dir, `..link${count}`))
      renameSync(join(dir, `..link${count}`), join(dir, name))
    },
  }
}

const pairOf = (...hosts: string[]): Record<string, string> => {
  const { certificates, key } = publicCa.issueFor(...hosts)
  return { 'tls.crt': certificates, 'tls.key': key }
}

async function startEdge(clients?: GatewayListener['clients']) {
  const folder = makeFolder()
  folder.put('shop', pairOf('shop.example'))
  folder.put('partners', { 'ca.crt': pem(partnersCa.root) })
  const events: string[] = []
  const certificates = openCertificates({
    dir: folder.dir,
    everyMs: 20,
    onEvent: ({ text }) => events.push(text),
  })
  onTestFinished(() => certificates.close())
  const app = await startAnswering(ok('hello'))
  const source = makeSource(ca.issue(edge), ca)
  const identify = makeIdentify(() => source.current(), verifySignature)
  const listener: GatewayListener = {
    direction: 'gateway',
    name: 'edge',
    bind: { kind: 'tcp', address: '127.0.0.1', port: 0 },
    sites: [{ host: 'shop.example', serves: 'https', certificates: ['shop'] }],
    ...(clients && { clients }),
    routes: [
      {
        name: 'shop/0/0',
        hosts: ['shop.example'],
        match: { path: { type: 'prefix', value: '/' } },
        backends: [{ service: 'orders', weight: 1 }],
        timeoutMs: 5000,
      },
    ],
    policy: undefined,
  }
  const gateway = await startProxy({
    source,
    listener,
    services: [service('orders', app.port)],
    more: {
      certificates,
      identify: () => identify,
      identifyClients: (_, { names, trustDomain }) =>
        makeIdentifyClients({
          identify,
          state: () => source.current(),
          roots: rootsOf(certificates, names),
          trustDomain,
          verify: verifySignature,
        }),
    },
  })
  const reach = (more: object = {}) =>
    call(gateway.port, { servername: 'shop.example', ca: [pem(publicCa.root)], ...more })
  return { folder, events, gateway, reach, source }
}

const ask = 'GET / HTTP/1.1\r\nHost: shop.example\r\n\r\n'
const names = (socket: unknown): string => (socket as TLSSocket).getPeerX509Certificate()?.subjectAltName ?? ''

test('files that are swapped are shown to the next connection, and a pair that does not fit changes nothing', async () => {
  const { folder, events, reach } = await startEdge()
  const open = reach()
  open.send(ask)
  await open.until('hello')

  folder.put('shop', pairOf('shop.example', 'renewed.example'))
  let seen = ''
  for (let i = 0; i < 200 && !seen.includes('renewed'); i++) {
    const next = reach()
    await new Promise((resolve) => next.socket.on('secureConnect', resolve))
    seen = names(next.socket)
    next.socket.destroy()
  }
  expect(seen).toContain('renewed.example')

  folder.put('shop', { ...pairOf('shop.example'), 'tls.key': pairOf('other.example')['tls.key']! })
  await eventually(() => events.length > 0)
  expect(events).toEqual([expect.stringContaining('goes on with the one before')])
  const last = reach()
  await new Promise((resolve) => last.socket.on('secureConnect', resolve))
  expect(names(last.socket)).toContain('renewed.example')
  open.send(ask)
  await open.until(/hello.*hello/s)
})

test('a partner is called by the DNS name of its certificate, in a trust domain of its own', async () => {
  const clients = { mode: 'required', roots: { names: ['partners'], trustDomain: partners } } as const
  const { folder, gateway, reach, source } = await startEdge(clients)
  const acme = partnersCa.issueFor('acme.example')
  const known = reach({ cert: acme.certificates, key: acme.key })
  known.send(ask)
  await known.until('hello')
  expect(gateway.sink.decisions).toMatchObject([
    {
      peer: { proof: 'x509' },
      input: { attributes: { source: { principal: 'spiffe://partners.example/acme.example' } } },
    },
  ])

  const refused = async (pair: { certificates: string; key: string }, code: string): Promise<void> => {
    const before = gateway.sink.refusals.length
    const caller = reach({ cert: pair.certificates, key: pair.key })
    caller.send(`${ask.slice(0, -2)}Connection: close\r\n\r\n`)
    expect(await caller.closed()).toBe('')
    expect(gateway.sink.refusals.slice(before)).toMatchObject([{ code }])
  }
  await refused(publicCa.issueFor('acme.example'), 'identity_untrusted')
  await refused(partnersCa.issueFor('acme.example', 'two.example'), 'identity_invalid')
  await refused(partnersCa.issueFor('*.example'), 'identity_invalid')
  // Roots of partners vouch for no workload, whatever their certificates say.
  const posing = partnersCa.issue(web)
  await refused({ certificates: posing.chain.map(pem).join(''), key: posing.keyPem }, 'identity_untrusted')
  const own = ca.issue(web)
  const member = reach({ cert: own.chain.map(pem).join(''), key: own.keyPem })
  member.send(ask)
  await member.until('hello')

  source.change({ denied: new Set(['spiffe://partners.example/acme.example']) })
  await known.closed()
  source.change({ denied: new Set() })
  folder.put('partners', { 'ca.crt': pem(makeCa().root) })
  await vi.waitFor(() => refused(acme, 'identity_untrusted'), 5000) // Once the folder has been looked at.
})
