/** What tunnels have in common, whichever way they were asked for: how they open, stay open, and end. */

import { createHash } from 'node:crypto'
import type { Socket } from 'node:net'
import type { Framing } from '../http1/fields.ts'
import type { Request } from '../http1/request.ts'
import { type Response, readResponse } from '../http1/response.ts'

export const untilClose: Framing = { kind: 'close' }

/** What the caller of CONNECT reads once the connection to the host is there. */
export const established = readResponse('HTTP/1.1 200 OK\r\n\r\n', 'CONNECT', { headFields: 1 }) as Response

/** A 101 answers only what was asked for, and a CONNECT any success (RFC 9110 sections 9.3.6 and 15.2.2). */
export function opensTunnel({ connects, fields: { upgrade } }: Request, { status, fields }: Response): boolean {
  if (connects) return status >= 200 && status < 300
  return status === 101 && upgrade !== undefined && fields.upgrade === upgrade
}

/** The value that answers a key of WebSocket's (RFC 6455 section 4.2.2). */
export const acceptOf = (key: string): string =>
  createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64')

/** Asks whether what is open would be opened now, never twice at a time, and ends it where not. */
export function againAndAgain(
  stillAllowed: (() => Promise<boolean>) | undefined,
  end: () => void,
): () => Promise<void> {
  let judging = false
  return async () => {
    if (judging) return
    judging = true
    const allowed = await stillAllowed?.().catch(() => false)
    judging = false
    if (allowed === false) end()
  }
}

/** What was said last still arrives; then the upstream has a moment to close by itself. */
export function endTunnel(socket: Socket): void {
  socket.end()
  socket.setTimeout(tunnelEndMs, () => socket.destroy())
}

const tunnelEndMs = 2000
