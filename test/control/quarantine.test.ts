import { expect, test } from 'vitest'
import { compileMesh } from '../../control/mesh/compile.ts'
import { checkSnapshot } from '../../control/mesh/name.ts'
import { snapshotFor } from '../../control/mesh/scope.ts'
import { byTime, type Ordered, withOrdered, withQuarantine } from '../../control/quarantine.ts'
import { type MeshSnapshot, maxQuarantined } from '../../core/snapshot.ts'
import type { SpiffeId } from '../../core/spiffe.ts'
import { bankBundle, meshWith, own, problemsOf, served, sha256 } from './world.ts'

/** Callers that are cut off: by the mesh file, by a command, and by both. */

const idOf = (name: string): SpiffeId => `spiffe://bank.example/${name}` as SpiffeId
const order = (name: string, untilMs: number): Ordered => ({
  ...{ id: idOf(name), untilMs, reason: 'odd', by: 'Ada', actor: 'uid 0', at: '1970-01-01T00:00:00.000Z' },
})

function meshOf(...documents: readonly string[]): MeshSnapshot {
  const compiled = compileMesh(meshWith(served('a', 1000), ...documents), { bundles: [bankBundle], sha256 })
  if (!compiled.ok) throw new Error(JSON.stringify(compiled.problems))
  return compiled.snapshot
}

test('a Quarantine of the mesh file is in the snapshot of every workload, and a proxy reads it', () => {
  const until = '2026-11-23T17:00:00Z'
  const mesh = meshOf(
    own('Quarantine', 'b', `{caller: /b, reason: odd, until: "${until}"}`),
    own('Quarantine', 'x', '{caller: "spiffe://other.example/x", reason: stolen}'),
  )
  expect(mesh.quarantine).toEqual([
    { id: idOf('b'), untilMs: Date.parse(until), reason: 'odd' },
    { id: 'spiffe://other.example/x', reason: 'stolen' },
  ])
  const part = snapshotFor(mesh, idOf('a'), sha256)!
  expect(checkSnapshot(JSON.parse(JSON.stringify(part)), sha256).quarantine).toEqual(mesh.quarantine)
  expect(meshOf()).not.toHaveProperty('quarantine')
})

test('two for one caller, no reason and no id are problems with their fields', () => {
  const told = (...documents: readonly string[]) =>
    problemsOf(meshWith(...documents)).map(({ field, problem }) => `${field} ${problem}`)
  const one = own('Quarantine', 'b', '{caller: /b, reason: odd}')
  expect(told(one, own('Quarantine', 'c', '{caller: /b, reason: odd}'))).toEqual([
    `spec.caller ${idOf('b')} is in another Quarantine already`,
  ])
  expect(told(own('Quarantine', 'b', '{caller: /b}'))).toEqual(['spec.reason is missing'])
  expect(told(own('Quarantine', 'b', '{caller: b, reason: odd}'))[0]).toContain('spec.caller')
})

test('an order joins what the mesh file says; of two for one caller the longer holds', () => {
  const mesh = meshOf(
    own('Quarantine', 'b', '{caller: /b, reason: odd, until: "1970-01-01T00:00:01Z"}'),
    own('Quarantine', 'c', '{caller: /c, reason: odd}'),
  )
  const both = withQuarantine(mesh, [order('b', 2000), order('c', 2000), order('a', 5)], sha256)
  expect(both.quarantine?.map(({ id, untilMs }) => [id, untilMs])).toEqual([
    [idOf('a'), 5],
    [idOf('b'), 2000],
    [idOf('c'), undefined],
  ])
  expect(both.name).not.toBe(mesh.name)
  expect(withQuarantine(mesh, [order('b', 999)], sha256).quarantine).toEqual(mesh.quarantine)
  expect(withQuarantine(mesh, [], sha256)).toBe(mesh)
})

test('an order is over when its time is, and a second one for a caller takes the place of the first', () => {
  const list = withOrdered([order('a', 10), order('b', 20)], order('a', 30), 0)
  expect(list.map(({ id, untilMs }) => [id, untilMs])).toEqual([
    [idOf('b'), 20],
    [idOf('a'), 30],
  ])
  const { current, over } = byTime(list, 20)
  expect([current, over].map((some) => some.map(({ id }) => id))).toEqual([[idOf('a')], [idOf('b')]])
})

test('there are no more than proxies hold, of both together', () => {
  const full = Array.from({ length: maxQuarantined - 1 }, (_, i) => order(`w${i}`, 10))
  expect(withOrdered(full, order('last', 10), 0)).toHaveLength(maxQuarantined)
  expect(() => withOrdered(full, order('last', 10), 1)).toThrow(/callers are in quarantine/)
})
