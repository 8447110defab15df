/**
 * Reads the log as it grows and writes an entry for each call that one side alone recorded. It must see all partitions of
 * the stream: a call's two sides may lie in two of them.
 */

import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fromUtf8 } from '../../core/bytes.ts'
import { messageOf, WritError } from '../../core/fault.ts'
import { parseJson } from '../../core/json.ts'
import type { AuditEvent } from '../../core/record.ts'
import { newestCheckpoint } from '../log/prove.ts'
import { findBundle, tileWidth } from '../log/tiles.ts'
import { type ReconcileRules, Reconciler, type ReconcileState, type ReconcileTally } from '../reconcile/reconcile.ts'
import type { Auditor } from './auditor.ts'
import { isMissing, writeWhole } from './durable.ts'
import { sourcesIn } from './logfolder.ts'
import { pause } from './pause.ts'

export interface ReconcileOptions {
  /** The log's folder. What is known between two starts lies there too, in `reconcile.json`. */
  readonly dir: string
  readonly note: Auditor['append']
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
  | { readonly kind: 'failed'; readonly detail: string }

export interface Reconciling {
  readonly tally: Readonly<ReconcileTally>
  /** Reads what a checkpoint covers by now, and writes what is due. */
  look(): Promise<void>
  close(): Promise<void>
}

const file = 'reconcile.json'
const version = 1

/** What says nothing about calls and producers need not be parsed; most leaves of a busy log are decisions all the same. */
const outbound = Buffer.from('"direction":"outbound"')
const isOutbound = (bytes: Uint8Array): boolean =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).includes(outbound)

export async function openReconcile(options: ReconcileOptions): Promise<Reconciling> {
  const { dir, rules, note, onEvent, everyMs = 1000, saveEveryMs = 30_000 } = options
  const known = await recall(dir)
  const next = new Map<number, number>(known?.next)
  const reconciler = new Reconciler(rules, known?.state)
  const stopped = new AbortController()
  let savedAtMs = performance.now()
  let failing = false
  let overflow = reconciler.tally.overflow

  const once = async (): Promise<void> => {
    for (const { shard, read } of await sources()) {
      const size = (await newestCheckpoint(read))?.checkpoint.size ?? 0
      for (let from = next.get(shard) ?? 0; from < size; from = next.get(shard)!) {
        const entries = await findBundle(read, Math.floor(from / tileWidth), size)
        if (!entries || entries.length <= from % tileWidth) break // Pruned, cut short, or not there yet.
        for (const bytes of entries.slice(from % tileWidth)) {
          const event = isOutbound(bytes) ? undefined : parseJson(fromUtf8(bytes))
          if (event) reconciler.take(event as unknown as AuditEvent, shard) // What is in the log was parsed when it came.
        }
        next.set(shard, from - (from % tileWidth) + entries.length)
      }
    }
    for (const unmatched of reconciler.due()) {
      await note(unmatched.shard, [unmatched.body])
      reconciler.told(unmatched)
      const { missing, silent, by, request_id, of } = unmatched.body
      onEvent({
        kind: 'unmatched',
        detail: `${by} recorded call ${request_id} (${of}), its ${missing} ${silent} did not`,
      })
    }
    if (reconciler.tally.overflow > overflow) {
      const detail = `${reconciler.tally.overflow - overflow} calls were not compared: too many wait for their other side`
      onEvent({ kind: 'overflow', detail })
      overflow = reconciler.tally.overflow
    }
  }

  let turn: Promise<void> = Promise.resolve()
  const look = (): Promise<void> => {
    const looked = turn.then(once)
    turn = looked.catch(() => undefined)
    return looked
  }

  const sources = () =>
    sourcesIn(dir).catch((thrown: unknown) => {
      if (thrown instanceof WritError && thrown.code === 'not_found') return [] // Nothing came yet.
      throw thrown
    })

  const save = async (): Promise<void> => {
    savedAtMs = performance.now()
    await writeWhole(join(dir, file), JSON.stringify({ v: version, next: [...next], state: reconciler.save() }))
  }

  const run = async (): Promise<void> => {
    while (!stopped.signal.aborted) {
      try {
        await look()
        if (performance.now() - savedAtMs >= saveEveryMs) await save()
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
    tally: reconciler.tally,
    look,
    async close() {
      stopped.abort()
      await running
      await save().catch((thrown: unknown) => onEvent({ kind: 'failed', detail: messageOf(thrown) }))
    },
  }
}

/** What another run knew. A file that cannot be read is none: the log is then read from its beginning. */
async function recall(
  dir: string,
): Promise<{ readonly next: readonly (readonly [number, number])[]; readonly state: ReconcileState } | undefined> {
  try {
    const known = JSON.parse(await readFile(join(dir, file), 'utf8')) as { readonly v?: unknown }
    return known.v === version ? (known as never) : undefined
  } catch (thrown) {
    if (isMissing(thrown) || thrown instanceof SyntaxError) return undefined
    throw thrown
  }
}
