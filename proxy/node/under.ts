/** The TCP socket below a TLS one; any other is its own. Node has it, its types do not. */

import type { Socket } from 'node:net'

export const under = (socket: Socket): Socket => (socket as { _parent?: Socket })._parent ?? socket
