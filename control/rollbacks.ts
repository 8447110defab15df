/** Canaries that took themselves back: no snapshot carries them, until the mesh file means another candidate by them. */

import type { PolicyRef, PolicyTrial, PolicyUse, TrialNumbers } from '../core/policy.ts'
import type { Sha256 } from '../core/ports.ts'
import { type Listener, type MeshSnapshot, usesOf } from '../core/snapshot.ts'
import type { SpiffeId } from '../core/spiffe.ts'
import type { TrialHealth } from './health.ts'
import { nameSnapshot } from './mesh/name.ts'
import { bundlesOf } from './mesh/scope.ts'

export interface RolledBack extends Pick<PolicyTrial, 'name' | 'bundle' | 'entrypoint'> {
  /** Of the bundle that was on trial; empty where it was not there. */
  readonly revision: string
  readonly sha256: string
  /** The workload whose proxy said so first. */
  readonly by: SpiffeId
  /** RFC 3339. */
  readonly at: string
  readonly numbers: TrialNumbers
}

/** What a workload's proxy says it took back, as far as its own part of the mesh has it on trial. */
export function rolledBackBy(
  part: MeshSnapshot,
  by: SpiffeId,
  told: readonly TrialHealth[],
  nowMs: number,
): readonly RolledBack[] {
  return told.flatMap(({ rolled_back, name, bundle, revision, sha256, numbers }) => {
    const trial = canariesOf(part).find((it) => it.name === name && it.bundle === bundle)
    if (!rolled_back || !numbers || !trial || (refOf(part, bundle)?.sha256 ?? '') !== sha256) return []
    const { entrypoint } = trial
    return [{ name, bundle, entrypoint, revision, sha256, by, at: new Date(nowMs).toISOString(), numbers }]
  })
}

/** The snapshot without them, and without bundles that nobody asks then. */
export function withoutRolledBack(snapshot: MeshSnapshot, list: readonly RolledBack[], sha256: Sha256): MeshSnapshot {
  const isOut = (trial: PolicyTrial): boolean => list.some((one) => isSame(one, trial, snapshot))
  if (!canariesOf(snapshot).some(isOut)) return snapshot
  const without = (use: PolicyUse | undefined): PolicyUse | undefined => {
    if (!use?.trial || !isOut(use.trial)) return use
    const { trial: _, ...rest } = use
    return rest
  }
  const workloads = snapshot.workloads.map((workload) => ({
    ...workload,
    listeners: workload.listeners.map((listener): Listener => {
      if (!('policy' in listener)) return 'outside' in listener ? withOutside(listener, without) : listener
      const policy = without(listener.policy)
      if (listener.direction === 'gateway') return { ...listener, policy, ...withEach(listener.policies, without) }
      return { ...listener, policy, ...withEach(listener.policies, without) }
    }),
  }))
  const asked = new Set(workloads.flatMap((workload) => [...bundlesOf(workload)]))
  const bundles = snapshot.bundles.filter(({ bundle }) => asked.has(bundle))
  return nameSnapshot({ ...snapshot, workloads, bundles }, sha256)
}

const withOutside = <Leading extends Extract<Listener, { direction: 'outbound' | 'egress' }>>(
  listener: Leading,
  without: (use: PolicyUse | undefined) => PolicyUse | undefined,
): Leading => ({
  ...listener,
  ...(listener.outside && { outside: listener.outside.map((one) => ({ ...one, policy: without(one.policy) })) }),
})

const withEach = <Route extends { readonly policy: PolicyUse | undefined }>(
  policies: readonly Route[] | undefined,
  without: (use: PolicyUse | undefined) => PolicyUse | undefined,
): { readonly policies?: readonly Route[] } =>
  policies ? { policies: policies.map((route) => ({ ...route, policy: without(route.policy) })) } : {}

/** Those that the mesh file still means: the others may be tried again. `snapshot` is what it says, with its canaries. */
export const stillMeant = (list: readonly RolledBack[], snapshot: MeshSnapshot): readonly RolledBack[] =>
  list.filter((one) => canariesOf(snapshot).some((trial) => isSame(one, trial, snapshot)))

/** A bundle that is not there yet, as after a start, is taken for the one that was. */
function isSame(one: RolledBack, { mode, name, bundle, entrypoint }: PolicyTrial, snapshot: MeshSnapshot): boolean {
  if (mode !== 'canary' || one.name !== name || one.bundle !== bundle || one.entrypoint !== entrypoint) return false
  const ref = refOf(snapshot, bundle)
  return ref === undefined || ref.sha256 === one.sha256
}

const refOf = ({ bundles }: MeshSnapshot, bundle: string): PolicyRef | undefined =>
  bundles.find((ref) => ref.bundle === bundle)

const canariesOf = ({ workloads }: MeshSnapshot): readonly PolicyTrial[] =>
  workloads
    .flatMap(({ listeners }) => listeners)
    .flatMap(usesOf)
    .flatMap(({ trial }) => (trial?.mode === 'canary' ? [trial] : []))

export const rolledBackText = ({ name, bundle, revision, numbers }: RolledBack): string => {
  const { asked, refused, in_force_asked, in_force_refused } = numbers
  const which = revision === '' ? `${bundle}, which was not there,` : `revision ${revision} of ${bundle}`
  return `${name}: ${which} refused ${refused} of ${asked} requests, the policy in force ${in_force_refused} of ${in_force_asked}`
}
