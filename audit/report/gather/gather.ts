/** What checks look at, gathered leaf by leaf from a log that is verified in the same pass: one gathering for all of them. */

import type {
  CheckDefinition,
  CheckEvidence,
  ComplianceReport,
  ComplianceScope,
  Tally,
} from '../../../core/compliance.ts'
import { WritError } from '../../../core/fault.ts'
import type { Json } from '../../../core/json.ts'
import type { VerifiedLeaf } from '../../verify/verify.ts'
import type { Declared } from '../files/declared.ts'
import { reading, testOf } from './conditions.ts'
import { Count, drawKey } from './count.ts'
import type { Ending, Fact } from './facts/fact.ts'
import { factOf } from './facts/index.ts'
import { aboutOf, scopeTest } from './scope.ts'
import { msOf, View } from './view.ts'

/** Longest list of workloads or days. */
const maxNames = 100_000

export interface GatherSettings {
  readonly checks: readonly CheckDefinition[]
  readonly declared: Declared
  readonly scope: ComplianceScope
  readonly fromMs: number
  readonly toMs: number
  /** 16 hex digits. */
  readonly seed: string
}

export interface Gathered {
  readonly evidence: ReadonlyMap<string, CheckEvidence>
  /** With samples, by check and name: `unproven`, `certificates.unissued`. */
  readonly tallies: ReadonlyMap<string, ReadonlyMap<string, Tally>>
  readonly firstAt: string
  readonly lastAt: string
  readonly decisions: ComplianceReport['decisions']
  readonly days: ComplianceReport['days']
  /** Workloads in scope that recorded something. */
  readonly observed: readonly string[]
}

interface Counting {
  readonly check: string
  readonly name: string
  readonly test: (view: View) => boolean
  readonly by: (view: View) => Json | undefined
  readonly count: Count
}

/** Parameters of a check: those that the declared file has, else its own. */
export function parametersOf(check: CheckDefinition, declared: Declared): Readonly<Record<string, number>> {
  const given = declared.parameters[check.id] ?? {}
  const unknown = Object.keys(given).find((name) => check.parameters[name] === undefined)
  if (unknown !== undefined) {
    throw new WritError('config_invalid', `parameters: ${check.id} has no parameter ${unknown}`, {
      cure: `it has ${Object.keys(check.parameters).join(', ') || 'none'}`,
    })
  }
  return Object.fromEntries(Object.entries(check.parameters).map(([name, { value }]) => [name, given[name] ?? value]))
}

export class ComplianceGatherer {
  readonly #settings: GatherSettings
  readonly #view: View
  readonly #byKind = new Map<string, Counting[]>()
  readonly #all: Counting[] = []
  readonly #facts = new Map<string, Fact>()
  readonly #inScope: (id: string, service?: string) => boolean
  readonly #observed = new Set<string>()
  readonly #days = new Map<string, { allow: number; deny: number; fault: number }>()
  readonly #decisions = { allow: 0, deny: 0, fault: 0 }
  #firstAt = ''
  #lastAt = ''

  constructor(settings: GatherSettings) {
    this.#settings = settings
    const { checks, declared, scope } = settings
    this.#view = new View(declared)
    this.#inScope = scopeTest(scope, declared.zones)
    for (const check of checks) {
      const parameters = parametersOf(check, declared)
      for (const [name, rule] of Object.entries(check.tallies)) {
        const by = reading(rule.by ?? (rule.kind === 'decision' ? '@edge' : 'producer'))
        const test = testOf(rule, parameters, `check ${check.id}`)
        const counting = { check: check.id, name, test, by, count: new Count() }
        this.#all.push(counting)
        this.#byKind.set(rule.kind, [...(this.#byKind.get(rule.kind) ?? []), counting])
      }
      for (const name of check.facts) {
        const fact = factOf(name)
        if (fact && !this.#facts.has(name)) this.#facts.set(name, fact)
      }
    }
  }

  take(leaf: VerifiedLeaf): void {
    const { event } = leaf
    if (!event) return
    const { fromMs, toMs, seed } = this.#settings
    const atMs = msOf(event.timestamp)
    if (atMs === undefined || atMs >= toMs) return
    const about = aboutOf(event)
    const inside = atMs >= fromMs && (about === undefined || this.#inScope(about.id, about.service))
    this.#view.show(event, atMs)
    // Not the leaf itself: what is held of it must not hold its bytes.
    const at = { shard: leaf.shard, index: leaf.index }
    const seen = { view: this.#view, at, key: drawKey(seed, leaf.hash), inside }
    for (const fact of this.#facts.values()) fact.take(seen)
    if (!inside) return
    if (this.#firstAt === '' || event.timestamp < this.#firstAt) this.#firstAt = event.timestamp
    if (event.timestamp > this.#lastAt) this.#lastAt = event.timestamp
    if (about && this.#observed.size < maxNames) this.#observed.add(about.id)
    if (event.kind === 'decision') this.#decision()
    for (const { test, by, count } of this.#byKind.get(event.kind) ?? []) {
      if (test(this.#view)) count.add(seen.key, at, String(by(this.#view) ?? 'unknown').slice(0, 4096))
    }
  }

  finish(ending: Omit<Ending, 'parameters' | 'declared' | 'fromMs' | 'toMs'>, sound: boolean): Gathered {
    const { checks, declared, fromMs, toMs } = this.#settings
    const evidence = new Map<string, CheckEvidence>()
    const tallies = new Map<string, ReadonlyMap<string, Tally>>()
    for (const check of checks) {
      const parameters = parametersOf(check, declared)
      const own = new Map<string, Tally>()
      const counted: Record<string, Omit<Tally, 'sample'>> = {}
      for (const { name, count } of this.#all.filter((one) => one.check === check.id)) {
        const tally = count.finish()
        own.set(name, tally)
        const { sample: _, ...rest } = tally
        counted[name] = rest
      }
      const facts: Record<string, Json> = {}
      for (const name of check.facts) {
        const end = this.#facts.get(name)!.finish({ ...ending, parameters, declared, fromMs, toMs })
        facts[name] = end.values
        for (const [part, tally] of Object.entries(end.tallies)) own.set(`${name}.${part}`, tally)
      }
      tallies.set(check.id, own)
      evidence.set(check.id, { check: check.id, parameters, tallies: counted, facts, declared: declared.given, sound })
    }
    return {
      evidence,
      tallies,
      firstAt: this.#firstAt,
      lastAt: this.#lastAt,
      decisions: { ...this.#decisions },
      days: [...this.#days].sort(([a], [b]) => (a < b ? -1 : 1)).map(([day, counts]) => ({ day, ...counts })),
      observed: [...this.#observed].sort(),
    }
  }

  #decision(): void {
    const { verdict, enforced, direction } = this.#view.event as unknown as {
      readonly verdict?: unknown
      readonly enforced?: unknown
      readonly direction?: unknown
    }
    if (enforced === false || direction === 'outbound') return
    if (verdict !== 'allow' && verdict !== 'deny' && verdict !== 'fault') return
    this.#decisions[verdict]++
    const day = this.#view.event.timestamp.slice(0, 10)
    let counts = this.#days.get(day)
    if (!counts) {
      if (this.#days.size >= maxNames) return
      counts = { allow: 0, deny: 0, fault: 0 }
      this.#days.set(day, counts)
    }
    counts[verdict]++
  }
}
