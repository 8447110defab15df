import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import type { Listener } from '../../../core/snapshot.ts'
import {
  allow,
  call,
  callerTls,
  eventually,
  get,
  inbound,
  makeCa,
  makeSource,
  ok,
  orders,
  outbound,
  service,
  snapshotOf,
  startAnswering,
  startApp,
  startProxy,
  web,
} from './kit.ts'

const ca = makeCa()
const source = makeSource(ca.issue(web), ca)
const workload = (...listeners: Listener[]) => [{ name: 'web', id: web, listeners }]

test('a drain finishes what is in flight with Connection: close, ends what is idle, and accepts no more', async () => {
  const app = await startApp((text, socket) => void (text.includes('/slow') || socket.write(ok('fast'))))
  const { proxy, port, sink } = await startProxy({
    source,
    listener: outbound(),
    services: [service('orders', app.port)],
  })
  const idle = call(port)
  idle.send(get)
  await idle.until('fast')
  const busy = call(port)
  busy.send('GET /slow HTTP/1.1\r\nHost: orders\r\n\r\n')
  await eventually(() => app.received().includes('/slow'))

  const drained = proxy.drain(5000)
  expect(await idle.closed()).toMatch(/fast$/)
  expect(await call(port).closed()).toBe('')
  app.sockets.at(-1)!.write(ok('slow'))
  expect(await busy.closed()).toMatch(/connection: close.*slow$/s)
  await drained
  expect(sink.outcomes.map(({ code }) => code)).toEqual(['completed', 'completed'])
})

test('what does not finish within the time of a drain is cut, and recorded as drained', async () => {
  const app = await startApp(() => {})
  const { proxy, port, sink } = await startProxy({
    source,
    listener: outbound(),
    services: [service('orders', app.port)],
  })
  const connection = call(port)
  connection.send(get)
  await eventually(() => app.received() !== '')
  await proxy.drain(50)
  await connection.closed()
  expect(sink.outcomes).toMatchObject([{ code: 'drained' }])
})

test('a new snapshot takes effect with the next request and drops none in flight', async () => {
  const first = await startApp(() => {})
  const second = await startAnswering(ok('second'))
  const { proxy, port } = await startProxy({ source, listener: outbound(), services: [service('orders', first.port)] })
  const early = call(port)
  early.send(get)
  await eventually(() => first.received() !== '')
  await proxy.apply(snapshotOf(workload(outbound()), [service('orders', second.port)]))
  expect(proxy.listeners()).toEqual([{ name: 'web/out', port }])
  const late = call(port)
  late.send(get)
  expect(await late.until('second')).toContain('200 OK')
  first.sockets[0]!.write(ok('first'))
  expect(await early.until('first')).toContain('200 OK')
  early.send(get)
  expect(await early.until('second')).toContain('second')
})

test('a new snapshot opens and closes listeners, and leaves the others alone', async () => {
  const app = await startAnswering(ok('hello'))
  const services = [service('orders', app.port)]
  const { proxy, port } = await startProxy({ source, listener: outbound(), services })
  const kept = call(port)
  kept.send(get)
  await kept.until('hello')
  const more: Listener = { ...outbound(), name: 'more' }
  await proxy.apply(snapshotOf(workload(outbound(), more), services))
  expect(proxy.listeners().map(({ name }) => name)).toEqual(['web/out', 'web/more'])
  const second = call(proxy.listeners()[1]!.port)
  second.send(get)
  await second.until('hello')
  await proxy.apply(snapshotOf(workload(outbound()), services))
  expect(await second.closed()).toMatch(/hello$/)
  expect(proxy.listeners()).toEqual([{ name: 'web/out', port }])
  kept.send(get)
  await kept.until(/hello.*hello/s)
})

test('a snapshot whose new listener cannot be opened says so, and all else of it is in force', async () => {
  const app = await startAnswering(ok('hello'))
  const { proxy, port } = await startProxy({ source, listener: outbound() })
  const taken: Listener = { ...outbound(app.port), name: 'taken' }
  const next = snapshotOf(workload(outbound(), taken), [service('orders', app.port)])
  await expect(proxy.apply(next)).rejects.toMatchObject({ code: 'in_use' })
  const connection = call(port)
  connection.send(get)
  await connection.until('hello')
})

test('a new policy binding is asked from the next request on', async () => {
  const app = await startAnswering(ok('hello'))
  const asked: unknown[] = []
  const ordersSource = makeSource(ca.issue(orders), ca)
  const { proxy, port } = await startProxy({
    source: ordersSource,
    listener: inbound(app.port),
    more: {
      decide: (_, use) => {
        asked.push(use?.bundle)
        return allow
      },
    },
  })
  const connection = call(port, callerTls(ca.issue(web), ca))
  connection.send(get)
  await connection.until('hello')
  const listener = inbound(app.port)
  const use = { bundle: 'next', entrypoint: 'a/b', recordHeaders: [], recordQuery: false }
  const renewed = { ...listener, policy: use } as Listener
  await proxy.apply(snapshotOf([{ name: 'orders', id: orders, listeners: [renewed] }]))
  connection.send(get)
  await connection.until(/hello.*hello/s)
  expect(asked).toEqual(['bank', 'next'])
})

test('a Unix socket is for its owner only, and one left by a killed process is replaced', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'writ-'))
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }))
  const path = join(dir, 's')
  const app = await startAnswering(ok('hello'))
  const listener: Listener = { direction: 'outbound', name: 'out', bind: { kind: 'unix', path } }
  const options = { source, listener, services: [service('orders', app.port)] }
  const { proxy } = await startProxy(options)
  expect(statSync(path).mode & 0o777).toBe(0o600)
  const socket = connect({ path })
  onTestFinished(() => void socket.destroy())
  socket.write(get)
  await new Promise((resolve) => socket.once('data', resolve))
  await expect(startProxy(options)).rejects.toMatchObject({ code: 'in_use' })
  await proxy.drain(0)

  const left = `require('net').createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, 'SIGKILL'))`
  spawnSync(process.execPath, ['-e', left])
  expect(statSync(path).isSocket()).toBe(true)
  await startProxy(options)
  expect(statSync(path).mode & 0o777).toBe(0o600)
})

test('a connection beyond its age is closed after its next answer, or when idle', async () => {
  const app = await startAnswering(ok('hello'))
  const { port } = await startProxy({
    source,
    listener: outbound(),
    services: [service('orders', app.port)],
    limits: { ageMs: 100, headMs: 400 },
  })
  const connection = call(port)
  connection.send(get)
  expect(await connection.closed()).toMatch(/hello$/)
})
