import { expect, test } from 'vitest'
import { compileMesh } from '../../../control/mesh/compile.ts'
import { checkSnapshot } from '../../../control/mesh/name.ts'
import { snapshotFor } from '../../../control/mesh/scope.ts'
import type { MeshSnapshot } from '../../../core/snapshot.ts'
import { bankBundle, meshWith, own, route, served, sha256 } from '../world.ts'

/** Which policy judges what: bindings to services, workloads and routes, what faults do, and policies on trial. */

const bundles = ['bank', 'next', 'admin'].map((bundle) => ({ ...bankBundle, bundle }))
const compiled = (...documents: readonly string[]) => compileMesh(meshWith(...documents), { bundles, sha256 })

function snapshotOf(...documents: readonly string[]): MeshSnapshot {
  const result = compiled(...documents)
  if (!result.ok) throw new Error(JSON.stringify(result.problems, null, 1))
  return checkSnapshot(JSON.parse(JSON.stringify(result.snapshot)), sha256)
}

function problemsOf(...documents: readonly string[]) {
  const result = compiled(...documents)
  return (result.ok ? result.warnings : result.problems).map(({ level, field, problem }) => ({ level, field, problem }))
}

const bind = (name: string, target: string, more = 'bundle: bank, entrypoint: a/b') =>
  own('PolicyBinding', name, `{targetRefs: [${target}], ${more}}`)
const group = 'group: gateway.networking.k8s.io'
const toService = (name: string) => `parentRefs: [{group: "", kind: Service, name: ${name}}]`
const shop = route(
  'shop',
  `{${toService('a')}, rules: [
    {name: admin, matches: [{path: {value: /admin}}], backendRefs: [{name: a}]},
    {name: rest, matches: [{path: {value: /}}, {path: {value: /admin/ping}, method: GET}], backendRefs: [{name: a}]}]}`,
)
const inboundOf = (snapshot: MeshSnapshot, workload = 'a') =>
  snapshot.workloads
    .find(({ name }) => name === workload)!
    .listeners.flatMap((listener) => (listener.direction === 'inbound' ? [listener] : []))[0]!

test('a workload is judged by its own binding, and by that of its service where it has none', () => {
  const service = bind('wide', '{kind: Service, name: a}', 'bundle: bank, entrypoint: wide/rule')
  const workload = bind('own', '{kind: Workload, name: a}', 'bundle: bank, entrypoint: own/rule')
  expect(inboundOf(snapshotOf(served('a', 1000), service)).policy?.entrypoint).toBe('wide/rule')
  for (const order of [
    [service, workload],
    [workload, service],
  ]) {
    expect(inboundOf(snapshotOf(served('a', 1000), ...order)).policy?.entrypoint).toBe('own/rule')
  }
})

test('a bound route is asked about by its own rule, in order of precedence, and its rule over the whole of it', () => {
  const base = bind('base', '{kind: Workload, name: a}')
  const admin = bind(
    'admin',
    `{${group}, kind: HTTPRoute, name: shop, sectionName: admin}`,
    'bundle: admin, entrypoint: x',
  )
  const whole = bind('whole', `{${group}, kind: HTTPRoute, name: shop}`, 'bundle: next, entrypoint: y')
  const rules = (...documents: readonly string[]) =>
    inboundOf(snapshotOf(served('a', 1000), shop, base, ...documents)).policies?.map(({ route: name, policy }) => [
      name,
      policy?.bundle,
    ])
  expect(rules()).toBeUndefined()
  // The route that nobody bound stands before the broader one, whose policy is not asked about it.
  expect(rules(admin)).toEqual([
    ['shop/rest/1', undefined],
    ['shop/admin/0', 'admin'],
  ])
  expect(rules(admin, whole)).toEqual([
    ['shop/rest/1', 'next'],
    ['shop/admin/0', 'admin'],
    ['shop/rest/0', 'next'],
  ])
  const snapshot = snapshotOf(served('a', 1000), shop, base, admin)
  expect(snapshot.bundles.map(({ bundle }) => bundle)).toEqual(['admin', 'bank'])
  const part = snapshotFor(snapshot, snapshot.workloads[0]!.id, sha256)
  expect(part?.bundles.map(({ bundle }) => bundle)).toEqual(['admin', 'bank'])
})

test('a route is judged where its backends are served, also by a workload that its service names', () => {
  const split = route('split', `{${toService('a')}, rules: [{backendRefs: [{name: a}, {name: b}]}]}`)
  const named = own('Service', 'b', '{endpoints: [{workload: c}]}')
  const snapshot = snapshotOf(
    ...['a', 'c', 'd'].map((name, i) => served(name, 1000 + i)),
    named,
    split,
    bind('split', `{${group}, kind: HTTPRoute, name: split}`),
  )
  expect(inboundOf(snapshot, 'a').policies).toHaveLength(1)
  expect(inboundOf(snapshot, 'c').policies).toHaveLength(1)
  expect(inboundOf(snapshot, 'd').policies).toBeUndefined()
})

test('a target that leads nowhere is named with its field', () => {
  const errors = (target: string, ...documents: readonly string[]) =>
    problemsOf(served('a', 1000), shop, bind('base', '{kind: Workload, name: a}'), bind('x', target), ...documents)
  const at = (field: string) => [{ level: 'error', field: `spec.targetRefs[0].${field}` }]
  expect(errors(`{${group}, kind: HTTPRoute, name: shop}`)).toEqual([])
  expect(errors('{kind: HTTPRoute, name: shop}')).toMatchObject(at('group'))
  expect(errors(`{${group}, kind: HTTPRoute, name: shap}`)).toMatchObject(at('name'))
  expect(errors(`{${group}, kind: HTTPRoute, name: shop, sectionName: admins}`)).toMatchObject(at('sectionName'))
  expect(errors('{kind: Service, name: a, sectionName: admin}')).toMatchObject(at('sectionName'))
  expect(errors(`{${group}, kind: Service, name: a}`)).toMatchObject(at('group'))
  const away = [
    own('Service', 'b', '{endpoints: [{identity: /b, address: b.example, port: 1}]}'),
    route('away', `{${toService('b')}, rules: [{backendRefs: [{name: b}]}]}`),
  ]
  expect(errors(`{${group}, kind: HTTPRoute, name: away}`, ...away)).toMatchObject(at('name'))
})

test('routes that differ by their hosts alone ask one policy, for a caller may write any host', () => {
  const world = [
    served('a', 1000),
    served('b', 1001),
    bind('base', '{kind: Workload, name: a}, {kind: Workload, name: b}'),
  ]
  const one = route('one', `{${toService('a')}, rules: [{matches: [{path: {value: /x}}], backendRefs: [{name: a}]}]}`)
  const two = (path: string) =>
    route('two', `{${toService('b')}, rules: [{matches: [{path: {value: ${path}}}], backendRefs: [{name: a}]}]}`)
  const toOne = `{${group}, kind: HTTPRoute, name: one}`
  expect(problemsOf(...world, one, two('/x'), bind('x', toOne))).toMatchObject([
    {
      level: 'error',
      field: 'spec.targetRefs[0].name',
      problem: expect.stringContaining('differ by their hosts alone'),
    },
  ])
  expect(problemsOf(...world, one, two('/y'), bind('x', toOne))).toEqual([])
  expect(problemsOf(...world, one, two('/x'), bind('x', `${toOne}, {${group}, kind: HTTPRoute, name: two}`))).toEqual(
    [],
  )
})

test('a bound route that is told by a header is a warning', () => {
  const told = (match: string) =>
    problemsOf(
      served('a', 1000),
      route('told', `{${toService('a')}, rules: [{matches: [${match}], backendRefs: [{name: a}]}]}`),
      bind('base', '{kind: Workload, name: a}'),
      bind('x', `{${group}, kind: HTTPRoute, name: told}`),
    )
  expect(told('{headers: [{name: x-v, value: "2"}]}')).toMatchObject([
    { level: 'warning', problem: expect.stringContaining('a caller chooses') },
  ])
  expect(told('{path: {value: /v2}}')).toEqual([])
})

test('faults pass where a binding says so, which is a warning, and nowhere else', () => {
  const with_ = (more: string) => [
    served('a', 1000),
    bind('x', '{kind: Workload, name: a}', `bundle: bank, entrypoint: a/b${more}`),
  ]
  expect(inboundOf(snapshotOf(...with_(', onFault: pass'))).policy?.onFault).toBe('pass')
  expect(problemsOf(...with_(', onFault: pass'))).toMatchObject([
    { level: 'warning', field: 'spec.onFault', problem: 'requests that cannot be judged pass' },
  ])
  for (const more of ['', ', onFault: refuse']) {
    expect(inboundOf(snapshotOf(...with_(more))).policy).not.toHaveProperty('onFault')
    expect(problemsOf(...with_(more))).toEqual([])
  }
})

test('a trial goes to its workload with its bundle, by the name of its binding', () => {
  const trial = (more: string) => {
    const snapshot = snapshotOf(
      served('a', 1000),
      bind('x', '{kind: Workload, name: a}', `bundle: bank, entrypoint: a/b, ${more}`),
    )
    expect(snapshot.bundles.map(({ bundle }) => bundle)).toEqual(['bank', 'next'])
    const part = snapshotFor(snapshot, snapshot.workloads[0]!.id, sha256)
    expect(part?.bundles.map(({ bundle }) => bundle)).toEqual(['bank', 'next'])
    return inboundOf(snapshot).policy?.trial
  }
  expect(trial('shadow: {bundle: next}')).toEqual({
    ...{ name: 'x', mode: 'shadow', bundle: 'next', entrypoint: 'a/b', percent: 100 },
  })
  expect(trial('canary: {bundle: next, entrypoint: c/d, percent: 0.5, maxRise: 0, window: 1m30s}')).toEqual({
    ...{ name: 'x', mode: 'canary', bundle: 'next', entrypoint: 'c/d', percent: 0.5, maxRise: 0, windowMs: 90_000 },
  })
})

test('a trial that makes no sense is an error with its field', () => {
  const errors = (more: string) =>
    problemsOf(served('a', 1000), bind('x', '{kind: Workload, name: a}', `bundle: bank, entrypoint: a/b, ${more}`))
  const at = (field: string) => [{ level: 'error', field }]
  expect(errors('shadow: {bundle: next}, canary: {bundle: next, percent: 5}')).toMatchObject(at('spec.canary'))
  expect(errors('shadow: {bundle: nobody}')).toMatchObject(at('spec.shadow.bundle'))
  expect(errors('shadow: {bundle: bank}')).toMatchObject(at('spec.shadow.bundle'))
  expect(errors('shadow: {bundle: bank, entrypoint: a/c}')).toEqual([])
  expect(errors('canary: {bundle: next}')).toMatchObject(at('spec.canary.percent'))
  expect(errors('canary: {bundle: next, percent: 100}')).toMatchObject(at('spec.canary.percent'))
  expect(errors('canary: {bundle: next, percent: 99}')).toEqual([])
  expect(errors('canary: {bundle: next, percent: 5, window: 999ms}')).toMatchObject(at('spec.canary.window'))
  expect(errors('canary: {bundle: next, percent: 5, window: 1s}')).toEqual([])
})

test('an application of HTTP/2 is read by the proxy that gets its snapshot', () => {
  const h2c = own('Workload', 'a', '{inbound: {port: 1000, app: {port: 2000, appProtocol: grpc}}}')
  expect(snapshotOf(h2c).workloads[0]?.listeners[0]).toMatchObject({ app: { port: 2000, protocol: 'h2c' } })
})
