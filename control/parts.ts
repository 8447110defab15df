/** A mesh in parts: the snapshot each workload gets, worked out once per snapshot of the whole. */

import type { Sha256 } from '../core/ports.ts'
import type { MeshSnapshot } from '../core/snapshot.ts'
import type { SpiffeId } from '../core/spiffe.ts'
import { snapshotFor } from './mesh/scope.ts'

export type PartOf = (id: SpiffeId) => MeshSnapshot | undefined

/** Remembers parts until the whole changes: at most one for each workload. */
export function partsOf(whole: () => MeshSnapshot, sha256: Sha256): PartOf {
  let of = ''
  const parts = new Map<SpiffeId, MeshSnapshot>()
  return (id) => {
    const mesh = whole()
    if (mesh.name !== of) {
      parts.clear()
      of = mesh.name
    }
    const known = parts.get(id)
    if (known) return known
    const part = snapshotFor(mesh, id, sha256)
    if (part) parts.set(id, part)
    return part
  }
}
