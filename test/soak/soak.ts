/** The soak: a mesh under load whose certificates, policies and application change all the time, and what came of it. */

import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { buildPolicy } from '../../engine/node/build.ts'
import { ordersMesh } from '../cli/orders-mesh.ts'
import { type Child, startChild } from '../parts/child.ts'
import { freePort } from '../parts/ports.ts'
import { type Asked, startAsked } from './child.ts'
import type { Counts, Hub, HubAsk } from './hub.ts'
import { isInForce, type Outage, startLoad, type Tally } from './load.ts'
import type { Memory, Sample } from './memory.ts'
import type { SidecarAsk } from './sidecar.ts'

export interface SoakOptions {
  readonly seconds: number
  readonly clients: number
  /** Requests a second. */
  readonly rate: number
  /** Time between two deaths of the application, in milliseconds. */
  readonly killEveryMs: number
  readonly say: (line: string) => void
}

const weighed = ['caller', 'callee', 'hub'] as const
export type Weighed = (typeof weighed)[number]

export interface SoakResult {
  readonly tally: Tally
  readonly counts: Counts
  readonly samples: Readonly<Record<Weighed, readonly Sample[]>>
  /** Most connections of clients at once. */
  readonly connections: number
  /** Milliseconds from when control took each policy until it decided. */
  readonly policyMs: readonly number[]
  readonly outages: number
  /** Policies that never came into force. */
  readonly wrong: readonly string[]
  /** Requests that asked whether a policy is in force, allowed and denied. */
  readonly probes: { allowed: number; denied: number }
  /** What the processes complained of. */
  readonly said: string
}

const here = import.meta.dirname
const trustDomain = 'soak.example'
/** After which a policy that does not decide never will. */
const policyLateMs = 20_000

export async function runSoak(options: SoakOptions): Promise<SoakResult> {
  const { seconds, say } = options
  const folder = await mkdtemp(join(tmpdir(), 'writ-soak-'))
  const [inbound, outbound, app] = [await freePort(), await freePort(), await freePort()]
  const mesh = await startMesh(folder, { inbound, outbound, app })
  let application = await startApp(app)
  const outages: Outage[] = []
  const wrong: string[] = []
  const samples: Record<Weighed, Sample[]> = { caller: [], callee: [], hub: [] }
  const policyMs: number[] = []
  const probes = { allowed: 0, denied: 0 }
  let connections = 0
  try {
    const load = startLoad({ port: outbound, clients: options.clients, rate: options.rate, outages })
    const startMs = Date.now()
    const going = (): boolean => Date.now() < startMs + seconds * 1000

    const policing = async (): Promise<void> => {
      for (let number = 1; going(); number++) {
        const fromMs = Date.now()
        await mesh.hub.ask({ do: 'policy', number })
        while (!(await isInForce(outbound, number, probes)) && Date.now() < fromMs + policyLateMs) await pause(50)
        const ms = Date.now() - fromMs
        if (ms >= policyLateMs) wrong.push(`${new Date(fromMs).toISOString()} policy ${number} never decided`)
        policyMs.push(ms)
        await pause(Math.max(0, 1000 - ms))
      }
    }
    const killing = async (): Promise<void> => {
      for (await pause(options.killEveryMs / 2); going(); await pause(options.killEveryMs)) {
        const outage = { fromMs: Date.now(), toMs: Number.POSITIVE_INFINITY }
        outages.push(outage)
        await application.kill()
        await pause(1000)
        application = await startApp(app)
        outage.toMs = Date.now()
      }
    }
    const weighing = async (): Promise<void> => {
      const everyMs = Math.max(1000, Math.min(10_000, seconds * 20))
      for (; going(); await pause(everyMs)) {
        for (const name of weighed) {
          const memory = (await mesh[name].ask({ do: 'memory' })) as Memory
          samples[name].push({ atMs: Date.now() - startMs, ...memory })
        }
        connections = Math.max(connections, (await mesh.caller.ask({ do: 'connections' })) as number)
        const { tally } = load
        const sizes = Object.entries(samples).map(
          ([name, of]) => `${name} ${mb(of.at(-1)!.heap)} ${mb(of.at(-1)!.resident)}`,
        )
        say(
          `${Math.round((Date.now() - startMs) / 1000)} s: ${tally.asked} asked, ${tally.explained} explained, ` +
            `${tally.unexplained.length} unexplained, ${policyMs.length} policies, ${sizes.join(', ')}` +
            `${tally.unexplained.length > 0 ? `, last ${tally.unexplained.at(-1)}` : ''}`,
        )
      }
    }
    await Promise.all([policing(), killing(), weighing()])
    const tally = await load.stop()
    await mesh.caller.ask({ do: 'close' })
    await mesh.callee.ask({ do: 'close' })
    const counts = (await mesh.hub.ask({ do: 'counts' })) as Counts
    const said = [mesh.caller, mesh.callee, mesh.hub].map((one) => one.said()).join('')
    return { tally, counts, samples, connections, policyMs, outages: outages.length, wrong, probes, said }
  } finally {
    mesh.kill()
    await application.kill()
    await rm(folder, { recursive: true, force: true })
  }
}

export const mb = (bytes: number): string => `${(bytes / 1024 ** 2).toFixed(1)} MB`

async function startApp(port: number): Promise<Child> {
  const child = startChild(process.execPath, [join(here, 'app.ts'), String(port)])
  await child.printed(/ready/, 60_000)
  return child
}

interface Ports {
  readonly inbound: number
  readonly outbound: number
  readonly app: number
}

interface Mesh {
  readonly hub: Asked<HubAsk>
  readonly caller: Asked<SidecarAsk>
  readonly callee: Asked<SidecarAsk>
  kill(): void
}

async function startMesh(folder: string, ports: Ports): Promise<Mesh> {
  const meshFile = join(folder, 'mesh.yaml')
  const policy = { bundle: 'soak', entrypoint: 'soak/result' }
  await writeFile(meshFile, ordersMesh({ ports, trustDomain, caller: 'web', spec: 'identity: { ttl: 60s }', policy }))
  const policies = join(folder, 'policies')
  await mkdir(join(policies, 'soak'), { recursive: true })
  await writeFile(join(policies, 'soak/bundle.tar.gz'), await buildPolicy(join(here, 'policy/soak')))
  const socket = join(folder, 'records.sock')
  const hub = await startAsked<HubAsk>(join(here, 'hub.ts'), [meshFile, join(folder, 'state'), policies, socket])
  const { url, tokens } = hub.ready as Hub
  const start = (name: string): Promise<Asked<SidecarAsk>> =>
    startAsked(join(here, 'sidecar.ts'), [url, trustDomain, tokens[name]!, join(folder, name), socket])
  const callee = await start('orders')
  const caller = await start('web')
  return { hub, caller, callee, kill: () => [caller, callee, hub].forEach((one) => void one.kill()) }
}
