import { expect, test } from 'vitest'
import { call, makeCa, makeSource, ok, outbound, snapshotOf, startAnswering, startApp, startProxy, web } from './kit.ts'

const ca = makeCa()
const source = makeSource(ca.issue(web), ca)
const get = 'GET / HTTP/1.1\r\nHost: orders\r\nConnection: close\r\n\r\n'

async function through(...ports: readonly number[]) {
  const endpoints = ports.map((port) => ({ address: '127.0.0.1', port, identity: undefined }))
  const services = [{ name: 'orders', hosts: ['orders'], endpoints }]
  const { port, proxy } = await startProxy({ source, listener: outbound(), services })
  const ask = async () => {
    const caller = call(port)
    caller.send(get)
    return await caller.closed()
  }
  return { ask, stats: () => proxy.stats().balanced['orders'] }
}

test('an endpoint that fails five times in a row is ejected, and callers are served by the other one', async () => {
  /** Answers once there are eight that wait, so that none of them is sent for what became of another. */
  const together = (status: string) => {
    const waiting: (() => void)[] = []
    return startApp((_, socket) => {
      const answer = () => void socket.write(`HTTP/1.1 ${status}\r\nContent-Length: 4\r\n\r\nhere`)
      if (waiting.push(answer) >= 8) for (const one of waiting.splice(0)) one()
    })
  }
  const { ask, stats } = await through((await together('503 No')).port, (await together('200 OK')).port)
  const answers = await Promise.all(Array.from({ length: 16 }, ask))
  expect(answers.filter((answer) => answer.startsWith('HTTP/1.1 503'))).toHaveLength(8)
  expect(stats()).toMatchObject([
    { ejected: true, inFlight: 0 },
    { ejected: false, inFlight: 0 },
  ])
  for (const answer of await Promise.all(Array.from({ length: 8 }, ask))) expect(answer).toContain('200 OK')
})

test('an endpoint where nobody listens is asked once, not every other time', async () => {
  const app = await startAnswering(ok('here'))
  const gone = await startAnswering(ok('never'))
  await gone.close()
  const { ask } = await through(gone.port, app.port)
  let failed = 0
  for (let i = 0; i < 20; i++) if (!(await ask()).includes('here')) failed++
  expect(failed).toBeLessThanOrEqual(1)
})

test('a service with one endpoint is not counted', async () => {
  const { ask, stats } = await through((await startAnswering(ok('here'))).port)
  expect(await ask()).toContain('here')
  expect(stats()).toBeUndefined()
})

test('an endpoint that a snapshot adds is asked as its warm-up allows', async () => {
  const [old, fresh] = [await startAnswering(ok('old')), await startAnswering(ok('fresh'))]
  const traffic = { balance: { type: 'random' }, warmUp: { ms: 3_600_000, from: 0 } } as const
  const at = (...ports: readonly number[]) => ({
    ...{ name: 'orders', hosts: ['orders'], traffic },
    endpoints: ports.map((port) => ({ address: '127.0.0.1', port, identity: undefined })),
  })
  const { proxy } = await startProxy({ source, listener: outbound(), services: [at(old.port, old.port)] })
  const workload = { name: 'web', id: web, listeners: [outbound()] }
  const ask = async () => {
    const caller = call(proxy.listeners()[0]!.port)
    caller.send(get)
    return await caller.closed()
  }
  const asked = async () => (await Promise.all(Array.from({ length: 40 }, ask))).filter((all) => all.endsWith('fresh'))
  await proxy.apply(snapshotOf([workload], [at(old.port, fresh.port)]))
  expect(await asked()).toEqual([])
  await proxy.apply(snapshotOf([workload], [{ ...at(old.port, fresh.port), traffic: { balance: { type: 'random' } } }]))
  expect((await asked()).length).toBeGreaterThan(5)
})

test('endpoints of the own zone are asked, those of the region once the zone fails, and numbers say where requests went', async () => {
  const apps = await Promise.all(['near', 'region', 'far'].map((name) => startAnswering(ok(name))))
  const endpoints = ['eu/a', 'eu/b', 'us/a'].map((locality, i) => {
    return { address: '127.0.0.1', port: apps[i]!.port, identity: undefined, locality }
  })
  const services = [{ name: 'orders', hosts: ['orders'], endpoints }]
  const { proxy } = await startProxy({ source, listener: outbound(), services })
  const ask = async () => {
    const caller = call(proxy.listeners()[0]!.port)
    caller.send(get)
    return (await caller.closed()).split('\r\n\r\n')[1]
  }
  const bodies = async (times: number) => new Set(await Promise.all(Array.from({ length: times }, ask)))
  const workload = { name: 'web', id: web, listeners: [outbound()], locality: 'eu/a' }
  await proxy.apply(snapshotOf([workload], services))
  expect(await bodies(20)).toEqual(new Set(['near']))
  await apps[0]!.close()
  for (let i = 0; i < 5; i++) await ask()
  expect(await bodies(20)).toEqual(new Set(['region']))
  const stats = () => proxy.stats().balanced['orders']!
  expect(stats()).toMatchObject([
    { locality: 'eu/a', asked: 25, ejected: true },
    { locality: 'eu/b', asked: 20, ejected: false },
    { locality: 'us/a', asked: 0, ejected: false },
  ])
  await proxy.apply(snapshotOf([{ ...workload, locality: 'us/a' }], services))
  expect(await bodies(5)).toEqual(new Set(['far']))
})
