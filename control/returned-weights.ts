/** Versions that lost their weight: no snapshot gives it back, until the mesh file means another trial by it. */

import type { Sha256 } from '../core/ports.ts'
import type { Listener, MeshSnapshot, Route } from '../core/snapshot.ts'
import type { SpiffeId } from '../core/spiffe.ts'
import { ruleOf, type VersionReport } from '../proxy/flow/versions.ts'
import { nameSnapshot } from './mesh/name.ts'

export interface ReturnedWeight extends Omit<VersionReport, 'returned'> {
  /** The workload whose proxy said so first. */
  readonly by: SpiffeId
  /** RFC 3339. */
  readonly at: string
}

/** What a workload's proxy says of it, as far as its own part of the mesh has that on trial. */
export function returnedBy(
  part: MeshSnapshot,
  by: SpiffeId,
  told: readonly VersionReport[],
  nowMs: number,
): readonly ReturnedWeight[] {
  return told.flatMap(({ returned, ...report }) => {
    if (!returned || !routesOf(part).some((route) => isOf(report, route))) return []
    return [{ ...report, by, at: new Date(nowMs).toISOString() }]
  })
}

/** Those that the mesh file still means. `snapshot` is what it says, with all its canaries. */
export const stillOnTrial = (list: readonly ReturnedWeight[], snapshot: MeshSnapshot): readonly ReturnedWeight[] =>
  list.filter((one) => routesOf(snapshot).some((route) => isOf(one, route)))

/** The snapshot with the weight of those at nothing; the other backends share it as they share the rest. */
export function withoutReturned(snapshot: MeshSnapshot, list: readonly ReturnedWeight[], sha256: Sha256): MeshSnapshot {
  if (!routesOf(snapshot).some((route) => list.some((one) => isOf(one, route)))) return snapshot
  const routes = (all: readonly Route[]): readonly Route[] => all.map((route) => without(route, list))
  const workloads = snapshot.workloads.map((workload) => ({
    ...workload,
    listeners: workload.listeners.map(
      (listener): Listener =>
        listener.direction === 'gateway' ? { ...listener, routes: routes(listener.routes) } : listener,
    ),
  }))
  return nameSnapshot({ ...snapshot, routes: routes(snapshot.routes), workloads }, sha256)
}

function without(route: Route, list: readonly ReturnedWeight[]): Route {
  const one = list.find((it) => isOf(it, route))
  if (!one) return route
  const { canary: _, ...rest } = route
  return {
    ...rest,
    backends: route.backends.map((it) => (it.service === one.backend ? { ...it, weight: 0 } : it)),
  }
}

const isOf = (
  { route, backend, revision }: Pick<VersionReport, 'route' | 'backend' | 'revision'>,
  { name, canary }: Route,
): boolean =>
  canary !== undefined && ruleOf(name) === route && canary.backend === backend && canary.revision === revision

const routesOf = ({ routes, workloads }: MeshSnapshot): readonly Route[] => [
  ...routes,
  ...workloads.flatMap(({ listeners }) =>
    listeners.flatMap((listener) => (listener.direction === 'gateway' ? listener.routes : [])),
  ),
]
