import { afterAll, beforeAll, expect, test } from 'vitest'
import { openStore, type Store } from '../../../audit/node/store.ts'
import { type Question, readQuestion } from '../../../audit/query/ask.ts'
import { formatCsv, formatTable } from '../../../audit/query/format.ts'
import { counts, edges } from '../../../audit/query/node/edges.ts'
import { findDecisions } from '../../../audit/query/node/find.ts'
import { decisionLeaves } from '../../../audit/query/node/leaves.ts'
import type { Json } from '../../../core/json.ts'
import { Mesh, Signer } from '../verify/log.ts'
import { id, startMs } from '../verify/producer.ts'
import { fill } from './store.ts'

/** Decisions that OPAs sent, among those of the mesh. */

let store: Store
const mesh = new Mesh()
const base = { timestamp: '2026-11-23T10:00:00.5Z', labels: { id: 'o1', app: 'till' }, requested_by: '127.0.0.1:40000' }
const envoy = {
  attributes: { source: { principal: id('web') }, request: { http: { method: 'GET', path: '/orders/1' } } },
}
const send = (event: { [member: string]: Json }) =>
  mesh.leaves.push(mesh.control.write({ kind: 'opa_decision', workload: id('opa/till'), event: { ...base, ...event } }))

beforeAll(async () => {
  store = await openStore({ kind: 'pglite' })
  mesh.leaves.push(mesh.orders.decision({ path: '/orders/1' }))
  const bundles = { authz: { revision: 'r7' } }
  send({ decision_id: 'd1', path: 'authz/allow', input: envoy, result: true, bundles, trace_id: 'ab'.repeat(16) })
  send({ decision_id: 'd2', path: 'authz/reasons' })
  send({ decision_id: 'd3', path: 'authz/allow', error: { code: 'internal_error', message: 'x' } })
  send({ decision_id: 'd4', path: 'shop/list', result: { text: 'y'.repeat(10_000) } })
  const malformed = { why: 'it is no object', sha256: 'ab', bytes: 2, text: '[]' }
  mesh.leaves.push(mesh.control.write({ kind: 'opa_decision', workload: id('opa/till'), malformed }))
  await fill(store.db, mesh.leaves, new Signer())
})
afterAll(() => store.close())

const find = async (question: Question) => (await findDecisions(store.db, question)).rows
const idsOf = async (question: Question) => (await find(question)).map(({ told }) => told?.decisionId ?? null)

test('they are found where they are asked for, and are among the mesh’s nowhere else', async () => {
  expect(await idsOf({})).toEqual([null])
  expect(await idsOf({ origin: 'mesh' })).toEqual([null])
  expect(await idsOf({ origin: 'opa' })).toEqual([null, 'd4', 'd3', 'd2', 'd1'])
  expect(await find({ origin: 'any' })).toHaveLength(6)
  expect((await edges(store.db, 0)).map(({ allowed }) => allowed)).toEqual([1])
  expect(await counts(store.db)).toMatchObject({ allowed: 1, denied: 0, faults: 0 })
  expect((await decisionLeaves(store.db, {})).leaves).toHaveLength(1)
  expect((await decisionLeaves(store.db, { origin: 'opa' })).leaves).toEqual([])
})

test('a row says what OPA said, and no verdict, which nobody gave', async () => {
  const [row] = await find({ origin: 'opa', requestId: 'd1' })
  expect(row).toMatchObject({
    caller: id('web'),
    target: id('opa/till'),
    method: 'GET',
    path: 'authz/allow',
    verdict: '',
    code: 'opa_result',
    revision: 'r7',
    requestId: 'd1',
    traceId: 'ab'.repeat(16),
    sourceAddress: '127.0.0.1:40000',
    attested: true,
    covered: true,
    told: { decisionId: 'd1', at: base.timestamp, labels: base.labels, result: true, error: null, malformed: null },
  })
})

test('they are chosen by whom they are of, what was asked, how it ended, and by their own ids', async () => {
  expect(await idsOf({ origin: 'opa', target: 'till' })).toHaveLength(5)
  expect(await idsOf({ origin: 'opa', caller: 'web' })).toEqual(['d1'])
  expect(await idsOf({ origin: 'opa', path: 'authz/' })).toEqual(['d3', 'd2', 'd1'])
  expect(await idsOf({ origin: 'opa', code: 'opa_undefined' })).toEqual(['d2'])
  expect(await idsOf({ origin: 'opa', code: 'opa_error' })).toEqual(['d3'])
  expect(await idsOf({ origin: 'opa', revision: 'r7' })).toEqual(['d1'])
  const [row] = await find({ origin: 'opa', code: 'opa_malformed' })
  expect(row!.told).toMatchObject({ decisionId: null, malformed: 'it is no object' })
  expect((await find({ id: row!.id })).map(({ index }) => index)).toEqual([row!.index])
  expect(() => readQuestion([['origin', 'elsewhere']], startMs)).toThrow(/one of mesh, opa, any/)
})

test('a long result is cut in a row and whole in its record', async () => {
  const [row] = await find({ origin: 'opa', path: 'shop/' })
  expect((row!.told!.result as string).length).toBeLessThan(5000)
  expect(new TextDecoder().decode(mesh.leaves[row!.index])).toContain('y'.repeat(10_000))
})

test('as a table and as CSV the answer stands where a verdict would', async () => {
  const rows = await find({ origin: 'any' })
  const lines = formatTable(rows).split('\n')
  expect(lines.find((line) => line.includes('opa: true'))).toMatch(/web +opa\/till +GET authz\/allow +- +- /)
  expect(formatTable(rows)).toMatch(/opa: undefined.*\n(.*\n)*.*allow/)
  expect(formatCsv(rows)).toContain(',2026-11-23T10:00:00.5Z,true,"{""app"":""till"",""id"":""o1""}",\r\n')
})
