/**
 * Decisions that were made before, by what was read for them. Bounded in entries and in bytes, and in two parts: what was
 * asked once waits in a short queue, and only what is asked again moves on to the long one, where each use gives it
 * another turn. So whoever asks for ever new things throws out little but what he asked himself.
 */

import type { Decision } from '../core/decision.ts'
import { frozen } from './frozen.ts'

export interface CacheLimits {
  /** Decisions that are kept; 0 keeps none. Default 16 384. */
  readonly maxEntries?: number
  /** Memory that they and their keys may take, in bytes, as far as that can be told. Default 8 MiB. */
  readonly maxBytes?: number
  /** Longest key, in characters, at most 32 768; a decision about more than that is made anew each time. Default 1024. */
  readonly maxKey?: number
}

export interface DecisionCache {
  get(key: string): Decision | undefined
  /** Must not be there yet. */
  add(key: string, decision: Decision): void
  /** What is held now. */
  size(): { readonly entries: number; readonly bytes: number }
}

interface Entry {
  readonly decision: Decision
  readonly bytes: number
  used: boolean
}

/** A queue in the order of arrival. */
interface Queue {
  readonly entries: Map<string, Entry>
  readonly maxEntries: number
  readonly maxBytes: number
  bytes: number
}

/** Share of the queue for what was asked once. */
const newShare = 1 / 4
/** Most entries that one addition gives another turn, so that no request waits for many. */
const maxTurns = 8
/** What an entry takes beside its texts. */
const entryBytes = 256

/** Undefined where nothing is to be kept. */
export function makeCache(limits: CacheLimits = {}): DecisionCache | undefined {
  const { maxEntries = 16_384, maxBytes = 8 * 1024 ** 2, maxKey = 1024 } = limits
  if (maxKey > 32_768) throw new RangeError(`keys of ${maxKey} characters are too long to be told apart`)
  if (maxEntries < 2 || maxBytes < 2 * entryBytes) return undefined
  const once = queueOf(maxEntries, maxBytes, newShare)
  const often = queueOf(maxEntries, maxBytes, 1 - newShare)

  const moveOn = (key: string, entry: Entry): void => {
    take(once, key, entry)
    put(often, key, entry)
    for (let turns = 0; isFull(often); turns++) {
      const [oldest, first] = often.entries.entries().next().value!
      take(often, oldest, first)
      if (first.used && turns < maxTurns) {
        first.used = false
        put(often, oldest, first)
      }
    }
  }

  return {
    get(key) {
      const known = often.entries.get(key)
      if (known) {
        known.used = true
        return known.decision
      }
      const entry = once.entries.get(key)
      if (entry) moveOn(key, entry)
      return entry?.decision
    },
    add(key, decision) {
      if (key.length > maxKey) return
      const bytes = entryBytes + 2 * key.length + textBytes(decision)
      if (bytes > once.maxBytes) return
      put(once, key, { decision: frozen(decision), bytes, used: false })
      while (isFull(once)) {
        const [oldest, first] = once.entries.entries().next().value!
        take(once, oldest, first)
      }
    },
    size: () => ({ entries: once.entries.size + often.entries.size, bytes: once.bytes + often.bytes }),
  }
}

const queueOf = (maxEntries: number, maxBytes: number, share: number): Queue => ({
  entries: new Map(),
  maxEntries: Math.max(1, Math.floor(maxEntries * share)),
  maxBytes: Math.floor(maxBytes * share),
  bytes: 0,
})

const isFull = ({ entries, bytes, maxEntries, maxBytes }: Queue): boolean =>
  entries.size > maxEntries || bytes > maxBytes

function put(queue: Queue, key: string, entry: Entry): void {
  queue.entries.set(key, entry)
  queue.bytes += entry.bytes
}

function take(queue: Queue, key: string, entry: Entry): void {
  queue.entries.delete(key)
  queue.bytes -= entry.bytes
}

/** Of reasons, headers and body; what all decisions of a policy share is not counted. */
function textBytes(decision: Decision): number {
  const { from: _, ...own } = decision
  // Most decisions allow and say no more, and need not be written to be counted.
  const isPlain = own.verdict === 'allow' && own.code === 'allowed' && own.reasons.length === 0 && !own.effects
  return isPlain ? plainBytes : 2 * JSON.stringify(own).length
}

const plainBytes = 2 * JSON.stringify({ verdict: 'allow', code: 'allowed', reasons: [] }).length
