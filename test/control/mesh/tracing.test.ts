import { expect, test } from 'vitest'
import { checkSnapshot } from '../../../control/mesh/name.ts'
import { problemsOf, sha256, snapshotOf } from '../world.ts'

const mesh = (tracing: string): string =>
  `apiVersion: writ.dev/v1\nkind: Mesh\nmetadata: {name: m}\nspec: {trustDomain: bank.example${tracing}}\n`

test('tracing travels in the snapshot with its defaults, and without it there is none', () => {
  const snapshot = snapshotOf(mesh(', tracing: {otlp: "http://127.0.0.1:4318/v1/traces"}'))
  const tracing = { otlp: 'http://127.0.0.1:4318/v1/traces', sample: 0.01, propagate: ['w3c'] }
  expect(snapshot.tracing).toEqual(tracing)
  expect(checkSnapshot(JSON.parse(JSON.stringify(snapshot)), sha256).tracing).toEqual(tracing)
  expect('tracing' in snapshotOf(mesh(''))).toBe(false)
})

test('an address, a share and a way that are none are refused by their fields', () => {
  const fieldsOf = (tracing: string) => problemsOf(mesh(`, tracing: ${tracing}`)).map(({ field }) => field)
  expect(fieldsOf('{otlp: "grpc://x"}').join()).toContain('tracing.otlp')
  expect(fieldsOf('{otlp: "http://x/", sample: 1.5}').join()).toContain('tracing.sample')
  expect(fieldsOf('{otlp: "http://x/", propagate: [jaeger]}').join()).toContain('tracing.propagate')
})
