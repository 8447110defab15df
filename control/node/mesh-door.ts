/** The mesh's door: mTLS for workloads. Read mesh-routes.ts for what it answers. */

import type { IdentitySource } from '../../core/ports.ts'
import { type MeshRouteParts, meshRoutes } from './mesh-routes.ts'
import { openMtlsDoor } from './mtls.ts'
import type { Door, DoorOptions } from './open-door.ts'

export interface MeshDoorParts extends MeshRouteParts {
  readonly identity: IdentitySource
}

export async function openMeshDoor(parts: MeshDoorParts, options: DoorOptions = {}): Promise<Door> {
  const closing = new AbortController()
  const { identity, sink, unexpected } = parts
  const door = await openMtlsDoor(
    {
      app: meshRoutes(parts, closing.signal),
      identity,
      refused: (source, detail) => sink.refused({ listener: 'control/mesh', source, code: 'handshake_failed', detail }),
      unexpected,
    },
    options,
  )
  return {
    ...door,
    close: () => {
      closing.abort()
      return door.close()
    },
  }
}
