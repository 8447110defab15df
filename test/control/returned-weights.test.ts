import { expect, test } from 'vitest'
import { healthReport } from '../../control/health.ts'
import { checkSnapshot } from '../../control/mesh/name.ts'
import { returnedBy, stillOnTrial, withoutReturned } from '../../control/returned-weights.ts'
import type { MeshSnapshot } from '../../core/snapshot.ts'
import type { SpiffeId } from '../../core/spiffe.ts'
import type { VersionReport } from '../../proxy/flow/versions.ts'
import { bound, meshWith, own, problemsOf, route, served, sha256, snapshotOf } from './world.ts'

/** Backends on trial: what a mesh file may say of them, who may say that one lost its weight, and what brings it back. */

const a = 'spiffe://bank.example/a' as SpiffeId
const target = 'targetRefs: [{group: gateway.networking.k8s.io, kind: HTTPRoute, name: ways}]'
const parts = [served('a', 1000, ', outbound: {port: 900}'), served('b', 1001), bound('a', 'b')]
const ways = (weight: number) =>
  route(
    'ways',
    `{parentRefs: [{group: "", kind: Service, name: a}], rules: [{backendRefs: [{name: a, weight: 9}, {name: b, weight: ${weight}}]}, {matches: [{path: {value: /x}}], backendRefs: [{name: a}]}]}`,
  )
const mesh = (canary: string, weight = 1, to = target) =>
  meshWith(...parts, ways(weight), own('TrafficPolicy', 'c', `{${to}, canary: ${canary}}`))
const named = (snapshot: MeshSnapshot, name: string) => snapshot.routes.find((it) => it.name === name)!

const snapshot = snapshotOf(mesh('{backend: b, latency: {threshold: 300ms, maxPercent: 10}}'))
const numbers = { asked: 100, refused: 50, in_force_asked: 200, in_force_refused: 1 }
const { revision } = named(snapshot, 'ways/0/0').canary!
const told: VersionReport = { route: 'ways/0', backend: 'b', revision, errors: numbers, slow: numbers, returned: true }

test('a canary stands at the rules that have it among others, with its defaults, and proxies take it over the wire', () => {
  expect(named(snapshot, 'ways/0/0').canary).toEqual({
    ...{ backend: 'b', revision, errors: { maxRise: 5 }, minRequests: 100, windowMs: 300_000 },
    slow: { aboveMs: 300, maxRise: 5, max: 10 },
  })
  expect(named(snapshot, 'ways/1/0')).not.toHaveProperty('canary')
  expect(checkSnapshot(JSON.parse(JSON.stringify(snapshot)), sha256)).toEqual(snapshot)
  expect(healthReport.safeParse({ snapshot: 'x', versions: [told] }).success).toBe(true)
  expect(healthReport.safeParse({ snapshot: 'x', versions: [{ ...told, more: 1 }] }).success).toBe(false)
})

test.each([
  ['a backend that no rule has', mesh('{backend: c}'), 'no rule of ways has c among its backendRefs'],
  ['nothing to compare it with', mesh('{backend: a}', 0), 'another one with a weight'],
  ['a service', mesh('{backend: b}', 1, 'targetRefs: [{kind: Service, name: a}]'), 'only a route has several backends'],
  ['no time', mesh('{backend: b, window: 0s}'), 'is no time'],
])('a canary of %s is an error', (_, text, problem) => {
  expect(problemsOf(text).map((it) => it.problem)).toContainEqual(expect.stringContaining(problem))
})

test('a workload says of its own trials, of these weights, that they are over, and nothing else', () => {
  const from = (change: Partial<VersionReport>) => returnedBy(snapshot, a, [{ ...told, ...change }], 0).length
  expect(from({})).toBe(1)
  expect(from({ returned: false })).toBe(0)
  expect(from({ route: 'ways/1' })).toBe(0)
  expect(from({ backend: 'a' })).toBe(0)
  expect(from({ revision: 'other' })).toBe(0)
})

test('a snapshot goes without its weight, and another weight, rule or version is another trial', () => {
  const list = returnedBy(snapshot, a, [told], 0)
  const without = withoutReturned(snapshot, list, sha256)
  expect(named(without, 'ways/0/0')).toMatchObject({ backends: [{ weight: 9 }, { service: 'b', weight: 0 }] })
  expect(named(without, 'ways/0/0')).not.toHaveProperty('canary')
  expect(checkSnapshot(JSON.parse(JSON.stringify(without)), sha256)).toEqual(without)
  expect(withoutReturned(without, list, sha256)).toBe(without)
  const meant = (canary: string, weight?: number) => stillOnTrial(list, snapshotOf(mesh(canary, weight))).length
  expect(meant('{backend: b, latency: {threshold: 300ms, maxPercent: 10}}')).toBe(1)
  expect(meant('{backend: b, latency: {threshold: 300ms, maxPercent: 10}}', 2)).toBe(0)
  expect(meant('{backend: b, latency: {threshold: 301ms, maxPercent: 10}}')).toBe(0)
  expect(meant('{backend: b, version: v2, latency: {threshold: 300ms, maxPercent: 10}}')).toBe(0)
})

test('routes of a gateway lose it too', () => {
  const gateway = `apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: door}\nspec: {gatewayClassName: writ-ingress, listeners: [{name: plain, hostname: shop.example, port: 80, protocol: HTTP}]}`
  const entering = route(
    'ways',
    '{parentRefs: [{name: door}], rules: [{backendRefs: [{name: a, weight: 9}, {name: b, weight: 1}]}]}',
  )
  const edge = own('Workload', 'edge', '{gateway: {name: door}}')
  const policy = own(
    'PolicyBinding',
    'door',
    '{targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: door}], bundle: bank, entrypoint: a/b}',
  )
  const canary = own('TrafficPolicy', 'c', `{${target}, canary: {backend: b}}`)
  const given = snapshotOf(meshWith(...parts, gateway, entering, edge, policy, canary))
  const ofDoor = (it: MeshSnapshot) => {
    const listener = it.workloads.find(({ name }) => name === 'edge')!.listeners[0]!
    return listener.direction === 'gateway' ? listener.routes[0]! : undefined
  }
  const { revision } = ofDoor(given)!.canary!
  const list = returnedBy(given, a, [{ ...told, revision }], 0)
  expect(ofDoor(withoutReturned(given, list, sha256))!.backends).toMatchObject([{ weight: 9 }, { weight: 0 }])
})
