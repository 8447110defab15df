/**
 * What checks look at, gathered in parts of a log: each part is a complete range of leaves, summed by itself, and may be
 * kept; a report adds up its parts. Only a part that the period cuts through is read for that period alone. So the sum
 * is the same whether parts were kept or not.
 */

import type { CheckEvidence, ComplianceReport, LeafPlace, Tally } from '../../../core/compliance.ts'
import type { Json } from '../../../core/json.ts'
import type { Sha256 } from '../../../core/ports.ts'
import type { AuditEvent } from '../../../core/record.ts'
import { tileWidth } from '../../log/tiles.ts'
import { ahead, partsOf } from '../../verify/ahead.ts'
import type { LeafRange, PlacedLeaf } from '../../verify/tree.ts'
import { type Said, SaidGatherer } from '../said.ts'
import { drawn } from './draw.ts'
import type { Ending, Fact } from './facts/fact.ts'
import { factOf } from './facts/index.ts'
import { type Drawable, Subjects, sampleSize } from './held.ts'
import { eventOf, type GatheredPart, isCut, isPlain, Part, type Period, type SavedPart } from './part.ts'
import { type Counting, type GatherSettings, type Plan, parametersOf, planOf } from './plan.ts'
import { aboutOf } from './scope.ts'
import { msOf, View } from './view.ts'

/** Leaves of a part: a complete subtree of the log, whose hash stands for them. */
export const partLeaves = 65_536

/** Longest list of workloads or days. */
const maxNames = 100_000

export interface Gathering extends GatherSettings, Period {
  /** 16 hex digits. */
  readonly seed: string
  readonly sha256: Sha256
  /** Default `partLeaves`; a multiple of 256. */
  readonly partLeaves?: number
}

/** Where leaves come from, and where sums of parts are kept. */
export interface GatherSource {
  /** Leaves of a range, verified up to the signed root. */
  readonly leaves: (shard: number, range: LeafRange) => AsyncIterable<readonly PlacedLeaf[]>
  /** What was kept of a complete part by the same plan; undefined where it has to be gathered. */
  readonly kept?: (shard: number, part: number) => Promise<SavedPart | undefined>
  readonly keep?: (shard: number, part: number, saved: SavedPart) => Promise<void>
  /** Gathers parts elsewhere, so many at once; undefined where a part has to be read here. */
  readonly elsewhere?: {
    readonly atOnce: number
    readonly part: (shard: number, range: LeafRange) => Promise<GatheredPart | undefined>
  }
  /** A drawn bundle does not have what its part counted in it. */
  readonly doubt?: (what: string) => void
}

/** A tally whose sample is drawn when it is asked for. */
export type Tallied = Omit<Tally, 'sample'> & { readonly draw: () => Promise<readonly LeafPlace[]> }

export interface Gathered {
  readonly evidence: ReadonlyMap<string, CheckEvidence>
  /** By check and name: `unproven`, `certificates.unissued`. */
  readonly tallies: ReadonlyMap<string, ReadonlyMap<string, Tallied>>
  readonly firstAt: string
  readonly lastAt: string
  readonly decisions: ComplianceReport['decisions']
  readonly days: ComplianceReport['days']
  /** Workloads in scope that recorded something. */
  readonly observed: readonly string[]
}

interface Total {
  count: number
  readonly subjects: Subjects
  /** How many in each bundle of a part. */
  readonly parts: { readonly shard: number; readonly first: number; readonly bundles: readonly number[] }[]
}

interface Open {
  readonly shard: number
  readonly number: number
  readonly range: LeafRange
  /** Undefined where what is kept of it was added. */
  readonly part: Part | undefined
  /** All its leaves are in the log. */
  readonly complete: boolean
}

export class ComplianceGatherer {
  readonly plan: Plan
  readonly #settings: Gathering
  readonly #source: GatherSource
  readonly #partLeaves: number
  readonly #facts: ReadonlyMap<string, Fact>
  readonly #totals: readonly Total[]
  readonly #said: SaidGatherer
  readonly #observed = new Set<string>()
  readonly #days = new Map<string, [number, number, number]>()
  readonly #decisions: [number, number, number] = [0, 0, 0]
  #firstAt = ''
  #lastAt = ''
  #open: Open | undefined
  /** What was kept of parts that are looked up before their turn. */
  readonly #ahead = new Map<string, SavedPart>()
  /** Size of the shard that is being read. */
  #size = 0

  constructor(settings: Gathering, source: GatherSource) {
    this.#settings = settings
    this.#source = source
    this.#partLeaves = settings.partLeaves ?? partLeaves
    this.plan = planOf(settings)
    this.#said = new SaidGatherer(settings)
    this.#facts = new Map(this.plan.facts.map((name) => [name, factOf(name)!]))
    this.#totals = this.plan.tallies.map(() => ({ count: 0, subjects: new Subjects(), parts: [] }))
  }

  /** A shard of so many leaves begins, of which those from `from` on will be handed in: those before are taken from what is kept, or read. */
  async shard(shard: number, from: number, size: number): Promise<void> {
    await this.#close()
    this.#size = size
    const elsewhere = this.#source.elsewhere
    const ranges = partsOf(0, from, this.#partLeaves)
    const all = ahead(ranges, elsewhere?.atOnce ?? 1, async (range) => {
      const isWhole = range.to === size || range.to % this.#partLeaves === 0
      return isWhole && elsewhere && (await this.wants(shard, range)) ? elsewhere.part(shard, range) : undefined
    })
    for await (const [range, part] of all) {
      const number = range.from / this.#partLeaves
      if (part) {
        await this.part(shard, range, part)
        continue
      }
      const open = await this.#enter(shard, number)
      if (open.part) await this.#read(open.part, shard, { from: open.range.from, to: Math.min(open.range.to, from) })
      if (open.range.to <= from) await this.#close()
    }
  }

  /** Before the leaves of a bundle are handed in. Undefined where there is nothing to wait for. */
  bundle(shard: number, first: number): Promise<void> | undefined {
    const number = Math.floor(first / this.#partLeaves)
    if (this.#open?.shard === shard && this.#open.number === number) return undefined
    return this.#close().then(() => this.#enter(shard, number).then(() => undefined))
  }

  /** As `Part` does. `judged`: as a verification showed it. */
  take(leaf: PlacedLeaf, shard: number, event: AuditEvent | undefined, judged: boolean): void {
    this.#open?.part?.take(leaf, shard, event, judged, judged)
  }

  /** Whether nothing is kept of a part, or not what the period needs. */
  async wants(shard: number, range: LeafRange): Promise<boolean> {
    const kept = await this.#kept(shard, range)
    if (kept) this.#ahead.set(`${shard} ${range.from}`, kept)
    return kept === undefined || isCut(kept, this.#settings)
  }

  /** A part that was gathered elsewhere; undefined where nobody had to. */
  async part(shard: number, range: LeafRange, gathered: GatheredPart | undefined): Promise<void> {
    await this.#close()
    const number = Math.floor(range.from / this.#partLeaves)
    if (!gathered) {
      await this.#enter(shard, number)
      return
    }
    this.#ahead.delete(`${shard} ${range.from}`)
    const { whole, inPeriod } = gathered
    const complete = range.to - range.from === this.#partLeaves
    if (complete) await this.#source.keep?.(shard, number, whole)
    this.#merge(inPeriod ?? whole, { shard, number, range, part: undefined, complete })
  }

  async #kept(shard: number, { from, to }: LeafRange): Promise<SavedPart | undefined> {
    if (to - from < this.#partLeaves) return undefined
    const known = this.#ahead.get(`${shard} ${from}`)
    this.#ahead.delete(`${shard} ${from}`)
    return known ?? this.#source.kept?.(shard, from / this.#partLeaves)
  }

  async #enter(shard: number, number: number): Promise<Open> {
    const from = number * this.#partLeaves
    const range = { from, to: Math.min(from + this.#partLeaves, this.#size) }
    const complete = range.to === from + this.#partLeaves
    const kept = await this.#kept(shard, range)
    const cut = kept !== undefined && isCut(kept, this.#settings)
    const part = kept && !cut ? undefined : this.#part(range, cut ? this.#settings : undefined)
    const open = { shard, number, range, part, complete }
    if (kept && !cut) this.#merge(kept, open)
    this.#open = open
    return open
  }

  #part(range: LeafRange, period: Period | undefined): Part {
    return new Part(this.plan, range.from, range.to - range.from, period)
  }

  async #close(): Promise<void> {
    const open = this.#open
    this.#open = undefined
    if (!open?.part) return
    const { part, shard, number, range, complete } = open
    const saved = part.save()
    const isWhole = part.period === undefined
    if (complete && isWhole) await this.#source.keep?.(shard, number, saved)
    if (!isWhole || !isCut(saved, this.#settings)) {
      this.#merge(saved, open)
      return
    }
    const again = this.#part(range, this.#settings)
    await this.#read(again, shard, range)
    this.#merge(again.save(), open)
  }

  async #read(part: Part, shard: number, range: LeafRange): Promise<void> {
    for await (const leaves of this.#source.leaves(shard, range)) {
      for (const leaf of leaves) part.take(leaf, shard, undefined, isPlain(leaf))
    }
  }

  #merge({ minMs, maxMs, said, always, inside }: SavedPart, { shard, range }: Open): void {
    const { fromMs, toMs } = this.#settings
    if (minMs >= toMs) return
    for (const event of said) this.#said.take({ event: event as unknown as AuditEvent })
    for (const [name, fact] of this.#facts) {
      for (const [held, one] of Object.entries(fact.always ?? {})) one.merge(always[name]![held]!)
      if (maxMs < fromMs) continue
      for (const [held, one] of Object.entries(fact.inside ?? {})) one.merge(inside.facts[name]![held]!)
    }
    if (maxMs < fromMs) return
    const { names, tallies, decisions, days, observed, firstAt, lastAt } = inside
    tallies.forEach(({ count, subjects, other, bundles }, i) => {
      const total = this.#totals[i]!
      total.count += count
      total.subjects.other += other
      for (let n = 0; n < subjects.length; n += 2) total.subjects.add(names[subjects[n]!]!, subjects[n + 1]!)
      total.subjects.bound()
      if (count > 0) total.parts.push({ shard, first: range.from, bundles })
    })
    for (let i = 0; i < 3; i++) this.#decisions[i]! += decisions[i]!
    for (const [day, counts] of days) {
      const known = this.#days.get(day)
      if (known) for (let i = 0; i < 3; i++) known[i]! += counts[i]!
      else if (this.#days.size < maxNames) this.#days.set(day, [...counts])
    }
    for (const id of observed) if (this.#observed.size < maxNames) this.#observed.add(id)
    if (firstAt !== '' && (this.#firstAt === '' || firstAt < this.#firstAt)) this.#firstAt = firstAt
    if (lastAt > this.#lastAt) this.#lastAt = lastAt
  }

  /** What people answer for, once all shards were read. */
  said(): Said {
    return this.#said.finish()
  }

  /** All shards were read. */
  end(): Promise<void> {
    return this.#close()
  }

  finish(rest: Omit<Ending, 'parameters' | 'declared' | 'fromMs' | 'toMs'>, sound: boolean): Gathered {
    const { checks, declared, fromMs, toMs } = this.#settings
    const evidence = new Map<string, CheckEvidence>()
    const tallies = new Map<string, ReadonlyMap<string, Tallied>>()
    for (const check of checks) {
      const parameters = parametersOf(check, declared)
      const own = new Map<string, Tallied>()
      const counted: Record<string, Omit<Tally, 'sample'>> = {}
      for (const counting of this.plan.tallies.filter((one) => one.check === check.id)) {
        const { count, subjects } = this.#totals[counting.number]!
        counted[counting.name] = { count, ...subjects.finish() }
        own.set(counting.name, { ...counted[counting.name]!, draw: () => this.#draw(counting) })
      }
      const facts: Record<string, Json> = {}
      for (const name of check.facts) {
        const end = this.#facts.get(name)!.finish({ ...rest, parameters, declared, fromMs, toMs })
        facts[name] = end.values
        for (const [part, tally] of Object.entries(end.tallies)) {
          own.set(`${name}.${part}`, this.#drawable(tally, `${check.id}/${name}.${part}`))
        }
      }
      tallies.set(check.id, own)
      evidence.set(check.id, { check: check.id, parameters, tallies: counted, facts, declared: declared.given, sound })
    }
    const [allow, deny, fault] = this.#decisions
    const days = [...this.#days].sort(([a], [b]) => (a < b ? -1 : 1))
    return {
      ...{ evidence, tallies, firstAt: this.#firstAt, lastAt: this.#lastAt, decisions: { allow, deny, fault } },
      days: days.map(([day, [allow, deny, fault]]) => ({ day, allow, deny, fault })),
      observed: [...this.#observed].sort(),
    }
  }

  #drawable(tally: Drawable | Tally, name: string): Tallied {
    if ('sample' in tally) return { ...tally, draw: () => Promise.resolve(tally.sample) }
    const { places, size, ...rest } = tally
    const { seed, sha256 } = this.#settings
    const draw = () => Promise.resolve(drawn(seed, name, places.length, size, sha256).map((i) => places[i]!))
    return { ...rest, draw }
  }

  /** Of the records that a tally counted, in the order of the log, those that the seed draws: their bundles are read again. */
  async #draw(counting: Counting): Promise<readonly LeafPlace[]> {
    const { count, parts } = this.#totals[counting.number]!
    const { seed, sha256 } = this.#settings
    const wanted = drawn(seed, `${counting.check}/${counting.name}`, count, sampleSize, sha256)
    const places: LeafPlace[] = []
    let before = 0
    for (const { shard, first, bundles } of parts) {
      for (let bundle = 0; bundle < bundles.length; bundle++) {
        const here = wanted.filter((n) => n >= before && n < before + bundles[bundle]!).map((n) => n - before)
        before += bundles[bundle]!
        if (here.length === 0) continue
        const from = first + bundle * tileWidth
        const range = { from, to: Math.min(from + tileWidth, first + this.#partLeaves) }
        const found = await this.#counted(counting, shard, range)
        if (found.length !== bundles[bundle]) {
          this.#source.doubt?.(`leaves ${from} and on have ${found.length} of ${counting.check} ${counting.name}`)
        }
        for (const n of here) if (found[n] !== undefined) places.push({ shard, index: found[n] })
      }
    }
    if (before !== count)
      this.#source.doubt?.(`bundles have ${before} of ${counting.check} ${counting.name}, not ${count}`)
    return places
  }

  async #counted(counting: Counting, shard: number, range: LeafRange): Promise<readonly number[]> {
    const view = new View(this.plan.declared)
    const { fromMs, toMs } = this.#settings
    const found: number[] = []
    for await (const leaves of this.#source.leaves(shard, range)) {
      for (const leaf of leaves) {
        const event = eventOf(leaf)
        const atMs = event?.kind === counting.kind ? msOf(event.timestamp) : undefined
        if (!event || atMs === undefined || atMs < fromMs || atMs >= toMs) continue
        const about = aboutOf(event)
        if (about && !this.plan.inScope(about.id, about.service)) continue
        view.show(event, atMs)
        if (counting.test(view)) found.push(leaf.index)
      }
    }
    return found
  }
}
