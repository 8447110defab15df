/** What is below a socket of Node's, and how one is ended so that nobody takes what it carried for whole. */

import type { Socket } from 'node:net'

/** The TCP socket below a TLS one; any other is its own. Node has it, its types do not. */
export const under = (socket: Socket): Socket => (socket as { _parent?: Socket })._parent ?? socket

/** By a reset where that is possible: a TLS socket that is destroyed ends as if it had said all. */
export function reset(socket: Socket): void {
  if (socket.destroyed) return
  const below = under(socket)
  // A Unix socket has no port. What is above it closes with it.
  if (below.remotePort === undefined) socket.destroy()
  else if (!below.destroyed) below.resetAndDestroy()
}
