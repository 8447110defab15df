/** One producer while it lives: its sink, its outcomes, its counted refusals, its heads and its end. */

import { hash } from 'node:crypto'
import { messageOf, WritError } from '../../core/fault.ts'
import type { Disclosures } from '../../core/personal.ts'
import type { IdentitySource, NowNs, RecordSink, Sha256, SignHead } from '../../core/ports.ts'
import { type EventBody, parseDecisionId, type RecordId, type StartBody } from '../../core/record.ts'
import type { AuditSettings } from '../../core/snapshot.ts'
import type { SpiffeId } from '../../core/spiffe.ts'
import { addCall, callsDue, newCalls, takeCalls } from '../stream/calls.ts'
import { type Demand, demandOf } from '../stream/demand.ts'
import { droppedBody } from '../stream/dropped.ts'
import type { OnNotice } from '../stream/notice.ts'
import { addOutcome, newOutcomes, outcomesDue, takeOutcomes } from '../stream/outcomes.ts'
import { headDue, type Producer, type Sealed, seal, sealHead, sealStart } from '../stream/producer.ts'
import { countRefusal, newRefusals, takeRefusals } from '../stream/refusals.ts'
import { countSuppressed, isSuppressing, newSuppressed, suppressedBody, toldOf } from '../stream/suppressed.ts'
import { type Author, Unwritten, type Writer } from './recorder-write.ts'
import type { Channel, Spool } from './spool.ts'

export interface ProducerPorts {
  readonly id: SpiffeId
  readonly source: IdentitySource
  readonly signHead: SignHead
  /** What its listeners can agree on, for its start to say. Default it has none. */
  readonly tls?: StartBody['tls']
}

export interface Live extends Author {
  readonly sink: RecordSink & { close(): Promise<void> }
  /** Nothing of it is written any more. */
  readonly ended: boolean
  start(software: string, previous: StartBody['previous'] | undefined): Promise<void>
  /** Does what is due. */
  tick(): void
  /** Never started: nothing of it is left. */
  abandon(): void
}

export interface LiveOptions {
  readonly producer: Producer
  readonly channel: Channel
  readonly ports: ProducerPorts
  readonly spool: Spool
  readonly writer: Writer
  readonly settings: AuditSettings
  readonly now: NowNs
  readonly sha256: Sha256
  readonly onNotice: OnNotice
  /** Seals what travels beside a record; undefined where nobody would ever open it. */
  readonly seal?: ((disclosures: Disclosures) => Uint8Array | undefined) | undefined
}

const refusalsEveryMs = 1000
/** Time that dropped decisions wait for the record that tells of them, in milliseconds. */
const droppedEveryMs = 1000
/** Time between two attempts to tell of decisions without a record, in milliseconds. */
const tellEveryMs = 250

export function newLive(options: LiveOptions): Live {
  const { producer, channel, ports, spool, writer, settings, now, sha256, onNotice } = options
  const outcomes = newOutcomes()
  const calls = newCalls()
  const refusals = newRefusals()
  let tickMs = toMs(now())
  let refusalsAtMs = tickMs
  const suppressed = newSuppressed()
  const dropped = newSuppressed()
  let droppedTold: Promise<void> | undefined
  let droppedAtMs = tickMs
  /** Whether the last word about dropped decisions was kept. While it was not, none is dropped. */
  let tellsDropped = true
  let telling: Promise<void> | undefined
  let toldAtMs = tickMs
  let headOnItsWay = false
  let unsigned = false
  let closing: Promise<void> | undefined
  let started = false
  let ended = false

  const add = (demand: Demand, privileged: boolean, sealIt: (from: Producer) => Sealed, written?: () => void) =>
    new Promise<RecordId>((resolve, reject) => {
      writer.add({ author: live, demand, privileged, seal: sealIt, ...(written && { written }), resolve, reject })
    })

  const keepBody = (body: EventBody, beside?: Uint8Array): Promise<RecordId> => {
    const atNs = now()
    return add(demandOf(body, settings.durability), false, (from) => {
      const sealed = seal(from, body, atNs, sha256, hexOf)
      return beside ? { ...sealed, records: sealed.records.map((record) => ({ ...record, beside })) } : sealed
    })
  }

  const keepLossy = (body: EventBody, count: number): void => {
    keepBody(body).catch(() => {
      writer.lost += count
    })
  }

  const emitOutcomes = (): void => {
    const body = takeOutcomes(outcomes)
    if (body) keepLossy(body, body.outcomes.length)
  }

  const emitCalls = (): void => {
    const body = takeCalls(calls)
    if (body) keepLossy(body, body.calls.length)
  }

  const emitRefusals = (): void => {
    refusalsAtMs = toMs(now())
    for (const body of takeRefusals(refusals)) {
      keepLossy(
        body,
        body.refusals.reduce((sum, { count }) => sum + count, body.others),
      )
    }
  }

  /** Tells of decisions without a record. What cannot be told yet is told later; what never can is said at the end. */
  const emitSuppressed = (): Promise<void> => {
    toldAtMs = toMs(now())
    const body = suppressedBody(suppressed)
    const { untilNs } = suppressed
    telling ??= keepBody(body)
      .then(
        () => toldOf(suppressed, body, untilNs),
        () => undefined,
      )
      .finally(() => {
        telling = undefined
      })
    return telling
  }

  /** What cannot be told yet is told later. */
  const emitDropped = (): Promise<void> => {
    droppedAtMs = toMs(now())
    const body = droppedBody(dropped)
    const { untilNs } = dropped
    droppedTold ??= keepBody(body)
      .then(
        () => {
          tellsDropped = true
          toldOf(dropped, body, untilNs)
        },
        () => {
          tellsDropped = false
        },
      )
      .finally(() => {
        droppedTold = undefined
      })
    return droppedTold
  }

  /** Outcomes first, so that the head covers them. */
  const emitHead = (final: boolean): Promise<void> => {
    emitOutcomes()
    emitCalls()
    if (isSuppressing(dropped)) void emitDropped()
    headOnItsWay = true
    const demand: Demand = final ? { wait: 'synced', urgent: true } : { wait: 'written', urgent: false }
    const sealIt = (from: Producer) => {
      const { chain } = ports.source.current().svid
      return sealHead(from, { final, chain, sign: ports.signHead }, now(), sha256)
    }
    const written = () => {
      unsigned = false
      if (final) end('clean')
    }
    return add(demand, true, sealIt, written).then(
      () => {
        headOnItsWay = false
      },
      (thrown) => {
        headOnItsWay = false
        throw thrown
      },
    )
  }

  const headFailed = (thrown: unknown): void => {
    // A spool that refuses says so itself, once for all producers.
    if (unsigned || (thrown instanceof WritError && thrown.code === 'audit_unavailable')) return
    unsigned = true
    onNotice({ name: 'head_unsigned', level: 'error', detail: `${ports.id}: ${messageOf(thrown)}` })
  }

  const end = (how: 'clean' | 'crash'): void => {
    if (ended) return
    ended = true
    spool.end(channel, how)
  }

  const close = async (): Promise<void> => {
    emitRefusals()
    await Promise.all([telling, droppedTold])
    if (isSuppressing(suppressed)) await emitSuppressed()
    if (isSuppressing(dropped)) await emitDropped()
    for (const untold of [suppressed, dropped].filter(isSuppressing)) {
      const { allow, deny, fault } = untold
      const detail = `${ports.id}: ${allow} allow, ${deny} deny, ${fault} fault have no record, and none tells of them`
      onNotice({ name: 'suppressed_untold', level: 'error', detail })
    }
    try {
      await emitHead(true)
    } catch (thrown) {
      onNotice({ name: 'epoch_unclean', level: 'warn', detail: `${ports.id}: ${messageOf(thrown)}` })
      end('crash')
    }
  }

  const live: Live = {
    producer,
    channel,
    acknowledged: 0,
    waiting: [],
    get ended() {
      return ended
    },
    async start(software, previous) {
      const { chain } = ports.source.current().svid
      const demand = demandOf({ kind: 'start', software, svid: [] }, settings.durability)
      const sealIt = (from: Producer) => sealStart(from, { software, previous, chain, tls: ports.tls }, now(), sha256)
      await add(demand, true, sealIt, () => {
        started = true
      })
    },
    tick() {
      if (!started || ended || closing) return
      const nowMs = toMs(now())
      tickMs = nowMs
      if (outcomesDue(outcomes, nowMs)) emitOutcomes()
      if (callsDue(calls, nowMs)) emitCalls()
      if (refusals.size > 0 && nowMs - refusalsAtMs >= refusalsEveryMs) emitRefusals()
      if (isSuppressing(suppressed) && nowMs - toldAtMs >= tellEveryMs) void emitSuppressed()
      if (isSuppressing(dropped) && nowMs - droppedAtMs >= droppedEveryMs) void emitDropped()
      if (!headOnItsWay && headDue(live.producer, nowMs, settings)) emitHead(false).catch(headFailed)
    },
    abandon: () => end('crash'),
    sink: {
      keep(body, disclosures) {
        if (closing) return Promise.reject(new WritError('audit_unavailable', `${ports.id} keeps no more records`))
        return keepBody(body, disclosures && options.seal?.(disclosures))
      },
      account(verdict, thrown) {
        if (settings.onFull !== 'allow-and-account' || !(thrown instanceof Unwritten) || closing) return false
        countSuppressed(suppressed, verdict, thrown.message, now())
        return true
      },
      dropped(verdict) {
        if (closing || ended || !tellsDropped) return false
        countSuppressed(dropped, verdict, '', now())
        return true
      },
      outcome(id, outcome) {
        // Time of the last tick: an outcome may be written a tick earlier than it had to be, never later.
        if (ended || id.epoch !== producer.epoch || !addOutcome(outcomes, id.seq, outcome, tickMs)) writer.lost++
        else if (outcomesDue(outcomes, tickMs)) emitOutcomes()
      },
      called(id, { requestId, target, service, status, decision, again, attempt }) {
        if (ended || id.epoch !== producer.epoch) return
        const named = parseDecisionId(decision) ? { decision } : undefined
        const which = attempt === undefined ? undefined : { attempt }
        const item = { seq: id.seq, request_id: requestId, target, service, status, ...named, ...which }
        addCall(calls, again ? { ...item, again } : item, tickMs)
        if (callsDue(calls, tickMs)) emitCalls()
      },
      refused(refusal) {
        if (closing || !countRefusal(refusals, refusal)) writer.lost++
      },
      close() {
        closing ??= close()
        return closing
      },
    },
  }
  return live
}

/** Node writes the hex itself, and quicker than bytes that are then to be written as hex. */
const hexOf = (bytes: Uint8Array): string => hash('sha256', bytes, 'hex')

const toMs = (ns: bigint): number => Number(ns / 1_000_000n)
