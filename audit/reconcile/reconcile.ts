/**
 * Joins what the two proxies of a call recorded. A call that only one of them knows, after both have had their time, is
 * told: that is how a proxy that leaves records out is caught. State is a mutable value, bounded by count and by time.
 *
 * An answered call must be in the records of the callee: under the decision that its answer named, else under its request
 * id. A decision about a caller with a sidecar must be among that sidecar's calls. Whoever has a gap in what has arrived,
 * or said that it could not record, is explained by that, which is told elsewhere.
 */

import type { AuditEvent, UnmatchedBody } from '../../core/record.ts'
import type { SpiffeId } from '../../core/spiffe.ts'
import { formatMs } from '../../core/time.ts'
import { isAuditor } from '../verify/records.ts'
import { Producers } from './producers.ts'
import { decisionOf, idsOf, type Sighting, sightingsOf, timeOf } from './sightings.ts'

export interface ReconcileRules {
  /** Who has a sidecar that judges what comes in, and who one that calls. Default: whoever was seen to. */
  readonly inbound?: () => ReadonlySet<string>
  readonly outbound?: () => ReadonlySet<string>
  /** Time that a record of the other side gets after both have signed for it, in milliseconds. Default 60 000. */
  readonly windowMs?: number
  /** Time after which nobody waits for a signature any more, in milliseconds. Default 6 hours. */
  readonly patienceMs?: number
  /** Most sightings that wait for their other side; the oldest goes for one more. Default 200 000. */
  readonly maxWaiting?: number
}

export interface ReconcileTally {
  matched: number
  unmatched: number
  /** Missing where a gap, or a count of what could not be recorded, says why. */
  explained: number
  /** Fell out for want of room, or since records of their time could not be read: judged by nobody. */
  overflow: number
}

/** What tells a state again in another process. */
export interface ReconcileState {
  readonly waiting: readonly Sighting[]
  readonly producers: ReturnType<Producers['save']>
  readonly nowMs: number
  readonly unseenMs: number
  readonly tally: ReconcileTally
}

export interface Unmatched {
  readonly shard: number
  /** Of the sighting. */
  readonly id: string
  readonly body: UnmatchedBody
}

const defaultWindowMs = 60_000

const keyOf = ({ requestId, caller, callee }: Sighting): string => `${requestId} ${caller} ${callee}`

export class Reconciler {
  readonly tally: ReconcileTally = { matched: 0, unmatched: 0, explained: 0, overflow: 0 }
  /** By id, the oldest first. */
  readonly #waiting = new Map<string, Sighting>()
  /** Callers' sightings by the decision they name, and all by their key: ids. */
  readonly #naming = new Map<string, string>()
  readonly #keys = new Map<string, string[]>()
  readonly #producers = new Producers()
  readonly #rules: ReconcileRules
  /** Time of the log: the newest record's. */
  #nowMs = 0
  /** Records up to this time were not all seen. */
  #unseenMs = 0

  constructor(rules: ReconcileRules = {}, state?: ReconcileState) {
    this.#rules = rules
    if (!state) return
    this.#producers.restore(state.producers)
    for (const sighting of state.waiting) this.#wait(sighting)
    this.#nowMs = state.nowMs
    this.#unseenMs = state.unseenMs
    Object.assign(this.tally, state.tally)
  }

  get waiting(): number {
    return this.#waiting.size
  }

  save(): ReconcileState {
    const waiting = [...this.#waiting.values()]
    return {
      waiting,
      producers: this.#producers.save(),
      nowMs: this.#nowMs,
      unseenMs: this.#unseenMs,
      tally: { ...this.tally },
    }
  }

  /** One record of the log. The auditor's word that a call is unmatched means that nobody has to say it again. */
  take(event: AuditEvent, shard: number): void {
    this.#nowMs = Math.max(this.#nowMs, timeOf(event.timestamp))
    this.#producers.take(event)
    if (event.kind === 'unmatched' && isAuditor(event.producer)) {
      const of: unknown = (event as AuditEvent<UnmatchedBody>).of
      if (typeof of === 'string') for (const id of idsOf(of)) this.#forget(id)
    }
    for (const sighting of sightingsOf(event, shard)) this.#see(sighting)
  }

  /** Some records up to that time cannot be read, so no call of until then can be said to lack its other side. */
  passOver(untilMs: number): void {
    const { windowMs = defaultWindowMs } = this.#rules
    this.#unseenMs = Math.max(this.#unseenMs, untilMs + windowMs)
    for (const { id, atMs } of this.#waiting.values()) {
      if (atMs > this.#unseenMs) continue
      this.#forget(id)
      this.tally.overflow++
    }
  }

  /** Calls whose other side has had its time. They are forgotten once `told` says that the log has them. */
  due(): readonly Unmatched[] {
    const { windowMs = defaultWindowMs, patienceMs = 6 * 3_600_000 } = this.#rules
    const found: Unmatched[] = []
    for (const sighting of this.#waiting.values()) {
      const { atMs } = sighting
      if (this.#nowMs < atMs + windowMs) break // Those that follow are younger, or nearly so.
      const silent = sighting.side === 'caller' ? sighting.callee : sighting.caller
      const by = sighting.side === 'caller' ? sighting.caller : sighting.callee
      const signed = Math.min(this.#producers.signedTo(silent), this.#producers.signedTo(by))
      if (signed < atMs + windowMs && this.#nowMs < atMs + patienceMs) continue
      if (!this.#isExpected(sighting, silent)) this.#forget(sighting.id)
      else if (this.#producers.explains(silent, atMs)) {
        this.#forget(sighting.id)
        this.tally.explained++
      } else found.push({ shard: sighting.shard, id: sighting.id, body: bodyOf(sighting, silent, by) })
    }
    return found
  }

  told({ id }: Unmatched): void {
    this.#forget(id)
    this.tally.unmatched++
  }

  #isExpected({ side, answered }: Sighting, silent: string): boolean {
    const { inbound, outbound } = this.#rules
    if (side === 'caller') return answered === true && (inbound?.().has(silent) ?? this.#producers.isKnown(silent))
    return outbound?.().has(silent) ?? this.#producers.calls(silent)
  }

  #see(sighting: Sighting): void {
    const other = sighting.side === 'caller' ? this.#calleesOf(sighting) : this.#callerOf(sighting)
    if (other) {
      this.#forget(other)
      this.tally.matched++
      // Of a call that was sent twice the callee may tell two decisions: the call waits for the second one.
      if (!sighting.again) return
    }
    const { named: _, ...unnamed } = sighting
    this.#wait(other ? { ...unnamed, answered: false } : sighting)
  }

  /** The decision that the answer named; where it named none, one about a call of this id between the two. */
  #calleesOf({ named, ...sighting }: Sighting): string | undefined {
    if (named !== undefined) {
      const decision = this.#waiting.get(named)
      return decision?.side === 'callee' && keyOf(decision) === keyOf(sighting) ? named : undefined
    }
    return this.#keys.get(keyOf(sighting))?.find((id) => this.#waiting.get(id)?.side === 'callee')
  }

  #callerOf(sighting: Sighting): string | undefined {
    const by = this.#naming.get(sighting.id)
    const naming = by === undefined ? undefined : this.#waiting.get(by)
    if (naming) return keyOf(naming) === keyOf(sighting) ? by : undefined
    const isOpen = (id: string): boolean => {
      const other = this.#waiting.get(id)
      return other?.side === 'caller' && other.named === undefined
    }
    return this.#keys.get(keyOf(sighting))?.find(isOpen)
  }

  #wait(sighting: Sighting): void {
    const { maxWaiting = 200_000 } = this.#rules
    if (this.#waiting.has(sighting.id) || sighting.atMs <= this.#unseenMs) return
    if (this.#waiting.size >= maxWaiting) {
      this.#forget(this.#waiting.keys().next().value!)
      this.tally.overflow++
    }
    this.#waiting.set(sighting.id, sighting)
    const key = keyOf(sighting)
    const ids = this.#keys.get(key)
    if (ids) ids.push(sighting.id)
    else this.#keys.set(key, [sighting.id])
    if (sighting.named !== undefined) this.#naming.set(sighting.named, sighting.id)
  }

  #forget(id: string): void {
    const sighting = this.#waiting.get(id)
    if (!sighting) return
    this.#waiting.delete(id)
    if (sighting.named !== undefined) this.#naming.delete(sighting.named)
    const key = keyOf(sighting)
    const ids = this.#keys.get(key)?.filter((other) => other !== id) ?? []
    if (ids.length > 0) this.#keys.set(key, ids)
    else this.#keys.delete(key)
  }
}

const bodyOf = ({ side, id, requestId, atMs }: Sighting, silent: string, by: string): UnmatchedBody => ({
  kind: 'unmatched',
  missing: side === 'caller' ? 'callee' : 'caller',
  silent: silent as SpiffeId,
  of: decisionOf(id),
  request_id: requestId,
  by: by as SpiffeId,
  at: formatMs(atMs),
})
