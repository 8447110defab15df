/** One listener: a port or a Unix socket, the connections on it, and the time they are given. */

import { createServer as createTcpServer, type Socket } from 'node:net'
import { createServer as createTlsServer, type TLSSocket, type Server as TlsServer } from 'node:tls'
import type { Evidence, Peer } from '../../core/identity.ts'
import type { Bind } from '../../core/snapshot.ts'
import type { Found } from '../flow/route.ts'
import { isJudged } from '../flow/strangers.ts'
import type { Admitted } from '../limit/sources.ts'
import type { Limits } from '../limits.ts'
import type { Parts } from '../serve.ts'
import { listen } from './bind.ts'
import { Caller } from './caller.ts'
import type { CallerParts, Connection } from './connection.ts'
import { detect } from './detect.ts'
import { Http2Caller } from './http2-caller.ts'
import type { Pools } from './legs.ts'
import type { ListenerTls } from './listener-tls.ts'
import { TcpCaller } from './tcp-caller.ts'
import { opaque } from './tls.ts'
import { readHello } from './tls-front.ts'
import { under } from './under.ts'

/** Diagnostics for people. What happened to requests is in the records. */
export interface ProxyEvent {
  readonly level: 'info' | 'warn' | 'error'
  readonly from: string
  readonly text: string
}

export interface ListenerOptions {
  readonly bind: Bind
  /** Whether other processes may listen on the same TCP port. */
  readonly reusePort: boolean
  /** A socket that listens there already. Default one is opened. */
  readonly fd?: number | undefined
  /** Undefined for a plain listener. */
  readonly tls: ListenerTls | undefined
  /** What the callers of a plain listener have shown: that they are its workload, by declaration, or nothing. */
  readonly evidence: () => Evidence
  readonly parts: Parts
  readonly pools: Pools
  readonly limits: Limits
  readonly nowMs: () => number
  readonly onEvent: (event: ProxyEvent) => void
}

export interface OpenListener {
  /** 0 for a Unix socket. */
  readonly port: number
  /** Takes effect with the next request; those in flight end as they began. */
  use(parts: Parts): void
  connections(): number
  stats(): ListenerStats
  /** Accepts no more, finishes what is in flight within `drainMs` milliseconds, then cuts. */
  close(options: { readonly drainMs: number }): Promise<void>
}

export interface ListenerStats {
  readonly connections: number
  readonly requests: number
  /** Handshakes that failed, and connections that were one too many. */
  readonly handshakesFailed: number
  readonly dropped: number
  /** Connections of sources that may not have them, by code. */
  readonly sourcesRefused: Readonly<Record<string, number>>
}

/** Connections whose peers are judged anew in one turn when trust changes, so that requests in between go on. */
const recheckedAtOnce = 32

export async function openListener(options: ListenerOptions): Promise<OpenListener> {
  const { bind, tls, limits, nowMs, onEvent } = options
  const callers = new Set<Connection>()
  /** Sockets under TLS, also those whose handshake goes on. */
  const sockets = new Set<Socket>()
  const addresses = new WeakMap<Socket, string>()
  const admitted = new WeakMap<Socket, Admitted>()
  let parts = options.parts
  let clockMs = nowMs()
  let requests = 0
  let handshakesFailed = 0
  let dropped = 0
  let closing = false
  let trustChanges = 0

  const callerParts: CallerParts = {
    scheme: tls ? 'https' : 'http',
    limits,
    pools: options.pools,
    parts: () => parts,
    clockMs: () => clockMs,
    onServed: () => {
      requests++
    },
    onFault: (text) => onEvent({ level: 'error', from: parts.listener, text }),
    onClosed: (caller) => callers.delete(caller),
    onHttp2(caller, socket) {
      callers.delete(caller)
      callers.add(new Http2Caller(socket, caller.peer, callerParts))
    },
  }

  function accept(socket: Socket, peer: Peer): void {
    const { alpnProtocol } = socket as Partial<TLSSocket>
    if (parts.detects && !tls) detect(socket, limits.detectMs, (found) => begin(socket, peer, found === 'tcp', false))
    else
      begin(
        socket,
        peer,
        parts.connectTo !== undefined && (!parts.detects || alpnProtocol === opaque[0]),
        alpnProtocol === 'h2',
      )
  }

  function begin(socket: Socket, peer: Peer, asBytes: boolean, http2: boolean): void {
    if (closing) {
      socket.destroy()
      return
    }
    if (asBytes) {
      callers.add(new TcpCaller(socket, peer, callerParts))
      return
    }
    callers.add(http2 ? new Http2Caller(socket, peer, callerParts) : new Caller(socket, peer, callerParts))
  }

  /** A handshake that failed is a refusal like any other, counted by where it came from. */
  function refused(socket: Socket, code: string, detail: string): void {
    handshakesFailed++
    parts.sink.refused({ listener: parts.listener, source: addressOf(socket), code, detail: detail.slice(0, 200) })
  }

  /** A socket that failed knows its peer no more; the one below it was asked in time. */
  const addressOf = (socket: Socket): string => socket.remoteAddress ?? addresses.get(under(socket)) ?? ''

  const secure = tls && listenTls(tls)
  // Connections are ours before they are TLS's: who may not have one gets no handshake, and some TLS is passed on.
  const server = createTcpServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    if (!isAdmitted(socket)) socket.resetAndDestroy()
    else if (secure) front(socket, secure)
    else acceptOwn(socket)
  })
  server.maxConnections = limits.connections
  server.on('drop', () => {
    dropped++
  })

  /** Whether its source may have one more. Who may not is counted, and recorded by its address. */
  function isAdmitted(socket: Socket): boolean {
    const { sources, sink, listener } = parts
    if (!sources) return true
    const source = socket.remoteAddress ?? ''
    const answer = sources.admit(source, secure !== undefined, nowMs())
    if ('code' in answer) {
      sink.refused({ listener, source, ...answer })
      return false
    }
    admitted.set(socket, answer)
    socket.on('close', answer.closed)
    return true
  }

  function front(socket: Socket, secure: TlsServer): void {
    sockets.add(socket)
    addresses.set(socket, socket.remoteAddress ?? '')
    socket.on('close', () => sockets.delete(socket))
    if (!parts.passedOn) {
      socket.allowHalfOpen = false // Who ends in the middle of a handshake is gone.
      secure.emit('connection', socket) // All of it ends here.
      return
    }
    readHello(socket, {
      timeoutMs: limits.handshakeMs,
      onHello(_, serverName) {
        const target = serverName === undefined ? undefined : parts.passedOn?.(serverName)
        if (closing) socket.destroy()
        else if (target && serverName !== undefined) pass(socket, serverName)
        else {
          socket.allowHalfOpen = false
          secure.emit('connection', socket)
        }
      },
      onRefused(_, code, detail) {
        refused(socket, code, detail)
        socket.destroy()
      },
    })
  }

  /** By one decision, and judged again by what the newest snapshot says of the name. */
  function pass(socket: Socket, serverName: string): void {
    admitted.get(socket)?.handshaken() // What follows is between its ends.
    passTo(socket, () => parts.passedOn?.(serverName)?.())
  }

  function passTo(socket: Socket, found: () => Found | undefined): void {
    callers.add(
      new TcpCaller(socket, ownPeer(socket), { ...callerParts, parts: () => ({ ...parts, connectTo: found }) }),
    )
  }

  const ownPeer = (socket: Socket): Peer => ({
    ...{ evidence: options.evidence(), address: socket.remoteAddress ?? '', port: socket.remotePort ?? 0 },
  })

  function acceptOwn(socket: Socket): void {
    const called = socket.localAddress ?? ''
    if (parts.captured?.(called)) passTo(socket, () => parts.captured?.(called)?.())
    else accept(socket, ownPeer(socket))
  }

  function listenTls(tls: ListenerTls): TlsServer {
    const secure = createTlsServer(
      { ...tls.options(), handshakeTimeout: limits.handshakeMs, allowHalfOpen: true, noDelay: true },
      (socket) => {
        void admit(socket, tls)
      },
    )
    secure.on('tlsClientError', (error: Error & { code?: string }, socket: TLSSocket) => {
      const late = error.code === 'ERR_TLS_HANDSHAKE_TIMEOUT'
      refused(socket, late ? 'handshake_timeout' : 'handshake_failed', error.code ?? error.message)
      socket.destroy()
    })
    return secure
  }

  /** Judges the peer before the first byte of a request is read, and again on every request. */
  async function admit(socket: TLSSocket, tls: ListenerTls): Promise<void> {
    socket.allowHalfOpen = true // As connections have it; `front` took it from this one.
    socket.on('error', () => {}) // It may break while its peer is judged; the close that follows says so.
    admitted.get(under(socket))?.handshaken()
    const shown = tls.shown(socket, nowMs())
    const changes = trustChanges
    if ('wrong' in shown) {
      refused(socket, 'identity_missing', shown.wrong)
      socket.destroy()
      return
    }
    const answer = await parts.identify(shown.peer, nowMs())
    if (answer.ok && changes === trustChanges) tls.proven?.(shown.peer, answer.identity.notAfterMs)
    if (socket.destroyed) return // Its close has been; nobody would ever let go of it.
    if (isJudged(answer, parts.strangers)) return accept(socket, shown.peer)
    refused(socket, answer.code, answer.detail)
    socket.destroy()
  }

  const unsubscribe = tls?.subscribe(() => {
    trustChanges++
    try {
      secure?.setSecureContext(tls.options())
    } catch (thrown) {
      // The old context keeps serving; its certificate still has time, or peers refuse it by themselves.
      onEvent({ level: 'error', from: parts.listener, text: `the new certificate cannot be served: ${String(thrown)}` })
    }
    void recheck()
  })

  /** Closes connections whose peers no longer hold. A request on one that is not closed yet is refused anyway. */
  async function recheck(): Promise<void> {
    let count = 0
    for (const caller of [...callers]) {
      if (!isJudged(await parts.identify(caller.peer, nowMs()), parts.strangers)) caller.revoke()
      if (++count % recheckedAtOnce === 0) await new Promise(setImmediate)
    }
  }

  const sweepMs = Math.max(10, Math.min(1000, limits.headMs / 4, limits.idleMs / 4, limits.stallMs / 4))
  const sweeper = setInterval(() => {
    clockMs = nowMs()
    for (const caller of callers) caller.sweep(clockMs)
  }, sweepMs)
  sweeper.unref()

  try {
    await listen(server, bind, options.reusePort, options.fd)
  } catch (thrown) {
    clearInterval(sweeper)
    unsubscribe?.()
    throw thrown
  }
  server.on('error', (error) => onEvent({ level: 'error', from: parts.listener, text: error.message }))

  const address = server.address()
  return {
    port: typeof address === 'object' && address ? address.port : 0,
    use(next) {
      parts = next
    },
    connections: () => callers.size,
    stats: () => ({
      connections: callers.size,
      requests,
      handshakesFailed,
      dropped,
      sourcesRefused: parts.sources?.refused() ?? {},
    }),
    async close({ drainMs }) {
      closing = true
      const closed = new Promise((resolve) => server.close(resolve))
      for (const caller of callers) caller.drain()
      const cut = setTimeout(() => {
        for (const caller of callers) caller.stop()
        for (const socket of sockets) socket.destroy()
      }, drainMs)
      await closed
      clearTimeout(cut)
      clearInterval(sweeper)
      unsubscribe?.()
    },
  }
}
