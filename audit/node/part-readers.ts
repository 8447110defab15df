/** Threads that read parts of a log in a folder, for verification and reports. */

import { availableParallelism } from 'node:os'
import { Worker } from 'node:worker_threads'
import { WritError } from '../../core/fault.ts'
import type { PartReaders, ReadPart } from '../verify/part.ts'
import type { PartAnswer, PartTask, PartThread } from './part-thread.ts'

/** Each takes 60 to 120 MiB. */
export const mostThreads = 8

/** As many as the machine has cores, and not more than `mostThreads`. */
export const defaultThreads = (): number => Math.min(mostThreads, availableParallelism())

/** Leaves of a part: what a report keeps sums of. */
export const threadLeaves = 65_536

export interface ThreadOptions extends PartThread {
  /** How many. They are started when the first part is asked for. */
  readonly threads: number
  /** Default 65,536. */
  readonly leaves?: number
  /** What runs in them. Default: reads parts, and gathers nothing. */
  readonly file?: URL
}

export interface PartThreads extends PartReaders {
  /** Ends the threads at once. */
  close(): Promise<void>
}

interface Waiting {
  readonly task: PartTask
  readonly resolve: (read: ReadPart | undefined) => void
  readonly reject: (thrown: unknown) => void
}

/** Beside this file, as source or as compiled. */
const workerFile = new URL(import.meta.url.endsWith('.ts') ? './part-worker.ts' : './part-worker.js', import.meta.url)

/** Asked for one part more than there are threads, so that none of them waits while a part is joined. */
export function openPartThreads(options: ThreadOptions): PartThreads {
  const { dir, gather, threads, leaves = threadLeaves, file = workerFile } = options
  const queue: Waiting[] = []
  const workers: { readonly worker: Worker; busy: Waiting | undefined }[] = []
  let fault: WritError | undefined
  let ids = 0

  function start(): void {
    const workerData: PartThread = { dir, ...(gather !== undefined && { gather }) }
    const one = { worker: new Worker(file, { workerData }), busy: undefined as Waiting | undefined }
    one.worker.on('message', (answer: PartAnswer) => {
      const { busy } = one
      if (busy?.task.id !== answer.id) return
      one.busy = undefined
      if ('fault' in answer) busy.reject(new WritError('internal', `a part of the log cannot be read: ${answer.fault}`))
      else if (answer.read && !isWhole(answer.read, busy.task)) busy.reject(ended('its answer is not of the part'))
      else busy.resolve(answer.read)
      next()
    })
    one.worker.on('error', (thrown) => fail(ended(thrown instanceof Error ? thrown.message : String(thrown))))
    one.worker.on('exit', (code) => fail(ended(`code ${code}`)))
    workers.push(one)
  }

  /** One that is gone may have taken a part with it: nobody goes on as if it had not. */
  function fail(thrown: WritError): void {
    fault ??= thrown
    for (const { reject } of queue.splice(0)) reject(fault)
    for (const one of workers) {
      one.busy?.reject(fault)
      one.busy = undefined
    }
  }

  function next(): void {
    for (const one of workers) {
      const waiting = one.busy ? undefined : queue.shift()
      if (!waiting) continue
      one.busy = waiting
      one.worker.postMessage(waiting.task)
    }
  }

  return {
    leaves,
    atOnce: threads + 1,
    read: (shard, tree, range, gather) =>
      new Promise((resolve, reject) => {
        if (fault) return reject(fault)
        if (workers.length < threads) start()
        queue.push({ task: { id: ids++, shard, tree, range, gather }, resolve, reject })
        next()
      }),
    async close() {
      fault ??= ended('it was closed')
      await Promise.all(workers.map(({ worker }) => worker.terminate()))
    },
  }
}

const ended = (why: string): WritError => new WritError('internal', `a thread that reads the log ended: ${why}`)

/** Whether an answer has each leaf of the part, in a run or by itself. */
function isWhole({ range, steps }: ReadPart, task: PartTask): boolean {
  const count = steps.reduce((sum, step) => sum + ('run' in step ? step.run.decisions + step.run.outcomes : 1), 0)
  return range.from === task.range.from && range.to === task.range.to && count === range.to - range.from
}
