/** Sends findings from their queue, in order and at least once: one that fails holds up the others, a little longer each time. */

import { messageOf } from '../../../core/fault.ts'
import type { Db } from '../../store/schema.ts'
import { type Delivery, delivered, failedOnce, giveUp, waitingFor } from './queue.ts'

/** Rejects where the receiver did not take it. */
export type SendFinding = (finding: Delivery) => Promise<void>

export interface DeliveryOptions {
  readonly db: Db
  readonly sink: string
  readonly send: SendFinding
  /** Told of the first failure after a success. */
  readonly onFault: (text: string) => void
  /** Time between two looks, in milliseconds. Default 1000. */
  readonly everyMs?: number
  /** Longest pause after failures, in milliseconds. Default 5 minutes. */
  readonly maxPauseMs?: number
  /** Attempts after which one is dropped and counted. Default 100, which is about eight hours. */
  readonly maxAttempts?: number
}

export interface Delivering {
  close(): Promise<void>
}

export function startDelivery(options: DeliveryOptions): Delivering {
  const { db, sink, send, onFault, everyMs = 1000, maxPauseMs = 300_000, maxAttempts = 100 } = options
  let closed = false
  let failures = 0
  let wake = (): void => undefined
  let timer: ReturnType<typeof setTimeout> | undefined

  async function round(): Promise<void> {
    for (;;) {
      const some = await waitingFor(db, sink, 50)
      if (some.length === 0) return
      for (const one of some) {
        if (closed) return
        try {
          await send(one)
          await delivered(db, sink, one.number)
          failures = 0
        } catch (thrown) {
          if (failures++ === 0) onFault(messageOf(thrown))
          await (one.attempts + 1 >= maxAttempts ? giveUp(db, sink, one.number) : failedOnce(db, sink, one.number))
          return
        }
      }
    }
  }

  const running = (async () => {
    while (!closed) {
      await round().catch((thrown: unknown) => {
        if (failures++ === 0) onFault(messageOf(thrown))
      })
      const pauseMs = failures === 0 ? everyMs : Math.min(everyMs * 2 ** Math.min(failures, 20), maxPauseMs)
      await new Promise<void>((resolve) => {
        wake = resolve
        timer = setTimeout(resolve, closed ? 0 : pauseMs)
      })
    }
  })()

  return {
    async close() {
      closed = true
      clearTimeout(timer)
      wake()
      await running
    },
  }
}
