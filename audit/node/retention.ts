/**
 * Retention by schedule: what `writ audit retain` does by hand, once a day, beside the auditor, which waits for none of it.
 * When it ran last, and what came of it, is `retention.json` in the log's folder.
 */

import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { WritError } from '../../core/fault.ts'
import { isObject, parseJson } from '../../core/json.ts'
import { formatMs } from '../../core/time.ts'
import { writeWhole } from './durable.ts'
import { shardsIn } from './logfolder.ts'
import { type RetainParts, type RetainPlan, runRetention } from './retain.ts'

export interface RetentionSettings extends Pick<RetainParts, 'store' | 'logDir' | 'archive' | 's3'> {
  /** Age at which entries go, in milliseconds. */
  readonly keepMs: number
  /** Time between two runs, in milliseconds. */
  readonly everyMs: number
  readonly nowMs: () => number
  readonly onEvent: (event: RetentionEvent) => void
  /** Entries that go at a time, which a run repeats until nothing is due. Default 1 048 576: 32 files of an archive. */
  readonly most?: number
  /** Longest wait for the entry that says what goes, in milliseconds. Default 30 000. */
  readonly waitMs?: number
}

export type RetentionEvent =
  | ({ readonly kind: 'retained' } & RetainPlan)
  /** Nothing of that log went; tried again within the hour. */
  | { readonly kind: 'retention_failed'; readonly shard: number; readonly error: WritError }

export const retentionFile = 'retention.json'

/** What is told of the last run. */
export interface RetentionState {
  readonly v: 1
  readonly at: string
  readonly shards: readonly {
    readonly shard: number
    /** Entries before it are gone, but for those that stay. */
    readonly before: number
    /** Why nothing went. */
    readonly fault?: string
  }[]
}

export interface Retention {
  start(): void
  /** One run now over all logs. Failures are told as events. */
  run(): Promise<void>
  /** Resolves once nothing of it runs any more: archiving is ended, what has begun to go is gone. */
  close(): Promise<void>
}

const mostAtOnce = 1 << 20
/** Time after which a run that failed is repeated, and the longest sleep, in milliseconds: timers count no longer than 24 days. */
const hourMs = 3_600_000

export function openRetention(settings: RetentionSettings): Retention {
  const { store, logDir, archive, s3, keepMs, everyMs, nowMs, onEvent, most = mostAtOnce } = settings
  let timer: ReturnType<typeof setTimeout> | undefined
  let running: Promise<void> | undefined
  const closing = new AbortController()

  async function retain(shard: number): Promise<RetentionState['shards'][number]> {
    const olderThan = formatMs(Math.max(0, nowMs() - keepMs))
    const parts = {
      ...{ store, logDir, shard, olderThan, most, signal: closing.signal },
      ...(archive !== undefined && { archive }),
      ...(s3 && { s3 }),
    }
    let before = 0
    try {
      for (;;) {
        const done = await runRetention(parts, settings.waitMs)
        before = done.before
        if (done.before > done.from) onEvent({ kind: 'retained', ...done })
        if (done.before - done.from < most || closing.signal.aborted) return { shard, before }
      }
    } catch (thrown) {
      if (closing.signal.aborted) return { shard, before }
      const error =
        thrown instanceof WritError
          ? thrown
          : new WritError('internal', `retention: ${String(thrown)}`, { cause: thrown })
      onEvent({ kind: 'retention_failed', shard, error })
      return { shard, before, fault: error.message }
    }
  }

  async function runAll(): Promise<void> {
    const shards: RetentionState['shards'][number][] = []
    for (const shard of (await shardsIn(logDir)) ?? []) if (!closing.signal.aborted) shards.push(await retain(shard))
    if (shards.length === 0 || closing.signal.aborted) return // What was left undone is due at the next start.
    const state: RetentionState = { v: 1, at: formatMs(nowMs()), shards }
    await writeWhole(join(logDir, retentionFile), `${JSON.stringify(state)}\n`)
  }

  const run = (): Promise<void> => {
    running ??= runAll().finally(() => {
      running = undefined
    })
    return running
  }

  const turn = async (): Promise<void> => {
    const state = await readRetention(logDir)
    if (nowMs() < dueMs(state, everyMs)) return
    await run()
  }
  const wait = (ms: number): void => {
    if (closing.signal.aborted) return
    timer = setTimeout(() => {
      void turn()
        .catch((thrown: unknown) => {
          const error = new WritError('internal', `retention: ${String(thrown)}`, { cause: thrown })
          onEvent({ kind: 'retention_failed', shard: 0, error })
        })
        .then(() => wait(Math.min(everyMs, hourMs) / 4))
    }, ms)
  }

  return {
    start: () => {
      if (!timer) wait(Math.min(everyMs, 10_000)) // A process that has just started has other things to do.
    },
    run,
    close: async () => {
      closing.abort()
      clearTimeout(timer)
      await running?.catch(() => undefined)
    },
  }
}

/** When the next run is due: at once where there was none, within the hour where something failed. */
export function dueMs(state: RetentionState | undefined, everyMs: number): number {
  if (!state) return 0
  const failed = state.shards.some(({ fault }) => fault !== undefined)
  return Date.parse(state.at) + (failed ? Math.min(everyMs, hourMs) : everyMs)
}

/** Undefined where it never ran, or what it left cannot be read. */
export async function readRetention(logDir: string): Promise<RetentionState | undefined> {
  const text = await readFile(join(logDir, retentionFile), 'utf8').catch(() => '')
  const state = parseJson(text)
  const whole =
    isObject(state) &&
    state['v'] === 1 &&
    Array.isArray(state['shards']) &&
    !Number.isNaN(Date.parse(String(state['at'])))
  return whole ? (state as unknown as RetentionState) : undefined
}
