/** Programs that the tests start: run one to its end, or keep one running, read it and kill it. */

import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process'

export interface Child {
  readonly pid: number
  /** The end of what it printed. */
  logs(): string
  /** Resolves when `pattern` was printed; rejects, with the end of the print, when it ends or is late. */
  printed(pattern: RegExp, withinMs: number): Promise<void>
  /** Resolves with its exit code, or the signal that ended it. */
  readonly ended: Promise<number | NodeJS.Signals>
  kill(): Promise<void>
  stop(): Promise<void>
}

/** How much of its print is kept, in characters. */
const keptPrint = 256 * 1024

/** How long a program has after SIGTERM before SIGKILL, in milliseconds. */
const graceMs = 15_000

/** Whatever still runs when this process ends is killed: no test leaves a broker behind. */
const alive = new Set<ChildProcess>()
const killAll = (): void => {
  for (const process of alive) process.kill('SIGKILL')
}

export function startChild(command: string, args: readonly string[], options: SpawnOptions = {}): Child {
  if (!process.listeners('exit').includes(killAll)) process.on('exit', killAll)
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], ...options })
  alive.add(child)
  let print = ''
  const watchers = new Set<() => void>()
  const add = (text: string): void => {
    print = (print + text).slice(-keptPrint)
    for (const watch of watchers) watch()
  }
  for (const stream of [child.stdout, child.stderr]) stream?.setEncoding('utf8').on('data', add)
  let over = false
  const ended = new Promise<number | NodeJS.Signals>((resolve) => {
    const end = (how: number | NodeJS.Signals): void => {
      over = true
      alive.delete(child)
      for (const watch of watchers) watch()
      resolve(how)
    }
    child.once('error', (error) => {
      add(`${error.message}\n`)
      end(127)
    })
    child.once('close', (code, signal) => end(signal ?? code ?? 1))
    // Its own children may hold its pipes open for longer than it lives.
    child.once('exit', (code, signal) => setTimeout(end, 500, signal ?? code ?? 1).unref())
  })
  const signal = async (name: NodeJS.Signals): Promise<void> => {
    if (over) return
    child.kill(name)
    const late = setTimeout(() => child.kill('SIGKILL'), graceMs)
    await ended
    clearTimeout(late)
  }
  return {
    pid: child.pid ?? -1,
    logs: () => print,
    printed: (pattern, withinMs) =>
      new Promise((resolve, reject) => {
        const settle = (because?: string): void => {
          watchers.delete(watch)
          clearTimeout(late)
          if (because) reject(new Error(`${command} ${because} ${pattern}; it said:\n${print.slice(-4000)}`))
          else resolve()
        }
        const watch = (): void => {
          if (pattern.test(print)) settle()
          else if (over) settle('ended before')
        }
        const late = setTimeout(() => settle(`did not in ${withinMs} ms say`), withinMs)
        watchers.add(watch)
        watch()
      }),
    ended,
    kill: () => signal('SIGKILL'),
    stop: () => signal('SIGTERM'),
  }
}

/** Runs a program to its end and gives what it printed; throws with the end of that print when it fails. */
export async function run(command: string, args: readonly string[], options: SpawnOptions = {}): Promise<string> {
  const child = startChild(command, args, options)
  const how = await child.ended
  if (how === 0) return child.logs()
  throw new Error(`${[command, ...args].join(' ')} ended with ${how}:\n${child.logs().slice(-4000)}`)
}
