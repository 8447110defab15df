import { expect, test } from 'vitest'
import { type HealthReport, healthReport, maxTrials, type TrialHealth } from '../../control/health.ts'
import { compileMesh } from '../../control/mesh/compile.ts'
import { checkSnapshot } from '../../control/mesh/name.ts'
import {
  type RolledBack,
  rolledBackBy,
  rolledBackText,
  stillMeant,
  withoutRolledBack,
} from '../../control/rollbacks.ts'
import type { MeshSnapshot } from '../../core/snapshot.ts'
import type { SpiffeId } from '../../core/spiffe.ts'
import { bankBundle, meshWith, own, served, sha256 } from './world.ts'

/** Canaries that took themselves back: who may say so, what goes, and what brings them back. */

const a = 'spiffe://bank.example/a' as SpiffeId
const digest = 'cd'.repeat(32)
const next = { bundle: 'next', revision: 'n1', sha256: digest }

function meshOf(trial: string, refs = [bankBundle, next]): MeshSnapshot {
  const text = meshWith(
    served('a', 1000),
    own('PolicySource', 'next', '{url: "https://b.example"}'),
    own(
      'PolicyBinding',
      'x',
      `{targetRefs: [{kind: Workload, name: a}], bundle: bank, entrypoint: a/b${trial === '' ? '' : `, ${trial}`}}`,
    ),
  )
  const compiled = compileMesh(text, { bundles: refs, sha256 })
  if (!compiled.ok) throw new Error(JSON.stringify(compiled.problems))
  return compiled.snapshot
}
const canary = 'canary: {bundle: next, percent: 5}'
const numbers = { asked: 100, refused: 50, in_force_asked: 200, in_force_refused: 1 }
const told: TrialHealth = {
  ...{ name: 'x', mode: 'canary', ...next, numbers, rolled_back: true },
  ...{ asked: 100, same: 0, differ: 0, faults: 0, dropped: 0, unrecorded: 0 },
}
const out: readonly RolledBack[] = rolledBackBy(meshOf(canary), a, [told], 0)

test('a workload takes back what it has on trial in this revision, and nothing else', () => {
  expect(out).toMatchObject([{ name: 'x', bundle: 'next', entrypoint: 'a/b', sha256: digest, by: a, numbers }])
  const from = (change: Partial<TrialHealth>, mesh = canary) =>
    rolledBackBy(meshOf(mesh), a, [{ ...told, ...change }], 0).length
  expect(from({})).toBe(1)
  expect(from({ rolled_back: false })).toBe(0)
  expect(from({ name: 'y' })).toBe(0)
  expect(from({ bundle: 'bank' })).toBe(0)
  expect(from({ sha256: 'ee'.repeat(32) })).toBe(0)
  expect(from({}, 'shadow: {bundle: next}')).toBe(0)
  expect(from({}, '')).toBe(0)
  expect(rolledBackText(out[0]!)).toBe(
    'x: revision n1 of next refused 50 of 100 requests, the policy in force 1 of 200',
  )
})

test('a snapshot goes without it and without its bundle, under a name of its own', () => {
  const before = meshOf(canary)
  const after = checkSnapshot(JSON.parse(JSON.stringify(withoutRolledBack(before, out, sha256))), sha256)
  expect(after.name).not.toBe(before.name)
  expect(JSON.stringify(after.workloads)).not.toContain('trial')
  expect(after.bundles.map(({ bundle }) => bundle)).toEqual(['bank'])
  expect(withoutRolledBack(before, [], sha256)).toBe(before)
  const shadow = meshOf('shadow: {bundle: next}')
  expect(withoutRolledBack(shadow, out, sha256)).toBe(shadow)
})

test('it is meant until the file names another candidate; a bundle that is not there yet is the one that was', () => {
  const other = { ...next, sha256: 'ee'.repeat(32) }
  expect(stillMeant(out, meshOf(canary))).toEqual(out)
  expect(stillMeant(out, meshOf('canary: {bundle: next, percent: 50, maxRise: 90}'))).toEqual(out)
  expect(stillMeant(out, meshOf(canary, [bankBundle]))).toEqual(out)
  expect(stillMeant(out, meshOf(canary, [bankBundle, other]))).toEqual([])
  expect(stillMeant(out, meshOf('canary: {bundle: next, entrypoint: c/d, percent: 5}'))).toEqual([])
  expect(stillMeant(out, meshOf(''))).toEqual([])
  // What was taken back for want of its bundle is tried again once that is there.
  const missing = rolledBackBy(meshOf(canary, [bankBundle]), a, [{ ...told, revision: '', sha256: '' }], 0)
  expect(missing).toHaveLength(1)
  expect(stillMeant(missing, meshOf(canary, [bankBundle]))).toEqual(missing)
  expect(stillMeant(missing, meshOf(canary))).toEqual([])
})

test('a report holds so many trials and no more, and one without any is read as before', () => {
  const report = (trials: readonly TrialHealth[]): HealthReport => ({ snapshot: 's', trials })
  expect(healthReport.safeParse({ snapshot: 's' }).success).toBe(true)
  expect(healthReport.safeParse(report(Array(maxTrials).fill(told))).success).toBe(true)
  expect(healthReport.safeParse(report(Array(maxTrials + 1).fill(told))).success).toBe(false)
  expect(healthReport.safeParse(report([{ ...told, asked: -1 }])).success).toBe(false)
})
