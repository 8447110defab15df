import fc from 'fast-check'
import { expect, test } from 'vitest'
import { formatCosignerKey } from '../../../audit/log/cosignature.ts'
import { checkSnapshot, nameSnapshot } from '../../../control/mesh/name.ts'
import { snapshotFor } from '../../../control/mesh/scope.ts'
import { WritError } from '../../../core/fault.ts'
import { canonicalJson, type Json } from '../../../core/json.ts'
import type { MeshSnapshot } from '../../../core/snapshot.ts'
import type { SpiffeId } from '../../../core/spiffe.ts'
import { testWitness } from '../../audit/witness/go.ts'
import { bankText, meshWith, own, sha256, snapshotOf } from '../world.ts'

const snapshot = snapshotOf(bankText)
const overTheWire = (value: unknown): unknown => JSON.parse(JSON.stringify(value))

const codeOf = (value: unknown): string => {
  try {
    checkSnapshot(value, sha256)
    return 'good'
  } catch (thrown) {
    return thrown instanceof WritError ? thrown.code : `not ours: ${String(thrown)}`
  }
}

test('a snapshot that came over the wire as it was made is good', () => {
  expect(canonicalJson(checkSnapshot(overTheWire(snapshot), sha256) as unknown as Json)).toBe(
    canonicalJson(snapshot as unknown as Json),
  )
  expect(codeOf(overTheWire(snapshotOf(meshWith())))).toBe('good')
})

test('whatever the Mesh document says of the audit, each sidecar takes the snapshot', () => {
  const key = formatCosignerKey(testWitness('w.example/1').key)
  const audit = `{ durability: strict, onFull: allow-and-account, expectedRate: 100,
    stream: { kafka: { brokers: ["kafka:9092"] } }, store: { postgres: { urlEnv: X } },
    witnesses: [{ url: "https://w.example/", key: "${key}" }], witnessPolicy: { quorum: 1 },
    timestamps: { url: "https://tsa.example/x" }, findings: { minDenials: 5 },
    s3: { region: eu-1 }, publish: { to: "s3://bank-log" }, retention: { keep: 400d },
    access: { bundle: bank, entrypoint: a/b } }`
  const made = snapshotOf(own('Mesh', 'm', `{ trustDomain: bank.example, audit: ${audit} }`))
  expect(codeOf(overTheWire(made))).toBe('good')
  for (const name of ['witnesses', 'publish', 'access']) expect(Object.keys(made.audit)).not.toContain(name)
  expect(made.audit).toMatchObject({ durability: 'strict', onFull: 'allow-and-account' })
})

test('one changed, missing or added member, and it is not', () => {
  const changed = (change: (it: { [key: string]: unknown }) => void): string => {
    const copy = overTheWire(snapshot) as { [key: string]: unknown }
    change(copy)
    return codeOf(copy)
  }
  const { cluster: _, ...less } = snapshot
  expect(changed((it) => (it['cluster'] = 'south'))).toBe('config_invalid')
  expect(changed((it) => (it['more'] = 1))).toBe('config_invalid')
  expect(changed((it) => (it['name'] = `sha256:${'0'.repeat(64)}`))).toBe('config_invalid')
  expect(changed((it) => (it['cluster'] = '\ud800'))).toBe('config_invalid')
  expect(codeOf(overTheWire(less))).toBe('config_invalid')
  expect(codeOf(nameSnapshot({ ...snapshot, more: 1 } as MeshSnapshot, sha256))).toBe('config_invalid')
  expect(changed((it) => (it['v'] = 2))).toBe('version')
  expect(changed(() => {})).toBe('good')
})

test('any JSON is read or refused with a code', () => {
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      expect(codeOf(value)).toMatch(/^(config_invalid|version)$/)
      expect(codeOf({ ...(overTheWire(snapshot) as object), services: value })).toBe('config_invalid')
    }),
    { numRuns: 200 },
  )
})

const partFor = (path: string): MeshSnapshot | undefined =>
  snapshotFor(snapshot, `spiffe://bank.example${path}` as SpiffeId, sha256)

test('a workload that calls nobody gets its own listener, service and bundle', () => {
  const part = partFor('/payments')!
  expect(part.workloads.map(({ name }) => name)).toEqual(['payments-1'])
  expect(part.services.map(({ name }) => name)).toEqual(['payments'])
  expect(part.routes).toEqual([])
  expect(part.bundles).toEqual(snapshot.bundles)
  expect(codeOf(overTheWire(part))).toBe('good')
})

test('a workload that calls others gets routes and services, and still no listener of theirs', () => {
  const part = partFor('/ns/front/sa/teller')!
  expect(part.workloads.map(({ name }) => name)).toEqual(['teller'])
  expect(part.routes).toEqual(snapshot.routes)
  expect(part.bundles).toEqual([])
  expect(partFor('/nobody')).toBeUndefined()
})

test('what changes elsewhere does not change the name of a workload’s part', () => {
  const other = snapshotOf(bankText.replace('port: 9103', 'port: 9104').replace('api.bank', 'api2.bank'))
  const name = (whole: MeshSnapshot, path: string) =>
    snapshotFor(whole, `spiffe://bank.example${path}` as SpiffeId, sha256)?.name
  expect(other.name).not.toBe(snapshot.name)
  expect(name(other, '/payments-b')).not.toBe(name(snapshot, '/payments-b'))
  const far = snapshotOf(bankText.replace('api.bank', 'api2.bank'))
  expect(name(far, '/payments')).toBe(name(snapshot, '/payments'))
})
