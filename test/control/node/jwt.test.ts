import { afterEach, expect, test } from 'vitest'
import { ask, type TestMesh, testMesh } from './mesh.ts'
import { identityOf } from './pki.ts'

const open: TestMesh[] = []
afterEach(async () => {
  await Promise.all(open.splice(0).map(({ door }) => door.close()))
})

const orders = identityOf('spiffe://bank.example/orders')
const edge = 'spiffe://bank.example/edge-fn'

async function opened(): Promise<TestMesh> {
  const mesh = await testMesh()
  open.push(mesh)
  return mesh
}

async function asked(body: unknown, as: typeof orders | undefined = orders, revoked: string[] = []) {
  const mesh = await opened()
  for (const id of revoked) mesh.revoked.add(id)
  return ask(mesh.door.port, 'POST', '/v1/jwt', { body, as })
}

test('a workload gets a token in the name of its own certificate, for the audience that it names', async () => {
  const { status, json } = await asked({ audience: edge })
  expect(status).toBe(200)
  expect(json).toEqual({
    token: `spiffe://bank.example/orders for ${edge}`,
    serial: 'ab',
    not_after: '1970-01-01T00:21:40.000Z',
  })
})

test('nobody gets a token without a certificate, with a revoked one, or in a name of their choice', async () => {
  expect((await ask((await opened()).door.port, 'POST', '/v1/jwt', { body: { audience: edge } })).status).toBe(401)
  expect((await asked({ audience: edge }, orders, ['spiffe://bank.example/orders'])).status).toBe(403)
  expect((await asked({ audience: edge, id: 'spiffe://bank.example/payments' })).status).toBe(400)
})

test('an audience is visible text of some length', async () => {
  for (const audience of [
    undefined,
    '',
    'two words',
    'x'.repeat(2049),
    [],
    [edge, 'two words'],
    Array(17).fill(edge),
    'line\n',
  ]) {
    expect((await asked({ audience })).status).toBe(400)
  }
  expect((await asked({ audience: 'x'.repeat(2048) })).status).toBe(200)
  expect((await asked({ audience: Array(16).fill(edge) })).status).toBe(200)
})
