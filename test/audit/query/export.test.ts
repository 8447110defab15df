import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect } from 'vitest'
import { openStore, type Store } from '../../../audit/node/store.ts'
import { type Question, readQuestion } from '../../../audit/query/ask.ts'
import { type ExportFormat, exported } from '../../../audit/query/node/export.ts'
import { makeOpaCollector } from '../../../control/opa-collector.ts'
import { splitArray } from '../../../control/opa-event.ts'
import { eventKinds } from '../../../core/record.ts'
import { testSink } from '../../control/node/mesh.ts'
import { needs, pathOf } from '../../parts/needs.ts'
import { runPython } from '../../parts/python.ts'
import { Mesh, Signer } from '../verify/log.ts'
import { id, sha256, startMs } from '../verify/producer.ts'
import { fill } from './store.ts'

const test = needs('python')

/** One record of every kind, and of decisions every sort. */
function everyKind(): Mesh {
  const made = new Mesh()
  const { orders, control, auditor, leaves } = made
  const at = { not_before: '2026-11-23T11:00:00.000000000Z', not_after: '2026-11-23T13:00:00.000000000Z' }
  leaves.push(
    orders.decision({ path: '/orders/1' }),
    orders.decision({ path: '/orders/2', verdict: 'deny' }),
    orders.decision({ path: '/orders/3', verdict: 'fault', method: 'PURGE' }),
    orders.decision({ caller: undefined, verdict: 'deny', code: 'identity_missing', method: 'POST' }),
    orders.decision({ verdict: 'fault', code: 'fault_passed', method: 'DELETE' }),
    orders.decision({ direction: 'outbound', method: 'PUT' }),
    orders.decision({ verdict: 'deny', enforced: false, trial: { name: 't', mode: 'shadow', of: 'x' } }),
    orders.write({
      kind: 'outcomes',
      outcomes: [
        {
          seq: 1,
          code: 'completed',
          status: 200,
          request_bytes: 1,
          response_bytes: 2,
          duration_us: 1500,
          upstream: '127.0.0.1:80',
          attempts: ['127.0.0.2:80 503'],
          stopped: 'retry_limit',
        },
      ],
    }),
    orders.write({
      kind: 'refusals',
      listener: 'in',
      refusals: [
        { source: '10.0.0.8', code: 'identity_missing', count: 3, detail: 'no certificate' },
        { source: 'fe80::1%eth0', code: 'identity_invalid', count: 1, detail: 'expired' },
      ],
      others: 4,
    }),
    orders.write({ kind: 'svid', svid: [] }),
    orders.head(true),
  )
  for (const action of ['issued', 'renewed', 'refused', 'revoked'] as const) {
    leaves.push(
      control.write({
        kind: 'issuance',
        action,
        subject: id('orders'),
        serial: '0a',
        ...at,
        evidence: 'join-token:abcdef01',
        ...(action === 'refused' && { reason: 'unknown' }),
      }),
    )
  }
  leaves.push(
    control.write({
      kind: 'issuance',
      action: 'issued',
      subject: id('orders'),
      serial: 'jti',
      ...at,
      evidence: 'svid:0a',
      audience: 'bank',
    }),
  )
  for (const action of ['published', 'activated', 'canary_rolled_back', 'data_published', 'data_activated'] as const) {
    leaves.push(control.write({ kind: 'policy', action, bundle: 'bank', revision: 'r1', sha256: 'ab'.repeat(32) }))
  }
  leaves.push(
    control.write({ kind: 'admin', action: 'denied', actor: 'uid 1000', detail: 'spiffe://bank.example/web: leak' }),
    control.write({
      kind: 'opa_decision',
      workload: id('opa'),
      event: { decision_id: 'd', path: 'x/allow', result: true, requested_by: '10.0.0.1:9' },
    }),
    control.write({
      kind: 'opa_decision',
      workload: id('opa'),
      malformed: { why: 'no', sha256: 'ab', bytes: 1, text: 'x' },
    }),
    made.gap('opened', 90, 91),
    auditor.write({
      kind: 'anomaly',
      anomaly: 'malformed',
      partition: 0,
      offset: '7',
      sha256: 'ab',
      bytes: 'eA==',
      detail: 'not JSON',
    }),
    auditor.write({
      kind: 'finding',
      finding: 'first_seen',
      severity: 'low',
      key: 'first_seen web orders GET /orders',
      subject: id('web'),
      target: id('orders'),
      what: 'web asks GET /orders of orders for the first time',
      first_at: at.not_before,
      last_at: at.not_after,
      count: 1,
      facts: { operation: 'GET /orders' },
      evidence: [`${orders.epoch}-1`],
    }),
    auditor.write({
      kind: 'unmatched',
      missing: 'callee',
      silent: id('orders'),
      of: `${orders.epoch}-1`,
      request_id: 'r',
      by: id('web'),
      at: at.not_before,
    }),
    auditor.write({
      ...{ kind: 'spool_lost', action: 'opened', of: { producer: id('orders'), epoch: orders.epoch } },
      ...{ last: 3, attested: 2, silent_since: at.not_before, next: orders.epoch, next_at: at.not_after },
    }),
    auditor.write({ kind: 'log', action: 'held', case: 'c-1', by: 'Ada', reason: 'asked for' }),
    orders.write({
      kind: 'suppressed',
      counts: { allow: 3, deny: 0, fault: 0 },
      from: at.not_before,
      until: at.not_after,
      why: 'the spool is full',
    }),
    orders.write({
      kind: 'dropped',
      counts: { allow: 2, deny: 1, fault: 0 },
      from: at.not_before,
      until: at.not_after,
    }),
    orders.write({
      kind: 'calls',
      calls: [{ seq: 1, request_id: 'r', target: id('orders'), service: 'orders', status: 200 }],
    }),
    control.write({ kind: 'erased', subject: 'ab', keys: ['cd'], basis: 'Art. 17', approver: 'Ada' }),
    orders.write({
      ...{ kind: 'drill', drill: 'fail_closed', workload: id('orders'), listener: 'orders/in' },
      ...{ case: 'policy_missing', refused: true, observed: 'fault policy_missing' },
    }),
    control.write({
      ...{ kind: 'report', framework: 'pci-dss', mapping: '1', scope: 'everything', from: at.not_before },
      ...{ to: at.not_after, checkpoints: [{ origin: 'bank.example/audit/0', size: 1, root: 'ab' }] },
      ...{ sha256: 'ab', signer: 'k', summary: 's', verdicts: { M01: 'pass' }, by: 'Ada', actor: 'uid 1000' },
    }),
    control.write({
      ...{ kind: 'attestation', about: 'access_review', subject: 'everything', statement: 'looked at' },
      ...{ documents: [{ name: 'list.csv', sha256: 'ab' }], by: 'Ada', actor: 'uid 1000' },
    }),
    control.write({ kind: 'acknowledgement', of: `${orders.epoch}-1`, by: 'Ada', actor: 'uid 1000', note: 'seen' }),
    control.write({
      kind: 'audit_read',
      door: 'socket',
      reader: 'uid 1000',
      action: 'query',
      question: '/v1/audit/query',
      verdict: 'allow',
      count: 2,
      times: 1,
    }),
  )
  return made
}

let store: Store
let dir: string
const mesh = everyKind()
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'writ-export-'))
  store = await openStore({ kind: 'pglite' })
  await fill(store.db, mesh.leaves, new Signer())
})
afterAll(async () => {
  await store.close()
  await rm(dir, { recursive: true, force: true })
})

async function written(question: Question, format: ExportFormat): Promise<Buffer> {
  const chunks: Uint8Array[] = []
  for await (const chunk of exported(store.db, question, format)) chunks.push(chunk)
  return Buffer.concat(chunks)
}
const linesOf = (bytes: Buffer) =>
  bytes
    .toString('utf8')
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line))
const all = readQuestion(
  [
    ['kind', 'all'],
    ['shadow', 'any'],
  ],
  startMs,
)

const validate = `
import json, sys
from ocsf_json_schema import OcsfJsonSchemaEmbedded, get_ocsf_schema
from jsonschema import Draft202012Validator
made = OcsfJsonSchemaEmbedded(get_ocsf_schema(version='1.8.0'))
validators, errors, count = {}, [], 0
for line in open(sys.argv[1], encoding='utf-8'):
    event = json.loads(line)
    profiles = tuple(event['metadata'].get('profiles', []))
    key = (event['class_uid'], profiles)
    if key not in validators:
        name = made.lookup_class_name_from_uid(event['class_uid'])
        validators[key] = Draft202012Validator(made.get_class_schema(name, list(profiles)))
    count += 1
    for error in validators[key].iter_errors(event):
        errors.append('%s %s: %s' % (event['metadata'].get('event_code'), list(error.absolute_path), error.message[:200]))
print(json.dumps({'count': count, 'errors': errors}))
`

test('every kind of record is an event that OCSF’s own schema passes', async () => {
  const bytes = await written(all, 'ocsf')
  const events = linesOf(bytes)
  expect(new Set(events.map(({ metadata }) => metadata.event_code))).toEqual(new Set(eventKinds))
  expect(new Set(events.map(({ class_uid }) => class_uid))).toEqual(new Set([6003, 4001, 3002, 3004, 6002, 2004]))
  await writeFile(join(dir, 'events.ndjson'), bytes)
  const told = JSON.parse(await runPython(pathOf('python'), validate, join(dir, 'events.ndjson')))
  expect(told).toEqual({ count: events.length, errors: [] })
  await writeFile(join(dir, 'wrong.ndjson'), bytes.toString('utf8').replace('"severity_id":1', '"severity":{}'))
  expect(JSON.parse(await runPython(pathOf('python'), validate, join(dir, 'wrong.ndjson'))).errors).not.toEqual([])
})

test('a decision in OCSF says who asked what, what came of it, and by which policy', async () => {
  const events = linesOf(await written({}, 'ocsf'))
  const of = (path: string) => events.find(({ api }) => api.operation === path)
  expect(of('GET /orders/1')).toMatchObject({
    type_uid: 600302,
    actor: { app_uid: id('web') },
    action_id: 1,
    disposition_id: 1,
    policy: { name: 'orders', version: 'r1', is_applied: true },
    http_response: { code: 200 },
    metadata: { uid: `${mesh.orders.epoch}-1`, sequence: 1, profiles: ['security_control'] },
    unmapped: {
      writ: {
        ...{ index: mesh.indexOf(1), direction: 'inbound' },
        outcome: { code: 'completed', attempts: ['127.0.0.2:80 503'], stopped: 'retry_limit' },
      },
    },
  })
  expect(of('GET /orders/2')).toMatchObject({ action_id: 2, disposition_id: 26, is_alert: true })
  expect(of('PURGE /orders/3')).toMatchObject({ type_uid: 600399, activity_name: 'PURGE', disposition_id: 27 })
  expect(of('DELETE /orders/1')).toMatchObject({ action_id: 1, status_code: 'fault_passed' })
})

test('a Parquet file has the rows that the CSV has, for another reader', async () => {
  await writeFile(join(dir, 'rows.parquet'), await written(all, 'parquet'))
  const read = `
import json, sys, pyarrow.parquet as pq
table = pq.read_table(sys.argv[1])
rows = table.to_pylist()
print(json.dumps({'columns': table.column_names, 'rows': [[r['id'], r['index'], r['path'], r['status'], r['enforced'], json.loads(r['attempts'] or 'null'), r['stopped'], r['at'].isoformat()] for r in rows]}))
`
  const { columns, rows } = JSON.parse(await runPython(pathOf('python'), read, join(dir, 'rows.parquet')))
  const lines = linesOf(await written(all, 'json'))
  expect(columns).toContain('caller')
  expect(rows.map((row: unknown[]) => row.slice(0, 7))).toEqual(
    lines.map(({ id: one, index, path, status, enforced, attempts = null, stopped = null }) => [
      ...[one, index, path, status, enforced, attempts, stopped],
    ]),
  )
  expect(rows[0][7]).toMatch(/^2026-11-23T12:00/)
  await writeFile(join(dir, 'none.parquet'), await written({ caller: 'nobody' }, 'parquet'))
  expect(JSON.parse(await runPython(pathOf('python'), read, join(dir, 'none.parquet'))).rows).toEqual([])
})

test('decisions in the shape of OPA’s log are taken by the door that takes OPA’s log', async () => {
  const events = linesOf(await written({}, 'opa'))
  expect(events).toHaveLength(6)
  expect(events.at(-1)).toMatchObject({
    decision_id: `${mesh.orders.epoch}-1`,
    bundles: { orders: { revision: 'r1' } },
    path: 'writ/authz/result',
    input: { attributes: { source: { principal: id('web') } } },
    result: { allowed: true },
  })
  const sink = testSink()
  const split = splitArray(JSON.stringify(events))
  if (!split.ok) throw new Error(split.why)
  const told = await makeOpaCollector(sink, sha256)(id('opa'), split.items)
  expect(told).toMatchObject({ kept: 6, malformed: [] })
  expect(sink.bodies.map((body) => (body as unknown as { event: unknown }).event)).toEqual(events)
})

test('an export has all rows, whatever the pages, and as many as were asked for', async () => {
  const text = (await written({}, 'csv')).toString('utf8')
  expect(text.split('\r\n').filter(Boolean)).toHaveLength(7)
  expect(linesOf(await written({ limit: 2 }, 'json'))).toHaveLength(2)
})
