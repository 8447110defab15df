/**
 * Looks at entries once they are stored, and writes what the log tells by itself as entries of it. Beside the auditor:
 * sums are added up in transactions of their own, and only a finding takes a shard's turn. Its cursor moves with the
 * sums, so nothing counts twice and nothing is missed after a crash.
 */

import type { FindingBody } from '../../../core/record.ts'
import type { Alongside, Auditor } from '../../node/auditor.ts'
import type { Store } from '../../node/store.ts'
import type { ArrivedRecord } from '../../store/arrival.ts'
import { sql } from '../../store/drizzle.ts'
import type { Db } from '../../store/schema.ts'
import { rowsOf } from '../../store/sql.ts'
import { skewFinding } from '../bodies.ts'
import type { FindingSettings } from '../settings.ts'
import { Tally } from '../tally.ts'
import { seenAgain } from './again.ts'
import { judgeSums, type Told } from './judge.ts'
import { cursorOf, moveCursor } from './keep.ts'
import { takeIn } from './limit.ts'
import { enqueue } from './queue.ts'
import { judgeMixes, judgeUnused, prune } from './sweep.ts'
import { Waiting } from './waiting.ts'

export interface FinderOptions {
  readonly store: Store
  readonly settings: () => FindingSettings
  /** Where findings are sent. Default nowhere. */
  readonly sinks: () => readonly string[]
  /** SPIFFE id of the auditor itself, whose records have no way to be late on. */
  readonly own: string
  readonly nowMs: () => number
  /** Told of a look that failed; it is tried again. */
  readonly onFault: (thrown: unknown) => void
  /** Time between two looks, in milliseconds. Default 1000. */
  readonly everyMs?: number
}

/** The auditor: of several, each looks at the shards that are its own. */
export type Writer = Pick<Auditor, 'append' | 'owns'>

export interface Finder {
  /** As the auditor calls it. */
  onStored(shard: number, from: number, entries: readonly ArrivedRecord[]): void
  /** Writes by this auditor from now on, and looks on a timer. */
  start(auditor: Writer): Promise<void>
  /** Findings of others, kept and sent as its own are. Does nothing before `start`, or where no shard is this auditor's. */
  tell(found: readonly FindingBody[]): Promise<void>
  /** Looks at everything that is there; for tests, and before an end. */
  look(): Promise<void>
  close(): Promise<void>
}

const minute = 60_000
/** Findings that are written at once. */
const maxWritten = 50

export function makeFinder(options: FinderOptions): Finder {
  const { store, nowMs, own, onFault } = options
  const shards = new Map<number, { readonly waiting: Waiting; cursor: number | undefined; unsure: boolean }>()
  const told: Told = new Map()
  const dirty = new Map<string, number>()
  let auditor: Writer | undefined
  let timer: ReturnType<typeof setInterval> | undefined
  let turn: Promise<void> = Promise.resolve()
  let beganMs: number | undefined
  let nextMinute = 0
  let nextHour = 0
  let behind = false

  function shardOf(shard: number) {
    let known = shards.get(shard)
    if (!known) {
      known = { waiting: new Waiting(), cursor: undefined, unsure: true }
      shards.set(shard, known)
    }
    return known
  }

  /** Until there is nothing more, and then the findings. */
  async function lookAt(shard: number): Promise<void> {
    const one = shardOf(shard)
    for (;;) {
      one.cursor ??= await cursorOf(store.db, shard)
      const cursor = one.cursor
      const next =
        one.waiting.take(cursor) ??
        (one.unsure || !one.waiting.isEmpty ? await seenAgain(store.db, shard, cursor) : undefined)
      if (!next || next.to === cursor) {
        one.unsure = false
        break
      }
      const tally = new Tally()
      for (const seen of next.seen) tally.saw(seen)
      one.cursor = undefined // Until it is known that all of it was kept.
      one.unsure = true
      const moved = await store.transaction(async (tx) => {
        if (!(await moveCursor(tx, shard, cursor, next.to))) return false
        const judged = await judgeSums(tx, tally, { settings: options.settings(), beganMs: await began(tx), told })
        await takeIn(tx, shard, judged, { nowMs: nowMs(), began: await began(tx), settings: options.settings(), told })
        return true
      })
      if (!moved) continue // Another auditor had the shard meanwhile: read where it came to.
      one.cursor = next.to
      for (const { caller, day } of tally.mix.values()) if (dirty.size < 10_000) dirty.set(caller, day)
    }
    await write(shard)
  }

  async function began(db: Db): Promise<number> {
    if (beganMs !== undefined) return beganMs
    const [row] = await rowsOf<{ ms: string | null }>(
      db.execute(sql`select floor(extract(epoch from min(started_at)) * 1000) as ms from epochs`),
    )
    if (row?.ms == null) return nowMs()
    beganMs = Number(row.ms)
    return beganMs
  }

  /** The findings that wait become entries. */
  async function write(shard: number): Promise<void> {
    while (auditor) {
      const waiting = await rowsOf<{ key: string; number: string; body: string }>(
        store.db.execute(sql`select key, number, body from findings
          where shard = ${shard} and id is null order by number limit ${maxWritten}`),
      )
      if (waiting.length === 0) return
      const bodies = waiting.map(({ body }) => JSON.parse(body) as FindingBody)
      const alongside: Alongside = async (tx, ids) => {
        const named = JSON.stringify(waiting.map(({ key }, i) => ({ key, id: ids[i] })))
        const done = await rowsOf(
          tx.execute(sql`update findings set id = r.id from json_to_recordset(${named}::json) as r(key text, id text)
            where findings.key = r.key and findings.id is null returning findings.key`),
        )
        if (done.length !== waiting.length) throw new Error('another auditor wrote these findings at the same time')
        const numbers = waiting.map(({ number }) => Number(number))
        for (const sink of options.sinks()) await enqueue(tx, sink, numbers)
      }
      await auditor.append(shard, bodies, alongside)
    }
  }

  async function slowly(): Promise<void> {
    const now = nowMs()
    const settings = options.settings()
    const shard = Math.min(...shards.keys())
    if (!Number.isFinite(shard)) return
    if (now >= nextMinute) {
      nextMinute = now + minute
      const skews = [...shards.values()].flatMap(({ waiting }) => waiting.skews(settings.clockSkewMs))
      const some = [...dirty].slice(0, 200)
      for (const [caller] of some) dirty.delete(caller)
      await store.transaction(async (tx) => {
        const mixes = await judgeMixes(tx, some, settings)
        const all = [...skews.map((skew) => skewFinding(skew, now)), ...mixes]
        await takeIn(tx, shard, all, { nowMs: now, began: await began(tx), settings, told })
      })
    }
    if (now >= nextHour) {
      await store.transaction(async (tx) => {
        const unused = await judgeUnused(tx, now, settings)
        await takeIn(tx, shard, unused, { nowMs: now, began: await began(tx), settings, told })
        await prune(tx, now)
      })
      nextHour = now + 60 * minute
    }
  }

  async function tellNow(found: readonly FindingBody[]): Promise<void> {
    const shard = [...shards.keys()].find((one) => auditor?.owns(one))
    if (shard === undefined) return
    await store.transaction(async (tx) => {
      await takeIn(tx, shard, found, { nowMs: nowMs(), began: await began(tx), settings: options.settings(), told })
    })
    await write(shard)
  }

  async function lookOnce(): Promise<void> {
    try {
      const own = [...shards.keys()].filter((shard) => auditor?.owns(shard) !== false)
      for (const shard of own) await lookAt(shard)
      await slowly()
      for (const shard of own) await write(shard)
      behind = false
    } catch (thrown) {
      if (!behind) onFault(thrown)
      behind = true
    }
  }

  const look = (): Promise<void> => {
    turn = turn.then(lookOnce)
    return turn
  }

  return {
    onStored(shard, from, entries) {
      shardOf(shard).waiting.offer(from, entries, own, nowMs())
    },
    async start(by) {
      auditor = by
      const rows = await rowsOf<{ shard: number }>(store.db.execute(sql`select distinct shard from epochs`))
      for (const { shard } of rows) shardOf(Number(shard))
      let looking = false
      timer = setInterval(async () => {
        if (looking) return
        looking = true
        await look()
        looking = false
      }, options.everyMs ?? 1000)
      timer.unref()
    },
    tell(found) {
      const telling = turn.then(() => tellNow(found))
      turn = telling.catch(() => undefined)
      return telling
    },
    look,
    async close() {
      clearInterval(timer)
      await look()
      auditor = undefined
    },
  }
}
