import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer, request, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, vi } from 'vitest'
import type { TrialDifferences } from '../../audit/replay/trials.ts'
import { auditCommand } from '../../cli/audit.ts'
import { explainCommand } from '../../cli/explain.ts'
import { trialCommand } from '../../cli/policy-trial.ts'
import { statusCommand } from '../../cli/status.ts'
import { openUp, type Up } from '../../cli/wire/up.ts'
import type { MeshSnapshot } from '../../core/snapshot.ts'
import { readPolicyFolder } from '../../engine/node/open.ts'
import { decidesFor } from '../../proxy/flow/canary.ts'
import { gzipped } from '../engine/archive.ts'
import { filesOf, opaBuild } from '../engine/signed.ts'
import { needs, pathOf } from '../parts/needs.ts'
import { freePort } from '../parts/ports.ts'
import { printed } from './recorded.ts'

/** A shop with callers on either side of its canary: policies of routes, passed faults, a shadow, a canary and its end. */

const test = needs('opa')
vi.setConfig({ testTimeout: 120_000 }) // A proxy reports every five seconds.

const names = Array.from({ length: 40 }, (_, i) => `app-${i}`)
const isOnTrial = (name: string): boolean => decidesFor({ name: 'shop', percent: 50 }, `spiffe://shop.example/${name}`)
const [mine, others] = [names.filter(isOnTrial).slice(0, 2), names.filter((name) => !isOnTrial(name)).slice(0, 2)]
const callers = [...mine, ...others]

const header = 'package app\n# METADATA\n# entrypoint: true\n'
const rego = {
  base: `${header}default allow := true\n`,
  // Of what `base` allows it refuses deletions.
  next: `${header}default allow := false\nallow if input.attributes.request.http.method != "DELETE"\n`,
  strict: `${header}default allow := false\n`,
  holey: `${header}allow if input.parsed_path[0] == "nowhere"\n`,
}

let folder: string
let app: Server
let up: Up
let ports: ReadonlyMap<string, number>
let inbound: number

const state = (): string => join(folder, 'state')
const policies = (): string => join(folder, 'policies')

async function build(name: keyof typeof rego, revision = '1', text: string = rego[name]): Promise<void> {
  await mkdir(join(policies(), name), { recursive: true })
  const bytes = await opaBuild(pathOf('opa'), { rego: text, flags: ['-r', `${name}-${revision}`] })
  await writeFile(join(policies(), name, 'bundle.tar.gz'), bytes)
}

const openHere = async (mesh: string): Promise<Up> =>
  openUp({
    mesh,
    meshFile: join(folder, 'mesh.yaml'),
    state: state(),
    policiesDir: policies(),
    onEvent: () => undefined,
  })
const apply = async (mesh: string): Promise<void> => up.apply(mesh, await readPolicyFolder(policies()))

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'writ-trials-'))
  await Promise.all((Object.keys(rego) as (keyof typeof rego)[]).map((name) => build(name)))
  app = createServer((_, answer) => answer.end('served\n'))
  await new Promise<void>((listening) => app.listen(0, '127.0.0.1', listening))
  inbound = await freePort()
  const found: [string, number][] = []
  for (const name of callers) found.push([name, await freePort()])
  ports = new Map(found)
  up = await openHere(meshOf(''))
})
afterAll(async () => {
  await up?.close()
  app?.close()
  await rm(folder, { recursive: true, force: true })
})

test('a route is judged by its own policy, and what that cannot judge passes only where its binding says so', async () => {
  const route = (name: string, section: string, more: string) =>
    binding(name, `{group: gateway.networking.k8s.io, kind: HTTPRoute, name: shop, sectionName: ${section}}`, more)
  await apply(meshOf('', route('admin', 'admin', 'bundle: strict'), route('soft', 'soft', 'bundle: holey')))
  expect([await call('/'), await call('/admin/x'), await call('/adminx'), await call('/soft')]).toEqual([
    ...[200, 403, 200, 503],
  ])
  await apply(
    meshOf('', route('admin', 'admin', 'bundle: strict'), route('soft', 'soft', 'bundle: holey, onFault: pass')),
  )
  expect([await call('/soft/1'), await call('/admin/x')]).toEqual([200, 403])

  const [row] = await rowsOf('--code', 'fault_passed')
  expect(row).toMatchObject({
    verdict: 'allow',
    path: '/soft/1',
    bundle: 'holey',
    reasons: [expect.stringMatching(/^policy_undefined: /)],
  })
  expect((await printed(explainCommand(), row!.id, '--state', state())).out).toContain(
    'let through, though nobody could tell',
  )
  await told(/shop: 1 requests passed that nobody could judge/)
  const report = await up.writeReport(join(folder, 'r'))
  expect(report.checks.find(({ id }) => id === 'M06')).toMatchObject({
    verdict: 'fail',
    finding: expect.stringContaining('1 request passed because a binding says onFault: pass') as string,
  })
})

test('a shadow changes no answer, and what it would have changed is in the log', async () => {
  await apply(meshOf('shadow: {bundle: next}'))
  const before = await up.inboundCounts()
  for (let i = 0; i < 5; i++) expect(await call(`/orders/${i}`)).toBe(200)
  for (let i = 0; i < 3; i++) expect(await call(`/orders/${i}`, 'DELETE')).toBe(200)
  await told(/^shop +shadow +next next-1 +shop +8 +5 +3 +0 +0 +-$/m)

  const rows = await rowsOf('--shadow')
  expect(rows).toHaveLength(3)
  expect(rows[0]).toMatchObject({ verdict: 'deny', method: 'DELETE', enforced: false, bundle: 'next' })
  expect((await rowsOf('--method', 'DELETE')).every(({ enforced }) => enforced)).toBe(true)
  const explained = (await printed(explainCommand(), rows[0]!.id, '--state', state())).out
  expect(explained).toMatch(/trial +shadow of shop, beside [0-9a-f]{24}-\d+ \(allow\)/)

  const { out } = await printed(trialCommand(), '--state', state())
  expect(out).toMatch(/^shadow {5}shop: next revision next-1$/m)
  expect(out).toMatch(/^ +3 +allow +deny policy_denied +\S+ +shop +DELETE \/orders\/\{\} +\S+$/m)
  const found = JSON.parse((await printed(trialCommand(), 'shop', '--json', '--state', state())).out)
  expect(found as TrialDifferences[]).toMatchObject([{ name: 'shop', differences: 3 }])
  expect((await printed(trialCommand(), 'other', '--state', state())).out).toMatch(/^no difference/)

  const after = await up.inboundCounts()
  expect(after.denied).toBe(before.denied)
  const { verification } = await up.verify()
  expect(verification.findings.filter(({ level }) => level === 'broken')).toEqual([])
})

const canary = 'canary: {bundle: strict, percent: 50, minDecisions: 6, maxRise: 5}'

test('a canary decides for its callers, takes itself back in the whole mesh, and stays so over a restart', async () => {
  await apply(meshOf(canary))
  for (const caller of mine) expect(await call('/', 'GET', caller)).toBe(403)
  for (const caller of others) expect(await call('/', 'GET', caller)).toBe(200)
  for (let i = 0; i < 2; i++) for (const caller of callers) await call('/', 'GET', caller)
  // Six on either side, and all of one refused: from now on nobody is.
  for (const caller of callers) expect(await call('/', 'GET', caller)).toBe(200)

  await told(/taken back \S+: shop: revision strict-1 of strict refused 6 of 6 requests, the policy in force 0 of 6/)
  await vi.waitFor(() => expect(trialIn(up.snapshot())).toBeUndefined(), { timeout: 60_000 })
  expect(up.snapshot().bundles.map(({ bundle }) => bundle)).toEqual(['base'])
  const [refused] = await rowsOf('--verdict', 'deny', '--revision', 'strict-1', '--caller', mine[0]!)
  expect((await printed(explainCommand(), refused!.id, '--state', state())).out).toMatch(/trial +canary of shop$/m)

  await up.close()
  up = await openHere(meshOf(canary))
  expect(trialIn(up.snapshot())).toBeUndefined()
  for (const caller of callers) expect(await call('/', 'GET', caller)).toBe(200)
  expect(await statusText()).toContain('taken back')

  // The same file again changes nothing; a new revision of its bundle has its chance.
  await apply(meshOf(canary))
  expect(trialIn(up.snapshot())).toBeUndefined()
  await build('strict', '2', `${rego.strict}# once more\n`)
  await apply(meshOf(canary))
  expect(trialIn(up.snapshot())).toMatchObject({ mode: 'canary' })
  expect(await call('/', 'GET', mine[0])).toBe(403)
  expect(await call('/', 'GET', others[0])).toBe(200)
  expect(await statusText()).not.toContain('taken back')
})

test('a canary that cannot tell refuses nobody: the policy in force answers for it', async () => {
  await build('next', '2', `${header}allow if input.parsed_path[0] == "nowhere"\n`)
  await apply(meshOf('canary: {bundle: next, percent: 50, minDecisions: 3}'))
  for (let i = 0; i < 2; i++) for (const caller of callers) expect(await call('/', 'GET', caller)).toBe(200)
  await told(/taken back \S+: shop: revision next-2 of next refused \d of \d requests, the policy in force 0 of \d/)
  // Its counters come with the report, its records by way of the log.
  await vi.waitFor(
    async () => {
      const { out } = await printed(trialCommand(), 'shop', '--state', state())
      expect(out).toMatch(/^canary {5}shop: next revision next-2$/m)
      expect(out).toMatch(/allow +fault policy_undefined/)
    },
    { timeout: 60_000, interval: 200 },
  )
})

test('a candidate that cannot be opened stops neither the policy in force nor the next snapshot', async () => {
  const file = join(policies(), 'next', 'bundle.tar.gz')
  const broken = filesOf(await readFile(file)).map(({ name, bytes }) =>
    name.endsWith('.wasm') ? { name, bytes: bytes.map((byte, at) => (at < 8 ? byte : 255)) } : { name, bytes },
  )
  await writeFile(file, gzipped(broken))
  await apply(meshOf('shadow: {bundle: next}'))
  const part = (): boolean => up.sidecars.every((one) => one.isCurrent(up.snapshot()))
  expect(part()).toBe(true)
  expect(await call('/')).toBe(200)
  await told(/^shop +shadow +next next-2 +shop +1 +0 +0 +1 +0 +-$/m)
  await apply(meshOf('').replace('bundle: base', 'bundle: strict'))
  expect(part()).toBe(true)
  expect(await call('/')).toBe(403)
})

const trialIn = ({ workloads }: MeshSnapshot) =>
  workloads
    .flatMap(({ listeners }) => listeners)
    .flatMap((one) => (one.direction === 'inbound' ? one.policy?.trial : []))[0]

const statusText = async (): Promise<string> => (await printed(statusCommand(), '--state', state())).out

/** Until a proxy's next report has come. */
const told = (pattern: RegExp): Promise<void> =>
  vi.waitFor(async () => expect(await statusText()).toMatch(pattern), { timeout: 60_000, interval: 200 })

interface Row {
  readonly id: string
  readonly enforced: boolean
}

async function rowsOf(...words: readonly string[]): Promise<readonly Row[]> {
  await up.settled(10_000)
  const asked = ['query', '--direction', 'inbound', '--json', '--state', state(), ...words]
  return (JSON.parse((await printed(await auditCommand(), ...asked)).out) as { rows: Row[] }).rows
}

function call(path: string, method = 'GET', caller: string = others[0]!): Promise<number> {
  return new Promise((resolve, reject) => {
    const where = { host: '127.0.0.1', port: ports.get(caller)!, agent: false as const }
    const sent = request({ ...where, method, path, headers: { host: 'shop' } }, (answer) => {
      answer.resume().on('end', () => resolve(answer.statusCode ?? 0))
    })
    sent.on('error', reject)
    sent.end()
  })
}

const own = (kind: string, name: string, spec: string): string =>
  `---\napiVersion: writ.dev/v1\nkind: ${kind}\nmetadata: {name: ${name}}\nspec: ${spec}\n`

const binding = (name: string, target: string, more: string): string =>
  own('PolicyBinding', name, `{targetRefs: [${target}], entrypoint: app/allow, ${more}}`)

/** The shop's own binding with more of it, and more bindings. */
const meshOf = (more: string, ...documents: readonly string[]): string =>
  [
    own('Mesh', 'shop', '{trustDomain: shop.example}'),
    own('Workload', 'shop', `{inbound: {port: ${inbound}, app: {port: ${(app.address() as AddressInfo).port}}}}`),
    ...callers.map((name) => own('Workload', name, `{outbound: {port: ${ports.get(name)}}}`)),
    `---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: shop}
spec:
  parentRefs: [{group: "", kind: Service, name: shop}]
  rules:
    - {name: admin, matches: [{path: {value: /admin}}], backendRefs: [{name: shop}]}
    - {name: soft, matches: [{path: {value: /soft}}], backendRefs: [{name: shop}]}
    - {name: rest, matches: [{path: {value: /}}], backendRefs: [{name: shop}]}
`,
    binding('shop', '{kind: Workload, name: shop}', `bundle: base${more === '' ? '' : `, ${more}`}`),
    ...documents,
  ].join('')
