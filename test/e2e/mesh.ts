/** A whole mesh of real processes: control, auditor and proxy as commands, Kafka, PostgreSQL and a server of others. */

import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Durability } from '../../core/snapshot.ts'
import { buildPolicy } from '../../engine/node/build.ts'
import { type Child, run, startChild } from '../parts/child.ts'
import { commandFile } from '../parts/command.ts'
import { type RunningKafka, startKafka } from '../parts/kafka.ts'
import { type RunningNginx, startNginx } from '../parts/nginx.ts'
import { freePort } from '../parts/ports.ts'
import { type RunningPostgres, startPostgres } from '../parts/postgres.ts'

const node = process.execPath

/** One of our own processes: killed as by a crash, and started again with the same words. */
export class Process {
  readonly name: string
  readonly #args: readonly string[]
  readonly #env: NodeJS.ProcessEnv
  readonly #ready: RegExp
  #child: Child | undefined
  #earlier = ''

  constructor(name: string, args: readonly string[], ready: RegExp, env: NodeJS.ProcessEnv) {
    this.name = name
    this.#args = args
    this.#ready = ready
    this.#env = env
  }

  start(): void {
    this.#child = startChild(node, [commandFile, this.name, ...this.#args], { env: { ...process.env, ...this.#env } })
  }

  async ready(withinMs = 60_000): Promise<void> {
    await this.#child?.printed(this.#ready, withinMs)
  }

  pid(): number | undefined {
    return this.#child?.pid
  }

  logs(): string {
    return this.#earlier + (this.#child?.logs() ?? '')
  }

  async kill(): Promise<void> {
    await this.#child?.kill()
    this.#earlier += this.#child?.logs() ?? ''
    this.#child = undefined
  }

  async stop(): Promise<void> {
    await this.#child?.stop()
    this.#earlier += this.#child?.logs() ?? ''
    this.#child = undefined
  }
}

export interface Mesh {
  readonly folder: string
  readonly kafka: RunningKafka
  readonly postgres: RunningPostgres
  readonly nginx: RunningNginx
  readonly control: Process
  readonly auditor: Process
  readonly proxy: Process
  /** Where one apart was asked for. */
  readonly signer: Process | undefined
  /** Inbound port of the proxied server. */
  readonly port: number
  /** PEM files of a client of the mesh, from our own issuer. */
  readonly client: { readonly cert: string; readonly key: string }
  readonly logDir: string
  readonly logKey: string
  /** By which a command joins the mesh, beside `--state` and `--token-file`. */
  readonly words: readonly string[]
  /** Runs one of our commands to its end; gives its exit code and what it printed. */
  writ(...args: readonly string[]): Promise<{ readonly code: number; readonly text: string }>
  /** A new certificate for the client. */
  renewClient(): Promise<void>
  close(): Promise<void>
}

export interface MeshOptions {
  /** Environment of a part, by the folder that it keeps its state in. */
  readonly envOf?: (part: 'proxy' | 'auditor' | 'signer' | 'postgres', state: string) => NodeJS.ProcessEnv
  /** Life of a certificate. Default short enough to be renewed while a test runs. */
  readonly ttl?: string
  /** Further lines of spec.audit. */
  readonly audit?: readonly string[]
  /** The signer is a process of its own. */
  readonly signer?: true
}

export async function openMesh(
  workers = 1,
  durability: Durability = 'bounded',
  options: MeshOptions = {},
): Promise<Mesh> {
  const { envOf = () => ({}), ttl = '75s', audit = [] } = options
  const folder = await mkdtemp(join(tmpdir(), 'writ-e2e-'))
  const [kafka, postgres, nginx] = await Promise.all([
    startKafka(),
    startPostgres({ env: (data) => envOf('postgres', data) }),
    startNginx({
      http: (port) => `server { listen 127.0.0.1:${port}; location / { return 200 "served\\n"; } }`,
    }),
  ])
  const [port, controlPort, auditorPort] = [await freePort(), await freePort(), await freePort()]
  const meshFile = join(folder, 'mesh.yaml')
  await writeFile(meshFile, meshText({ broker: kafka.broker, inbound: port, app: nginx.port, durability, ttl, audit }))
  const policies = join(folder, 'policies')
  await mkdir(join(policies, 'web'), { recursive: true })
  await writeFile(join(policies, 'web/bundle.tar.gz'), await buildPolicy(join(import.meta.dirname, 'policies/web')))
  const env = { WRIT_DATABASE_URL: postgres.url }
  const state = join(folder, 'control')
  const url = `https://127.0.0.1:${controlPort}`
  const auditorUrl = `https://127.0.0.1:${auditorPort}`
  const words = ['--trust-domain', 'e2e.example', '--control', url]

  const writ: Mesh['writ'] = async (...args) => {
    const child = startChild(node, [commandFile, ...args], { env: { ...process.env, ...env } })
    const how = await child.ended
    return { code: typeof how === 'number' ? how : 128, text: child.logs() }
  }
  const must = async (...args: readonly string[]): Promise<string> => {
    const { code, text } = await writ(...args)
    if (code !== 0) throw new Error(`writ ${args.join(' ')} ended with ${code}: ${text}`)
    return text.trim()
  }
  const tokenFile = async (workload: string): Promise<string> => {
    const file = join(folder, `${workload.replaceAll(/\W/g, '_')}.token`)
    await writeFile(file, await must('token', workload, '--state', state), { mode: 0o600 })
    return file
  }

  await must('kafka', 'prepare', '--brokers', kafka.broker, '--replication', '1')
  const control = new Process(
    'control',
    ['-f', meshFile, '--state', state, '--policies', policies, '--listen', `127.0.0.1:${controlPort}`].concat([
      '--auditor',
      auditorUrl,
    ]),
    /mesh door/,
    env,
  )
  control.start()
  await control.ready()
  const signerState = join(folder, 'signer')
  const signer =
    options.signer &&
    new Process('signer', ['--trust-domain', 'e2e.example', '--state', signerState], /log key/, {
      ...env,
      ...envOf('signer', signerState),
    })
  signer?.start()
  await signer?.ready()
  const auditor = new Process(
    'auditor',
    [
      ...(signer ? ['--signer', join(signerState, 'signer.sock')] : []),
      ...['-f', meshFile, '--control', url, '--state', join(folder, 'auditor')],
      ...['--token-file', await tokenFile('spiffe://e2e.example/writ/auditor'), '--listen', `127.0.0.1:${auditorPort}`],
      ...['--auditors', '127.0.0.1:0'],
    ],
    /log door/,
    { ...env, ...envOf('auditor', join(folder, 'auditor')) },
  )
  auditor.start()
  const proxy = new Process(
    'proxy',
    [...words, '--state', join(folder, 'proxy'), '--token-file', await tokenFile('web'), '--workers', String(workers)],
    /ready/,
    { ...env, ...envOf('proxy', join(folder, 'proxy')) },
  )
  proxy.start()
  await Promise.all([auditor.ready(), proxy.ready()])
  const out = join(folder, 'client')
  const renewClient = async (): Promise<void> => {
    const id = 'spiffe://e2e.example/client'
    await must('svid', ...words, '--token-file', await tokenFile(id), '--out', out)
  }
  await renewClient()

  return {
    folder,
    kafka,
    postgres,
    nginx,
    control,
    auditor,
    proxy,
    signer,
    port,
    client: { cert: join(out, 'svid.pem'), key: join(out, 'key.pem') },
    logDir: join(folder, 'auditor/log'),
    logKey: signer ? join(folder, 'auditor/log/log.pub') : join(folder, 'auditor/signer/log.pub'),
    words,
    writ,
    renewClient,
    async close() {
      await Promise.all([proxy.stop(), auditor.stop(), control.stop()])
      await signer?.stop()
      await Promise.all([kafka.remove(), postgres.remove(), nginx.remove()])
      await rm(folder, { recursive: true, force: true })
    },
  }
}

interface MeshText {
  readonly broker: string
  readonly inbound: number
  readonly app: number
  readonly durability: Durability
  readonly ttl: string
  readonly audit: readonly string[]
}

const meshText = (of: MeshText): string => `
apiVersion: writ.dev/v1
kind: Mesh
metadata: { name: e2e }
spec:
  trustDomain: e2e.example
  cluster: test
  identity: { ttl: ${of.ttl} }
  audit:
    durability: ${of.durability}${of.audit.map((line) => `\n    ${line}`).join('')}
    stream: { kafka: { brokers: ['${of.broker}'] } }
    store: { postgres: { urlEnv: WRIT_DATABASE_URL } }
---
apiVersion: writ.dev/v1
kind: Workload
metadata: { name: web }
spec:
  service: web
  inbound: { port: ${of.inbound}, app: { port: ${of.app} } }
---
apiVersion: writ.dev/v1
kind: Service
metadata: { name: web }
spec: { hosts: [web] }
---
apiVersion: writ.dev/v1
kind: PolicyBinding
metadata: { name: web }
spec:
  targetRefs: [{ kind: Workload, name: web }]
  bundle: web
  entrypoint: web/result
`

/** curl with the client's certificate: the status it printed. */
export async function curl(mesh: Mesh, path: string, ...more: readonly string[]): Promise<string> {
  const { cert, key } = mesh.client
  return run('curl', [
    ...['-sk', '-o', '/dev/null', '-w', '%{http_code}', '--cert', cert, '--key', key, ...more],
    `https://127.0.0.1:${mesh.port}${path}`,
  ])
}
