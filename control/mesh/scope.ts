/** What of a snapshot one workload gets: what its own proxy needs, and nothing of the others. */

import type { Sha256 } from '../../core/ports.ts'
import { type GatewayListener, type MeshSnapshot, usesOf, type Workload } from '../../core/snapshot.ts'
import type { SpiffeId } from '../../core/spiffe.ts'
import { nameSnapshot } from './name.ts'

/**
 * The snapshot of one workload: its own listeners and bundles; routes and services only where it calls others. It has
 * a name of its own, so that what changes elsewhere is no news to it. Undefined where no workload has this id.
 */
export function snapshotFor(mesh: MeshSnapshot, workloadId: SpiffeId, sha256: Sha256): MeshSnapshot | undefined {
  const workload = mesh.workloads.find(({ id }) => id === workloadId)
  if (!workload) return undefined
  const calls = workload.listeners.some((listener) => listener.direction === 'outbound')
  const serves = new Set<string>()
  const bundles = bundlesOf(workload)
  for (const listener of workload.listeners) {
    if (listener.direction === 'inbound') serves.add(listener.service)
    if (listener.direction === 'gateway') for (const service of leadsTo(listener)) serves.add(service)
  }
  const content: MeshSnapshot = {
    ...mesh,
    services: calls ? mesh.services : mesh.services.filter(({ name }) => serves.has(name)),
    routes: calls ? mesh.routes : [],
    workloads: [workload],
    bundles: mesh.bundles.filter(({ bundle }) => bundles.has(bundle)),
  }
  const { data: _, ...without } = content
  const data = mesh.data?.filter(({ bundle }) => bundles.has(bundle)) ?? []
  return nameSnapshot(data.length > 0 ? { ...without, data } : without, sha256)
}

/** Services that callers from outside may reach. */
const leadsTo = ({ routes, sites }: GatewayListener): readonly string[] =>
  [...routes, ...sites.filter((site) => site.serves === 'tls')].flatMap(({ backends }) =>
    backends.map(({ service }) => service),
  )

/** Names of the bundles that a workload's listeners ask, in force and on trial. */
export function bundlesOf(workload: Workload): ReadonlySet<string> {
  const uses = workload.listeners.flatMap(usesOf)
  return new Set(uses.flatMap(({ bundle, trial }) => (trial ? [bundle, trial.bundle] : [bundle])))
}
