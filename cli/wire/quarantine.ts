/** Quarantine as control runs it: orders outlive a restart, are recorded before they hold, and end by themselves. */

import { readFile, rename, writeFile } from 'node:fs/promises'
import type { QuarantineParts } from '../../control/node/quarantine-routes.ts'
import { byTime, type Ordered, orderText, withOrdered } from '../../control/quarantine.ts'
import type { RecordSink } from '../../core/ports.ts'
import type { Quarantined } from '../../core/snapshot.ts'
import type { InTurn } from './in-turn.ts'

export interface QuarantineOptions {
  readonly path: string
  readonly sink: RecordSink
  /** The operator, as records name whoever uses the socket. */
  readonly actor: string
  readonly nowMs: () => number
  readonly oneByOne: InTurn
  /** Serves a snapshot with the list as it is now. */
  readonly changed: () => Promise<void>
  readonly unexpected: (thrown: unknown) => void
}

export interface Quarantine extends Pick<QuarantineParts, 'ordered' | 'order' | 'lift'> {
  /** Records those of the mesh file that are new in it. */
  keepNamed(list: readonly Quarantined[]): Promise<void>
  close(): void
}

/** Longest wait of one timer of Node, in milliseconds. */
const maxTimerMs = 2 ** 31 - 1

export async function runQuarantine(options: QuarantineOptions): Promise<Quarantine> {
  const { sink, actor, nowMs, oneByOne, changed } = options
  const orders = await openOrders(options.path)
  let named = new Map<string, string>()
  let timer: ReturnType<typeof setTimeout> | undefined
  let closed = false

  const keep = (action: string, detail: string, by = actor) => sink.keep({ kind: 'admin', action, actor: by, detail })

  function wakeAtNextEnd(): void {
    clearTimeout(timer)
    if (closed || orders.current().length === 0) return
    const next = Math.min(...orders.current().map(({ untilMs }) => untilMs))
    const wait = Math.min(Math.max(next - nowMs(), 0) + 1, maxTimerMs)
    timer = setTimeout(() => void oneByOne(end).catch(failed), wait)
    timer.unref()
  }

  /** Proxies have let them in again by their own clocks; here they leave the list, and the log hears of it. */
  async function end(): Promise<void> {
    const { current, over } = byTime(orders.current(), nowMs())
    for (const one of over) await keep('quarantine_ended', `${one.id}: its time is over`, 'control')
    if (over.length > 0) await orders.put(current)
    if (over.length > 0) await changed()
    wakeAtNextEnd()
  }

  function failed(thrown: unknown): void {
    options.unexpected(thrown)
    timer = setTimeout(() => void oneByOne(end).catch(failed), 10_000)
    timer.unref()
  }

  const { current, over } = byTime(orders.current(), nowMs())
  for (const one of over) await keep('quarantine_ended', `${one.id}: its time is over`, 'control')
  if (over.length > 0) await orders.put(current)
  wakeAtNextEnd()

  return {
    ordered: orders.current,
    order: (order) =>
      oneByOne(async () => {
        const one: Ordered = { ...order, actor, at: new Date(nowMs()).toISOString() }
        const next = withOrdered(orders.current(), one, named.size)
        await keep('quarantined', orderText(one))
        await orders.put(next)
        await changed()
        wakeAtNextEnd()
      }),
    lift: (id, by, reason) =>
      oneByOne(async () => {
        const rest = orders.current().filter((one) => one.id !== id)
        if (rest.length === orders.current().length) return false
        await keep('quarantine_lifted', `${id} by ${by}: ${reason}`)
        await orders.put(rest)
        await changed()
        wakeAtNextEnd()
        return true
      }),
    async keepNamed(list) {
      const next = new Map(list.map((one) => [one.id as string, JSON.stringify(one)]))
      for (const { id, untilMs, reason } of list) {
        if (named.get(id) === next.get(id)) continue
        const until = untilMs === undefined ? '' : ` until ${new Date(untilMs).toISOString()}`
        await keep('quarantined', `${id}${until} by the mesh file: ${reason}`, 'control')
      }
      for (const id of named.keys()) {
        if (!next.has(id)) await keep('quarantine_lifted', `${id}: the mesh file names it no more`, 'control')
      }
      named = next
    },
    close() {
      closed = true
      clearTimeout(timer)
    },
  }
}

async function openOrders(
  path: string,
): Promise<{ current(): readonly Ordered[]; put(next: readonly Ordered[]): Promise<void> }> {
  const kept = await readFile(path, 'utf8').catch((thrown: NodeJS.ErrnoException) => {
    // A list that cannot be read is not an empty one: whoever is cut off must not come back by a broken file.
    if (thrown.code === 'ENOENT') return '{"v":1,"ordered":[]}'
    throw thrown
  })
  let current = (JSON.parse(kept) as { ordered: readonly Ordered[] }).ordered
  return {
    current: () => current,
    async put(next) {
      await writeFile(`${path}.new`, JSON.stringify({ v: 1, ordered: next }), { mode: 0o600, flush: true })
      await rename(`${path}.new`, path)
      current = next
    },
  }
}
