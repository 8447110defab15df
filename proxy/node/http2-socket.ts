/** A session of HTTP/2 on a socket: what one turn of the event loop has to say leaves in one write. */

import type { Socket } from 'node:net'
import { type Latin1, latin1 } from '../http2/latin1.ts'
import { reuse } from '../http2/outbox.ts'
import { Session, type SessionOptions, type SessionUser } from '../http2/session.ts'

/** How long a connection that we ended may still send, in milliseconds, and how much, so that our last words arrive. */
const lingerMs = 2000
const lingerBytes = 1_048_576

/** Pieces up to it are copied, so that a slow peer holds no more than what it is sent. */
const smallPiece = 4096

export interface SocketUser extends Omit<SessionUser, 'onPending' | 'onOver'> {
  /** The socket is closed. */
  onClosed(): void
}

export interface Http2Socket {
  readonly session: Session
  /** Ends it now, whatever is open on it. */
  destroy(): void
}

/** The socket is the session's from now on. */
export function joinHttp2(socket: Socket, options: Omit<SessionOptions, 'text'>, user: SocketUser): Http2Socket {
  let discarded = 0
  let blocked = false
  let ending: NodeJS.Timeout | undefined
  const flush = (): void => {
    // What the socket does not take waits in the session, which knows how much of it there may be.
    if (socket.destroyed || (blocked && !session.over)) return
    for (const piece of session.take()) blocked = !send(socket, piece)
    if (blocked) session.setBlocked(true)
    if (!session.over || ending) return
    ending = setTimeout(() => socket.destroy(), lingerMs)
    socket.end()
  }
  const later = (): void => afterTurn(flush)
  const session = new Session({ ...options, text }, { ...bound(user), onPending: later, onOver: later })
  socket.on('data', (bytes: Buffer) => {
    if (!session.over) session.receive(bytes)
    else {
      discarded += bytes.length
      if (discarded > lingerBytes) socket.destroy()
    }
  })
  socket.on('drain', () => {
    blocked = false
    session.setBlocked(false)
    later()
  })
  socket.on('end', () => {
    session.lost()
    socket.end()
  })
  socket.on('error', () => {}) // What matters about it is the close that follows.
  socket.on('close', () => {
    clearTimeout(ending)
    session.lost()
    user.onClosed()
  })
  socket.resume() // What was read of it before may have been put back.
  return {
    session,
    destroy() {
      session.lost()
      socket.destroy()
    },
  }
}

const bound = (user: SocketUser): Omit<SessionUser, 'onPending' | 'onOver'> => ({
  onRequest: (stream, head, endsHere) => user.onRequest?.(stream, head, endsHere),
  onRoom: () => user.onRoom?.(),
})

function send(socket: Socket, piece: Uint8Array): boolean {
  if (piece.length > smallPiece) return socket.write(piece, () => reuse(piece))
  const copy = Buffer.from(piece)
  reuse(piece)
  return socket.write(copy)
}

/** Short text is faster without a call into native code. */
const text: Latin1 = (bytes, from, to) =>
  to - from < 16 ? latin1(bytes, from, to) : Buffer.prototype.latin1Slice.call(bytes, from, to)

let flushes: (() => void)[] = []

/** Once all sockets have been read that had something in this turn. */
function afterTurn(flush: () => void): void {
  if (flushes.push(flush) > 1) return
  setImmediate(() => {
    const all = flushes
    flushes = []
    for (const one of all) one()
  })
}
