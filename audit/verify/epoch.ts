/**
 * One run of one producer, read leaf by leaf in whatever order they came: numbers dense, chain whole, heads signed and
 * counting right. Keeps a few hundred bytes per epoch, however many records it has.
 */

import { fromBase64, fromBase64Url, toHex } from '../../core/bytes.ts'
import { isObject } from '../../core/json.ts'
import type { Sha256, VerifyHead } from '../../core/ports.ts'
import {
  type AuditEvent,
  type DroppedBody,
  type HeadBody,
  headPayload,
  type StartBody,
  type SuppressedBody,
} from '../../core/record.ts'
import { parseTime } from '../../core/time.ts'
import { memberNumbers as at, countAt, isText, memberFrom, textAt } from '../log/scan.ts'
import { type Finding, type FindingCode, type Findings, plural, recordId, span } from './finding.ts'
import { Latest, oneOf, PlainRecords, type Run } from './plain.ts'
import { addRange, outside, type Range, removeRange, sizeOf } from './ranges.ts'
import {
  claim,
  join,
  type Misfit,
  minus,
  noTotals,
  place,
  plus,
  prove,
  type Stretch,
  type Totals,
  totals,
} from './stretch.ts'
import { type Chain, chainOf, type SavedChain, savedChain } from './trust.ts'

/** More stretches, certificates or missing ranges than an honest epoch has; beyond it the epoch is given up as broken. */
export const maxStretches = 1000
const maxChains = 64
const maxChainLength = 8

/** An epoch whose last record is so much older than the log's newest will hardly be continued. */
export const deadAfterMs = 3_600_000

export interface EpochRules {
  readonly verifyHead: VerifyHead
  readonly sha256: Sha256
  /** Roots that may vouch for a producer at a time. */
  readonly rootsFor: (producer: AuditEvent['producer'], atMs: number) => readonly Uint8Array[]
  /** Index in a shard before which entries were pruned: what lies there may lack its neighbours. */
  readonly prunedBefore: (shard: number) => number
  /** The auditor's own records need no heads: the checkpoint is its signature. */
  readonly isAuditor: (producer: string) => boolean
}

export interface EpochSummary {
  readonly epoch: string
  readonly producer: string
  readonly shard: number
  readonly firstSeq: number
  readonly lastSeq: number
  readonly records: number
  readonly decisions: Totals
  readonly heads: number
  /** Numbers that are not in the log. */
  readonly missing: number
  /** Records that no proven head and no successor covers. */
  readonly unattested: number
  /** Time of the oldest of them; empty where there is none. */
  readonly unattestedFrom: string
  readonly final: boolean
  readonly firstAt: string
  readonly lastAt: string
}

/** What an `EpochReader` knows, as JSON. */
export interface SavedEpoch {
  readonly epoch: string
  readonly producer: string
  readonly shard: number
  readonly stretches: readonly Stretch[]
  readonly records: number
  readonly heads: number
  readonly firstAt: string
  readonly lastAt: string
  readonly previous?: StartBody['previous']
  readonly startIndex: number
  readonly finalSeq: number
  readonly missing: readonly Range[]
  readonly missingIndex: number
  readonly chains: readonly SavedChain[]
  readonly rootless: boolean
}

export class EpochReader {
  readonly epoch: string
  readonly producer: AuditEvent['producer']
  shard: number
  readonly stretches: Stretch[] = []
  records: number = 0
  heads: number = 0
  firstAt: string = ''
  previous: StartBody['previous']
  startIndex: number = -1
  /** Set at the end of a verification: a proven successor quotes this epoch's last record. */
  quoted: boolean = false
  #finalSeq = -1
  #missing: readonly Range[] = []
  #missingIndex = -1
  #chains: Chain[] = []
  #rootless = false
  readonly #plain = new PlainRecords()
  readonly #last = new Latest()
  readonly #rules: EpochRules

  constructor(event: AuditEvent, shard: number, rules: EpochRules) {
    this.epoch = event.epoch
    this.producer = event.producer
    this.shard = shard
    this.#rules = rules
  }

  static of(saved: SavedEpoch, rules: EpochRules): EpochReader {
    const { epoch, producer, shard } = saved
    const reader = new EpochReader({ epoch, producer } as AuditEvent, shard, rules)
    reader.stretches.push(...saved.stretches.map((one) => ({ ...one, before: one.before })))
    reader.records = saved.records
    reader.heads = saved.heads
    reader.firstAt = saved.firstAt
    reader.previous = saved.previous
    reader.startIndex = saved.startIndex
    reader.#finalSeq = saved.finalSeq
    reader.#missing = saved.missing
    reader.#missingIndex = saved.missingIndex
    reader.#chains = saved.chains.map(chainOf)
    reader.#rootless = saved.rootless
    reader.#last.takeText(saved.lastAt)
    return reader
  }

  save(): SavedEpoch {
    const { epoch, producer, shard, records, heads, firstAt, lastAt, previous, startIndex } = this
    return {
      ...{ epoch, producer, shard, records, heads, firstAt, lastAt, startIndex, ...(previous && { previous }) },
      stretches: this.stretches.map((one) => ({ ...one })),
      ...{ finalSeq: this.#finalSeq, missing: this.#missing, missingIndex: this.#missingIndex },
      ...{ chains: this.#chains.map(savedChain), rootless: this.#rootless },
    }
  }

  take(event: AuditEvent, hash: string, index: number, findings: Findings): void {
    if (this.stretches.length > maxStretches) return
    const told = this.#totalsOf(event, index, findings)
    const record = { seq: event.seq, prev: event.prev, hash, index, at: event.timestamp, totals: told }
    const { stretch, at, misfits } = place(this.stretches, record)
    this.#tell(misfits, index, event.seq, findings)
    if (!stretch) return
    if (this.stretches.length > maxStretches) {
      findings.add(this.#broken('too_many', index, event.seq, `more than ${maxStretches} holes in epoch ${this.epoch}`))
      return
    }
    this.#note(event)
    if (this.#finalSeq >= 0 && event.seq > this.#finalSeq) {
      findings.add(this.#broken('after_final', index, event.seq, 'follows the head that ended its epoch'))
    }
    if (event.kind === 'start') this.#start(event as AuditEvent<StartBody>, index)
    if (event.kind === 'start' || event.kind === 'svid') this.#announce(event, index, findings)
    if (event.kind === 'head') this.#head(event as AuditEvent<HeadBody>, stretch, index, findings)
    this.#tell(join(this.stretches, at), index, event.seq, findings)
  }

  /**
   * The next record of this epoch as `scan` has just found it, where nothing about it is out of the ordinary: then all is
   * done that `take` would do, and its time in milliseconds is returned. Otherwise -1, and nothing was done.
   */
  next(bytes: Uint8Array, hash: string, index: number, isDecision: boolean): number {
    const stretch = this.last
    const seq = countAt(bytes, at.seq)
    if (!stretch || seq !== stretch.last + 1 || this.#finalSeq >= 0 || this.stretches.length > maxStretches) return -1
    if (!isText(bytes, at.prev, stretch.lastHash)) return -1
    const ms = this.#plain.msAt(bytes, this.producer, isDecision)
    if (ms < 0) return -1
    const from = memberFrom[at.timestamp]! + 1
    if (this.#last.isBehind(bytes, from) && textAt(bytes, at.timestamp)! < this.firstAt) return -1

    stretch.last = seq
    stretch.lastHash = hash
    if (isDecision) stretch.totals = plus(stretch.totals, oneOf[this.#plain.verdict]!)
    if (stretch.tailIndex < 0) {
      stretch.tailIndex = index
      stretch.tailAt = textAt(bytes, at.timestamp)!
    }
    this.records++
    this.#last.take(bytes, from)
    return ms
  }

  /** Many such records that follow each other and the last one that is known, as another thread has read them. */
  run({ last, lastHash, totals, firstIndex, firstAt, lastAt, decisions, outcomes }: Run): void {
    const stretch = this.last!
    stretch.last = last
    stretch.lastHash = lastHash
    stretch.totals = plus(stretch.totals, totals)
    if (stretch.tailIndex < 0) {
      stretch.tailIndex = firstIndex
      stretch.tailAt = firstAt
    }
    this.records += decisions + outcomes
    this.#last.takeText(lastAt)
  }

  /** A gap entry of the auditor about this epoch. */
  gap(action: 'opened' | 'closed', range: Range, index: number): void {
    this.#missing = action === 'opened' ? addRange(this.#missing, range) : removeRange(this.#missing, range)
    this.#missingIndex = index
    if (this.#missing.length > maxStretches) this.#missing = this.#missing.slice(0, maxStretches)
  }

  /** Of the record that says the latest; empty where there is none. */
  get lastAt(): string {
    return this.#last.text
  }

  get last(): Stretch | undefined {
    return this.stretches.at(-1)
  }

  /** Whether its own heads, a proven successor's quote of its unbroken chain, or being the auditor's vouch for its beginning. */
  get vouched(): boolean {
    const first = this.stretches[0]
    if (this.#rules.isAuditor(this.producer)) return true
    return first?.first === 0 && (first.proven >= 0 || (this.quoted && first === this.last))
  }

  /** A head said that nothing follows. */
  get ended(): boolean {
    return this.#finalSeq >= 0
  }

  /** What is left of it lies where entries were pruned. */
  isPruned(stretch: Stretch): boolean {
    return stretch.firstIndex < this.#rules.prunedBefore(this.shard)
  }

  /** Everything that only the end of the log can tell. */
  finish(newestMs: number, findings: Findings): EpochSummary {
    const holes = this.#holes()
    for (const hole of outside(holes, this.#missing)) {
      const what = `${missingText(hole)} of ${this.producer}, and no gap entry says so`
      findings.add(this.#broken('hole', this.#indexAfter(hole), hole.first, what))
    }
    const admitted = outside(holes, outside(holes, this.#missing))
    for (const hole of admitted) {
      const what = `${missingText(hole)} of ${this.producer}${this.#lostText(hole)}`
      findings.add({ ...this.#broken('gap_open', this.#missingIndex, hole.first, what), level: 'warning' })
    }
    for (const range of outside(this.#missing, holes)) {
      const what = `a gap entry says that ${span(range.first, range.last)} of ${this.producer} are missing; the log does not show that`
      findings.add({ ...this.#broken('gap_wrong', this.#missingIndex, range.first, what), level: 'warning' })
    }
    const unattested = this.#unattested(newestMs, findings)
    const decisions = this.stretches.reduce<Totals>((sum, stretch) => plus(sum, stretch.totals), noTotals)
    if (decisions.dropped !== undefined) {
      const what = `${this.producer} left out ${plural(decisions.dropped, 'decision')}, as a drop rule of its policy says`
      findings.add({ ...this.#broken('dropped', this.startIndex, this.stretches[0]!.first, what), level: 'note' })
    }
    return {
      epoch: this.epoch,
      producer: this.producer,
      shard: this.shard,
      firstSeq: this.stretches[0]?.first ?? 0,
      lastSeq: this.last?.last ?? -1,
      records: this.records,
      decisions,
      heads: this.heads,
      missing: sizeOf(holes),
      unattested,
      unattestedFrom: unattested > 0 ? this.#oldestTail() : '',
      final: this.#finalSeq >= 0,
      firstAt: this.firstAt,
      lastAt: this.lastAt,
    }
  }

  #totalsOf(event: AuditEvent, index: number, findings: Findings): Totals {
    if (event.kind === 'decision') return totalsOf(event)
    if (event.kind !== 'suppressed' && event.kind !== 'dropped') return noTotals
    const said = saidTotals(event as AuditEvent<SuppressedBody | DroppedBody>)
    if (!said || said.suppressed !== undefined || said.dropped !== undefined) {
      findings.add(this.#broken('head_counts', index, event.seq, 'decisions without a record that nobody counted'))
      return noTotals
    }
    const { allow, deny, fault } = said
    if (event.kind === 'dropped') return totals(0, 0, 0, 0, allow + deny + fault)
    const { from, until, why } = event as AuditEvent<SuppressedBody>
    const what = `${this.producer} decided without a record: ${totalsText(said)}, from ${from} to ${until}: ${why}`
    findings.add({ ...this.#broken('suppressed', index, event.seq, what), level: 'warning' })
    return totals(0, 0, 0, allow + deny + fault, 0)
  }

  #note(event: AuditEvent): void {
    this.records++
    if (this.firstAt === '' || event.timestamp < this.firstAt) this.firstAt = event.timestamp
    this.#last.takeText(event.timestamp)
  }

  #start(event: AuditEvent<StartBody>, index: number): void {
    this.startIndex = index
    const previous: unknown = event.previous
    if (isObject(previous) && typeof previous['epoch'] === 'string' && typeof previous['seq'] === 'number') {
      this.previous = event.previous
    }
  }

  #announce(event: AuditEvent, index: number, findings: Findings): void {
    const listed: unknown = (event as AuditEvent<StartBody>).svid
    const chain = Array.isArray(listed) ? listed.slice(0, maxChainLength).map(derOf) : []
    if (chain.length === 0 && this.#rules.isAuditor(this.producer)) return
    if (chain.length === 0 || chain.some((der) => der === undefined)) {
      findings.add(this.#broken('head_invalid', index, event.seq, `announces no certificate for its heads`))
      return
    }
    const whole = chain as readonly Uint8Array[]
    this.#chains.push({ seq: event.seq, signer: toHex(this.#rules.sha256(whole[0]!)), chain: whole })
    this.#chains.sort((a, b) => a.seq - b.seq)
    if (this.#chains.length > maxChains) this.#chains.shift()
  }

  #head(event: AuditEvent<HeadBody>, stretch: Stretch, index: number, findings: Findings): void {
    if (this.#rules.isAuditor(this.producer)) {
      this.#proven(event, stretch, index, findings) // Who signs the checkpoint has signed this.
      return
    }
    const atMs = Number(parseTime(event.timestamp)! / 1_000_000n)
    const roots = this.#rules.rootsFor(this.producer, atMs)
    if (roots.length === 0) {
      const what = `no trust bundle for ${this.producer}, neither in the log nor pinned: its heads prove nothing`
      if (!this.#rootless) findings.add(this.#broken('head_invalid', index, event.seq, what))
      this.#rootless = true
      return
    }
    const fault = this.#headFault(event, roots, atMs)
    if (fault !== undefined) {
      findings.add(this.#broken('head_invalid', index, event.seq, `head of ${this.producer}: ${fault}`))
      return
    }
    this.#proven(event, stretch, index, findings)
  }

  #proven(event: AuditEvent<HeadBody>, stretch: Stretch, index: number, findings: Findings): void {
    this.heads++
    const said = saidTotals(event)
    if (!said) findings.add(this.#broken('head_counts', index, event.seq, 'a head without counts'))
    else this.#tell(claim(stretch, said, stretch.totals, index), index, event.seq, findings)
    prove(stretch, event.seq)
    if (event.final === true) this.#final(event.seq, index, findings)
  }

  /** The last record of an epoch that ended on purpose. */
  #final(seq: number, index: number, findings: Findings): void {
    if (this.#finalSeq < 0) this.#finalSeq = seq
    const last = this.last!
    if (last.last <= seq) return
    const what = `${span(seq + 1, last.last)} of ${this.producer} lie beyond the head that ended their epoch`
    findings.add(this.#broken('after_final', index, seq + 1, what))
  }

  #headFault(event: AuditEvent<HeadBody>, roots: readonly Uint8Array[], atMs: number): string | undefined {
    const announced = this.#chains.findLast(({ seq }) => seq < event.seq)
    if (!announced) return 'signed before any certificate was announced'
    if (event.signer !== announced.signer) return 'signed with a certificate other than the one announced'
    const signature = typeof event.sig === 'string' ? fromBase64Url(event.sig) : undefined
    if (!signature) return 'the signature is not base64url'
    const { chain } = announced
    const checked = this.#rules.verifyHead({
      payload: headPayload(event),
      signature,
      chain,
      roots,
      producer: this.producer,
      atMs,
    })
    return checked.ok ? undefined : checked.detail
  }

  #holes(): readonly Range[] {
    const holes: Range[] = []
    const pruned = this.#rules.prunedBefore(this.shard)
    let next = 0
    let before = -1
    for (const stretch of this.stretches) {
      // A hole after a record that was pruned, or beside one: what was there is gone on purpose.
      const excused = pruned > 0 && before >= 0 && before < pruned
      before = stretch.firstIndex
      if (stretch.first > next && !excused) holes.push({ first: next, last: stretch.first - 1 })
      next = stretch.last + 1
    }
    // Of an epoch that only gap entries name, what they say is all there is to know.
    return this.stretches.length === 0 ? this.#missing : holes
  }

  /** How many decisions a hole held, where heads on both sides tell. */
  #lostText(hole: Range): string {
    const after = this.stretches.find((stretch) => stretch.first === hole.last + 1)
    const before = this.stretches.find((stretch) => stretch.last === hole.first - 1)
    const start = before ? before.before && plus(before.before, before.totals) : noTotals
    if (!after?.before || !start) return ''
    const lost = minus(after.before, start)
    return `; by the signed heads they held ${lost.allow} allow, ${lost.deny} deny, ${lost.fault} fault`
  }

  #indexAfter(hole: Range): number {
    return this.stretches.find((stretch) => stretch.first > hole.last)?.firstIndex ?? this.startIndex
  }

  #unattested(newestMs: number, findings: Findings): number {
    if (this.#rules.isAuditor(this.producer)) return 0
    const deadMs = newestMs - Number((parseTime(this.lastAt) ?? 0n) / 1_000_000n)
    let unattested = 0
    for (const stretch of this.stretches) {
      if (this.quoted && stretch === this.last) continue
      if (this.isPruned(stretch)) continue
      const from = Math.max(stretch.proven + 1, stretch.first)
      const count = stretch.last - from + 1
      if (count === 0) continue
      unattested += count
      const dead = deadMs > deadAfterMs
      const what = `${plural(count, 'record')} (${span(from, stretch.last)}) of ${this.producer} that no signed head covers${
        dead ? ', in an epoch that fell silent' : ''
      }`
      // Before a hole no later head can vouch for them; the hole itself has its own finding.
      const over = stretch === this.last && (dead || this.#finalSeq >= 0)
      const level = over ? 'broken' : 'warning'
      findings.add({ ...this.#broken('unattested', stretch.tailIndex, from, what), level })
    }
    return unattested
  }

  #oldestTail(): string {
    const tails = this.stretches.filter((stretch) => stretch.tailAt !== '' && !(this.quoted && stretch === this.last))
    return tails.reduce((oldest, { tailAt }) => (oldest === '' || tailAt < oldest ? tailAt : oldest), '')
  }

  #tell(misfits: readonly Misfit[], index: number, seq: number, findings: Findings): void {
    for (const misfit of misfits) {
      if (misfit.what === 'repeated') {
        findings.add(this.#broken('number_repeated', index, seq, 'its number was already taken in this log'))
      } else if (misfit.what === 'chain') {
        const what = `does not follow record ${misfit.seq - 1}: its prev is not that record's hash`
        findings.add(this.#broken('chain_broken', index, misfit.seq, what))
      } else {
        const what = `head counts ${totalsText(misfit.said)} where the log holds ${totalsText(misfit.counted)}`
        findings.add(this.#broken('head_counts', misfit.index, seq, what))
      }
    }
  }

  #broken(code: FindingCode, index: number, seq: number, what: string): Finding {
    const id = recordId(this.epoch, seq)
    return { level: 'broken', code, shard: this.shard, ...(index >= 0 && { index }), id, what }
  }
}

const missingText = ({ first, last }: Range): string =>
  `${plural(last - first + 1, 'record')} (${span(first, last)}) missing`

const totalsText = ({ allow, deny, fault, suppressed, dropped }: Totals): string =>
  [
    `${allow} allow, ${deny} deny, ${fault} fault`,
    ...(suppressed === undefined ? [] : [`${suppressed} without a record`]),
    ...(dropped === undefined ? [] : [`${dropped} dropped`]),
  ].join(', ')

function totalsOf(event: AuditEvent): Totals {
  const verdict: unknown = (event as { readonly verdict?: unknown }).verdict
  return {
    allow: verdict === 'allow' ? 1 : 0,
    deny: verdict === 'deny' ? 1 : 0,
    fault: verdict === 'fault' ? 1 : 0,
  }
}

function saidTotals(event: AuditEvent<HeadBody | SuppressedBody | DroppedBody>): Totals | undefined {
  const counts: unknown = event.counts
  if (!isObject(counts)) return undefined
  const { allow, deny, fault, suppressed = 0, dropped = 0 } = counts
  if (typeof allow !== 'number' || typeof deny !== 'number' || typeof fault !== 'number') return undefined
  if (typeof suppressed !== 'number' || typeof dropped !== 'number') return undefined
  return totals(allow, deny, fault, suppressed, dropped)
}

const derOf = (text: unknown): Uint8Array | undefined => (typeof text === 'string' ? fromBase64(text) : undefined)
