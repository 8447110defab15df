/** The parts that are killed: how each dies, with or without its power, and how it comes back. */

import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import type { Mesh, Process } from '../mesh.ts'
import type { Chance } from './chance.ts'
import { isAlive, killFamily, type Power } from './power.ts'
import type { Lost } from './rollback.ts'

export type VictimName = 'proxy' | 'kafka' | 'auditor' | 'postgres' | 'signer' | 'control'

export interface Kill {
  readonly victim: VictimName
  readonly atMs: number
  /** What the power took; undefined where only the process was killed. */
  readonly lost: Lost | undefined
  /** The longest sync of its run until then, in milliseconds. */
  readonly longestSyncMs: number
  /** It was killed before it was ready. */
  readonly early: boolean
  /** The spool's folder went with it. */
  readonly wiped: boolean
}

/** One that came back: how long from its start until it was ready. */
export interface Recovery {
  readonly victim: VictimName
  readonly atMs: number
  readonly tookMs: number
}

export interface Victim {
  readonly name: VictimName
  /** Up for a random time between these, in milliseconds. */
  readonly up: readonly [number, number]
  readonly down: readonly [number, number]
  readonly power: Power | undefined
  /** It may be killed while it starts. */
  readonly early: boolean
  pid(): number | undefined
  logs(): string
  kill(): Promise<void>
  /** Resolves when it is ready. */
  start(): Promise<void>
  /** Does not wait. */
  begin?(): void
}

export interface Fleet {
  readonly kills: readonly Kill[]
  readonly recoveries: readonly Recovery[]
  /** Ended by itself before it was ready, such as for want of another part; started again as a supervisor would. */
  readonly gaveUp: ReadonlyMap<VictimName, number>
  /** Ended by itself though it was ready, which no part may; with the end of what it said. Started again all the same. */
  readonly died: readonly string[]
  /** Kills until so many are dead or the time is over, then resolves when all are up again. */
  run(kills: number, withinMs: number): Promise<void>
  /** Looks after all of them meanwhile. */
  attended<T>(work: () => Promise<T>): Promise<T>
}

export interface FleetOptions {
  readonly victims: readonly Victim[]
  readonly chance: Chance
  /** How often a kill is a power cut, where the part can have one. */
  readonly powerShare: number
  /** At which kills of the proxy, counted from 1, its spool is deleted: with it, or a while before. */
  readonly wipes: ReadonlyMap<number, 'with' | 'under'>
  readonly spool: string
  readonly say: (line: string) => void
}

/** Longest time to become ready, in milliseconds: a machine that is busy with others is no fault of the part. */
const readyWithinMs = 1_800_000

export function openFleet({ victims, chance, powerShare, wipes, spool, say }: FleetOptions): Fleet {
  const kills: Kill[] = []
  const recoveries: Recovery[] = []
  const gaveUp = new Map<VictimName, number>()
  const died: string[] = []

  /** Starts it until it is ready; a part that ends for want of another is started again after a moment. */
  const bring = async (victim: Victim): Promise<void> => {
    const fromMs = Date.now()
    for (;;) {
      try {
        await victim.start()
        recoveries.push({ victim: victim.name, atMs: Date.now(), tookMs: Date.now() - fromMs })
        return
      } catch (thrown) {
        gaveUp.set(victim.name, (gaveUp.get(victim.name) ?? 0) + 1)
        if (Date.now() - fromMs > readyWithinMs) throw thrown
        await victim.kill()
        await pause(500)
      }
    }
  }

  const strike = async (victim: Victim, of: Chance, early: boolean): Promise<void> => {
    const wipe =
      victim.name === 'proxy' ? wipes.get(kills.filter((kill) => kill.victim === 'proxy').length + 1) : undefined
    if (wipe === 'under') {
      await rm(spool, { recursive: true, force: true })
      await pause(of.between(500, 2500))
    }
    const cut = victim.power !== undefined && of.one(powerShare)
    const pid = victim.pid()
    const atMs = Date.now()
    const longestSyncMs = victim.power?.syncs().longestMs ?? 0
    if (pid !== undefined) await killFamily(pid)
    await victim.kill()
    if (wipe === 'with') await rm(spool, { recursive: true, force: true })
    const lost = cut ? victim.power?.lose(of) : undefined
    kills.push({ victim: victim.name, atMs, lost, longestSyncMs, early, wiped: wipe !== undefined })
    const how = `${lost ? ` and its power (${lost.changes} writes, ${lost.names} names undone)` : ''}${wipe ? ' and its spool' : ''}`
    say(`${kills.length}: ${victim.name} killed${early ? ' while it started' : ''}${how}`)
  }

  /** Stays so long, or until told to stop; starts it again where it ends by itself. */
  const attend = async (victim: Victim, forMs: number, stop: AbortSignal): Promise<void> => {
    for (const untilMs = Date.now() + forMs; Date.now() < untilMs && !stop.aborted; ) {
      await pause(Math.min(100, untilMs - Date.now()), undefined, { signal: stop }).catch(() => {})
      const pid = victim.pid()
      if (pid !== undefined && isAlive(pid)) continue
      died.push(`${victim.name} ended by itself: ${victim.logs().slice(-600)}`)
      say(died.at(-1)!)
      await victim.kill()
      await bring(victim)
    }
  }

  const torment = async (victim: Victim, of: Chance, most: number, stop: AbortSignal): Promise<void> => {
    while (!stop.aborted) {
      await attend(victim, of.between(...victim.up), stop)
      for (let early = false; !stop.aborted && kills.length < most; early = true) {
        await strike(victim, of, early)
        await pause(of.between(...victim.down))
        if (!victim.early || !of.one(0.15)) break
        victim.begin?.()
        await pause(of.between(0, 2000))
      }
      if (victim.pid() === undefined) await bring(victim)
    }
  }

  return {
    kills,
    recoveries,
    gaveUp,
    died,
    async attended(work) {
      const stop = new AbortController()
      const attending = victims.map((victim) => attend(victim, Number.POSITIVE_INFINITY, stop.signal))
      try {
        return await work()
      } finally {
        stop.abort()
        await Promise.all(attending)
      }
    },
    async run(count, withinMs) {
      const most = kills.length + count
      const untilMs = Date.now() + withinMs
      const stop = new AbortController()
      const watch = setInterval(() => (kills.length >= most || Date.now() >= untilMs) && stop.abort(), 50)
      try {
        await Promise.all(victims.map((victim) => torment(victim, chance.fork(), most, stop.signal)))
      } finally {
        stop.abort() // Where one could not be brought back, nobody goes on killing.
        clearInterval(watch)
      }
    },
  }
}

export function victimsOf(mesh: Mesh, powers: ReadonlyMap<string, Power>): Victim[] {
  const ours = (process: Process, up: readonly [number, number]): Victim => ({
    name: process.name as VictimName,
    up,
    down: [0, 1000],
    power: powers.get(process.name),
    early: true,
    pid: () => process.pid(),
    logs: () => process.logs(),
    kill: () => process.kill(),
    begin: () => process.start(),
    async start() {
      if (process.pid() === undefined) process.start()
      await process.ready(readyWithinMs)
    },
  })
  return [
    ours(mesh.proxy, [300, 9000]),
    ours(mesh.auditor, [1000, 26_000]),
    ...(mesh.signer ? [ours(mesh.signer, [5000, 50_000])] : []),
    ours(mesh.control, [10_000, 80_000]),
    {
      name: 'postgres',
      up: [500, 16_000],
      down: [0, 1500],
      power: powers.get('postgres'),
      early: false,
      pid: () => mesh.postgres.pid(),
      logs: () => mesh.postgres.logs(),
      kill: () => mesh.postgres.kill(),
      start: () => mesh.postgres.restart(),
    },
    {
      name: 'kafka',
      up: [2000, 40_000],
      down: [0, 2000],
      power: undefined, // Its word is its copies on other machines, not its disk.
      early: false,
      pid: () => mesh.kafka.pid(),
      logs: () => mesh.kafka.logs(),
      kill: () => mesh.kafka.kill(),
      start: () => mesh.kafka.restart(),
    },
  ]
}

export const spoolOf = (mesh: Mesh): string => join(mesh.folder, 'proxy/spool')
