/** Diagnostics for people: one line per event on standard error. What happened to requests is in the log, not here. */

import pc from 'picocolors'

export interface TelemetryEvent {
  readonly level: 'info' | 'warn' | 'error'
  /** Who speaks: `spool`, `kafka`, `identity`. */
  readonly from: string
  readonly text: string
}

export type OnEvent = (event: TelemetryEvent) => void

/** Prints events at least as serious as `least`; equal lines within ten seconds are counted instead of repeated. */
export function printEvents(least: TelemetryEvent['level'] = 'info'): OnEvent {
  const rank = { info: 0, warn: 1, error: 2 }
  const seen = new Map<string, { untilMs: number; more: number }>()
  return (event) => {
    if (rank[event.level] < rank[least]) return
    const key = `${event.from} ${event.text}`
    const nowMs = Date.now()
    const before = seen.get(key)
    if (before && before.untilMs > nowMs) {
      before.more++
      return
    }
    if (seen.size > 1000) seen.clear()
    seen.set(key, { untilMs: nowMs + 10_000, more: 0 })
    const again = before && before.more > 0 ? ` (${before.more} more times)` : ''
    process.stderr.write(`${paint(event.level)} ${event.from}: ${event.text}${again}\n`)
  }
}

function paint(level: TelemetryEvent['level']): string {
  switch (level) {
    case 'info':
      return pc.dim('info')
    case 'warn':
      return pc.yellow('warn')
    case 'error':
      return pc.red('error')
  }
}
