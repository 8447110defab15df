/** What the records of a log say of each other, read leaf by leaf over all shards. */

import { isObject } from '../../core/json.ts'
import { partitionOf } from '../../core/log.ts'
import {
  type AnomalyBody,
  type AuditEvent,
  type DecisionBody,
  type EventKind,
  type GapBody,
  parseDecisionId,
  parseEpoch,
  parseEvent,
  type UnmatchedBody,
} from '../../core/record.ts'
import { pathOf, type SpiffeId } from '../../core/spiffe.ts'
import { parseTime } from '../../core/time.ts'
import { memberNumbers as at, isText, ScannedEpochs, scan } from '../log/scan.ts'
import { EpochReader, type EpochRules, type EpochSummary, type SavedEpoch } from './epoch.ts'
import { type FindingCode, type Findings, recordId } from './finding.ts'
import { stepsFit } from './fits.ts'
import { findLostSpools } from './lost.ts'
import type { PartStep, ReadPart } from './part.ts'
import { type SavedSerials, SerialReader, type SerialSummary } from './serials.ts'
import { bytesOf, type PlacedLeaf } from './tree.ts'
import { mayAnnounceTrust } from './trust.ts'

/** Epochs held at once. A producer makes one per start. */
const maxEpochs = 200_000

export const isAuditor = (producer: string): boolean => pathOf(producer as SpiffeId) === '/writ/auditor'

export const isControl = (producer: string): boolean => pathOf(producer as SpiffeId) === '/writ/control'

/** Who may record a decision in another workload's name: for edge functions that have no spool of their own. */
const mayCollect = (producer: SpiffeId): boolean => ['/writ/control', '/writ/collector'].includes(pathOf(producer))

/** Whose word counts as an entry of that kind; of kinds that any producer writes, everybody's. */
export function mayWrite(kind: EventKind, producer: SpiffeId): boolean {
  if (['gap', 'spool_lost', 'anomaly', 'log', 'finding', 'unmatched'].includes(kind)) return isAuditor(producer)
  if (['acknowledgement', 'audit_read', 'report', 'attestation'].includes(kind)) {
    return mayCollect(producer) || isAuditor(producer)
  }
  if (['opa_decision', 'erased'].includes(kind)) return mayCollect(producer)
  return kind !== 'trust' || mayAnnounceTrust(producer)
}

/** Anomalies that cast doubt on a record itself; the others are noise on the stream that was kept out of the log. */
const grave: readonly string[] = ['equivocation', 'broken_chain', 'bad_head']

export interface RecordsSummary {
  readonly kinds: Readonly<Partial<Record<EventKind, number>>>
  readonly epochs: readonly EpochSummary[]
  readonly serials: SerialSummary
}

/** What a `RecordsReader` knows, as JSON. */
export interface SavedRecords {
  readonly epochs: readonly SavedEpoch[]
  readonly serials: SavedSerials
  readonly kinds: readonly (readonly [EventKind, number])[]
  readonly newestMs: number
  readonly pruned: readonly (readonly [number, Pruned])[]
}

interface Pruned {
  readonly before: number
  readonly olderThan: string
  readonly index: number
}

export class RecordsReader {
  readonly #epochs = new Map<string, EpochReader>()
  readonly #scanned = new ScannedEpochs<EpochReader>()
  readonly #serials = new SerialReader()
  readonly #kinds = new Map<EventKind, number>()
  /** Those that were not parsed. */
  #decisions = 0
  #outcomes = 0
  readonly #rules: EpochRules
  readonly #findings: Findings
  #newestMs = 0
  /** The record that `see` was shown last was not parsed: `scan` read it. */
  seen: boolean = false
  readonly #pruned = new Map<number, Pruned>()

  constructor(rules: EpochRules, findings: Findings) {
    this.#rules = rules
    this.#findings = findings
  }

  /** Before `finish`. */
  save(): SavedRecords {
    return {
      epochs: [...this.#epochs.values()].map((epoch) => epoch.save()),
      serials: this.#serials.save(),
      kinds: Object.entries(this.#counted()) as [EventKind, number][],
      newestMs: this.#newestMs,
      pruned: [...this.#pruned],
    }
  }

  load({ epochs, serials, kinds, newestMs, pruned }: SavedRecords): void {
    for (const saved of epochs) this.#epochs.set(saved.epoch, EpochReader.of(saved, this.#rules))
    this.#serials.load(serials)
    for (const [kind, count] of kinds) this.#kinds.set(kind, count)
    this.#newestMs = newestMs
    for (const [shard, one] of pruned) this.#pruned.set(shard, one)
  }

  /** As `take`, where nobody asks for the event: the next record of a known epoch, as plain as nearly all are, is not parsed, nor returned. */
  see(leaf: PlacedLeaf, shard: number): AuditEvent | undefined {
    this.seen = this.#seen(leaf, shard)
    return this.seen ? undefined : this.take(leaf, shard)
  }

  #seen({ file: bytes, from, to, hash, index }: PlacedLeaf, shard: number): boolean {
    if (!scan(bytes, from, to)) return false
    const isDecision = isText(bytes, at.kind, 'decision')
    if (!isDecision && !isText(bytes, at.kind, 'outcomes')) return false
    const epoch = this.#scanned.find(bytes, this.#epochs)
    if (!epoch || epoch.shard !== shard || !isText(bytes, at.producer, epoch.producer)) return false
    if (isDecision && isText(bytes, at.proof, 'x509') && !this.#serials.knowsScanned(bytes)) return false
    const atMs = epoch.next(bytes, hash, index, isDecision)
    if (atMs < 0) return false
    if (isDecision) this.#decisions++
    else this.#outcomes++
    if (atMs > this.#newestMs) this.#newestMs = atMs
    return true
  }

  /**
   * Whether a part that another thread has read comes to what it would if its leaves were seen here: then `step` is to be
   * called with each of its steps. Nothing is done yet.
   */
  fits({ steps }: ReadPart, shard: number): boolean {
    const epochs = this.#epochs
    const odd = steps.reduce((count, step) => count + ('odd' in step ? 1 : 0), 0)
    // Past the most that are held, each record with a certificate that is not is parsed, and counted with those.
    if (!this.#serials.hasRoomFor(odd) && !this.#kinds.has('decision')) return false
    return stepsFit(steps, shard, { epochOf: (epoch) => epochs.get(epoch), room: maxEpochs - epochs.size })
  }

  /** The event of an odd record that had to be parsed here. */
  step(step: PartStep, file: Uint8Array, shard: number): AuditEvent | undefined {
    if ('odd' in step) return this.see({ ...step.odd, file }, shard)
    const { run } = step
    this.#epochs.get(run.epoch)!.run(run)
    this.#decisions += run.decisions
    this.#outcomes += run.outcomes
    if (run.maxMs > this.#newestMs) this.#newestMs = run.maxMs
    return undefined
  }

  /** The event of a leaf, or undefined where it is none. */
  take(leaf: PlacedLeaf, shard: number): AuditEvent | undefined {
    const { index } = leaf
    const read = parseEvent(bytesOf(leaf))
    if ('wrong' in read) {
      const what = `not a record: ${read.wrong}`
      this.#findings.add({ level: 'broken', code: 'record_invalid', shard, index, what })
      return undefined
    }
    const { event } = read
    this.#kinds.set(event.kind, (this.#kinds.get(event.kind) ?? 0) + 1)
    this.#newestMs = Math.max(this.#newestMs, Number(parseTime(event.timestamp)! / 1_000_000n))
    this.#judge(event, shard, index)
    this.#serials.take(event, shard, index)
    const epoch = this.#epochOf(event, shard, index)
    epoch?.take(event, leaf.hash, index, this.#findings)
    return event
  }

  /** Entries that are gone must be said to be gone, by an entry that is there. */
  admitsPruning(shard: number, minimum: number): void {
    if (minimum === 0) return
    const said = this.#pruned.get(shard)
    const told = { shard, ...(said && { index: said.index }) }
    if (!said || said.before < minimum) {
      const what = `entries before ${minimum} are gone, and no entry of the log says so`
      this.#findings.add({ level: 'broken', code: 'pruned_unsaid', ...told, what })
      return
    }
    const what = `entries before ${minimum} were pruned, all older than ${said.olderThan}; their hashes are verified`
    this.#findings.add({ level: 'note', code: 'pruned', ...told, what })
  }

  finish(): RecordsSummary {
    this.#followQuotes()
    const producers = [...this.#epochs.values()].filter(({ producer }) => !this.#rules.isAuditor(producer))
    findLostSpools(producers, this.#newestMs, this.#findings)
    const epochs = [...this.#epochs.values()].map((epoch) => epoch.finish(this.#newestMs, this.#findings))
    return { kinds: this.#counted(), epochs, serials: this.#serials.finish(this.#findings) }
  }

  #counted(): RecordsSummary['kinds'] {
    const kinds = new Map(this.#kinds)
    for (const [kind, seen] of [['decision', this.#decisions] as const, ['outcomes', this.#outcomes] as const]) {
      if (seen > 0) kinds.set(kind, (kinds.get(kind) ?? 0) + seen)
    }
    return Object.fromEntries(kinds)
  }

  #epochOf(event: AuditEvent, shard: number, index: number): EpochReader | undefined {
    const known = this.#epochs.get(event.epoch)
    if (!known) return this.#newEpoch(event, shard, index)
    if (known.producer === event.producer && partitionOf(known.shard) === partitionOf(shard)) {
      known.shard = shard // It goes on in the log that follows.
      return known
    }
    const where = `${known.producer} in shard ${known.shard}`
    this.#broken(
      'epoch_moved',
      event,
      shard,
      index,
      `epoch ${event.epoch} is that of ${where}, not of ${event.producer}`,
    )
    return undefined
  }

  #newEpoch(event: AuditEvent, shard: number, index: number): EpochReader | undefined {
    if (this.#epochs.size >= maxEpochs) {
      this.#broken('too_many', event, shard, index, `more than ${maxEpochs} epochs: this one is not verified`)
      return undefined
    }
    const epoch = new EpochReader(event, shard, this.#rules)
    this.#epochs.set(event.epoch, epoch)
    return epoch
  }

  #judge(event: AuditEvent, shard: number, index: number): void {
    const { kind, producer } = event
    if (kind === 'decision') {
      const { workload } = event as AuditEvent<DecisionBody>
      if (workload !== producer && !mayCollect(producer)) {
        this.#broken('forbidden_workload', event, shard, index, `${producer} decided in the name of ${workload}`)
      }
      this.#trial(event as AuditEvent<DecisionBody>, shard, index)
      return
    }
    if (!mayWrite(kind, producer)) {
      this.#broken('forbidden_kind', event, shard, index, `${producer} wrote a ${kind} entry, which it may not`)
      return
    }
    if (kind === 'log') this.#log(event, shard, index)
    if (kind === 'gap') this.#gap(event as AuditEvent<GapBody>, shard, index)
    if (kind === 'anomaly') this.#anomaly(event as AuditEvent<AnomalyBody>, shard, index)
    if (kind === 'unmatched') this.#unmatched(event as AuditEvent<UnmatchedBody>, shard, index)
  }

  /** Only beside a decision that was enforced does an answer change nothing: nobody hides what was done as a trial. */
  #trial(event: AuditEvent<DecisionBody>, shard: number, index: number): void {
    if (event.enforced !== false) return
    const trial: unknown = event.trial
    const of = isObject(trial) && typeof trial['of'] === 'string' ? parseDecisionId(trial['of']) : undefined
    if (of && (of.epoch !== event.epoch || of.seq < event.seq)) return
    const what = 'a decision that was not enforced and names none that was before it'
    this.#broken('trial_wrong', event, shard, index, what)
  }

  #log(event: AuditEvent, shard: number, index: number): void {
    const { action, before, olderThan } = event as unknown as { readonly [name: string]: unknown }
    if (action !== 'pruned' || !Number.isSafeInteger(before)) return
    const known = this.#pruned.get(shard)
    if (known && known.before >= (before as number)) return
    this.#pruned.set(shard, { before: before as number, olderThan: String(olderThan).slice(0, 40), index })
  }

  #gap(event: AuditEvent<GapBody>, shard: number, index: number): void {
    const { action, first, last } = event
    const of: unknown = event.of
    const epoch = isObject(of) && typeof of['epoch'] === 'string' ? parseEpoch(of['epoch']) : undefined
    const producer = isObject(of) ? of['producer'] : undefined
    const inOrder = Number.isSafeInteger(first) && Number.isSafeInteger(last) && 0 <= first && first <= last
    if (!epoch || typeof producer !== 'string' || !inOrder || (action !== 'opened' && action !== 'closed')) {
      this.#broken('gap_wrong', event, shard, index, 'a gap entry that names no numbers')
      return
    }
    const about = { ...event, epoch, producer: producer as SpiffeId }
    const reader = this.#epochs.get(epoch) ?? this.#newEpoch(about, shard, index)
    reader?.gap(action, { first, last }, index)
  }

  #anomaly(event: AuditEvent<AnomalyBody>, shard: number, index: number): void {
    const { anomaly, of, partition, offset, detail } = event
    const about = isObject(of) ? ` of ${of['epoch']}-${of['seq']} by ${of['producer']}` : ''
    const level = grave.includes(anomaly) ? 'broken' : 'warning'
    const what = `${anomaly}${about}, from partition ${partition} at ${offset}: ${detail}`
    this.#findings.add({ level, code: 'anomaly', shard, index, id: recordId(event.epoch, event.seq), what })
  }

  /** The log itself is whole; somebody's records are not. */
  #unmatched(event: AuditEvent<UnmatchedBody>, shard: number, index: number): void {
    const { missing, silent, by, of, request_id, at } = event
    const what = `${by} recorded call ${request_id} (${of}, ${at}), and ${silent}, its ${missing}, did not`
    const id = recordId(event.epoch, event.seq)
    this.#findings.add({ level: 'warning', code: 'one_sided_call', shard, index, id, what })
  }

  /** A producer's next start quotes where the one before ended, which vouches for what no head had covered yet. */
  #followQuotes(): void {
    const quotes = new Map<EpochReader, EpochReader>()
    for (const next of this.#epochs.values()) {
      const former = this.#quotedBy(next)
      if (former) quotes.set(next, former)
    }
    // One that was killed before its first head is vouched for by the next, and so vouches for the one before.
    for (const proven of [...quotes.keys()].filter((epoch) => epoch.vouched)) {
      for (let next = proven; next.vouched; ) {
        const former = quotes.get(next)
        if (!former || former.quoted) break
        former.quoted = true
        next = former
      }
    }
  }

  /** The epoch that a start quotes, where the log has it end as the quote says. */
  #quotedBy(next: EpochReader): EpochReader | undefined {
    if (!next.previous) return undefined
    const { epoch, seq, hash } = next.previous
    const former = this.#epochs.get(epoch)
    const last = former?.last
    const told = { shard: next.shard, index: next.startIndex, id: recordId(next.epoch, 0) }
    if (!former || !last) {
      const what = `quotes epoch ${epoch} as the one before, which is not in this log`
      this.#findings.add({ level: 'warning', code: 'start_misquoted', ...told, what })
      return undefined
    }
    if (former.producer !== next.producer) {
      const what = `${next.producer} quotes an epoch of ${former.producer} as its own`
      this.#findings.add({ level: 'broken', code: 'start_misquoted', ...told, what })
      return undefined
    }
    if (last.last < seq && former.isPruned(last)) return former // Its end was pruned, and what says so is in the log.
    if (last.last === seq && last.lastHash === hash) return former
    const what = `says that epoch ${epoch} ended at ${seq}; the log has it end at ${last.last}${
      last.last === seq ? ' with another record' : ''
    }`
    this.#findings.add({ level: 'broken', code: 'start_misquoted', ...told, what })
    return undefined
  }

  #broken(code: FindingCode, event: AuditEvent, shard: number, index: number, what: string): void {
    this.#findings.add({ level: 'broken', code, shard, index, id: recordId(event.epoch, event.seq), what })
  }
}
