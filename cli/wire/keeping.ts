/** How a log is kept, as the mesh file says: published in an object store, and taken away with age. */

import { s3Place } from '../../audit/node/objects/place.ts'
import { openPublisher, type Publisher } from '../../audit/node/objects/publish.ts'
import { openRetention, type Retention } from '../../audit/node/retention.ts'
import type { Store } from '../../audit/node/store.ts'
import type { KeepingSettings } from '../../control/mesh/keeping.ts'
import type { NowNs } from '../../core/ports.ts'
import { random, sha256 } from './machine.ts'
import type { OnEvent } from './telemetry.ts'

export interface KeepingOptions {
  readonly logDir: string
  readonly keeping?: KeepingSettings
  readonly now: NowNs
  readonly onEvent: OnEvent
}

/** Throws where the place is none, or nothing says in whose name it is written. */
export function publishLog({ keeping, logDir, onEvent }: KeepingOptions): Publisher | undefined {
  if (!keeping?.publish) return undefined
  const { to, everyMs } = keeping.publish
  return openPublisher({
    ...{ logDir, everyMs, sha256, random },
    place: s3Place(to, keeping.s3),
    onEvent: (event) => {
      if (event.kind === 'published') return
      const { message, cure } = event.error
      onEvent({ level: 'warn', from: 'publish', text: `shard ${event.shard}: ${message}${cure ? ` (${cure})` : ''}` })
    },
  })
}

export function retainLog(store: Store, { keeping, logDir, now, onEvent }: KeepingOptions): Retention | undefined {
  if (!keeping?.retention) return undefined
  return openRetention({
    ...{ store, logDir, ...keeping.retention, s3: keeping.s3 },
    nowMs: () => Number(now() / 1_000_000n),
    onEvent: (event) => {
      if (event.kind === 'retained') {
        const { shard, from, before, stay } = event
        const text = `shard ${shard}: entries ${from} to ${before - 1} went with age; ${stay} of them stay`
        onEvent({ level: 'info', from: 'retention', text })
        return
      }
      onEvent({ level: 'warn', from: 'retention', text: `shard ${event.shard}: ${event.error.message}` })
    },
  })
}
