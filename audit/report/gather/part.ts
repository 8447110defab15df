/** What is gathered of one part of a log, leaf by leaf: sums that can be kept and added to those of other parts. */

import type { Json } from '../../../core/json.ts'
import { type AuditEvent, maxRecordBytes, parseEvent } from '../../../core/record.ts'
import {
  memberNumbers as at,
  countAt,
  isBare,
  isText,
  memberFrom,
  memberTo,
  ScannedEpochs,
  scan,
  scannedShape,
  textAt,
} from '../../log/scan.ts'
import { tileWidth } from '../../log/tiles.ts'
import { Clock, isOwnId, Latest } from '../../verify/plain.ts'
import { bytesOf, type PlacedLeaf } from '../../verify/tree.ts'
import type { Fact, Run } from './facts/fact.ts'
import { factOf } from './facts/index.ts'
import { Subjects } from './held.ts'
import { Likes } from './likes.ts'
import type { Counting, Plan } from './plan.ts'
import { aboutOf } from './scope.ts'
import { msOf, View } from './view.ts'

/** From included, to not; milliseconds since 1970. */
export interface Period {
  readonly fromMs: number
  readonly toMs: number
}

export const verdicts = ['allow', 'deny', 'fault'] as const
export type Verdicts = [number, number, number]

/** By fact and container. */
export type SavedFacts = { readonly [fact: string]: { readonly [held: string]: Json } }

export interface SavedTally {
  readonly count: number
  /** Pairs of a number of `names`, and how many. */
  readonly subjects: readonly number[]
  readonly other: number
  /** How many in each bundle of 256 leaves, from the first of the part on; those at the end that have none are left out. */
  readonly bundles: readonly number[]
}

export interface SavedInside {
  readonly facts: SavedFacts
  readonly names: readonly string[]
  /** As the plan numbers them. */
  readonly tallies: readonly SavedTally[]
  readonly decisions: Verdicts
  readonly days: readonly (readonly [string, Verdicts])[]
  readonly observed: readonly string[]
  readonly firstAt: string
  readonly lastAt: string
}

export interface SavedPart {
  /** Times of its oldest and its youngest record; `minMs` is larger where there is none. */
  readonly minMs: number
  readonly maxMs: number
  /** Attestations, whatever they are about (`SaidGatherer`), in the order of the log. */
  readonly said: readonly Json[]
  /** Of all that is before the end of the time, and of what is in it. */
  readonly always: SavedFacts
  readonly inside: SavedInside
}

/** A complete part as it was gathered, and for the period alone where that cuts through it. */
export interface GatheredPart {
  readonly whole: SavedPart
  readonly inPeriod?: SavedPart
}

/** It has records of the period, and others that are not. */
export const isCut = ({ minMs, maxMs }: SavedPart, { fromMs, toMs }: Period): boolean =>
  (minMs < fromMs && maxMs >= fromMs) || (minMs < toMs && maxMs >= toMs)

class PartTally {
  count = 0
  readonly subjects: Subjects = new Subjects()
  readonly bundles: Uint16Array

  constructor(bundles: number) {
    this.bundles = new Uint16Array(bundles)
  }
}

/** Records that are alike, and on one side of each time at which something about them turns. */
interface Stretch {
  readonly inside: boolean
  /** Tallies that count them, and about whom. */
  readonly tallies: readonly PartTally[]
  /** How many in each bundle. */
  readonly bundles: Uint16Array
  readonly subjects: readonly string[]
  /** Of `verdicts`; -1 where they are not of those that a report counts. */
  readonly verdict: number
  readonly shard: number
  first: number
  firstMs: number
  count: number
  lastMs: number
  last: number
}

interface Alike {
  readonly times: readonly number[]
  readonly stretches: Map<number, Stretch>
}

type RunState = { -readonly [name in keyof Run]: Run[name] } & { readonly td: string; readonly cluster: string }

/** Of a Date. */
const lastTime = 8.64e15

const maxDays = 100_000
const maxObserved = 100_000
const maxSaid = 10_000

export class Part {
  readonly facts: ReadonlyMap<string, Fact>
  readonly #plan: Plan
  /** Undefined: whatever the time of a record is. */
  readonly period: Period | undefined
  readonly #first: number
  readonly #bundles: number
  readonly #view: View
  readonly #likes: Likes<Alike>
  readonly #tallies: readonly PartTally[]
  readonly #passing: readonly Fact[]
  readonly #runs = new Map<string, RunState>()
  readonly #scanned = new ScannedEpochs<RunState>()
  readonly #clock = new Clock()
  readonly #at = { shard: 0, index: 0 }
  readonly #days = new Map<number, Verdicts>()
  readonly #decisions: Verdicts = [0, 0, 0]
  readonly #observed = new Set<string>()
  readonly #last = new Latest()
  readonly #said: Json[] = []
  /** Records that were not read by themselves. */
  alike: number = 0
  #firstMs = Number.POSITIVE_INFINITY
  #firstAt = ''
  #minMs = lastTime
  #maxMs = -lastTime

  constructor(plan: Plan, first: number, leaves: number, period: Period | undefined) {
    this.#plan = plan
    this.period = period
    this.#first = first
    this.#view = new View(plan.declared)
    this.#likes = new Likes(plan.reads.list)
    this.facts = new Map(plan.facts.map((name) => [name, factOf(name)!]))
    this.#passing = [...this.facts.values()].filter(({ pass }) => pass)
    this.#bundles = Math.ceil(leaves / tileWidth)
    this.#tallies = plan.tallies.map(() => new PartTally(this.#bundles))
  }

  /**
   * `event`: what the leaf is, where that is known. `scanned`: it was scanned last, and is plain canonical JSON. `judged`:
   * a verification found that it goes on where its epoch stood, so that its envelope is as it should be.
   */
  take(
    leaf: PlacedLeaf,
    shard: number,
    event: AuditEvent | undefined,
    scanned: boolean,
    judged: boolean = false,
  ): void {
    if (event === undefined && scanned && this.#plain(leaf, shard, judged)) return
    const read = event ?? eventOf(leaf)
    if (read) this.#one(read, leaf, shard)
  }

  /** A record that is like others, or of which nobody reads more than its time. False: it has to be read by itself, and nothing was done. */
  #plain(leaf: PlacedLeaf, shard: number, judged: boolean): boolean {
    const { file: bytes, index } = leaf
    const isDecision = isText(bytes, at.kind, 'decision')
    const shape = isDecision ? scannedShape : undefined
    if (isDecision ? !shape || this.#plan.reads.unlike : this.#plan.byKind.has('outcomes')) return false
    if (!isDecision && !isText(bytes, at.kind, 'outcomes')) return false
    const run = this.#scanned.find(bytes, this.#runs)
    if (!run || leaf.to - leaf.from > maxRecordBytes) return false
    if (judged ? !isText(bytes, at.producer, run.producer) : !isEnvelope(bytes, run)) return false
    const atMs = this.#clock.msAt(bytes)
    if (atMs < 0 || (isDecision && !judged && !isOwnId(bytes))) return false

    let stretch: Stretch | undefined
    if (shape) {
      const found = this.#likes.find(bytes, shape)
      if (found === 'odd') return false
      if (found !== 'new') stretch = this.#stretchOf(found.event, found.found, atMs, shard, index)
      else {
        const event = eventOf(leaf)
        if (!event) return true
        const alike = this.#alike(event)
        this.#likes.learn(event, alike)
        stretch = this.#stretchOf(event, alike, atMs, shard, index)
      }
    }
    this.#time(atMs)
    if (this.#isAfter(atMs)) return true
    const inside = stretch ? stretch.inside : this.#isIn(atMs)
    this.#ran(run, atMs, isDecision && inside)
    this.#at.shard = shard
    this.#at.index = index
    for (const fact of this.#passing) fact.pass!(run.producer, atMs, this.#at, inside)
    if (inside) {
      if (atMs < this.#firstMs || (atMs === this.#firstMs && textAt(bytes, at.timestamp)! < this.#firstAt)) {
        this.#firstMs = atMs
        this.#firstAt = textAt(bytes, at.timestamp)!
      }
      this.#last.take(bytes, memberFrom[at.timestamp]! + 1)
    }
    if (!stretch) return true
    this.alike++
    if (stretch.count++ === 0) {
      stretch.first = index
      stretch.firstMs = atMs
    }
    if (atMs > stretch.lastMs) {
      stretch.lastMs = atMs
      stretch.last = index
    }
    if (!inside) return true
    stretch.bundles[Math.floor((index - this.#first) / tileWidth)]!++
    if (stretch.verdict >= 0) this.#decided(stretch.verdict, atMs)
    return true
  }

  #one(event: AuditEvent, { index }: PlacedLeaf, shard: number): void {
    const atMs = msOf(event.timestamp)
    if (atMs === undefined) return
    this.#time(atMs)
    if (this.#isAfter(atMs)) return
    if (event.kind === 'attestation') {
      this.#said.push(event as unknown as Json)
      if (this.#said.length > maxSaid) this.#said.shift()
    }
    const about = aboutOf(event)
    const inside = this.#isIn(atMs) && (about === undefined || this.#plan.inScope(about.id, about.service))
    this.#ran(this.#runOf(event), atMs, event.kind === 'decision' && inside)
    const place = { shard, index }
    this.#view.show(event, atMs)
    for (const fact of this.#passing) fact.pass!(event.producer, atMs, place, inside)
    const seen = { view: this.#view, at: place, count: 1, lastMs: atMs, lastAt: place, inside }
    for (const fact of this.facts.values()) fact.take(seen)
    if (!inside) return
    if (atMs < this.#firstMs || (atMs === this.#firstMs && event.timestamp < this.#firstAt)) {
      this.#firstMs = atMs
      this.#firstAt = event.timestamp
    }
    this.#last.takeText(event.timestamp)
    if (about) this.#observe(about.id)
    const verdict = verdictOf(event)
    if (verdict >= 0) this.#decided(verdict, atMs)
    const bundle = Math.floor((index - this.#first) / tileWidth)
    for (const counting of this.#plan.byKind.get(event.kind) ?? []) {
      if (!counting.test(this.#view)) continue
      const tally = this.#tallies[counting.number]!
      tally.count++
      tally.bundles[bundle]!++
      tally.subjects.add(subjectOf(counting, this.#view), 1)
    }
  }

  /** When all leaves were taken. */
  save(): SavedPart {
    for (const { event, found } of this.#likes) for (const one of found.stretches.values()) this.#add(event, one)
    for (const run of this.#runs.values()) for (const fact of this.facts.values()) fact.run?.(run)
    const savedFacts = (which: 'always' | 'inside'): SavedFacts =>
      Object.fromEntries(
        [...this.facts].map(([name, fact]) => [
          name,
          Object.fromEntries(Object.entries(fact[which] ?? {}).map(([held, one]) => [held, one.save()])),
        ]),
      )
    const names = new Map<string, number>()
    const numberOf = (name: string): number => {
      const known = names.get(name) ?? names.size
      names.set(name, known)
      return known
    }
    const tallies = this.#tallies.map(({ count, subjects, bundles }): SavedTally => {
      subjects.bound()
      let end = bundles.length
      while (end > 0 && bundles[end - 1] === 0) end--
      const pairs = subjects.sorted().flatMap(([name, of]) => [numberOf(name), of])
      return { count, subjects: pairs, other: subjects.other, bundles: [...bundles.subarray(0, end)] }
    })
    return {
      minMs: this.#minMs,
      maxMs: this.#maxMs,
      said: this.#said,
      always: savedFacts('always'),
      inside: {
        facts: savedFacts('inside'),
        names: [...names.keys()],
        tallies,
        decisions: this.#decisions,
        days: [...this.#days].sort(([a], [b]) => a - b).map(([day, counts]) => [dayText(day), counts]),
        observed: [...this.#observed].sort(),
        firstAt: this.#firstAt,
        lastAt: this.#last.text,
      },
    }
  }

  #add(event: AuditEvent, stretch: Stretch): void {
    const { inside, shard, first, firstMs, last, lastMs, count } = stretch
    if (count === 0) return
    this.#view.show(event, firstMs)
    const seen = { at: { shard, index: first }, count, lastMs, lastAt: { shard, index: last }, inside }
    for (const fact of this.facts.values()) fact.take({ ...seen, view: this.#view })
    if (!inside) return
    const about = aboutOf(event)
    if (about) this.#observe(about.id)
    stretch.tallies.forEach((tally, i) => {
      tally.count += count
      tally.subjects.add(stretch.subjects[i]!, count)
      for (let n = 0; n < stretch.bundles.length; n++) tally.bundles[n]! += stretch.bundles[n]!
    })
  }

  /** Times at which something turns for all that are like it. */
  #alike(event: AuditEvent): Alike {
    const times = this.#view.turnsOf(event, this.#plan.reads.usedBounds)
    const all = this.period ? [...times, this.period.fromMs].sort((a, b) => a - b) : times
    return { times: all, stretches: new Map() }
  }

  #stretchOf(event: AuditEvent, { times, stretches }: Alike, atMs: number, shard: number, index: number): Stretch {
    let turned = 0
    while (turned < times.length && atMs >= times[turned]!) turned++
    const known = stretches.get(turned)
    if (known) return known
    const about = aboutOf(event)
    const inside = this.#isIn(atMs) && (about === undefined || this.#plan.inScope(about.id, about.service))
    this.#view.show(event, atMs)
    const counting = inside ? (this.#plan.byKind.get(event.kind) ?? []).filter(({ test }) => test(this.#view)) : []
    const stretch = {
      inside,
      tallies: counting.map(({ number }) => this.#tallies[number]!),
      bundles: new Uint16Array(inside ? this.#bundles : 0),
      subjects: counting.map((one) => subjectOf(one, this.#view)),
      verdict: verdictOf(event),
      ...{ shard, first: index, firstMs: atMs, count: 0, lastMs: Number.NEGATIVE_INFINITY, last: index },
    }
    stretches.set(turned, stretch)
    return stretch
  }

  #isAfter = (atMs: number): boolean => this.period !== undefined && atMs >= this.period.toMs
  #isIn = (atMs: number): boolean => this.period === undefined || atMs >= this.period.fromMs

  #time(atMs: number): void {
    if (atMs < this.#minMs) this.#minMs = atMs
    if (atMs > this.#maxMs) this.#maxMs = atMs
  }

  #ran(run: RunState, atMs: number, decided: boolean): void {
    if (atMs > run.lastMs) run.lastMs = atMs
    if (decided) run.decided = true
  }

  #runOf({ epoch, producer, td, cluster }: AuditEvent): RunState {
    const known = this.#runs.get(epoch)
    if (known) return known
    const run = { epoch, producer, td, cluster, lastMs: Number.NEGATIVE_INFINITY, decided: false }
    this.#runs.set(epoch, run)
    return run
  }

  #observe(id: string): void {
    if (this.#observed.size < maxObserved) this.#observed.add(id)
  }

  #decided(verdict: number, atMs: number): void {
    this.#decisions[verdict]!++
    const day = Math.floor(atMs / 86_400_000)
    let counts = this.#days.get(day)
    if (!counts) {
      if (this.#days.size >= maxDays) return
      counts = [0, 0, 0]
      this.#days.set(day, counts)
    }
    counts[verdict]!++
  }
}

const dayText = (day: number): string => new Date(day * 86_400_000).toISOString().slice(0, 10)

const subjectOf = ({ by }: Counting, view: View): string => String(by(view) ?? 'unknown').slice(0, 4096)

/** As plain as `scan` reads it. */
export const isPlain = ({ file, from, to }: PlacedLeaf): boolean => scan(file, from, to)

/** Undefined where it is no record. */
export function eventOf(leaf: PlacedLeaf): AuditEvent | undefined {
  const read = parseEvent(bytesOf(leaf))
  return 'event' in read ? read.event : undefined
}

/** Of enforced decisions, but for those at outbound listeners. */
function verdictOf(event: AuditEvent): number {
  const { kind, verdict, enforced, direction } = event as unknown as { readonly [name: string]: unknown }
  if (kind !== 'decision' || enforced === false || direction === 'outbound') return -1
  return verdicts.indexOf(verdict as never)
}

/** Whether the envelope is as `parseEvent` wants it, as that of the run's other records was. */
function isEnvelope(bytes: Uint8Array, run: RunState): boolean {
  if (!isBare(bytes, at.v, '1') || !isText(bytes, at.td, run.td) || !isText(bytes, at.cluster, run.cluster))
    return false
  if (!isText(bytes, at.producer, run.producer) || countAt(bytes, at.seq) <= 0) return false
  const from = memberFrom[at.prev]! + 1
  if (from === 0 || memberTo[at.prev]! - from !== 65 || bytes[from - 1] !== 0x22) return false
  for (let i = from; i < from + 64; i++) {
    const byte = bytes[i]!
    if (!((byte >= 0x30 && byte <= 0x39) || (byte >= 0x61 && byte <= 0x66))) return false
  }
  return true
}
