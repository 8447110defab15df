import { expect, test } from 'vitest'
import type { Route, SessionPlace } from '../../../core/snapshot.ts'
import { call, makeCa, makeSource, ok, outbound, snapshotOf, startAnswering, startProxy, web } from './kit.ts'

const ca = makeCa()
const source = makeSource(ca.issue(web), ca)

/** Two versions of a service, the first one with two endpoints. */
async function sessions(session: SessionPlace, weights = [1, 1]) {
  const apps = await Promise.all(['one', 'two', 'new'].map((name) => startAnswering(ok(name))))
  const at = (...ports: readonly number[]) => ports.map((port) => ({ address: '127.0.0.1', port, identity: undefined }))
  const services = [
    {
      name: 'orders',
      hosts: ['orders'],
      endpoints: at(apps[0]!.port, apps[1]!.port),
      traffic: { balance: { type: 'random' } as const },
    },
    { name: 'next', hosts: [], endpoints: at(apps[2]!.port) },
  ]
  const { proxy } = await startProxy({ source, listener: outbound(), services })
  const use = ([orders, next]: readonly number[]) => {
    const route: Route = {
      ...{ name: 'orders/0/0', hosts: ['orders'], timeoutMs: 1000, match: { path: { type: 'prefix', value: '/' } } },
      backends: [
        { service: 'orders', weight: orders! },
        { service: 'next', weight: next! },
      ],
      session,
    }
    const workload = { name: 'web', id: web, listeners: [outbound()] }
    return proxy.apply({ ...snapshotOf([workload], services), routes: [route] })
  }
  await use(weights)
  const ask = async (more = '') => {
    const caller = call(proxy.listeners()[0]!.port)
    caller.send(`GET / HTTP/1.1\r\nHost: orders\r\nConnection: close\r\n${more}\r\n`)
    const answer = await caller.closed()
    const given = new RegExp(`\\r\\n(?:set-cookie|${session.name}): ([^\\r]*)`, 'i').exec(answer)?.[1]
    return { body: answer.slice(-3), given }
  }
  return { apps, ask, use }
}

test('a client that brings its cookie again is sent to the same endpoint, and one without begins a session of its own', async () => {
  const { ask } = await sessions({ kind: 'cookie', name: 'sid' })
  const bodies = new Set<string>()
  for (let client = 0; client < 12; client++) {
    const { body, given } = await ask()
    expect(given).toMatch(/^sid=[0-9a-f]{16}; Path=\/; HttpOnly; SameSite=Lax$/)
    bodies.add(body)
    for (let again = 0; again < 4; again++)
      expect(await ask(`Cookie: a=b; ${given!.split(';')[0]}\r\n`)).toEqual({ body, given: undefined })
  }
  expect(bodies.size).toBeGreaterThan(1)
  expect((await ask('Cookie: sid=0000000000000000\r\n')).given).toMatch(/^sid=/)
})

test('a session goes on elsewhere where its backend has no weight any more, or its endpoint keeps failing', async () => {
  const { ask, use, apps } = await sessions({ kind: 'header', name: 'x-session' }, [0, 1])
  const first = await ask()
  expect(first.body).toBe('new')
  expect(await ask(`X-Session: ${first.given}\r\n`)).toEqual({ body: 'new', given: undefined })
  await use([1, 0])
  const moved = await ask(`X-Session: ${first.given}\r\n`)
  expect(['one', 'two']).toContain(moved.body)
  expect(moved.given).toMatch(/^[0-9a-f]{16}$/)
  const mine = moved.body === 'one' ? 0 : 1
  await apps[mine]!.close()
  for (let i = 0; i < 5; i++) await ask(`X-Session: ${moved.given}\r\n`)
  const other = await ask(`X-Session: ${moved.given}\r\n`)
  expect(other.body).toBe(mine === 0 ? 'two' : 'one')
  expect(other.given).not.toBe(moved.given)
})
