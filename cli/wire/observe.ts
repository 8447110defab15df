/** What is seen of a sidecar from outside: its numbers, its lines, its spans, its taps, and the doors to them. */

import { createWriteStream } from 'node:fs'
import type { Writable } from 'node:stream'
import type { RecorderStatus } from '../../audit/node/recorder.ts'
import { openProxyDoor, openProxySocket, type ProxyDoorParts } from '../../control/node/proxy-door.ts'
import { messageOf } from '../../core/fault.ts'
import { canonicalJson, type Json } from '../../core/json.ts'
import type { IdentitySource } from '../../core/ports.ts'
import type { MeshSnapshot, TracingSettings } from '../../core/snapshot.ts'
import type { ProxyStats } from '../../proxy/node/proxy.ts'
import { type AccessFormat, makeAccessLog } from '../../proxy/telemetry/access-log.ts'
import { graphOf } from '../../proxy/telemetry/graph.ts'
import { workloadOf } from '../../proxy/telemetry/istio.ts'
import type { Telemetry } from '../../proxy/telemetry/served.ts'
import { makeTaps } from '../../proxy/telemetry/tap.ts'
import { makeTraffic } from '../../proxy/telemetry/traffic.ts'
import type { Alarm } from './alarms.ts'
import { metricsText } from './metrics.ts'
import type { OnEvent } from './telemetry.ts'
import type { Tracing } from './tracing.ts'

export interface ObserveOptions {
  readonly source: IdentitySource
  /** Path of the Unix socket. */
  readonly socketPath: string
  /** Where `/ready`, `/live` and `/metrics` are served. Default nowhere but on the socket. */
  readonly door?: { readonly address: string; readonly port: number }
  /** Default no line is written. */
  readonly accessLog?: { readonly format: AccessFormat; readonly file: string | undefined }
  readonly nowMs: () => number
  readonly onEvent: OnEvent
}

/** What is there once the sidecar is open. */
export interface Observable {
  readonly stats: () => ProxyStats
  readonly recorder: () => RecorderStatus
  readonly alarms: () => readonly Alarm[]
  /** Tries to renew its certificate that failed. */
  readonly renewalsFailed: () => number
}

export interface Observed {
  readonly telemetry: Telemetry
  /** Port of the HTTP door, where there is one. */
  readonly port: number | undefined
  /** Told of each snapshot. */
  follow(snapshot: MeshSnapshot): Promise<void>
  /** From now on it is ready. */
  ready(sidecar: Observable): void
  /** From now on it is not: it drains. */
  draining(): void
  close(): Promise<void>
}

/** Time between two hand-overs of lines, in milliseconds. */
const flushEveryMs = 100

export async function openObserved(options: ObserveOptions): Promise<Observed> {
  const { source, nowMs, onEvent } = options
  const sinceMs = nowMs()
  const traffic = makeTraffic()
  const taps = makeTaps()
  const lines = options.accessLog && openLines(options.accessLog, onEvent)
  let tracing: Tracing | undefined
  let settings: TracingSettings | undefined
  let snapshot: MeshSnapshot | undefined
  let sidecar: Observable | undefined
  let stopping = false

  const telemetry: Telemetry = {
    trace: (head, atNs, direction) => tracing?.trace(head, atNs, direction),
    opened: (facts, found) => traffic.opened(facts, found),
    served(served) {
      traffic.served(served)
      taps.served(served)
      lines?.log.served(served)
    },
  }

  /** The SDK is read only where somebody traces. */
  async function trace(next: TracingSettings | undefined, cluster: string): Promise<void> {
    if (textOf(next) === textOf(settings)) return
    const before = tracing
    settings = next
    const { openTracing } = next ? await import('./tracing.ts') : {}
    tracing = next && openTracing?.(next, workloadOf(source.current().svid.id).name, cluster)
    await before?.close()
  }

  function notReady(): readonly string[] {
    const why: string[] = []
    if (!sidecar) why.push('it has no snapshot yet')
    if (stopping) why.push('it is stopping')
    if (source.current().svid.notAfterMs <= nowMs()) why.push('its certificate is over')
    return why
  }

  const parts: ProxyDoorParts = {
    notReady,
    metrics: () =>
      metricsText(
        {
          traffic,
          cluster: snapshot?.cluster ?? '',
          snapshot: snapshot?.name,
          state: source.current(),
          stats: sidecar?.stats(),
          recorder: sidecar?.recorder(),
          alarms: sidecar?.alarms() ?? [],
          renewalsFailed: sidecar?.renewalsFailed() ?? 0,
          accessLog: lines?.log,
          taps,
          spans: tracing?.counts(),
          ready: notReady().length === 0,
        },
        nowMs(),
      ),
    config: () => configOf(snapshot, source, sidecar),
    graph: () => graphOf(traffic, nowMs() - sinceMs),
    tap: (filter, maxPerSecond, show) => taps.open(filter, maxPerSecond, show),
    unexpected: (thrown) => onEvent({ level: 'error', from: 'admin', text: messageOf(thrown) }),
  }
  // Requests come first: a state folder that is open to others costs the socket, not the proxy.
  const socket = await openProxySocket(options.socketPath, parts).catch((thrown: unknown) => {
    onEvent({ level: 'warn', from: 'admin', text: `goes on without ${options.socketPath}: ${messageOf(thrown)}` })
    return undefined
  })
  const door = options.door && (await openProxyDoor(options.door, parts).catch(closing(socket)))

  return {
    telemetry,
    port: door?.port,
    follow(next) {
      snapshot = next
      return trace(next.tracing, next.cluster)
    },
    ready(opened) {
      sidecar = opened
    },
    draining() {
      stopping = true
    },
    async close() {
      await Promise.all([door?.close(), socket?.close(), tracing?.close(), lines?.close()])
    },
  }
}

const textOf = (settings: TracingSettings | undefined): string =>
  settings ? canonicalJson(settings as unknown as Json) : ''

const closing =
  (opened: { close(): Promise<void> } | undefined) =>
  async (thrown: unknown): Promise<never> => {
    await opened?.close()
    throw thrown
  }

function configOf(snapshot: MeshSnapshot | undefined, source: IdentitySource, sidecar: Observable | undefined): Json {
  const { svid, bundles, denied, generation } = source.current()
  return {
    identity: {
      ...{ id: svid.id, serial: svid.serial, generation },
      not_after: new Date(svid.notAfterMs).toISOString(),
      trusted: [...bundles.keys()].map(String),
      denied: [...denied],
    },
    stats: (sidecar?.stats() ?? null) as unknown as Json,
    snapshot: (snapshot ?? null) as unknown as Json,
  }
}

/** Lines to a file, mode 0600, or to standard output. */
function openLines({ format, file }: NonNullable<ObserveOptions['accessLog']>, onEvent: OnEvent) {
  const out: Writable = file === undefined ? process.stdout : createWriteStream(file, { flags: 'a', mode: 0o600 })
  out.on('error', (error) => onEvent({ level: 'error', from: 'access log', text: error.message }))
  const log = makeAccessLog(format, {
    write: (text) => void (out.destroyed || out.write(text)),
    waiting: () => out.writableLength,
  })
  const timer = setInterval(() => log.flush(), flushEveryMs)
  timer.unref()
  return {
    log,
    async close(): Promise<void> {
      clearInterval(timer)
      log.flush()
      if (file !== undefined && !out.destroyed) await new Promise<void>((done) => out.end(() => done()))
    },
  }
}
