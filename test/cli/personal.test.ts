import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer, request, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, vi } from 'vitest'
import type { DecisionRow } from '../../audit/query/answer.ts'
import { auditCommand } from '../../cli/audit.ts'
import { openUp, type Up } from '../../cli/wire/up.ts'
import { readPolicyFolder } from '../../engine/node/open.ts'
import { opaBuild } from '../engine/signed.ts'
import { needs, pathOf } from '../parts/needs.ts'
import { freePort } from '../parts/ports.ts'
import { printed } from './recorded.ts'

/** Personal fields as whoever runs a mesh has them: found by their clear value, shown, erased, and kept over a restore. */

const test = needs('opa')
vi.setConfig({ testTimeout: 120_000 })

let folder: string
let app: Server
let up: Up | undefined
let outbound: number
const state = (name = 'state'): string => join(folder, name)
const meshFile = (): string => join(folder, 'mesh.yaml')
const named = ['--by', 'carol', '--purpose', 'case 7']

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'writ-personal-'))
  const rego = 'package app\n# METADATA\n# entrypoint: true\ndefault allow := true\n'
  await mkdir(join(folder, 'policies/base'), { recursive: true })
  await writeFile(
    join(folder, 'policies/base/bundle.tar.gz'),
    await opaBuild(pathOf('opa'), { rego, flags: ['-r', '1'] }),
  )
  app = createServer((_, answer) => answer.end('served\n'))
  await new Promise<void>((listening) => app.listen(0, '127.0.0.1', listening))
  outbound = await freePort()
  const { port } = app.address() as AddressInfo
  const mesh = `
apiVersion: writ.dev/v1
kind: Mesh
metadata: { name: shop }
spec: { trustDomain: shop.example }
---
apiVersion: writ.dev/v1
kind: Workload
metadata: { name: shop }
spec: { service: shop, inbound: { port: ${await freePort()}, app: { port: ${port} } } }
---
apiVersion: writ.dev/v1
kind: Workload
metadata: { name: web }
spec: { outbound: { port: ${outbound} } }
---
apiVersion: writ.dev/v1
kind: Service
metadata: { name: shop }
spec: { hosts: [shop] }
---
apiVersion: writ.dev/v1
kind: PolicyBinding
metadata: { name: shop }
spec:
  targetRefs: [{ kind: Workload, name: shop }]
  bundle: base
  entrypoint: app/allow
  record: { personal: [header x-user, path], subject: header x-user }
`
  await writeFile(meshFile(), mesh)
  const policiesDir = join(folder, 'policies')
  up = await openUp({ mesh, meshFile: meshFile(), state: state(), policiesDir, onEvent: () => undefined })
  await up.apply(mesh, await readPolicyFolder(policiesDir))
})
afterAll(async () => {
  await up?.close()
  app?.close()
  await rm(folder, { recursive: true, force: true })
})

const call = (path: string, user: string): Promise<number> =>
  new Promise((resolve, reject) => {
    const headers = { host: 'shop', 'x-user': user }
    const sent = request({ host: '127.0.0.1', port: outbound, agent: false, path, headers }, (answer) => {
      answer.resume().on('end', () => resolve(answer.statusCode ?? 0))
    })
    sent.on('error', reject)
    sent.end()
  })

const audit = async (...words: readonly string[]) => printed(await auditCommand(), ...words)
const query = async (from: string, ...words: readonly string[]): Promise<readonly DecisionRow[]> => {
  const { out } = await audit('query', '--direction', 'inbound', '--json', '--state', from, ...words)
  return (JSON.parse(out) as { rows: DecisionRow[] }).rows
}
const fieldsOf = (rows: readonly DecisionRow[]): readonly unknown[] =>
  rows.map(({ sealed = [] }) => sealed.map(({ state, value }) => value ?? state))

test('a record is found by the clear value of a digested field, in somebody’s name; nobody finds what was erased', async () => {
  expect(await call('/patients/4711', 'ann')).toBe(200)
  expect(await call('/patients/4712', 'bea')).toBe(200)
  expect(await call('/patients/4711', 'bea')).toBe(200)
  await up!.settled(10_000)
  // The caller's own sidecar has the same path, and keeps it the same way.
  const { out: ofCaller } = await audit('query', '--direction', 'outbound', '--json', '--state', state())
  const outbound = (JSON.parse(ofCaller) as { rows: DecisionRow[] }).rows
  expect(outbound.map(({ path, sealed = [] }) => [path, sealed.map(({ field }) => field)])).toEqual(
    Array.from({ length: 3 }, () => [null, ['path']]),
  )
  const plain = await query(state())
  expect(fieldsOf(plain)).toEqual(Array.from({ length: 3 }, () => ['withheld', 'withheld']))
  const found = (...words: string[]) => query(state(), ...words, ...named)
  // Its key is with control within a second.
  await vi.waitFor(async () =>
    expect(fieldsOf(await found('--field', 'path=/patients/4711'))).toEqual([
      ['bea', '/patients/4711'],
      ['ann', '/patients/4711'],
    ]),
  )
  expect(fieldsOf(await found('--field', 'path=/patients/4711', '--field', 'header x-user=ann'))).toEqual([
    ['ann', '/patients/4711'],
  ])
  expect(await found('--field', 'path=/patients/4')).toEqual([])
  await expect(query(state(), '--field', 'path=/patients/4711')).rejects.toThrow('--by and --purpose')

  expect(
    (await audit('erase', '--subject', 'ann', '--basis', 'GDPR 17', '--by', 'carol', '--state', state())).out,
  ).toContain('"keys":1')
  await up!.settled(10_000)
  await vi.waitFor(async () =>
    expect(fieldsOf(await found('--field', 'path=/patients/4711'))).toEqual([['bea', '/patients/4711']]),
  )
  const { err } = await audit('query', '--state', state(), '--field', 'path=/patients/4711', ...named)
  expect(err).toContain('2 records have such fields, and were erased or cannot be opened here')
  expect(await query(state(), '--kind', 'admin')).toBeDefined()
})

test('a backup and its restore by command keep what is erased apart from what is withheld', async () => {
  await up!.close()
  up = undefined
  const before = fieldsOf(await query(state()))
  expect(before).toContainEqual(['erased', 'erased'])
  await audit('backup', '-f', meshFile(), '--state', state(), '--out', join(folder, 'backup'))
  const { out } = await audit('restore', '-f', meshFile(), '--state', state('new'), '--from', join(folder, 'backup'))
  expect(out).toContain('verified')
  expect(fieldsOf(await query(state('new')))).toEqual(before)
})
