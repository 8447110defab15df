/**
 * One worker of the proxy, in a process of its own, put together as a shell does. Judged, everything is the real part:
 * SVID, identification, policy, records in a spool, outcomes, signed heads, the stream. Not judged, a decision and a
 * sink stand in that say yes and forget, so that the row shows what the proxy costs alone.
 * Usage: node bench/worker.ts '{WorkerOptions as JSON}'
 */

import { readFile } from 'node:fs/promises'
import { constants, PerformanceObserver } from 'node:perf_hooks'
import { kafkaStream } from '../audit/node/kafka.ts'
import { openRecorder, type Recorder } from '../audit/node/recorder.ts'
import { makeIdentify } from '../ca/identify.ts'
import { verifySignature } from '../ca/node/crypto.ts'
import { signHeadWith } from '../ca/node/heads.ts'
import { localIdentitySource } from '../ca/node/source.ts'
import { openClock, random, sha256 } from '../cli/wire/machine.ts'
import type { Decision } from '../core/decision.ts'
import type { Decide, RecordSink, Stream } from '../core/ports.ts'
import { newEpoch } from '../core/record.ts'
import { auditDefaults, type Listener, type MeshSnapshot } from '../core/snapshot.ts'
import type { SpiffeId } from '../core/spiffe.ts'
import { makeDecide, makePolicies } from '../engine/index.ts'
import { loadBundle } from '../engine/node/open.ts'
import { collectSeldom } from '../proxy/node/heap.ts'
import { type OpenProxy, openProxy } from '../proxy/node/proxy.ts'
import { authorityIn, callerId, serverId, trustDomain } from './certificates.ts'

export interface WorkerOptions {
  readonly authority: string
  readonly upstreamPort: number
  /** What the upstream speaks. Default HTTP/1.1. */
  readonly upstreamProtocol?: 'h2c'
  /** Inbound is mutual TLS; outbound is the workload's own plain listener. */
  readonly direction: 'inbound' | 'outbound'
  /** Undefined: neither policy nor records. */
  readonly judged: Judged | undefined
}

export interface Judged {
  /** File of a bundle, and the rule to ask. */
  readonly bundle: string
  readonly entrypoint: string
  readonly spool: string
  /** Undefined: a stream within the process that accepts everything and keeps nothing. */
  readonly kafka: { readonly broker: string; readonly topic: string } | undefined
}

const bundleName = 'bench'
const address = '127.0.0.1'

/** Many connections that do nothing are measured too. */
const limits = { connections: 20_000, idleMs: 3_600_000 }

function snapshotOf({ direction, upstreamPort: port, upstreamProtocol, judged }: WorkerOptions): MeshSnapshot {
  const bind = { kind: 'tcp', address, port: 0 } as const
  const policy = judged && { bundle: bundleName, entrypoint: judged.entrypoint, recordHeaders: [], recordQuery: false }
  const app = { address, port, ...(upstreamProtocol && { protocol: upstreamProtocol }) }
  const listener: Listener =
    direction === 'inbound'
      ? { direction, name: 'http', bind, app, service: 'orders', policy }
      : { direction, name: 'http', bind }
  const endpoints = [{ address, port, identity: undefined }]
  return {
    ...{ v: 1, name: 'sha256:bench', trustDomain, cluster: 'bench', routes: [], bundles: [], logKey: '' },
    services: [{ name: 'orders', hosts: ['orders.bank.internal'], endpoints }],
    workloads: [{ name: 'bench', id: direction === 'inbound' ? serverId : callerId, listeners: [listener] }],
    audit: auditDefaults, // `bounded`
    stream: { kind: 'embedded' },
  }
}

async function work(options: WorkerOptions): Promise<void> {
  collectSeldom()
  const collections = collectionsOf()
  const now = openClock()
  const nowMs = (): number => Number(now() / 1_000_000n)
  const snapshot = snapshotOf(options)
  const { id } = snapshot.workloads[0]!
  const source = await localIdentitySource(await authorityIn(options.authority), id, { nowMs, random })
  const identify = makeIdentify(() => source.current(), verifySignature)

  let recorder: Recorder | undefined
  let stream: Stream | undefined
  let sink: RecordSink = forgetful(id)
  let decide: Decide = () => yes
  if (options.judged) {
    const { bundle, spool: dir, kafka } = options.judged
    stream = kafka
      ? await kafkaStream({ brokers: [kafka.broker], topic: kafka.topic, clientId: id, onEvent: say })
      : { publish: async () => {}, partitions: async () => 1, close: async () => {} }
    const { audit: settings, cluster } = snapshot
    const software = 'writ bench'
    recorder = await openRecorder({
      ...{ dir, settings, trustDomain, cluster, software, stream, now, random, sha256, onEvent: say },
    })
    sink = await recorder.producer({ id, source, signHead: signHeadWith(source) })
    const policies = makePolicies()
    policies.put(await loadBundle(new Uint8Array(await readFile(bundle)), bundleName, { now }))
    decide = makeDecide(policies)
  }
  const proxy = await openProxy({
    ...{ snapshot, workloads: ['bench'], decide, now, random, limits, onEvent: say },
    source: () => source,
    identify: () => identify,
    sink: () => sink,
  })

  process.stdout.write(`PORT ${proxy.listeners()[0]!.port}\n`)
  await new Promise((resolve) => process.once('SIGTERM', resolve))
  const requests = await servedBy(proxy)
  await proxy.drain(2000)
  await recorder?.close({ timeoutMs: 20_000 })
  const { published = 0, refused = 0 } = recorder?.status() ?? {}
  await stream?.close()
  source.close()
  process.stdout.write(`END ${JSON.stringify({ requests, published, refused, collections })}\n`)
}

/** Counts what the garbage collector does on the main thread, of both kinds: young objects alone, or all. */
function collectionsOf(): { young: number; all: number; ms: number } {
  const counts = { young: 0, all: 0, ms: 0 }
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) {
      const { kind } = (entry as { readonly detail?: { readonly kind?: number } }).detail ?? {}
      counts.ms += entry.duration
      if (kind === constants.NODE_PERFORMANCE_GC_MINOR) counts.young++
      if (kind === constants.NODE_PERFORMANCE_GC_MAJOR) counts.all++
    }
  }).observe({ entryTypes: ['gc'] })
  return counts
}

/** Requests served, once those that the load left in flight are over and their connections closed. */
async function servedBy(proxy: OpenProxy): Promise<number> {
  for (const endMs = Date.now() + 2000; Date.now() < endMs && proxy.stats().listeners[0]!.connections > 0; ) {
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  return proxy.stats().listeners[0]!.requests
}

const yes: Decision = { verdict: 'allow', code: 'allowed', from: { by: 'proxy' }, reasons: [] }

function forgetful(producer: SpiffeId): RecordSink {
  const epoch = newEpoch(random)
  let seq = 0
  return { keep: () => ({ producer, epoch, seq: seq++ }), outcome: () => {}, refused: () => {} }
}

const say = (event: { readonly level: string; readonly detail?: string; readonly text?: string }): void => {
  if (event.level !== 'info') process.stderr.write(`${event.level}: ${event.detail ?? event.text}\n`)
}

if (import.meta.main) await work(JSON.parse(process.argv[2]!) as WorkerOptions)
