/** What a process takes of the memory, looked at each second. */

import { readFileSync } from 'node:fs'

export interface MemoryWatch {
  /** When its first second began. */
  readonly fromMs: number
  /** Resident megabytes so far, by part, each with the second it was seen in. */
  readonly seen: ReadonlyMap<string, readonly { readonly second: number; readonly mb: number }[]>
  /** Gives the most of each part. */
  stop(): Readonly<Record<string, number>>
}

export function watchMemory(parts: ReadonlyMap<string, () => number | undefined>): MemoryWatch {
  const seen = new Map<string, { second: number; mb: number }[]>([...parts.keys()].map((name) => [name, []]))
  const fromMs = Date.now()
  const timer = setInterval(() => {
    for (const [name, pidOf] of parts) {
      const mb = residentMb(pidOf())
      if (mb !== undefined) seen.get(name)!.push({ second: Math.round((Date.now() - fromMs) / 1000), mb })
    }
  }, 1000)
  return {
    fromMs,
    seen,
    stop() {
      clearInterval(timer)
      return Object.fromEntries([...seen].map(([name, list]) => [name, Math.max(0, ...list.map(({ mb }) => mb))]))
    },
  }
}

function residentMb(pid: number | undefined): number | undefined {
  if (pid === undefined) return undefined
  try {
    const kb = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]
    return kb === undefined ? undefined : Math.round(Number(kb) / 1024)
  } catch {
    return undefined // It was killed meanwhile.
  }
}
