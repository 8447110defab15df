/** One process a core: workers share their TCP ports through the kernel (SO_REUSEPORT), and one that dies is replaced. */

import { type ChildProcess, fork } from 'node:child_process'

export interface WorkersOptions {
  /** How many. 1 runs in this process, without any other. */
  readonly count: number
  /** What the one worker does where there is only one. */
  readonly here: () => Promise<void>
  /** Program of a worker process, and its arguments. `WRIT_WORKER` in its environment is its number, from 0. */
  readonly script: string
  readonly args: readonly string[]
  /** A worker process ended without being told to, and will be started again after `againMs`. */
  readonly onExit: (exit: WorkerExit) => void
}

export interface WorkerExit {
  readonly worker: number
  readonly pid: number
  readonly reason: string
  readonly againMs: number
}

export interface Workers {
  /** Of the processes that run now, by worker. */
  pids(): readonly number[]
  /** Asks all to end (SIGTERM), and kills those that have not after `graceMs` milliseconds. */
  stop(graceMs: number): Promise<void>
}

/** Wait before a dead worker is started again: twice as long each time it dies young, in milliseconds. */
const firstWaitMs = 100
const longestWaitMs = 10_000
/** A worker that lived this long was well, in milliseconds. */
const oldMs = 30_000

export async function runWorkers(options: WorkersOptions): Promise<Workers> {
  if (options.count === 1) {
    await options.here()
    return { pids: () => [process.pid], stop: async () => {} }
  }
  const children = new Map<number, ChildProcess>()
  const timers = new Set<NodeJS.Timeout>()
  let stopping = false

  function start(worker: number, deaths: number): void {
    const bornMs = performance.now()
    const child = fork(options.script, [...options.args], {
      env: { ...process.env, WRIT_WORKER: String(worker) },
    })
    children.set(worker, child)
    let over = false
    const ended = (reason: string): void => {
      if (over) return
      over = true
      children.delete(worker)
      if (stopping) return
      const young = performance.now() - bornMs < oldMs
      const againMs = young ? Math.min(firstWaitMs * 2 ** deaths, longestWaitMs) : firstWaitMs
      options.onExit({ worker, pid: child.pid ?? 0, reason, againMs })
      const timer = setTimeout(() => {
        timers.delete(timer)
        start(worker, young ? deaths + 1 : 0)
      }, againMs)
      timers.add(timer)
    }
    child.on('exit', (code, signal) => ended(signal ?? `code ${code}`))
    child.on('error', (error) => child.pid === undefined && ended(error.message)) // It could not be started.
  }

  for (let worker = 0; worker < options.count; worker++) start(worker, 0)
  return {
    pids: () => [...children.values()].flatMap(({ pid }) => pid ?? []),
    async stop(graceMs) {
      stopping = true
      for (const timer of timers) clearTimeout(timer)
      await Promise.all([...children.values()].map((child) => end(child, graceMs)))
    },
  }
}

function end(child: ChildProcess, graceMs: number): Promise<void> {
  return new Promise((resolve) => {
    const kill = setTimeout(() => child.kill('SIGKILL'), graceMs)
    child.once('exit', () => {
      clearTimeout(kill)
      resolve()
    })
    child.kill('SIGTERM')
  })
}

/** Calls back in a worker process whose parent is gone: it must not serve on unwatched. */
export function onOrphaned(orphaned: () => void): void {
  if (process.channel) process.once('disconnect', orphaned)
}
