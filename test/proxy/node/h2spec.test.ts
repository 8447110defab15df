import { execFile } from 'node:child_process'
import { stripVTControlCharacters } from 'node:util'
import { expect } from 'vitest'
import type { GatewayListener } from '../../../core/snapshot.ts'
import { needs, pathOf } from '../../parts/needs.ts'
import { makeCa, makeSource, ok, outbound, policy, service, startApp, startProxy, web } from './kit.ts'

const test = needs('h2spec')
const ca = makeCa()

// An answer that overtakes the second of two frames ends the stream before its fault is seen.
const startSlowApp = () => startApp((_, socket) => void setTimeout(() => socket.write(ok('hello'), 'latin1'), 50))

async function failuresOf(...args: readonly string[]): Promise<readonly string[]> {
  const said = await new Promise<string>((resolve) => {
    execFile(pathOf('h2spec'), ['--strict', ...args], (_, out) => resolve(out))
  })
  const text = stripVTControlCharacters(said)
  expect(text).toMatch(/146 tests, \d+ passed, 0 skipped, \d+ failed/)
  return [...text.slice(text.indexOf('Failures:')).matchAll(/× \d+: (.+)/g)].map(([, name]) => name!.trim())
}

/** It is read as HTTP/1.1, answered 400 and closed: docs/PROTOCOLS.md. */
const known = ['Sends invalid connection preface']

test('h2spec, strict, finds nothing against a plain listener but what is known', async () => {
  const app = await startSlowApp()
  const services = [service('orders', app.port, undefined, '127.0.0.1')]
  const { port } = await startProxy({ source: makeSource(ca.issue(web), ca), listener: outbound(), services })
  expect(await failuresOf('-h', '127.0.0.1', '-p', String(port))).toEqual(known)
})

test('h2spec, strict, finds nothing where TLS has negotiated HTTP/2', async () => {
  const app = await startSlowApp()
  const listener: GatewayListener = {
    ...{ direction: 'gateway', name: 'edge', bind: { kind: 'tcp', address: '127.0.0.1', port: 0 }, policy },
    sites: [{ host: 'localhost', serves: 'https', certificates: ['edge'] }],
    routes: [
      {
        ...{ name: 'orders/0/0', hosts: ['localhost'], match: { path: { type: 'prefix', value: '/' } } },
        ...{ backends: [{ service: 'orders', weight: 1 }], timeoutMs: 5000 },
      },
    ],
  }
  const certificates = { serving: () => ca.issueFor('localhost'), roots: () => '', subscribe: () => () => {} }
  const { port } = await startProxy({
    ...{
      source: makeSource(ca.issue(web), ca),
      listener,
      services: [service('orders', app.port)],
      more: { certificates },
    },
  })
  expect(await failuresOf('-t', '-k', '-h', 'localhost', '-p', String(port))).toEqual([])
})
