import { connect, type Socket } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import type { Listener } from '../../../core/snapshot.ts'
import type { SourceLimits } from '../../../core/traffic.ts'
import { call, callerTls, eventually, get, makeCa, orders, snapshotOf, startOrders, web } from './kit.ts'

/** What a listener takes of one source, over TCP and TLS. All callers here come from 127.0.0.1, or from 127.0.0.2. */

const ca = makeCa()
const tls = callerTls(ca.issue(web), ca)
const prefix = { ipv4: 32, ipv6: 64 }

async function limited(sources: SourceLimits) {
  const { port, proxy, sink, listener } = await startOrders(ca, { sources })
  const use = (next: SourceLimits | undefined) => {
    const listeners = [{ ...listener, ...{ sources: next } } as Listener]
    return proxy.apply(snapshotOf([{ name: 'orders', id: orders, listeners }]))
  }
  const stats = () => proxy.stats().listeners[0]!
  return { port, sink, use, stats }
}

/** A connection without a handshake. */
function raw(
  port: number,
  localAddress = '127.0.0.1',
): Promise<{ readonly socket: Socket; readonly closed: () => boolean }> {
  return new Promise((resolve) => {
    let closed = false
    const socket = connect({ port, host: '127.0.0.1', localAddress })
    onTestFinished(() => void socket.destroy())
    socket.on('error', () => {})
    const one = { socket, closed: () => closed }
    socket.on('close', () => {
      closed = true
      resolve(one) // It may be cut before it is known to be there.
    })
    socket.on('connect', () => resolve(one))
  })
}

test('a source gets so many connections; the next one is cut before its handshake, counted and recorded by a code of its own', async () => {
  const { port, sink, stats } = await limited({ prefix, connections: 2 })
  const [first, second] = [call(port, tls), call(port, tls)]
  for (const one of [first, second]) {
    one.send(get)
    expect(await one.until('here')).toContain('200 OK')
  }
  const third = call(port, tls)
  third.send(get)
  expect(await third.closed()).toBe('')
  expect(sink.refusals).toEqual([
    {
      listener: 'orders/in',
      source: '127.0.0.1',
      code: 'source_connections',
      detail: 'a source has 2 connections at most',
    },
  ])
  expect(stats()).toMatchObject({ connections: 2, handshakesFailed: 0, sourcesRefused: { source_connections: 1 } })
  const elsewhere = await raw(port, '127.0.0.2')
  first.socket.destroy()
  await eventually(() => stats().connections === 1)
  const fourth = call(port, tls)
  fourth.send(get)
  expect(await fourth.until('here')).toContain('200 OK')
  expect(elsewhere.closed()).toBe(false)
})

test('a source that begins handshakes and does not end them gets no further one, and one that ends them does', async () => {
  const { port, sink } = await limited({ prefix, handshakes: 2 })
  const served = call(port, tls)
  served.send(get)
  expect(await served.until('here')).toContain('200 OK')
  const waiting = [await raw(port), await raw(port)]
  const one = await raw(port)
  await eventually(one.closed)
  expect(sink.refusals).toMatchObject([{ code: 'source_handshakes', source: '127.0.0.1' }])
  waiting[0]!.socket.resetAndDestroy()
  await eventually(() => sink.refusals.length === 2) // That one was a handshake that failed.
  const next = call(port, tls)
  next.send(get)
  expect(await next.until('here')).toContain('200 OK')
})

test('a source opens so many connections in a time, and an address that is denied none; a newer snapshot changes both', async () => {
  const { port, sink, use } = await limited({ prefix, rate: { perSecond: 0.01, burst: 2 }, deny: ['127.0.0.2'] })
  for (const one of [await raw(port), await raw(port)]) one.socket.destroy()
  await eventually((await raw(port)).closed)
  await eventually((await raw(port, '127.0.0.2')).closed)
  const codes = () => sink.refusals.map(({ code }) => code).filter((code) => code.startsWith('source'))
  expect(codes()).toEqual(['source_rate', 'source_denied'])
  await use({ prefix, allow: ['127.0.0.2/32'] })
  await eventually((await raw(port)).closed)
  expect(codes()).toEqual(['source_rate', 'source_denied', 'source_denied'])
  await use(undefined)
  const caller = call(port, tls)
  caller.send(get)
  expect(await caller.until('here')).toContain('200 OK')
})
