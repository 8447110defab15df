/**
 * Reads the log as it grows and has an entry written for each call that one side alone recorded. The two sides may lie in
 * partitions of two auditors, so one of all that share a store does it for all: leaves are read from the store, and the
 * entry is an order to whoever has the partition. A lock says who; a turn that is counted up keeps a former one, which has
 * not noticed yet, from saving or ordering anything.
 */

import { fromUtf8 } from '../../core/bytes.ts'
import { messageOf, WritError } from '../../core/fault.ts'
import { isObject, type Json, parseJson } from '../../core/json.ts'
import { partitionOf } from '../../core/log.ts'
import type { AuditEvent } from '../../core/record.ts'
import { type ReconcileRules, Reconciler, type ReconcileState, type ReconcileTally } from '../reconcile/reconcile.ts'
import { coveredSizes, latestTimeIn, stretchFrom } from '../store/covered.ts'
import { saveTurn, takeTurn } from '../store/reconciled.ts'
import { addOrder, countOpenOrders } from './orders.ts'
import { pause } from './pause.ts'
import type { Store, StoreLock } from './store.ts'

export interface ReconcileOptions {
  readonly store: Store
  readonly rules: ReconcileRules
  readonly onEvent: (event: ReconcileEvent) => void
  /** Time between two looks, in milliseconds. Default 1000. */
  readonly everyMs?: number
  /** Time between two notes of what is known, in milliseconds. Default 30 000. */
  readonly saveEveryMs?: number
}

export type ReconcileEvent =
  | { readonly kind: 'unmatched'; readonly detail: string }
  | { readonly kind: 'overflow'; readonly detail: string }
  | { readonly kind: 'passed_over'; readonly detail: string }
  | { readonly kind: 'failed'; readonly detail: string }

export interface Reconciling {
  /** Of this process's present turn; undefined while another process compares. */
  tally(): Readonly<ReconcileTally> | undefined
  /** Reads what a checkpoint covers by now, and orders what is due; nothing while another process does. */
  look(): Promise<void>
  close(): Promise<void>
}

/** Beside that of migrations. */
export const reconcileLock: number = 0x77726975

/** Entries ordered in one look, and orders of any kind that may wait: an auditor that is away cannot fill the store. */
const ordersAtOnce = 256
const maxOpenOrders = 4096

const version = 2

/** What says nothing about calls and producers need not be parsed; most leaves of a busy log are decisions all the same. */
const outbound = Buffer.from('"direction":"outbound"')
const isOutbound = (bytes: Uint8Array): boolean =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).includes(outbound)

/** What this process knows while it has the turn. */
interface Mine {
  readonly lock: StoreLock
  readonly turn: number
  readonly reconciler: Reconciler
  /** The next index of each shard. */
  readonly next: Map<number, number>
  savedAtMs: number
  overflow: number
}

export async function openReconcile(options: ReconcileOptions): Promise<Reconciling> {
  const { store, rules, onEvent, everyMs = 1000, saveEveryMs = 30_000 } = options
  const { db } = store
  const stopped = new AbortController()
  let mine: Mine | undefined
  let failing = false

  const begin = async (): Promise<Mine | undefined> => {
    const lock = await store.lock(reconcileLock)
    if (!lock) return undefined
    try {
      const { turn, state } = await takeTurn(db)
      const known = isObject(state) && state['v'] === version ? (state as unknown as Saved) : undefined
      const reconciler = new Reconciler(rules, known?.state)
      const { overflow } = reconciler.tally
      return { lock, turn, reconciler, next: new Map(known?.next), savedAtMs: performance.now(), overflow }
    } catch (thrown) {
      await lock.release()
      throw thrown
    }
  }

  const once = async (): Promise<void> => {
    if (mine && !mine.lock.held()) await drop()
    mine ??= await begin()
    if (!mine) return
    try {
      await read(mine)
      await tell(mine)
      if (performance.now() - mine.savedAtMs >= saveEveryMs) await save(mine)
    } catch (thrown) {
      await drop() // What was saved last is whole; what came since is read again.
      throw thrown
    }
  }

  const drop = async (): Promise<void> => {
    const { lock } = mine!
    mine = undefined
    await lock.release()
  }

  const read = async ({ reconciler, next }: Mine): Promise<void> => {
    for (const { shard, size } of await coveredSizes(db)) {
      for (let from = next.get(shard) ?? 0; from < size && !stopped.signal.aborted; from = next.get(shard)!) {
        const { first, leaves } = await stretchFrom(db, shard, from, size)
        if (first > from) {
          reconciler.passOver(await latestTimeIn(db, shard, from, first))
          const detail = `${first - from} entries of shard ${shard} are not here to be read: calls of their time are not compared`
          onEvent({ kind: 'passed_over', detail })
        }
        for (const bytes of leaves) {
          const event = isOutbound(bytes) ? undefined : parseJson(fromUtf8(bytes))
          if (event) reconciler.take(event as unknown as AuditEvent, shard) // What is in the log was parsed when it came.
        }
        next.set(shard, first + leaves.length)
      }
    }
  }

  /** Orders, and that they were given, are of one transaction: nothing is told twice or not at all. */
  const tell = async (of: Mine): Promise<void> => {
    const { reconciler, turn, next } = of
    const due = reconciler.due().slice(0, ordersAtOnce)
    if (due.length > 0 && (await countOpenOrders(db)) < maxOpenOrders) {
      for (const unmatched of due) reconciler.told(unmatched)
      await store.transaction(async (tx) => {
        requireTurn(await saveTurn(tx, turn, next, stateOf(of)))
        for (const { shard, body } of due) await addOrder(tx, partitionOf(shard), body)
      })
      of.savedAtMs = performance.now()
      for (const { body } of due) {
        const { missing, silent, by, request_id, of: id } = body
        const detail = `${by} recorded call ${request_id} (${id}), its ${missing} ${silent} did not`
        onEvent({ kind: 'unmatched', detail })
      }
    }
    if (reconciler.tally.overflow > of.overflow) {
      const detail = `${reconciler.tally.overflow - of.overflow} calls were not compared: too many wait for their other side, or records of their time are not here`
      onEvent({ kind: 'overflow', detail })
      of.overflow = reconciler.tally.overflow
    }
  }

  const save = async (of: Mine): Promise<void> => {
    requireTurn(await saveTurn(db, of.turn, of.next, stateOf(of)))
    of.savedAtMs = performance.now()
  }

  let turn: Promise<void> = Promise.resolve()
  const look = (): Promise<void> => {
    const looked = turn.then(once)
    turn = looked.catch(() => undefined)
    return looked
  }

  const run = async (): Promise<void> => {
    while (!stopped.signal.aborted) {
      try {
        await look()
        failing = false
      } catch (thrown) {
        if (!failing) onEvent({ kind: 'failed', detail: messageOf(thrown) })
        failing = true
      }
      await pause().wait(stopped.signal, everyMs)
    }
  }
  const running = run()
  return {
    tally: () => mine?.reconciler.tally,
    look,
    async close() {
      stopped.abort()
      await running
      await turn
      if (!mine) return
      await save(mine).catch((thrown: unknown) => onEvent({ kind: 'failed', detail: messageOf(thrown) }))
      await drop()
    },
  }
}

interface Saved {
  readonly v: number
  readonly next: readonly (readonly [number, number])[]
  readonly state: ReconcileState
}

const stateOf = ({ next, reconciler }: Mine): Json =>
  ({ v: version, next: [...next], state: reconciler.save() }) as unknown as Json

function requireTurn(saved: boolean): void {
  if (!saved) throw new WritError('fenced', 'another process compares the sides of calls now: nothing was saved')
}
