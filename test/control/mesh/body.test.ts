import { expect, test } from 'vitest'
import { checkSnapshot } from '../../../control/mesh/name.ts'
import type { PolicyUse } from '../../../core/policy.ts'
import { meshWith, own, problemsOf, served, sha256, snapshotOf } from '../world.ts'

const binding = (more: string): string =>
  own(
    'PolicyBinding',
    'b',
    `{targetRefs: [{kind: Workload, name: a}], bundle: bank, entrypoint: envoy/authz/allow${more}}`,
  )
const meshOf = (more: string): string => meshWith(served('a', 1000), binding(more))

function useOf(more: string): PolicyUse | undefined {
  const snapshot = checkSnapshot(JSON.parse(JSON.stringify(snapshotOf(meshOf(more)))), sha256)
  const [listener] = snapshot.workloads[0]!.listeners
  return listener?.direction === 'inbound' ? listener.policy : undefined
}

test('a binding says how much of a body its policy sees, and nothing where it does not speak of bodies', () => {
  expect(useOf(', body: {maxBytes: 100}')).toMatchObject({ bodyBytes: 100 })
  expect(useOf(', body: {}')).toMatchObject({ bodyBytes: 8192 })
  expect(useOf('')).not.toHaveProperty('bodyBytes')
  expect(problemsOf(meshOf(', body: {maxBytes: 262144}'))).toEqual([])
  expect(problemsOf(meshOf(', body: {maxBytes: 262145}'))).toMatchObject([{ field: 'spec.body.maxBytes' }])
  expect(problemsOf(meshOf(', body: {maxBytes: 0}'))).toMatchObject([{ field: 'spec.body.maxBytes' }])
})

test('members are named with dots or as steps, each once', () => {
  expect(useOf(', body: {}, record: {body: [a, from.account, [from, account], [a.b], []]}')).toMatchObject({
    recordBody: [['a'], ['from', 'account'], ['a.b'], []],
  })
  for (const member of ['""', 'a..b', '.a', '[""]', '1']) {
    expect(problemsOf(meshOf(`, body: {}, record: {body: [${member}]}`))).toMatchObject([{ level: 'error' }])
  }
})

test('members of a body that nobody reads are a mistake', () => {
  expect(problemsOf(meshOf(', record: {body: [a]}'))).toMatchObject([{ level: 'error', field: 'spec.record.body' }])
})
