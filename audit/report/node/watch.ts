/** Looks at the newest time again and again, and tells of each check that says something else than before. */

import type { ComplianceReport } from '../../../core/compliance.ts'
import { messageOf } from '../../../core/fault.ts'
import type { FindingBody } from '../../../core/record.ts'
import { turnedFinding } from '../../findings/bodies.ts'
import { checksIn } from '../../query/node/checks.ts'
import type { Db } from '../../store/schema.ts'

export interface WatchOptions {
  readonly db: Db
  /** Every check over a time, milliseconds since 1970. */
  readonly report: (fromMs: number, toMs: number) => Promise<ComplianceReport>
  readonly tell: (found: readonly FindingBody[]) => Promise<void>
  /** How much time is looked at, and how often; milliseconds. */
  readonly periodMs: number
  readonly everyMs: number
  /** Whether this auditor is the one that looks. */
  readonly mayLook: () => boolean
  readonly nowMs: () => number
  /** Told of a look that failed, once for each cause; the next one tries again. */
  readonly onFault: (thrown: unknown) => void
}

export interface Watch {
  look(): Promise<void>
  /** End of the last look that succeeded, RFC 3339. */
  lookedAt(): string | undefined
  close(): Promise<void>
}

/** Time from the start to the first look, in milliseconds: there is a checkpoint by then. */
const firstMs = 10_000

export function openWatch(options: WatchOptions): Watch {
  const { db, report, tell, periodMs, everyMs, mayLook, nowMs, onFault } = options
  let lookedAt: string | undefined
  let turn: Promise<void> = Promise.resolve()

  /** A check that was never told of had not enough to tell: so what is new is a turn too, and is told once. */
  async function lookOnce(): Promise<void> {
    const toMs = nowMs()
    const made = await report(toMs - periodMs, toMs)
    const before = new Map((await checksIn(db)).map(({ check, turns }) => [check, turns[0]!.is]))
    const turned = made.checks.flatMap((check) => {
      const was = before.get(check.id) ?? 'insufficient-data'
      return was === check.verdict ? [] : [turnedFinding(check, was, made)]
    })
    if (turned.length > 0) await tell(turned)
    lookedAt = made.to
  }

  const look = (): Promise<void> => {
    const looking = turn.then(lookOnce)
    turn = looking.catch(() => undefined)
    return looking
  }
  let timer: ReturnType<typeof setTimeout>
  let fault = ''
  const wait = (ms: number): void => {
    timer = setTimeout(async () => {
      try {
        if (mayLook()) await look()
        fault = ''
      } catch (thrown) {
        if (fault !== messageOf(thrown)) onFault(thrown)
        fault = messageOf(thrown)
      }
      if (!closed) wait(everyMs)
    }, ms)
    timer.unref()
  }
  let closed = false
  wait(Math.min(everyMs, firstMs))
  return {
    look,
    lookedAt: () => lookedAt,
    async close() {
      closed = true
      clearTimeout(timer)
      await turn
    },
  }
}
