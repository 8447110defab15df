/** A process of the bench, and what it said last. */

import { fork } from 'node:child_process'
import { setTimeout as pause } from 'node:timers/promises'

export interface PartProcess {
  readonly last: Readonly<Record<string, number>>
  /** Resolves once it has said something. */
  ready(): Promise<void>
  /** Asks it to end what it began, and waits. */
  end(): Promise<void>
}

export function startPart(script: string, ...args: readonly string[]): PartProcess {
  const child = fork(script, [...args], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
  let last: Record<string, number> = {}
  child.on('message', (said) => (last = said as Record<string, number>))
  const ended = new Promise<void>((resolve) => child.on('exit', () => resolve()))
  return {
    get last() {
      return last
    },
    ready: async () => {
      while (Object.keys(last).length === 0) {
        if (child.exitCode !== null) throw new Error(`${script} ended`)
        await pause(50)
      }
    },
    end: async () => {
      if (child.connected) child.send('end')
      const timer = setTimeout(() => child.kill('SIGKILL'), 90_000)
      await ended
      clearTimeout(timer)
    },
  }
}
