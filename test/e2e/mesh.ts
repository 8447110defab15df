/** A whole mesh of real processes: control, auditor and proxy as commands, Kafka, PostgreSQL and a server of others. */

import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Durability } from '../../core/snapshot.ts'
import { buildPolicy } from '../../engine/node/build.ts'
import { type Child, run, startChild } from '../parts/child.ts'
import { type RunningKafka, startKafka } from '../parts/kafka.ts'
import { type RunningNginx, startNginx } from '../parts/nginx.ts'
import { freePort } from '../parts/ports.ts'
import { type RunningPostgres, startPostgres } from '../parts/postgres.ts'

const main = join(import.meta.dirname, '../../cli/main.ts')
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
    this.#child = startChild(node, [main, this.name, ...this.#args], { env: { ...process.env, ...this.#env } })
  }

  async ready(): Promise<void> {
    await this.#child?.printed(this.#ready, 60_000)
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
  /** Inbound port of the proxied server. */
  readonly port: number
  /** PEM files of a client of the mesh, from our own issuer. */
  readonly client: { readonly cert: string; readonly key: string }
  readonly logDir: string
  readonly logKey: string
  /** Runs one of our commands to its end; gives its exit code and what it printed. */
  writ(...args: readonly string[]): Promise<{ readonly code: number; readonly text: string }>
  /** A new certificate for the client. */
  renewClient(): Promise<void>
  close(): Promise<void>
}

export async function openMesh(workers = 1, durability: Durability = 'bounded'): Promise<Mesh> {
  const folder = await mkdtemp(join(tmpdir(), 'writ-e2e-'))
  const [kafka, postgres, nginx] = await Promise.all([
    startKafka(),
    startPostgres(),
    startNginx({
      http: (port) => `server { listen 127.0.0.1:${port}; location / { return 200 "served\\n"; } }`,
    }),
  ])
  const [port, controlPort, auditorPort] = [await freePort(), await freePort(), await freePort()]
  const meshFile = join(folder, 'mesh.yaml')
  await writeFile(meshFile, meshText({ broker: kafka.broker, inbound: port, app: nginx.port, durability }))
  const policies = join(folder, 'policies')
  await mkdir(join(policies, 'web'), { recursive: true })
  await writeFile(join(policies, 'web/bundle.tar.gz'), await buildPolicy(join(import.meta.dirname, 'policies/web')))
  const env = { WRIT_DATABASE_URL: postgres.url }
  const state = join(folder, 'control')
  const url = `https://127.0.0.1:${controlPort}`
  const auditorUrl = `https://127.0.0.1:${auditorPort}`
  const words = ['--trust-domain', 'e2e.example', '--control', url]

  const writ: Mesh['writ'] = async (...args) => {
    const child = startChild(node, [main, ...args], { env: { ...process.env, ...env } })
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
  const auditor = new Process(
    'auditor',
    [
      ...['-f', meshFile, '--control', url, '--state', join(folder, 'auditor')],
      ...['--token-file', await tokenFile('spiffe://e2e.example/writ/auditor'), '--listen', `127.0.0.1:${auditorPort}`],
    ],
    /log door/,
    env,
  )
  auditor.start()
  const proxy = new Process(
    'proxy',
    [...words, '--state', join(folder, 'proxy'), '--token-file', await tokenFile('web'), '--workers', String(workers)],
    /ready/,
    env,
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
    port,
    client: { cert: join(out, 'svid.pem'), key: join(out, 'key.pem') },
    logDir: join(folder, 'auditor/log'),
    logKey: join(folder, 'auditor/signer/log.pub'),
    writ,
    renewClient,
    async close() {
      await Promise.all([proxy.stop(), auditor.stop(), control.stop()])
      await Promise.all([kafka.remove(), postgres.remove(), nginx.remove()])
      await rm(folder, { recursive: true, force: true })
    },
  }
}

const meshText = (of: { broker: string; inbound: number; app: number; durability: Durability }): string => `
apiVersion: writ.dev/v1
kind: Mesh
metadata: { name: e2e }
spec:
  trustDomain: e2e.example
  cluster: test
  identity: { ttl: 75s } # Short enough to be renewed while a test runs.
  audit:
    durability: ${of.durability}
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
