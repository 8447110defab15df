/**
 * Names of the mesh for programs of this host, by DNS over UDP and TCP on loopback: a service's names have its captured
 * address; all other questions go on to the resolvers of the host, as they came, and their answers back.
 */

import { randomInt } from 'node:crypto'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { connect, createServer, isIPv6, type Socket } from 'node:net'
import { messageOf, WritError } from '../../core/fault.ts'
import { addressAnswer, answers, codes, type Query, readQuery, refusal, types, withId } from '../dns/message.ts'

export interface DnsOptions {
  readonly address: string
  /** 0 takes any. */
  readonly port: number
  /** The IPv4 address of a name of the mesh; undefined for all other names. */
  readonly find: (name: string) => string | undefined
  /** Who is asked for those, in order. */
  readonly upstreams: readonly { readonly address: string; readonly port: number }[]
  /** Time that each of them has, in milliseconds. Default 2000. */
  readonly upstreamMs?: number
  /** Questions that wait for one of them at a time; further ones are answered SERVFAIL. Default 256. */
  readonly pending?: number
}

export interface OpenDns {
  readonly port: number
  close(): Promise<void>
}

/** How long an answer of ours may be kept, in seconds: addresses stay, but services come and go. */
const ttlS = 5
/** Connections at a time, and how long one may be silent, in milliseconds. */
const tcpConnections = 64
const tcpIdleMs = 10_000
/** Bytes of answers that a connection may leave unread. */
const tcpUnread = 65_536

type Transport = 'udp' | 'tcp'

/** Rejects with `unavailable` where the port cannot be had. */
export async function openDns(options: DnsOptions): Promise<OpenDns> {
  const { address, find, upstreams, upstreamMs = 2000, pending = 256 } = options
  let waiting = 0

  async function answerTo(bytes: Uint8Array, transport: Transport): Promise<Uint8Array | undefined> {
    const query = readQuery(bytes)
    if (!query) return undefined
    if ('code' in query) return refusal(bytes, query.code)
    const known = query.name === undefined ? undefined : find(query.name)
    // Of another type there is nothing: who asks for IPv6 goes on to ask for IPv4.
    if (known !== undefined) return addressAnswer(bytes, query, query.type === types.a ? [known] : [], ttlS)
    if (waiting >= pending) return refusal(bytes, codes.serverFailure, query)
    waiting++
    const answer = await forward(bytes, query, transport).finally(() => waiting--)
    return answer ?? refusal(bytes, codes.serverFailure, query)
  }

  async function forward(bytes: Uint8Array, query: Query, transport: Transport): Promise<Uint8Array | undefined> {
    for (const upstream of upstreams) {
      const id = randomInt(65_536)
      const answer = await ask[transport](
        withId(bytes, id),
        upstream,
        (message) => answers(message, bytes, query, id),
        upstreamMs,
      )
      if (answer) return withId(answer, query.id)
    }
    return undefined
  }

  const udp = createSocket(isIPv6(address) ? 'udp6' : 'udp4')
  udp.on('message', async (bytes, from) => {
    const answer = await answerTo(bytes, 'udp')
    if (answer && !closed) udp.send(answer, from.port, from.address, () => {}) // Who is gone is gone.
  })
  const tcp = createServer({ noDelay: true }, (socket) => {
    socket.setTimeout(tcpIdleMs, () => socket.destroy())
    socket.on('error', () => {})
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
    eachMessage(socket, async (bytes) => {
      const answer = await answerTo(bytes, 'tcp')
      if (answer && socket.writableLength < tcpUnread) socket.write(framed(answer))
      else socket.destroy()
    })
  })
  tcp.maxConnections = tcpConnections
  const sockets = new Set<Socket>()
  let closed = false

  const close = async (): Promise<void> => {
    closed = true
    for (const socket of sockets) socket.destroy()
    udp.close()
    if (tcp.listening) await new Promise((resolve) => tcp.close(resolve))
  }
  try {
    tcp.listen(options.port, address)
    await once(tcp, 'listening')
    const { port } = tcp.address() as { readonly port: number }
    udp.bind(port, address)
    await once(udp, 'listening')
    tcp.on('error', () => {}) // Of one connection that could not be taken.
    udp.on('error', () => {})
    return { port, close }
  } catch (thrown) {
    await close()
    throw new WritError('unavailable', `cannot answer names on ${address}:${options.port}: ${messageOf(thrown)}`, {
      cure: 'stop whoever listens there, or give another port',
      cause: thrown,
    })
  }
}

type Ask = (
  query: Uint8Array,
  upstream: DnsOptions['upstreams'][number],
  isAnswer: (message: Uint8Array) => boolean,
  timeoutMs: number,
) => Promise<Uint8Array | undefined>

/** From a port of its own each, and by an id of chance: who would forge an answer has to guess both (RFC 5452 section 9). */
const ask: { readonly [transport in Transport]: Ask } = {
  udp: (query, { address, port }, isAnswer, timeoutMs) =>
    new Promise((resolve) => {
      const socket = createSocket(isIPv6(address) ? 'udp6' : 'udp4')
      const over = (answer?: Uint8Array): void => {
        clearTimeout(timer)
        socket
          .removeAllListeners('message')
          .removeAllListeners('error')
          .on('error', () => {})
        socket.close()
        resolve(answer)
      }
      const timer = setTimeout(over, timeoutMs)
      socket.on('error', () => over())
      socket.on('message', (message) => isAnswer(message) && over(message))
      socket.connect(port, address, () => socket.send(query))
    }),
  tcp: (query, { address, port }, isAnswer, timeoutMs) =>
    new Promise((resolve) => {
      const socket = connect({ host: address, port })
      const over = (answer?: Uint8Array): void => {
        clearTimeout(timer)
        socket.destroy()
        resolve(answer)
      }
      const timer = setTimeout(over, timeoutMs)
      socket.on('error', () => {})
      socket.on('close', () => over())
      eachMessage(socket, (message) => over(isAnswer(message) ? message : undefined))
      socket.write(framed(query))
    }),
}

/** RFC 1035 section 4.2.2: two bytes of length before each message. */
function framed(message: Uint8Array): Buffer {
  const length = Buffer.alloc(2)
  length.writeUInt16BE(message.length)
  return Buffer.concat([length, message])
}

function eachMessage(socket: Socket, take: (message: Uint8Array) => unknown): void {
  let held: Buffer = Buffer.alloc(0)
  socket.on('data', (bytes: Buffer) => {
    held = held.length === 0 ? bytes : Buffer.concat([held, bytes]) // One message and one read of the socket at most.
    while (held.length >= 2) {
      const end = 2 + held.readUInt16BE(0)
      if (held.length < end) break
      void take(held.subarray(2, end))
      held = held.subarray(end)
    }
  })
}
