/** The command as its users run it: a process of its own, with what it prints on either side and how it ends. */

import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, onTestFinished } from 'vitest'
import { commandFile } from '../parts/command.ts'

export const repository: string = join(import.meta.dirname, '../..')

export interface Ended {
  /** The exit code, or the signal that ended it. */
  readonly code: number | NodeJS.Signals
  readonly out: string
  readonly err: string
}

export interface Started {
  readonly pid: number
  readonly ended: Promise<Ended>
  /** Resolves with the match once standard output holds it; rejects where the process ends before. */
  said(pattern: RegExp): Promise<RegExpExecArray>
  signal(name: NodeJS.Signals): void
}

export interface RunOptions {
  readonly env?: NodeJS.ProcessEnv
  readonly cwd?: string
  /** The program and what stands before the arguments. Default: this Node with the command. */
  readonly by?: readonly [string, ...string[]]
}

/** Nothing in it comes from whoever runs the tests, colours least of all. */
const plain: NodeJS.ProcessEnv = { ...process.env, NO_COLOR: '1', FORCE_COLOR: undefined, WRIT_DEBUG: undefined }

const running = new Set<ChildProcess>()
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL')
})

export function start(args: readonly string[], options: RunOptions = {}): Started {
  const [program, ...before] = options.by ?? [process.execPath, commandFile]
  const child = spawn(program, [...before, ...args], {
    cwd: options.cwd ?? repository,
    env: options.env ?? plain,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  running.add(child)
  let out = ''
  let err = ''
  let over = false
  const watchers = new Set<() => void>()
  const wake = (): void => {
    for (const watch of watchers) watch()
  }
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    out += text
    wake()
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    err += text
  })
  // Before its test gives up: what it said so far would be lost.
  const late = setTimeout(
    () => process.stderr.write(`writ ${args.join(' ')} still runs:\n${out}\n${err}\n`),
    110_000,
  ).unref()
  const ended = new Promise<Ended>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code, signal) => {
      clearTimeout(late)
      running.delete(child)
      over = true
      resolve({ code: signal ?? code ?? -1, out, err })
      wake()
    })
  })
  return {
    pid: child.pid ?? -1,
    ended,
    said: (pattern) =>
      new Promise((resolve, reject) => {
        const watch = (): void => {
          const match = pattern.exec(out)
          if (!match && !over) return
          watchers.delete(watch)
          if (match) resolve(match)
          else reject(new Error(`it ended before it said ${pattern}:\n${out}\n${err}`))
        }
        watchers.add(watch)
        watch()
      }),
    signal: (name) => void child.kill(name),
  }
}

export const writ = (...args: readonly string[]): Promise<Ended> => start(args).ended

/** A folder for one test. */
export async function temporary(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'writ-cli-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  return folder
}

/** A folder for the tests of a file, which asks for it outside of its hooks: inside of one, `afterAll` is not heard. */
export function temporaryForAll(): string {
  const folder = mkdtempSync(join(tmpdir(), 'writ-cli-'))
  afterAll(() => rm(folder, { recursive: true, force: true }))
  return folder
}
