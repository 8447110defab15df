import { mkdir, writeFile } from 'node:fs/promises'
import { createServer, request } from 'node:http'
import { request as requestTls } from 'node:https'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { createServer as createTlsServer } from 'node:tls'
import { expect, onTestFinished, test } from 'vitest'
import { pem } from '../../proxy/node/tls.ts'
import { freePort } from '../parts/ports.ts'
import { makeCa } from '../proxy/node/kit.ts'
import { start, temporary, writ } from './writ.ts'

/** `writ up` with a way in and a way out: from outside to a service, and from that service to a host outside. */

const publicCa = makeCa()
const rego = `package shop

import rego.v1

# METADATA
# entrypoint: true
result := {"allowed": allowed}

default allowed := false

allowed if {
	input.writ.service == "orders"
	input.attributes.request.http.path != "/secret"
}

allowed if {
	input.writ.service == "pay"
	input.source_principal == "spiffe://shop.example/orders"
}
`

interface Got {
  readonly status: number | undefined
  readonly location: string | undefined
  readonly text: string
}

/** Over plain HTTP, to a host by its name. */
const get = (port: number, host: string, path: string): Promise<Got> =>
  new Promise((resolve, reject) => {
    const asked = request({ host: '127.0.0.1', port, path, headers: { host }, agent: false }, (answer) => {
      let text = ''
      answer.on('data', (bytes) => {
        text += bytes
      })
      answer.on('end', () => resolve({ status: answer.statusCode, location: answer.headers.location, text }))
    })
    asked.on('error', reject).end()
  })

test('a caller from outside reaches a service, which reaches a host outside, and each step is in the log', async () => {
  const folder = await temporary()
  const [inbound, outbound, tls, plain, egress] = await Promise.all(Array.from({ length: 5 }, () => freePort()))
  const put = async (name: string, files: Readonly<Record<string, string>>): Promise<void> => {
    await mkdir(join(folder, 'secrets', name), { recursive: true })
    for (const [file, text] of Object.entries(files)) await writeFile(join(folder, 'secrets', name, file), text)
  }
  const { certificates, key } = publicCa.issueFor('shop.example')
  await put('shop-tls', { 'tls.crt': certificates, 'tls.key': key })
  await put('public', { 'ca.crt': pem(publicCa.root) })
  await mkdir(join(folder, 'policies/shop'), { recursive: true })
  await writeFile(join(folder, 'policies/shop/shop.rego'), rego)
  expect(await writ('policy', 'build', join(folder, 'policies'))).toMatchObject({ code: 0 })

  const pay = publicCa.issueFor('pay.example')
  const outside = createTlsServer({ cert: pay.certificates, key: pay.key }, (socket) => {
    socket.on('error', () => {})
    socket.once('data', () => socket.end('HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\npaid'))
  })
  const app = createServer((_, answer) => {
    get(outbound!, 'pay.example', '/charge').then(
      (paid) => answer.end(`${paid.status} ${paid.text}`),
      () => answer.end('not paid'),
    )
  })
  for (const server of [outside, app]) {
    await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening))
    onTestFinished(() => void server.close())
  }
  const portOf = (server: typeof app | typeof outside): number => (server.address() as AddressInfo).port
  const file = join(folder, 'mesh.yaml')
  const documents = [
    ['Mesh', 'mesh', '{trustDomain: shop.example}'],
    ['Workload', 'orders', `{inbound: {port: ${inbound}, app: {port: ${portOf(app)}}}, outbound: {port: ${outbound}}}`],
    ['Workload', 'edge', `{gateway: {name: door}, egress: {port: ${egress}}}`],
    [
      'Gateway',
      'door',
      `{gatewayClassName: writ-ingress, listeners: [
        {name: plain, hostname: shop.example, port: ${plain}, protocol: HTTP},
        {name: tls, hostname: shop.example, port: ${tls}, protocol: HTTPS, tls: {certificateRefs: [{name: shop-tls}]}}]}`,
    ],
    ['HTTPRoute', 'shop', '{parentRefs: [{name: door}], rules: [{backendRefs: [{name: orders}]}]}'],
    [
      'ExternalService',
      'pay',
      `{host: pay.example, port: ${portOf(outside)}, addresses: [127.0.0.1], gateway: edge,
        tls: {caCertificateRefs: [{name: public}]}}`,
    ],
    [
      'PolicyBinding',
      'all',
      `{bundle: shop, entrypoint: shop/result, targetRefs: [{kind: Workload, name: orders},
        {kind: ExternalService, name: pay}, {group: gateway.networking.k8s.io, kind: Gateway, name: door}]}`,
    ],
  ].map(([kind, name, spec]) => {
    const group = /Route|Gateway/.test(kind!) ? 'gateway.networking.k8s.io' : 'writ.dev'
    return `apiVersion: ${group}/v1\nkind: ${kind}\nmetadata: {name: ${name}}\nspec: ${spec}\n`
  })
  await writeFile(file, documents.join('---\n'))
  const dirs = ['--policies', join(folder, 'policies'), '--secrets', join(folder, 'secrets')]
  const up = start(['up', '-f', file, '--state', join(folder, 'state'), ...dirs])
  await up.said(/^page /m)

  const ask = (path: string): Promise<string> =>
    new Promise((resolve, reject) => {
      const options = { host: '127.0.0.1', port: tls, servername: 'shop.example', ca: pem(publicCa.root), path }
      const headers = { host: 'shop.example' }
      const asked = requestTls({ ...options, headers, agent: false }, (answer) => {
        let text = `${answer.statusCode} `
        answer.on('data', (bytes) => {
          text += bytes
        })
        answer.on('end', () => resolve(text))
      })
      asked.on('error', reject).end()
    })
  expect(await ask('/cart')).toBe('200 200 paid')
  expect(await ask('/secret')).toMatch(/^403 /)
  const away = await get(plain!, 'shop.example', '/cart')
  expect([away.status, away.location]).toEqual([308, `https://shop.example:${tls}/cart`])
  const { 1: logKey } = await up.said(/^log key {4}(\S+)$/m)
  up.signal('SIGTERM')
  expect(await up.ended).toMatchObject({ code: 0 })

  const query = await writ('audit', 'query', '--state', join(folder, 'state'), '--json')
  const { rows } = JSON.parse(query.out) as { rows: Record<string, string>[] }
  const steps = rows.map(
    ({ caller, target, direction, verdict, path }) => `${caller} ${target} ${direction} ${verdict} ${path}`,
  )
  const id = (name: string): string => `spiffe://shop.example/${name}`
  expect(steps.toSorted()).toEqual(
    [
      `null ${id('edge')} inbound allow /cart`,
      `null ${id('edge')} inbound deny /secret`,
      `${id('edge')} ${id('orders')} inbound allow /cart`,
      `${id('orders')} ${id('edge')} inbound allow /charge`,
      `${id('orders')} pay outbound allow /charge`,
    ].toSorted(),
  )
  const log = join(folder, 'state/log')
  expect(await writ('audit', 'verify', '--log', log, '--key', logKey!, '--json')).toMatchObject({ code: 0 })
})
