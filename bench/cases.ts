/** What is measured: which proxy, in front of what, under which load. */

import { readFileSync } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { prepareKafka } from '../audit/node/kafka.ts'
import type { RunningKafka } from '../test/parts/kafka.ts'
import type { Certificates } from './certificates.ts'
import { type EnvoyOptions, startEnvoyProxy } from './peers/envoy.ts'
import { bodyPaths, startNginxProxy } from './peers/nginx.ts'
import { startOpa } from './peers/opa.ts'
import { startSink } from './peers/sink.ts'
import { startSocketsProxy } from './peers/sockets.ts'
import { type BenchPolicy, bankPolicy } from './policies.ts'
import { type RunningProxy, startWritProxy, type WritProxyOptions } from './writ.ts'

/** Titles of the tables, in their order, by the names that `--only` takes. */
export const groups = {
  proxies: 'HTTP/1.1, kept alive',
  envoy: 'Envoy, with policy and logs',
  latency: 'A thousand requests a second',
  http2: 'HTTP/2',
  grpc: 'gRPC, unary',
  bodies: 'Bodies of 1 KB and 1 MB',
  connects: 'A new connection for each request',
  idle: 'Connections that do nothing',
} as const

export type Group = keyof typeof groups

export interface Case {
  readonly group: Group
  readonly name: string
  readonly tls: Certificates | undefined
  readonly load: CaseLoad
  readonly start: (upstreamPort: number) => Promise<RunningProxy>
}

export type CaseLoad =
  | {
      readonly kind: 'http1'
      readonly repeated: number
      readonly path?: string
      readonly renews?: true
      readonly rate?: number
    }
  /** Unary calls where it says so, else GET of one path. */
  | { readonly kind: 'http2'; readonly grpc?: string }
  | { readonly kind: 'idle'; readonly connections: number }

export interface Bench {
  readonly folder: string
  readonly certificates: Certificates
  readonly peers: BenchPolicy
  /** Undefined where there is no Kafka to be had. */
  readonly kafka: RunningKafka | undefined
  /** The compiled worker of ours. */
  readonly worker: string
  /** The compiled OPA; asked for only where a row needs it. */
  readonly opa: () => Promise<string>
  /** In front of a command, to pin it. */
  readonly onProxyCore: readonly string[]
  readonly onOtherCore: readonly string[]
}

const usual: CaseLoad = { kind: 'http1', repeated: 0.9 }
const unique: CaseLoad = { kind: 'http1', repeated: 0 }
const steady: CaseLoad = { kind: 'http1', repeated: 0.9, rate: 1000 }
const renewing: CaseLoad = { kind: 'http1', repeated: 0.9, renews: true }
const http2: CaseLoad = { kind: 'http2' }
const kilobyte: CaseLoad = { kind: 'http1', repeated: 1, path: bodyPaths.kilobyte }
const megabyte: CaseLoad = { kind: 'http1', repeated: 1, path: bodyPaths.megabyte }

type Starter = (upstreamPort: number, tls: Certificates | undefined) => Promise<RunningProxy>

export async function casesOf(bench: Bench): Promise<Case[]> {
  const { folder, certificates, peers, onProxyCore: before } = bench
  const grpc = await grpcBody(folder)
  const unary: CaseLoad = { kind: 'http2', grpc }
  const make = (group: Group, name: string, mutual: boolean, load: CaseLoad, starter: Starter): Case => {
    const tls = mutual ? certificates : undefined
    return { group, name, tls, load, start: (port) => starter(port, tls) }
  }
  const nginx: Starter = (upstreamPort, tls) => startNginxProxy({ upstreamPort, tls, before })
  const nginxHttp2: Starter = (upstreamPort, tls) => startNginxProxy({ upstreamPort, tls, before, http2: true })
  const sockets: Starter = (upstreamPort, tls) => startSocketsProxy({ upstreamPort, tls, before })
  const envoy =
    (more: Partial<EnvoyOptions> = {}): Starter =>
    (upstreamPort, tls) =>
      startEnvoyProxy({ upstreamPort, tls, before, ...more })
  const withLogs: Starter = (upstreamPort, tls) => envoyWithLogs(bench, { upstreamPort, tls, before, rbac: true })
  const withOpa =
    (logs: boolean): Starter =>
    (upstreamPort, tls) =>
      envoyWithOpa(bench, { upstreamPort, tls, before }, logs)
  const writ =
    (policy?: BenchPolicy, more: WritMore = {}): Starter =>
    (upstreamPort, tls) =>
      startJudged(bench, upstreamPort, tls, policy, more)
  const asImage = writ(peers, { env: imageEnv })
  const direct: Starter = async (port) => ({ port, pid: () => undefined, remove: async () => {} })
  const idle = (connections: number): CaseLoad => ({ kind: 'idle', connections })

  return [
    make('proxies', 'nginx, plain (first)', false, usual, nginx),
    make('proxies', 'nginx, mTLS (first)', true, usual, nginx),
    make('proxies', "node's sockets, plain", false, usual, sockets),
    make('proxies', "node's sockets, mTLS", true, usual, sockets),
    make('proxies', 'writ, plain', false, usual, writ()),
    make('proxies', 'writ, mTLS', true, usual, writ()),
    make('proxies', 'writ, mTLS, policy and records, 90 % repeated', true, usual, writ(peers)),
    make('proxies', 'writ, the same, as the image sets it', true, usual, asImage),
    make('proxies', 'writ, mTLS, policy and records, 0 % repeated', true, unique, writ(peers)),
    make('proxies', "writ, mTLS, the bank's policy and records, 90 % repeated", true, usual, writ(bankPolicy)),
    make('proxies', 'nginx, plain (last)', false, usual, nginx),
    make('proxies', 'nginx, mTLS (last)', true, usual, nginx),
    make('envoy', 'Envoy, plain', false, usual, envoy()),
    make('envoy', 'Envoy, mTLS', true, usual, envoy()),
    make('envoy', 'Envoy, mTLS, RBAC', true, usual, envoy({ rbac: true })),
    make('envoy', 'Envoy, mTLS, RBAC, access logs over gRPC', true, usual, withLogs),
    make('envoy', 'Envoy, mTLS, OPA by ext_authz', true, usual, withOpa(false)),
    make('envoy', 'Envoy, mTLS, OPA by ext_authz, decision logs', true, usual, withOpa(true)),
    make('latency', 'the upstream itself, plain, at 1,000/s', false, steady, direct),
    make('latency', 'nginx, mTLS, at 1,000/s', true, steady, nginx),
    make('latency', 'Envoy, mTLS, at 1,000/s', true, steady, envoy()),
    make('latency', 'writ, mTLS, at 1,000/s', true, steady, writ()),
    make('latency', 'writ, mTLS, policy and records, at 1,000/s', true, steady, writ(peers)),
    make('latency', 'writ, the same, as the image sets it, at 1,000/s', true, steady, asImage),
    make('http2', 'nginx, mTLS, HTTP/2', true, http2, nginxHttp2),
    make('http2', 'Envoy, mTLS, HTTP/2', true, http2, envoy()),
    make('http2', 'writ, mTLS, HTTP/2', true, http2, writ()),
    make('http2', 'writ, mTLS, HTTP/2, policy and records', true, http2, writ(peers)),
    make('grpc', 'Envoy, mTLS, gRPC', true, unary, envoy({ upstreamProtocol: 'h2c' })),
    make('grpc', 'writ, mTLS, gRPC', true, unary, writ(undefined, { upstreamProtocol: 'h2c' })),
    make('grpc', 'writ, mTLS, gRPC, policy and records', true, unary, writ(peers, { upstreamProtocol: 'h2c' })),
    make('bodies', 'nginx, mTLS, 1 KB', true, kilobyte, nginx),
    make('bodies', 'writ, mTLS, policy and records, 1 KB', true, kilobyte, writ(peers)),
    make('bodies', 'nginx, mTLS, 1 MB', true, megabyte, nginx),
    make('bodies', 'Envoy, mTLS, 1 MB', true, megabyte, envoy()),
    make('bodies', 'writ, mTLS, policy and records, 1 MB', true, megabyte, writ(peers)),
    make('connects', 'nginx, mTLS, new connections', true, renewing, nginx),
    make('connects', 'Envoy, mTLS, new connections', true, renewing, envoy()),
    make('connects', 'writ, mTLS, policy and records, new connections', true, renewing, writ(peers)),
    make('idle', 'nginx, mTLS, 1,000 idle', true, idle(1000), nginx),
    make('idle', 'Envoy, mTLS, 1,000 idle', true, idle(1000), envoy()),
    make('idle', 'writ, mTLS, policy and records, 1,000 idle', true, idle(1000), writ(peers)),
    make('idle', 'writ, mTLS, policy and records, 10,000 idle', true, idle(10_000), writ(peers)),
  ]
}

/** What deploy/Dockerfile sets for every process. */
const imageEnv: NodeJS.ProcessEnv = Object.fromEntries(
  [...readFileSync(join(import.meta.dirname, '../deploy/Dockerfile'), 'utf8').matchAll(/^ENV (\w+)=(.+)$/gm)].map(
    ([, name, value]) => [name, value],
  ),
)

type WritMore = Pick<WritProxyOptions, 'upstreamProtocol' | 'env'>

/** Undefined policy: neither policy nor records. */
async function startJudged(
  { folder, certificates, kafka, worker, onProxyCore: before }: Bench,
  upstreamPort: number,
  tls: Certificates | undefined,
  policy: BenchPolicy | undefined,
  more: WritMore,
): Promise<RunningProxy> {
  const judged = policy && { ...policy, kafka: kafka && { broker: kafka.broker, topic: await newTopic(kafka) } }
  const options = { upstreamPort, tls: tls !== undefined, certificates, judged, before, folder }
  return startWritProxy({ ...options, ...more, program: worker })
}

let topics = 0
async function newTopic({ broker }: RunningKafka): Promise<string> {
  const topic = `records-${++topics}`
  await prepareKafka({ brokers: [broker], topic, partitions: 1, replication: 1 })
  return topic
}

async function envoyWithLogs({ onOtherCore }: Bench, options: EnvoyOptions): Promise<RunningProxy> {
  const sink = await startSink(onOtherCore)
  const envoy = await startEnvoyProxy({ ...options, accessLogsTo: sink.grpcPort })
  return { port: envoy.port, pid: envoy.pid, remove: () => removeAll([envoy, sink]) }
}

/** OPA stands on the other core, as a neighbour would, and its cost is added. */
async function envoyWithOpa(bench: Bench, options: EnvoyOptions, logs: boolean): Promise<RunningProxy> {
  const { folder, onOtherCore: before } = bench
  const program = await bench.opa()
  const sink = logs ? await startSink(before) : undefined
  const opa = await startOpa({ program, folder, logsTo: sink?.httpPort, before })
  const envoy = await startEnvoyProxy({ ...options, authorizer: opa.port })
  const all = [envoy, opa, ...(sink ? [sink] : [])]
  return { port: envoy.port, pid: envoy.pid, alsoPid: () => opa.pid, remove: () => removeAll(all) }
}

async function removeAll(parts: readonly { remove(): Promise<void> }[]): Promise<void> {
  for (const part of parts) await part.remove()
}

/** One message of gRPC, not compressed: a google.protobuf.StringValue. */
async function grpcBody(folder: string): Promise<string> {
  const file = join(folder, 'message.bin')
  await mkdir(folder, { recursive: true })
  await writeFile(file, Buffer.from([0, 0, 0, 0, 4, 10, 2, 104, 105]))
  return file
}
