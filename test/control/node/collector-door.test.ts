import { afterEach, expect, test } from 'vitest'
import { type CollectorDoor, openCollectorDoor } from '../../../control/node/collector-door.ts'
import type { CollectorParts } from '../../../control/node/collector-routes.ts'
import { collectorTokens, testSink } from './mesh.ts'

const doors: CollectorDoor[] = []
afterEach(async () => {
  await Promise.all(doors.splice(0).map((door) => door.close()))
})

async function open(options = {}) {
  const sink = testSink()
  const denied = new Set<string>()
  const parts: CollectorParts = {
    collectorToken: (token) => collectorTokens[token],
    denied: () => ({ denied }),
    sink,
    unexpected: () => undefined,
  }
  const door = await openCollectorDoor(parts, options)
  doors.push(door)
  const ask = (path: string, token?: string, method = 'POST') =>
    fetch(`http://127.0.0.1:${door.port}${path}`, {
      method,
      headers: token === undefined ? {} : { authorization: `Bearer ${token}` },
      ...(method === 'POST' ? { body: JSON.stringify({ refusals: [stranger] }) } : {}),
    })
  return { door, sink, denied, ask }
}

const stranger = { source: '', code: 'identity_missing', detail: '', count: 1 }

test('the collector’s door takes records with a token, and without one nothing', async () => {
  const { ask, sink, denied } = await open()
  expect((await ask('/v1/records', 'edge-orders')).status).toBe(200)
  expect((await ask('/v1/records', 'guessed')).status).toBe(401)
  expect((await ask('/v1/records')).status).toBe(401)
  denied.add('spiffe://bank.example/orders')
  expect((await ask('/v1/records', 'edge-orders')).status).toBe(403)
  expect(sink.refusals).toHaveLength(1)
})

test('it is the collector’s alone: nothing that the mesh door answers is to be had here', async () => {
  const { ask } = await open()
  for (const path of ['/v1/trust', '/v1/snapshot', '/v1/denied', '/v1/records']) {
    expect((await ask(path, 'edge-orders', 'GET')).status).toBe(404)
  }
  for (const path of ['/v1/join', '/v1/renew', '/v1/jwt']) {
    expect((await ask(path, 'edge-orders')).status).toBe(404)
  }
})

test.each(['0.0.0.0', '::', '192.0.2.1', 'example.com'])(
  'it does not open at %s, where tokens would be in the clear',
  async (address) => {
    await expect(open({ address })).rejects.toMatchObject({ code: 'config_invalid', cure: expect.any(String) })
  },
)
