/**
 * Publishes the log below a folder in an object store, beside whoever writes the folder. Nothing waits for it, and nothing
 * is queued for it: what the store lacks is in the folder, and is brought there once the store answers again.
 */

import { join } from 'node:path'
import { WritError } from '../../../core/fault.ts'
import type { RandomBytes, Sha256 } from '../../../core/ports.ts'
import { shardsIn } from '../logfolder.ts'
import { backOff } from '../pause.ts'
import { type Mirror, mirrorOf } from './mirror.ts'
import { requireCredentials, type S3Place } from './place.ts'
import { openObjects } from './s3.ts'

export interface PublisherSettings {
  /** A numbered folder per shard below it. */
  readonly logDir: string
  readonly place: S3Place
  /** Time between two rounds, in milliseconds. Default 10 000: an object store takes money for each request. */
  readonly everyMs?: number
  readonly sha256: Sha256
  readonly random: RandomBytes
  readonly onEvent: (event: PublishEvent) => void
}

export type PublishEvent =
  | { readonly kind: 'published'; readonly shard: number; readonly size: number }
  /** Told once for each new reason; tried again meanwhile. */
  | { readonly kind: 'publish_failed'; readonly shard: number; readonly error: WritError }

export interface Publisher {
  start(): void
  /** One round over all shards now, whatever waits; resolves when it is over. Failures are told as events. */
  round(): Promise<void>
  /** One round more, for what was signed last, then nothing. Longest 10 seconds. */
  close(): Promise<void>
}

/** Longest pause after failures, in milliseconds. */
const longestPauseMs = 300_000
const closeMs = 10_000

interface Standing {
  readonly mirror: Mirror
  failures: number
  retryAtMs: number
  told: string | undefined
  size: number | undefined
}

/** Throws `config_invalid` where there are no credentials to write with. */
export function openPublisher(settings: PublisherSettings): Publisher {
  const { logDir, place, onEvent, everyMs = 10_000 } = settings
  requireCredentials(place)
  const closing = new AbortController()
  const objects = openObjects(place, { signal: closing.signal })
  const standings = new Map<number, Standing>()
  let running: Promise<void> | undefined
  let timer: ReturnType<typeof setTimeout> | undefined
  let closed = false

  function standingOf(shard: number): Standing {
    const name = String(shard)
    const mirror = () => mirrorOf({ dir: join(logDir, name), objects: objects.below(name), sha256: settings.sha256 })
    const standing = standings.get(shard) ?? {
      mirror: mirror(),
      failures: 0,
      retryAtMs: 0,
      told: undefined,
      size: undefined,
    }
    standings.set(shard, standing)
    return standing
  }

  async function publish(shard: number): Promise<void> {
    const standing = standingOf(shard)
    try {
      const size = await standing.mirror.round()
      if (size !== undefined && size !== standing.size) onEvent({ kind: 'published', shard, size })
      Object.assign(standing, { size, failures: 0, retryAtMs: 0, told: undefined })
    } catch (thrown) {
      if (closing.signal.aborted) return
      const error =
        thrown instanceof WritError
          ? thrown
          : new WritError('internal', `publishing: ${String(thrown)}`, { cause: thrown })
      const pauseMs = backOff(standing.failures++, { first: everyMs, most: longestPauseMs }, settings.random)
      standing.retryAtMs = performance.now() + pauseMs
      if (standing.told !== error.message) onEvent({ kind: 'publish_failed', shard, error })
      standing.told = error.message
    }
  }

  /** One at a time: whoever comes meanwhile waits for it, and then has one of its own. */
  async function round(due: (standing: Standing) => boolean): Promise<void> {
    while (running) await running
    running = (async () => {
      for (const shard of (await shardsIn(logDir)) ?? []) if (due(standingOf(shard))) await publish(shard)
    })().finally(() => {
      running = undefined
    })
    await running
  }

  const turn = (): void => {
    void round(({ retryAtMs }) => performance.now() >= retryAtMs)
      .catch((thrown: unknown) => onEvent({ kind: 'publish_failed', shard: 0, error: unreadable(logDir, thrown) }))
      .then(() => {
        if (!closed) timer = setTimeout(turn, everyMs)
      })
  }

  return {
    start: () => {
      if (!closed && !timer && !running) turn()
    },
    round: () => round(() => true),
    close: async () => {
      if (closed) return
      closed = true
      clearTimeout(timer)
      const late = setTimeout(() => closing.abort(), closeMs)
      await round(({ failures }) => failures === 0).catch(() => undefined) // The next start goes on from there.
      clearTimeout(late)
      closing.abort()
    },
  }
}

const unreadable = (dir: string, thrown: unknown): WritError =>
  new WritError('unavailable', `${dir} cannot be read: ${String(thrown)}`, { cause: thrown })
