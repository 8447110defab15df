import { createServer, type Server } from 'node:net'
import koffi from 'koffi'
import { expect, test } from 'vitest'
import type { Listener, Service } from '../../../core/snapshot.ts'
import { readInherited } from '../../../proxy/node/inherited.ts'
import {
  call,
  eventually,
  makeCa,
  makeSource,
  ok,
  outbound,
  service,
  startAnswering,
  startApp,
  startProxy,
  web,
} from './kit.ts'

const source = (() => {
  const ca = makeCa()
  return makeSource(ca.issue(web), ca)
})()

test('sockets are taken by their names, each once, and only by the process that they are for', () => {
  const env = { LISTEN_FDS: '2', LISTEN_FDNAMES: 'web/outbound:web/tcp-ledger', LISTEN_PID: '7' }
  const inherited = readInherited(env, 7)!
  expect(inherited.take('web/tcp-ledger')).toBe(4)
  expect(inherited.take('web/tcp-ledger')).toBeUndefined()
  expect(inherited.left()).toEqual(['web/outbound'])
  expect(readInherited(env, 8)).toBeUndefined()
  expect(readInherited({}, 7)).toBeUndefined()
})

test.each([
  ['without names', { LISTEN_FDS: '1' }],
  ['with fewer names', { LISTEN_FDS: '2', LISTEN_FDNAMES: 'web/out' }],
  ['of one name twice', { LISTEN_FDS: '2', LISTEN_FDNAMES: 'web/out:web/out' }],
  ['in a number that is none', { LISTEN_FDS: '-1', LISTEN_FDNAMES: 'web/out' }],
  ['without end', { LISTEN_FDS: '999', LISTEN_FDNAMES: 'web/out' }],
])('sockets %s are refused', (_, env) => {
  expect(() => readInherited(env, 7)).toThrow(expect.objectContaining({ code: 'config_invalid' }))
})

/** A listening socket as it is passed on: its descriptor, and the port that it has. */
async function opened(): Promise<{ readonly fd: number; readonly port: number }> {
  const server = createServer() as Server & { readonly _handle: { readonly fd: number } }
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const fd: number = koffi.load(null).func('int dup(int)')(server._handle.fd)
  const { port } = server.address() as { port: number }
  await new Promise((resolve) => server.close(resolve))
  return { fd, port }
}

test('a listener serves the socket that was passed on, at the address that it is to have, and no other', async () => {
  const app = await startAnswering(ok('hello'))
  const { fd, port } = await opened()
  const services = [service('orders', app.port)]
  const taken: string[] = []
  const inherited = (name: string): number => {
    taken.push(name)
    return fd
  }
  const proxy = await startProxy({ source, listener: outbound(port), services, more: { inherited } })
  expect(proxy.port).toBe(port)
  const caller = call(port)
  caller.send('GET / HTTP/1.1\r\nHost: orders\r\n\r\n')
  expect(await caller.until('hello')).toContain(' 200 OK')
  expect(taken).toEqual(['web/out'])

  const other = await opened()
  const wrong = startProxy({ source, listener: outbound(port), more: { inherited: () => other.fd } })
  await expect(wrong).rejects.toMatchObject({
    code: 'config_invalid',
    message: expect.stringContaining(`${other.port}`),
  })
})

test('what was sent to the address of an opaque service is passed there as bytes, by one decision; all else is HTTP', async () => {
  const app = await startApp((text, socket) => void socket.write(`echo ${text}`))
  const ledger: Service = { ...service('ledger', app.port), protocol: 'tcp' }
  const services = [ledger, service('orders', (await startAnswering(ok('hello'))).port)]
  const both: Listener = { ...outbound(), bind: { kind: 'tcp', address: '0.0.0.0', port: 0 } } as Listener
  const addressesOf = () =>
    new Map([
      ['ledger', '127.64.0.9'],
      ['orders', '127.64.0.8'],
    ])
  const { port, sink } = await startProxy({ source, listener: both, services, more: { addressesOf } })
  const bytes = call(port, undefined, '127.64.0.9')
  bytes.send('\0ledger')
  expect(await bytes.until('ledger')).toBe('echo \0ledger')
  const http = call(port, undefined, '127.64.0.8')
  http.send('GET / HTTP/1.1\r\nHost: orders\r\n\r\n')
  expect(await http.until('hello')).toContain(' 200 OK')
  bytes.socket.destroy()
  await eventually(() => sink.outcomes.length === 2)
  expect(sink.decisions).toMatchObject([
    { code: 'routed', service: 'ledger' },
    { code: 'routed', service: 'orders' },
  ])
})
