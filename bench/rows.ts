/** Measures one row: starts upstream and proxy, warms them, puts them under load, and checks what came of it. */

import type { Child } from '../test/parts/child.ts'
import type { Bench, Case } from './cases.ts'
import { putUnderH2Load } from './h2load.ts'
import { holdIdle } from './idle.ts'
import { connections, type LoadResult, putUnderLoad } from './load.ts'
import { busyMsOf, type Cost, costOf } from './measure.ts'
import { startUpstream } from './peers/nginx.ts'
import { startSink } from './peers/sink.ts'
import type { Row } from './table.ts'
import { type Ended, probes, type RunningProxy } from './writ.ts'

export const proxyCore = 0
export const otherCore = 1

/** Of rows of HTTP/2, and the streams of each. */
const http2Connections = 8
const http2Streams = 10

const warmSeconds = 2
/** Code is compiled for good only after some ten thousand requests, and a proxy serves for weeks. */
const warmRequests = 30_000
const mostWarmings = 4
/** What a row of a steady rate is warmed with, in its place: so many times the rate, since a burst would swell its memory. */
const warmRate = 4

export async function measure(one: Case, seconds: number, bench: Bench): Promise<Row> {
  const { onOtherCore } = bench
  const grpc = one.load.kind === 'http2' && one.load.grpc !== undefined
  const upstream = grpc ? await sinkAsUpstream(onOtherCore) : await startUpstream(onOtherCore)
  const proxy = await one.start(upstream.port).catch(async (thrown) => {
    await upstream.remove()
    throw thrown
  })
  try {
    if (one.load.kind === 'idle') return await measureIdle(one, one.load.connections, proxy, bench)
    const warmed = await warm(one, proxy, bench)
    const before = costNow(proxy)
    const result = await load(one, proxy, seconds, bench)
    const row = rowOf(one, result, before, costNow(proxy))
    const ended = await proxy.end?.()
    if (ended) checkRecords(one.name, warmed.requests + result.requests, warmed.times + 1, ended)
    return { ...row, ended }
  } finally {
    await proxy.remove()
    await upstream.remove()
  }
}

async function sinkAsUpstream(before: readonly string[]): Promise<{ readonly port: number; remove(): Promise<void> }> {
  const { grpcPort: port, remove } = await startSink(before)
  return { port, remove }
}

/** Connections, caches and compiled code are there once it is warm. */
async function warm(
  one: Case,
  proxy: RunningProxy,
  bench: Bench,
): Promise<{ readonly requests: number; readonly times: number }> {
  let requests = 0
  let times = 0
  while (times === 0 || (times < mostWarmings && requests < warmRequests)) {
    requests += (await load(one, proxy, warmSeconds, bench, warmRate)).requests
    times++
  }
  return { requests, times }
}

function load(
  { load, tls }: Case,
  { port }: RunningProxy,
  seconds: number,
  { folder, onOtherCore: before }: Bench,
  timesRate = 1,
): Promise<LoadResult> {
  const common = { port, tls, before, folder, seconds }
  if (load.kind === 'http1') {
    const { repeated, path, renews, rate } = load
    return putUnderLoad({ ...common, repeated, path, renews, rate: rate && rate * timesRate })
  }
  const { grpc } = load as Extract<Case['load'], { kind: 'http2' }>
  const body =
    grpc === undefined ? undefined : { file: grpc, headers: ['content-type: application/grpc', 'te: trailers'] }
  const path = grpc === undefined ? '/orders/known-1' : '/orders/Get'
  return putUnderH2Load({ ...common, connections: http2Connections, streams: http2Streams, path, body })
}

/** Memory of connections that did one request each and are silent. */
async function measureIdle(one: Case, count: number, proxy: RunningProxy, { onOtherCore }: Bench): Promise<Row> {
  const tls = one.tls!
  const held: Child[] = []
  try {
    // The first bring code and caches along.
    held.push(await holdIdle({ port: proxy.port, connections: 64, tls }, onOtherCore))
    await settle()
    const before = costNow(proxy)
    const startMs = performance.now()
    held.push(await holdIdle({ port: proxy.port, connections: count, tls }, onOtherCore))
    await settle()
    const after = costNow(proxy)
    const durationUs = (performance.now() - startMs) * 1000
    const result = { requests: count, durationUs, errors: 0, p50Us: 0, p99Us: 0, p999Us: 0 }
    const bytesEach = (after.rssBytes - before.rssBytes) / count
    return { ...rowOf(one, result, before, after), ended: undefined, bytesEach }
  } finally {
    for (const child of held) await child.kill()
  }
}

const settle = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 2000))

interface CoreCost extends Cost {
  /** What its core did, whoever for. */
  readonly coreMs: number
  /** What ran on its core of that. */
  readonly ownMs: number
}

function costNow(proxy: RunningProxy): CoreCost {
  const pid = proxy.pid()
  const own = pid === undefined ? { cpuMs: 0, rssBytes: 0 } : costOf(pid)
  const also = proxy.alsoPid ? costOf(proxy.alsoPid()) : { cpuMs: 0, rssBytes: 0 }
  return {
    cpuMs: own.cpuMs + also.cpuMs,
    rssBytes: own.rssBytes + also.rssBytes,
    coreMs: busyMsOf(proxyCore),
    ownMs: own.cpuMs,
  }
}

function rowOf({ name, group }: Case, result: LoadResult, before: CoreCost, after: CoreCost): Omit<Row, 'ended'> {
  const cpuMs = after.cpuMs - before.cpuMs
  const ownMs = after.ownMs - before.ownMs
  const spanMs = result.durationUs / 1000
  return {
    ...result,
    name,
    group,
    cpuMsPerThousand: (cpuMs / result.requests) * 1000,
    busy: ownMs / spanMs,
    others: Math.max(0, after.coreMs - before.coreMs - ownMs) / spanMs,
    rssBytes: after.rssBytes,
  }
}

/**
 * As many records as responses, all of them allowed, and as many outcomes. Beyond what the load generator counted there
 * are the requests in flight when it stopped: one a connection or stream at most, for each time that it ran.
 */
function checkRecords(name: string, responses: number, loads: number, ended: Ended): void {
  const { kept, requests, published, refused } = ended
  if (!kept) return
  const decided = kept.allowed + kept.denied + kept.faults
  const inFlight = loads * Math.max(connections, http2Connections * http2Streams)
  const wrong = [
    decided !== requests && `${decided} decisions on the disk, ${requests} requests served`,
    kept.denied !== probes && `${kept.denied} denials, ${probes} expected`,
    kept.faults > 0 && `${kept.faults} faults`,
    (kept.allowed < responses || kept.allowed > responses + inFlight) &&
      `${kept.allowed} allowed on the disk, ${responses} responses counted`,
    kept.outcomes !== decided && `${kept.outcomes} outcomes of ${decided} decisions`,
    published !== kept.records && `${published} records in the stream, ${kept.records} on the disk`,
    refused > 0 && `${refused} records refused`,
  ].filter((fault) => fault !== false)
  if (wrong.length > 0) throw new Error(`${name}: ${wrong.join('; ')}`)
}
