/** The fault run: a whole mesh under load while its parts are killed, then everything drains, and the log is judged. */

import { chmod, mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { newestCheckpoint } from '../../../audit/log/prove.ts'
import { tileReader } from '../../../audit/node/folder.ts'
import type { Checkpoint } from '../../../core/log.ts'
import type { Durability } from '../../../core/snapshot.ts'
import { type Mesh, openMesh } from '../mesh.ts'
import { chanceOf } from './chance.ts'
import { startLoad } from './load.ts'
import { type Judgement, judge } from './oracle.ts'
import { buildShim, type Power, powerFor } from './power.ts'
import { type Fleet, openFleet, spoolOf, type VictimName, victimsOf } from './victims.ts'
import { watchMemory } from './watch.ts'

export interface FaultOptions {
  readonly kills: number
  /** Longest time of killing, in seconds; then there are fewer. Default an hour. */
  readonly seconds?: number
  readonly seed: number
  readonly durability: Durability
  /** Requests per second. */
  readonly rate: number
  /** How often a kill of a part with a disk of its own is a power cut: 0 to 1. */
  readonly powerShare: number
  /** At which kills of the proxy its spool is deleted: with it, or a while before. */
  readonly wipes: ReadonlyMap<number, 'with' | 'under'>
  /** Whether unsynced writes are noted, which a power cut needs. Default true. */
  readonly preload?: boolean
  readonly say: (line: string) => void
  /** Keeps the folder of the run. */
  readonly keep?: true
}

export interface FaultResult {
  readonly judgement: Judgement
  readonly kills: Readonly<Record<string, { readonly killed: number; readonly power: number; readonly early: number }>>
  readonly gaveUp: Readonly<Record<string, number>>
  /** Time from a start until it was ready, in milliseconds. */
  readonly recovery: Readonly<Record<string, { readonly median: number; readonly longest: number }>>
  readonly undone: { readonly writes: number; readonly names: number }
  readonly seconds: number
  /** From the last kill until the log held everything, signed. */
  readonly drainMs: number
  readonly memoryMb: Readonly<Record<string, number>>
  readonly verify: string
  readonly folder: string
}

const syncEveryMs = 50
const producer = 'spiffe://e2e.example/web'

export async function runFaults(options: FaultOptions): Promise<FaultResult> {
  const { durability, say } = options
  const chance = chanceOf(options.seed)
  const own = await mkdtemp(join(tmpdir(), 'writ-faults-'))
  await chmod(own, 0o755) // PostgreSQL is not root, and loads the library.
  const shim = options.preload === false ? undefined : await buildShim(own)
  const powers = new Map<string, Power>()
  const mesh = await openMesh(1, durability, {
    ttl: '1h', // Whoever is away for longer than its certificate lives needs a new token, which is not what is tried here.
    signer: true,
    audit: ['segmentBytes: 524288'], // Small, so that segments are closed, proven and released while parts die.
    envOf: (part, state) => {
      if (shim === undefined) return {}
      // PostgreSQL leaves the names of its files to the file system's journal.
      const notes = part === 'postgres' ? join(state, '../notes') : join(own, part)
      const power = powerFor(shim, state, notes, part !== 'postgres')
      powers.set(part, power)
      return power.env
    },
  })
  const fromMs = Date.now()
  const seen = watchCheckpoints(mesh.logDir)
  const memory = watchMemory(new Map([mesh.proxy, mesh.auditor].map((part) => [part.name, () => part.pid()])))
  const renewal = renewing(mesh)
  const load = startLoad({
    port: mesh.port,
    tls: mesh.client,
    rate: options.rate,
    denyEvery: 10,
    timeoutMs: 15_000,
    journal: join(own, 'answers.jsonl'),
  })
  try {
    const victims = victimsOf(mesh, powers)
    const { powerShare, wipes } = options
    const fleet = openFleet({ victims, chance, powerShare, wipes, spool: spoolOf(mesh), say })
    await fleet.run(options.kills, (options.seconds ?? 3600) * 1000)
    await pause(2000)
    const wipedMs = fleet.kills.findLast(({ wiped }) => wiped)?.atMs
    // A run is told to be lost once it has been silent for two minutes.
    if (wipedMs !== undefined) await fleet.attended(() => pause(Math.max(0, wipedMs + 150_000 - Date.now())))
    const calmMs = Date.now()
    say(`all parts are up again after ${fleet.kills.length} kills; ${load.sent} requests`)
    await load.stop()
    const last = load.answers.findLast(({ status }) => status === 200)?.decision ?? ''
    await fleet.attended(() => inLog(mesh, last))
    say('the last decision is in the log')
    await ended(mesh, fleet)
    const drainMs = Date.now() - calmMs
    const { code, text } = await verified(mesh)
    await seen.stop()
    const { answers } = load
    const evidence = { durability, syncEveryMs, answers, kills: fleet.kills, logDir: mesh.logDir, producer }
    const judgement = await judge({ ...evidence, seen: seen.checkpoints, verification: text })
    const wrong = [...judgement.wrong, ...fleet.died, ...wrongOf(code, text, fleet)]
    return {
      judgement: { ...judgement, wrong },
      ...countsOf(fleet),
      seconds: Math.round((calmMs - fromMs) / 1000),
      drainMs,
      memoryMb: memory.stop(),
      verify: text,
      folder: own,
    }
  } catch (thrown) {
    say(`proxy:\n${mesh.proxy.logs().slice(-3000)}\nauditor:\n${mesh.auditor.logs().slice(-3000)}`)
    say(`signer:\n${mesh.signer!.logs().slice(-1000)}\npostgres:\n${mesh.postgres.logs().slice(-1500)}`)
    throw thrown
  } finally {
    renewal.stop()
    await seen.stop()
    memory.stop()
    if (options.keep) {
      await mkdir(join(own, 'kept'), { recursive: true })
      say(`kept: ${mesh.folder} and ${own}`)
      await Promise.all([mesh.proxy.stop(), mesh.auditor.stop(), mesh.control.stop()])
      await Promise.all([mesh.signer!.stop(), mesh.kafka.stop(), mesh.postgres.stop(), mesh.nginx.stop()])
    } else {
      await mesh.close()
      await rm(own, { recursive: true, force: true })
    }
  }
}

function wrongOf(code: number, text: string, fleet: Fleet): string[] {
  const wrong = findingsOf(text, fleet)
  return code === 0 || (code === 1 && wrong.length === 0)
    ? wrong
    : [...wrong, `verify ended with ${code}: ${text.slice(-2000)}`]
}

/** What verification found and must not: after the loss of a spool nobody vouches for the tail of an epoch that was in it. */
function findingsOf(text: string, fleet: Fleet): string[] {
  const findings = text.split('\n').filter((line) => /^(broken|warning)/.test(line))
  const wiped = fleet.kills.some((kill) => kill.wiped)
  return findings.filter((line) => !(wiped && /^warning +(unattested|spool_lost) /.test(line)))
}

/** A stranger who looks at the published checkpoint again and again, and remembers. */
export function watchCheckpoints(logDir: string): {
  readonly checkpoints: readonly Checkpoint[]
  stop(): Promise<void>
} {
  const checkpoints: Checkpoint[] = []
  const read = tileReader(join(logDir, '0'))
  let stopped = false
  const watching = (async () => {
    while (!stopped) {
      const newest = await newestCheckpoint(read).catch(() => undefined)
      if (newest && newest.checkpoint.size !== checkpoints.at(-1)?.size) checkpoints.push(newest.checkpoint)
      await pause(200)
    }
  })()
  return {
    checkpoints,
    stop: () => {
      stopped = true
      return watching
    },
  }
}

/** The client renews as any workload does, and again where control was away. */
export function renewing(mesh: Mesh): { stop(): void } {
  const stop = new AbortController()
  void (async () => {
    for (let wait = 900_000; ; ) {
      try {
        await pause(wait, undefined, { signal: stop.signal })
        await mesh.renewClient()
        wait = 900_000
      } catch {
        if (stop.signal.aborted) return
        wait = 2000
      }
    }
  })()
  return { stop: () => stop.abort() }
}

const drainWithinMs = 1_200_000

/** Whether the last decision that was answered has a proof. */
export async function inLog(mesh: Mesh, last: string): Promise<void> {
  for (const dueMs = Date.now() + drainWithinMs; ; await pause(1000)) {
    if (last === '' || (await mesh.writ('audit', 'prove', last, '--out', mesh.folder, ...places(mesh))).code === 0)
      return
    if (Date.now() > dueMs) throw new Error(`${last} is not in the log in time`)
  }
}

/** The proxy ends, and its last head is in the log: nothing is anywhere else any more. What is found then is judged. */
async function ended(mesh: Mesh, fleet: Fleet): Promise<void> {
  await mesh.proxy.stop()
  for (const dueMs = Date.now() + drainWithinMs; Date.now() < dueMs; await pause(1000)) {
    if (findingsOf((await verified(mesh)).text, fleet).length === 0) return
  }
}

const places = (mesh: Mesh): string[] => ['--log', mesh.logDir, '--key', mesh.logKey, '--database', mesh.postgres.url]

export const verified = (mesh: Mesh): ReturnType<Mesh['writ']> => mesh.writ('audit', 'verify', ...places(mesh))

function countsOf({ kills, recoveries, gaveUp }: Fleet): Pick<FaultResult, 'kills' | 'gaveUp' | 'recovery' | 'undone'> {
  const names = [...new Set(kills.map(({ victim }) => victim))].sort()
  const of = (victim: VictimName) => {
    const all = kills.filter((kill) => kill.victim === victim)
    return {
      killed: all.length,
      power: all.filter(({ lost }) => lost).length,
      early: all.filter(({ early }) => early).length,
    }
  }
  const times = (victim: VictimName) => {
    const all = recoveries.filter((each) => each.victim === victim).map(({ tookMs }) => tookMs)
    all.sort((a, b) => a - b)
    return { median: all[all.length >> 1] ?? 0, longest: all.at(-1) ?? 0 }
  }
  const sum = (of: (lost: { changes: number; names: number }) => number): number =>
    kills.reduce((total, { lost }) => total + (lost ? of(lost) : 0), 0)
  return {
    kills: Object.fromEntries(names.map((name) => [name, of(name)])),
    gaveUp: Object.fromEntries(gaveUp),
    recovery: Object.fromEntries(names.map((name) => [name, times(name)])),
    undone: { writes: sum(({ changes }) => changes), names: sum((lost) => lost.names) },
  }
}
