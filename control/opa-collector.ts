/** Keeps decision logs that OPA uploads, at least once each by its own rule, as records of this process's own producer. */

import { toHex, utf8 } from '../core/bytes.ts'
import type { RecordSink, Sha256 } from '../core/ports.ts'
import type { SpiffeId } from '../core/spiffe.ts'
import { bodyOf, malformedBody, type OpaEventRead, readOpaEvent } from './opa-event.ts'

/** What the collector answers. OPA does not read it; who wants to know what was kept does. */
export interface OpaKept {
  /** Records that are kept now, the malformed ones among them. */
  readonly kept: number
  /** Events that were kept before, byte for byte. */
  readonly repeated: number
  /** Items of the array that are no events. */
  readonly malformed: readonly { readonly index: number; readonly why: string }[]
}

export type CollectOpa = (workload: SpiffeId, items: readonly string[]) => Promise<OpaKept>

/** Events that are handed to the sink before the next ones are read: they share one sync. */
const atOnce = 256

interface Recent {
  readonly sha256: string
  readonly kept: Promise<unknown>
}

interface Keeping {
  readonly known: boolean
  readonly kept: Promise<unknown>
}

/**
 * Throws a WritError `audit_unavailable` where a record was not kept; those before it are, and when all come again they
 * are known. `remembered` is how many events are known at a time, of all senders together: beyond it the oldest are
 * forgotten, and are kept once more if they come again.
 */
export function makeOpaCollector(sink: RecordSink, sha256: Sha256, remembered = 65_536): CollectOpa {
  const recent = new Map<string, Recent>()
  const digestOf = (text: string): string => toHex(sha256(utf8(text)))

  /**
   * Another event of the same id is kept beside the first and says so: who sends an id early drops no decision by it.
   * One that is only being kept is not yet known to be: who sends it again waits for the same answer.
   */
  function keep(workload: SpiffeId, text: string, read: OpaEventRead): Keeping {
    const digest = digestOf(text)
    const key = digestOf(`${workload} ${read.ok ? read.event.decision_id : `${digest} malformed`}`).slice(0, 32)
    const known = recent.get(key)
    if (known?.sha256 === digest) return { known: true, kept: known.kept }
    const body = read.ok ? bodyOf(workload, read.event, sha256) : malformedBody(workload, text, read.why, sha256)
    const kept = (async () => sink.keep(known ? { ...body, repeats: true } : body))()
    const entry = { sha256: digest, kept }
    recent.set(key, entry)
    if (recent.size > remembered) recent.delete(recent.keys().next().value!)
    kept.catch(() => recent.get(key) === entry && recent.delete(key))
    return { known: false, kept }
  }

  return async (workload, items) => {
    let repeated = 0
    const malformed: { index: number; why: string }[] = []
    for (let from = 0; from < items.length; from += atOnce) {
      const keeping: Promise<unknown>[] = []
      for (const [i, item] of items.slice(from, from + atOnce).entries()) {
        const text = item.trim()
        const read = readOpaEvent(text)
        if (!read.ok) malformed.push({ index: from + i, why: read.why })
        const { known, kept } = keep(workload, text, read)
        if (known) repeated++
        keeping.push(kept)
      }
      const settled = await Promise.allSettled(keeping)
      const failed = settled.find((it) => it.status === 'rejected')
      if (failed) throw failed.reason
    }
    return { kept: items.length - repeated, repeated, malformed }
  }
}
