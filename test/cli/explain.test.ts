import { createServer } from 'node:http'
import { join } from 'node:path'
import { getRequestListener } from '@hono/node-server'
import { afterAll, beforeAll, describe, expect } from 'vitest'
import { openStore } from '../../audit/node/store.ts'
import { explainCommand } from '../../cli/explain.ts'
import { auditRoutes } from '../../control/node/audit-routes.ts'
import { doorApp } from '../../control/node/http.ts'
import { noReport } from '../audit/query/store.ts'
import { type Asked, calls, decideBy, openBank, Traffic, use } from '../audit/replay/traffic.ts'
import { Signer } from '../audit/verify/log.ts'
import { sha256, startMs, verifyTestHead } from '../audit/verify/producer.ts'
import { needs } from '../parts/needs.ts'
import { bankIn, keepLog, printed, temporary } from './recorded.ts'

const test = needs('opa')

const health: Asked = { caller: 'orders', method: 'GET', path: '/healthz', target: 'ledger' }
let state: string
let traffic: Traffic

/** Leaf 0 is the start; 1 and on are the calls in order, the last of them not under the checkpoint. */
beforeAll(async () => {
  state = await temporary(afterAll)
  const enforced = decideBy(await openBank())
  traffic = await new Traffic().judge([...calls.slice(0, 6), health], enforced)
  await traffic.judge([calls[0]!], enforced, { ...use, recordHeaders: ['x-role'], recordQuery: true })
  await keepLog(state, traffic, 8)
})

const idOf = (seq: number): string => `${traffic.producer.epoch}-${seq}`
const explain = async (seq: number, ...words: readonly string[]) =>
  (await printed(explainCommand(), idOf(seq), '--state', state, ...words)).out

describe('a denied decision', () => {
  test('is told in plain words, with its proof and what was not kept', async () => {
    const out = await explain(6)
    expect(out).toMatch(/^storefront asked orders for DELETE \/orders\/0: denied\n/)
    expect(out).toMatch(/when +2026-11-23 12:00:00\.\d{3} UTC/)
    expect(out).toMatch(
      /caller +spiffe:\/\/bank\.example\/storefront\n +proved +by x509 0a1b, valid to 2026-11-23T12:59:/,
    )
    expect(out).toMatch(/answer +deny policy_denied\n/)
    expect(out).toMatch(/made by +rule writ\/authz\/result of bank, revision [0-9a-f]{16}\n/)
    expect(out).toMatch(/reason +storefront may not DELETE \/orders\/\{id\} at orders: no edge allows it/)
    expect(out).toMatch(/outcome +not known \(yet\)/)
    expect(out).toMatch(
      /leaf +6 of log 0, hash [0-9a-f]{16}…\n +proof +covered by the signed checkpoint; its producer signed/,
    )
    expect(out).toMatch(/not kept +the query, if there was one; headers, if there were any/)
  })

  test('comes with the lines of Rego that were tried and did not hold, and no others', async () => {
    const out = await explain(6)
    expect(
      out.slice(out.indexOf('What was tried'), out.indexOf('\nFor it to pass')),
    ).toBe(`What was tried in policies/bank and did not hold:
  authz.rego:39  method == "GET"
  authz.rego:15  allowed if health_check
  authz.rego:32  edge.method == method  (3 times)
  authz.rego:30  edge.from == caller  (2 times)
  authz.rego:17  allowed if some_edge_allows
`)
  })
})

describe('an allowed decision', () => {
  test('comes with the rules that held', async () => {
    const out = await explain(7)
    expect(out).toMatch(/^orders asked ledger for GET \/healthz: allowed\n/)
    expect(out).toContain(`What held in policies/bank:
  authz.rego:15  allowed if health_check
  authz.rego:37  health_check if {
`)
    expect(out).not.toContain('did not hold')
  })

  test('with what its binding keeps names only what that leaves out', async () => {
    expect(await explain(8)).toMatch(/not kept +headers, if there were any\n/)
    expect(await explain(8)).toContain('not yet covered by a signed checkpoint')
  })
})

describe('without what the lines take, it says what that would be', () => {
  test('Rego of another revision', async () => {
    const folder = await temporary()
    await bankIn(folder, (edges) => edges.slice(1))
    const out = await explain(6, '--policies', folder)
    expect(out).toMatch(
      /cannot be shown: the Rego in .*bank is of revision [0-9a-f]{16}: it takes that of revision [0-9a-f]{16}/,
    )
  })

  test('no Rego at all', async () => {
    expect(await explain(6, '--policies', await temporary())).toContain('give the folder above the policy')
  })

  test('no opa', async () => {
    const { PATH, HOME, XDG_CACHE_HOME, WRIT_OPA } = process.env
    const empty = await temporary()
    Object.assign(process.env, { PATH: empty, HOME: empty, XDG_CACHE_HOME: empty })
    process.env['WRIT_OPA'] = 'none'
    try {
      expect(await explain(6)).toContain('The lines that were tried cannot be shown: it takes opa: on PATH')
    } finally {
      for (const [name, value] of Object.entries({ PATH, HOME, XDG_CACHE_HOME, WRIT_OPA })) {
        if (value === undefined) delete process.env[name]
        else process.env[name] = value
      }
    }
  })
})

test('JSON has the record, the rebuilt input and the lines', async () => {
  const told = JSON.parse(await explain(6, '--json'))
  expect(told).toMatchObject({
    row: { verdict: 'deny', index: 6 },
    event: { decision_id: idOf(6) },
    input: { parsed_path: ['orders', '0'], source_principal: 'spiffe://bank.example/storefront' },
    tried: {
      kind: 'lines',
      allowed: false,
      failed: [{ row: 39 }, { row: 15 }, { row: 32, times: 3 }, { row: 30 }, { row: 17 }],
    },
  })
})

test('a running process is asked over its socket, and says the same', async () => {
  const folder = await temporary()
  const direct = await explain(6)
  const store = await openStore({ kind: 'pglite', dir: join(state, 'store') })
  const app = doorApp(() => undefined)
  const place = { dir: folder, key: new Signer().key, verifyHead: verifyTestHead, sha256, db: store.db }
  app.route('/', auditRoutes({ place, findReceipt: async () => undefined, report: noReport, nowMs: () => startMs }))
  const server = createServer(getRequestListener(app.fetch))
  await new Promise<void>((listening) => server.listen(join(folder, 'admin.sock'), listening))
  try {
    expect((await printed(explainCommand(), idOf(6), '--state', folder)).out).toBe(direct)
  } finally {
    await new Promise((gone) => server.close(gone))
    await store.close()
  }
})

test('what is no id, no decision or not there is refused', async () => {
  const refused = (id: string) => printed(explainCommand(), id, '--state', state)
  await expect(refused('17')).rejects.toMatchObject({ code: 'usage' })
  await expect(refused(idOf(99))).rejects.toMatchObject({ code: 'not_found' })
  await expect(refused(idOf(0))).rejects.toMatchObject({
    code: 'not_found',
    message: expect.stringContaining('start') as string,
  })
})
