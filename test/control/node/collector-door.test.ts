import { afterEach, expect, test } from 'vitest'
import { openCollectorDoor } from '../../../control/node/collector-door.ts'
import type { CollectorParts } from '../../../control/node/collector-routes.ts'
import type { Door } from '../../../control/node/open-door.ts'
import type { SpiffeId } from '../../../core/spiffe.ts'
import { collectorTokens, testSink } from './mesh.ts'

const doors: Door[] = []
afterEach(async () => {
  await Promise.all(doors.splice(0).map((door) => door.close()))
})

async function open(options = {}, more: Partial<CollectorParts> = {}) {
  const sink = testSink()
  const denied = new Set<string>()
  const parts: CollectorParts = {
    collectorToken: (token) => collectorTokens[token],
    denied: () => ({ denied }),
    sink,
    unexpected: () => undefined,
    ...more,
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

test('a decision that lets in a caller in quarantine is not kept; each answer names those that are cut off', async () => {
  const id = 'spiffe://bank.example/batch' as SpiffeId
  const { door, sink } = await open({}, { quarantine: () => [{ id, untilMs: 100, reason: 'odd' }], nowMs: () => 99 })
  const post = async (principal: string, verdict: 'allow' | 'deny') => {
    const record = {
      ...{ kind: 'decision', direction: 'inbound', workload: 'spiffe://bank.example/orders', listener: 'l', verdict },
      ...{ code: verdict === 'allow' ? 'allowed' : 'quarantined', by: 'proxy', enforced: true, reasons: [] },
      ...{ input: { attributes: { source: { principal } } }, request_id: 'r' },
    }
    const answer = await fetch(`http://127.0.0.1:${door.port}/v1/records`, {
      method: 'POST',
      headers: { authorization: 'Bearer edge-orders' },
      body: JSON.stringify({ records: [record] }),
    })
    const { quarantine } = (await answer.json()) as { quarantine: unknown }
    expect(quarantine).toEqual([{ id, until_ms: 100, reason: 'odd' }])
    return answer.status
  }
  expect([await post(id, 'allow'), sink.bodies.length]).toEqual([403, 0])
  expect([await post(id, 'deny'), await post('spiffe://bank.example/web', 'allow')]).toEqual([200, 200])
  expect(sink.bodies).toHaveLength(2)
})
