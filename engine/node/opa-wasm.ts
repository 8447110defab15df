/** OPA compiled to WebAssembly, run in a thread of this process that sees one folder and no network. */

import { resolve } from 'node:path'
import { Worker } from 'node:worker_threads'
import { messageOf, WritError } from '../../core/fault.ts'
import type { CompilerOptions } from './compiler.ts'
import { openModule } from './opa-module.ts'
import type { Opa, OpaRan, OpaRun } from './opa-port.ts'

export interface WorkerTask {
  readonly module: WebAssembly.Module
  readonly args: readonly string[]
  readonly cwd: string
  readonly input: string
  /** What it may print, in bytes. */
  readonly maxOutputBytes: number
}

export type WorkerAnswer =
  | { readonly kind: 'ended'; readonly code: number; readonly stdout: Uint8Array; readonly stderr: Uint8Array }
  | { readonly kind: 'too_much' }
  | { readonly kind: 'broken'; readonly why: string; readonly stderr: Uint8Array }

const maxOutputBytes = 64 * 1024 ** 2

/** Runs at once; each takes some 100 MB. What comes on top waits. */
const maxRunning = 4

/** Stack of the thread, in MiB. Go calls as deep as what it parses is nested; Node's default of 4 ends sooner than opa does. */
const stackSizeMb = 64

export const wasmOpa = (path: string, env: CompilerOptions['env']): Opa => ({
  kind: 'wasm',
  run: async (args, how) => {
    const module = await openModule(path, env)
    const done = await turn()
    try {
      return await runOnce(module, args, how)
    } finally {
      done()
    }
  },
})

function runOnce(module: WebAssembly.Module, args: readonly string[], how: OpaRun): Promise<OpaRan> {
  const { cwd, input = '', timeoutMs = 5 * 60_000 } = how
  const name = `opa ${args[0]}`
  const task: WorkerTask = { module, args, cwd: resolve(cwd), input, maxOutputBytes }
  return new Promise((settle, reject) => {
    const worker = new Worker(workerFile, {
      workerData: task,
      resourceLimits: { stackSizeMb },
      execArgv: ['--disable-warning=ExperimentalWarning'], // node:wasi says so each time.
      env: {},
    })
    let answer: WorkerAnswer | undefined
    let broke: unknown
    let late = false
    const timer = setTimeout(() => {
      late = true
      void worker.terminate()
    }, timeoutMs)
    worker.on('message', (message: WorkerAnswer) => {
      answer = message
    })
    worker.on('error', (thrown) => {
      broke = thrown
    })
    worker.once('exit', () => {
      clearTimeout(timer)
      if (answer?.kind === 'ended') {
        settle({ code: answer.code, stdout: text(answer.stdout), stderr: text(answer.stderr) })
      } else if (answer?.kind === 'too_much') {
        reject(limit(`${name} printed more than ${maxOutputBytes} bytes`))
      } else if (late) {
        reject(limit(`${name} was stopped after ${timeoutMs / 1000} s`))
      } else {
        const why =
          answer?.kind === 'broken'
            ? `${answer.why} ${text(answer.stderr)}`.trim()
            : messageOf(broke ?? 'its thread ended')
        reject(new WritError('internal', `${name} did not run to its end: ${why}`, { cause: broke }))
      }
    })
  })
}

/** Beside this file, as source or as compiled. */
const workerFile = new URL(import.meta.url.endsWith('.ts') ? './opa-worker.ts' : './opa-worker.js', import.meta.url)

let running = 0
const waiting: (() => void)[] = []

/** Resolves when a run may begin, with what it calls when it is over. */
async function turn(): Promise<() => void> {
  if (running < maxRunning) running++
  else await new Promise<void>((next) => waiting.push(next))
  return () => {
    const next = waiting.shift()
    if (next) next()
    else running--
  }
}

const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString('utf8')

const limit = (why: string): WritError => new WritError('policy_invalid', why, { cure: 'Give it less to do.' })
