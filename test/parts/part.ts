/** What every real part of the tests has in common: a name, a way to be had, and a way to be started and killed. */

import { rm } from 'node:fs/promises'
import type { Child } from './child.ts'

export type Say = (line: string) => void

export interface Part {
  /** What a person does to have it where it can neither be found nor fetched. */
  readonly install: string
  /** Finds it on this machine or fetches it into the cache; gives its path. Throws when there is no way. */
  prepare(say: Say): Promise<string>
}

/** A part that runs. Data and ports stay the same from start to start. */
export interface Running {
  /** Everything it keeps; removed by `remove`. */
  readonly folder: string
  /** Undefined while it does not run. */
  pid(): number | undefined
  /** The end of what it printed, over all its starts. */
  logs(): string
  /** SIGKILL, as in a crash. The data stays. */
  kill(): Promise<void>
  /** SIGTERM, and SIGKILL for one that does not go. The data stays. */
  stop(): Promise<void>
  /** Stops it if it runs, then starts it on the same data and ports. */
  restart(): Promise<void>
  /** Stops it and removes its folder. */
  remove(): Promise<void>
}

/** Starts a part and keeps hold of it. `start` resolves when the part answers. */
export async function running(folder: string, start: () => Promise<Child>): Promise<Running> {
  const remove = () => rm(folder, { recursive: true, force: true, maxRetries: 5 })
  let earlier = ''
  let child: Child | undefined
  try {
    child = await start()
  } catch (cause) {
    await remove()
    throw cause
  }
  const end = async (how: 'kill' | 'stop'): Promise<void> => {
    const ending = child
    child = undefined
    if (!ending) return
    await ending[how]()
    earlier += ending.logs()
  }
  return {
    folder,
    pid: () => child?.pid,
    logs: () => earlier + (child?.logs() ?? ''),
    kill: () => end('kill'),
    stop: () => end('stop'),
    restart: async () => {
      await end('stop')
      child = await start()
    },
    remove: async () => {
      await end('kill')
      await remove()
    },
  }
}
