/** `writ proxy`: the sidecar of one workload, in as many worker processes as it is given. */

import { getServers } from 'node:dns'
import { cp, mkdir, stat } from 'node:fs/promises'
import { isIP } from 'node:net'
import { join } from 'node:path'
import { Command, Option } from 'commander'
import type { Recorder } from '../audit/node/recorder.ts'
import { fetchJwtSvid } from '../ca/node/client.ts'
import { openWorkloadDoor } from '../ca/node/workload/door.ts'
import { ownIdentities } from '../ca/node/workload/own.ts'
import { messageOf, WritError } from '../core/fault.ts'
import { parseTrustDomain, trustDomainOf } from '../core/spiffe.ts'
import { openCertificates } from '../proxy/node/certificates.ts'
import { collectSeldom } from '../proxy/node/heap.ts'
import { readInherited } from '../proxy/node/inherited.ts'
import { onOrphaned, runWorkers } from '../proxy/node/workers.ts'
import type { AccessFormat } from '../proxy/telemetry/access-log.ts'
import { drillHelp, duration, hostAndPort, number, repeated } from './options.ts'
import { until } from './signals.ts'
import { readTokenFile } from './token-file.ts'
import { joinAs } from './wire/join.ts'
import { openClock } from './wire/machine.ts'
import { meshClient } from './wire/mesh-client.ts'
import { controlId } from './wire/names.ts'
import { openObserved } from './wire/observe.ts'
import { openSidecar } from './wire/sidecar.ts'
import { openSpool, openStream } from './wire/stream.ts'
import { printEvents } from './wire/telemetry.ts'
import { openTokens } from './wire/tokens.ts'

interface Options {
  readonly control: string
  readonly trustDomain: string
  readonly tokenFile?: string
  readonly state: string
  readonly workers: number
  readonly drain: number
  readonly drillEvery?: number
  readonly secrets?: string
  readonly admin?: { readonly address: string; readonly port: number }
  readonly accessLog?: AccessFormat
  readonly accessLogFile?: string
  readonly workloadApi?: string
  readonly dns?: { readonly address: string; readonly port: number }
  readonly dnsUpstream: readonly string[]
}

export function proxyCommand(): Command {
  return new Command('proxy')
    .description('run the sidecar of one workload: its identity, its listeners, its records')
    .requiredOption('--control <url>', "control's mesh door")
    .requiredOption('--trust-domain <name>', 'the trust domain that control must be of')
    .option('--token-file <file>', 'join token, - for standard input; needed once')
    .option('--state <dir>', 'where identity and spool live; mode 0700', '.writ-proxy')
    .option('--workers <n>', 'worker processes that share the ports', number, 1)
    .option('--drill-every <time>', `${drillHelp} (default: never)`, duration)
    .option('--drain <ms>', 'time that requests in flight get at the end', number, 10_000)
    .option(
      '--secrets <dir>',
      'certificates of a gateway: <dir>/<name>/tls.crt, tls.key, ca.crt (default: <state>/secrets)',
    )
    .option(
      '--admin <host:port>',
      'serve /ready, /live and /metrics there, a worker each a port higher (default: nowhere)',
      hostAndPort,
    )
    .option('--dns <host:port>', 'answer names of the mesh there, in the first worker (default: nowhere)', hostAndPort)
    .option(
      '--dns-upstream <ip:port>',
      'who is asked for all other names; may be repeated (default: the resolvers of the host)',
      repeated,
      [],
    )
    .addOption(new Option('--access-log <format>', 'a line for each request (default: none)').choices(['json', 'text']))
    .option('--access-log-file <file>', 'where those lines go (default: standard output)')
    .option(
      '--workload-api <socket>',
      'serve the SPIFFE Workload API and Envoy SDS there with this identity, to programs of the same user (default: nowhere)',
    )
    .action(run)
}

async function run(options: Options): Promise<void> {
  const worker = process.env['WRIT_WORKER']
  if (options.workers > 1 && readInherited(process.env, process.pid)) {
    throw new WritError('usage', 'sockets were passed on, which one process serves', { cure: 'leave out --workers' })
  }
  if (worker !== undefined) return serveAs(options, Number(worker))
  if (options.workers === 1) return serveAs(options, undefined)
  await runMany(options)
}

/** The first process holds the first identity and keeps its workers alive; each worker renews its own. */
async function runMany(options: Options): Promise<void> {
  const onEvent = printEvents()
  const stop = until('SIGINT', 'SIGTERM')
  const first = await joinAs(joinOptions(options, join(options.state, 'identity'), onEvent))
  first.close()
  for (let i = 0; i < options.workers; i++) await inherit(options.state, i)
  const workers = await runWorkers({
    count: options.workers,
    here: async () => undefined,
    script: process.argv[1]!,
    args: process.argv.slice(2),
    onExit: ({ worker, reason, againMs }) =>
      onEvent({ level: 'warn', from: `worker ${worker}`, text: `ended by ${reason}; starts again in ${againMs} ms` }),
  })
  process.stdout.write(`workers    ${workers.pids().join(' ')}\n`)
  await stop.wait()
  await workers.stop(options.drain + 15_000)
}

async function serveAs(options: Options, worker: number | undefined): Promise<void> {
  collectSeldom()
  const onEvent = printEvents()
  const now = openClock()
  const nowMs = (): number => Number(now() / 1_000_000n)
  const stop = until('SIGINT', 'SIGTERM')
  const inherited = readInherited(process.env, process.pid)
  onOrphaned(() => process.kill(process.pid, 'SIGTERM'))
  const dir = worker === undefined ? options.state : workerDir(options.state, worker)
  await mkdir(dir, { recursive: true, mode: 0o700 })
  const source = await joinAs(joinOptions(options, join(dir, 'identity'), onEvent))
  const { id } = source.current().svid
  const client = meshClient({ url: options.control, expect: controlId(trustDomainOf(id)), source, nowMs })
  let recorderStatus: Recorder['status'] | undefined
  let logKey = ''
  const opened: { close(): Promise<unknown> }[] = []
  try {
    const observed = await openObserved({
      source,
      socketPath: join(dir, 'admin.sock'),
      ...(options.admin && { door: { ...options.admin, port: options.admin.port + (worker ?? 0) } }),
      ...(options.accessLog && { accessLog: { format: options.accessLog, file: options.accessLogFile } }),
      nowMs,
      onEvent,
    })
    opened.unshift(observed)
    const certificates = openCertificates({ dir: options.secrets ?? join(options.state, 'secrets'), onEvent })
    opened.unshift({ close: async () => certificates.close() })
    const sidecar = await openSidecar({
      dir,
      source,
      client,
      recorder: async (snapshot) => {
        const stream = await openStream(snapshot.stream, id, onEvent)
        opened.unshift(stream)
        const recorder = await openSpool({
          dir: join(dir, 'spool'),
          snapshot,
          stream,
          findReceipt: client.findReceipt,
          vault: client.vault,
          logKey: () => logKey,
          now,
          onEvent,
        })
        recorderStatus = () => recorder.status()
        opened.unshift({ close: () => recorder.close({ timeoutMs: 10_000 }) })
        return recorder
      },
      onSnapshot: (snapshot) => {
        logKey = snapshot.logKey
        observed
          .follow(snapshot)
          .catch((thrown: unknown) => onEvent({ level: 'error', from: 'traces', text: messageOf(thrown) }))
      },
      authenticate: openTokens(onEvent),
      certificates,
      reusePort: worker !== undefined,
      inherited: inherited?.take,
      dns: options.dns && (worker ?? 0) === 0 ? { ...options.dns, upstreams: upstreamsOf(options) } : undefined,
      drillEveryMs: options.drillEvery,
      telemetry: observed.telemetry,
      now,
      onEvent,
    })
    if (options.workloadApi !== undefined && (worker ?? 0) === 0) {
      const expect = controlId(trustDomainOf(id))
      const identities = ownIdentities(source, (audience) =>
        fetchJwtSvid({ url: options.control, expect, nowMs, state: source.current(), audience }),
      )
      const door = await openWorkloadDoor({
        path: options.workloadApi,
        mode: 0o600,
        attest: async () => identities,
        nowMs,
        unexpected: (thrown) => onEvent({ level: 'error', from: 'workload API', text: messageOf(thrown) }),
        onRefused: (detail) => onEvent({ level: 'warn', from: 'SDS', text: `an Envoy refused a secret: ${detail}` }),
      })
      opened.unshift(door)
      process.stdout.write(`workload   unix://${door.path}\n`)
    }
    for (const name of inherited?.left() ?? [])
      onEvent({ level: 'warn', from: 'sockets', text: `${name} was passed on, and is no listener of this workload` })
    for (const { name, port } of sidecar.proxy.listeners()) process.stdout.write(`listening  ${name} :${port}\n`)
    if (sidecar.dnsPort !== undefined) process.stdout.write(`names      ${options.dns!.address}:${sidecar.dnsPort}\n`)
    observed.ready({
      stats: () => sidecar.proxy.stats(),
      recorder: recorderStatus!,
      alarms: sidecar.alarms,
      renewalsFailed: () => source.renewing().failures,
    })
    if (observed.port !== undefined)
      process.stdout.write(`admin      http://${options.admin!.address}:${observed.port}\n`)
    process.stdout.write(`ready      ${id}\n`)
    await stop.wait()
    observed.draining()
    await sidecar.close(options.drain)
  } finally {
    // Also where the start failed half way: what stays open would keep a process alive that serves nobody.
    for (const part of opened) await part.close()
    source.close()
  }
}

function joinOptions(options: Options, dir: string, onEvent: ReturnType<typeof printEvents>) {
  const trustDomain = parseTrustDomain(options.trustDomain)
  if (!trustDomain) {
    throw new WritError('usage', `${options.trustDomain} is no trust domain`, {
      cure: 'lower case, as in bank.example',
    })
  }
  return {
    dir,
    url: options.control,
    expect: controlId(trustDomain),
    token: () => readTokenFile(options.tokenFile),
    nowMs: () => Date.now(),
    onEvent,
  }
}

/** Not itself, where it is the host's resolver. */
const upstreamsOf = ({ dns, dnsUpstream }: Options): readonly { readonly address: string; readonly port: number }[] =>
  (dnsUpstream.length > 0 ? dnsUpstream : getServers().filter(isWhole).map(withPort))
    .map(hostAndPort)
    .filter(({ address, port }) => address !== dns?.address || port !== dns.port)

/** One of a link is not reached without saying by which. */
const isWhole = (server: string): boolean => !server.includes('%')

/** Node leaves the port out where it is 53, and brackets with it. */
const withPort = (server: string): string =>
  isIP(server) === 0 ? server : `${server.includes(':') ? `[${server}]` : server}:53`

const workerDir = (state: string, index: number): string => join(state, `worker-${index}`)

/** A worker that has no identity of its own yet begins with that of the first process. */
async function inherit(state: string, index: number): Promise<void> {
  const dir = join(workerDir(state, index), 'identity')
  if (await stat(dir).catch(() => undefined)) return
  await mkdir(workerDir(state, index), { recursive: true, mode: 0o700 })
  await cp(join(state, 'identity'), dir, { recursive: true })
}
