/** How far each producer has signed, and what excuses it: gaps in what arrived, decisions that it could not record. */

import { isObject } from '../../core/json.ts'
import type { AuditEvent, DroppedBody, GapBody, HeadBody, SpoolLostBody, SuppressedBody } from '../../core/record.ts'
import { isAuditor } from '../verify/records.ts'
import { timeOf } from './sightings.ts'

/** Most epochs and excuses that are remembered of one producer, and producers; the oldest of them go. */
const maxEpochs = 64
const maxExcuses = 64
const maxProducers = 100_000
/** An epoch that has told nothing for so long holds nobody up: it crashed, and its successor says so. */
const goneAfterMs = 3_600_000

interface Epoch {
  signedMs: number
  lastMs: number
  final: boolean
}

interface Known {
  readonly epochs: Map<string, Epoch>
  /** Numbers that are missing, by epoch and first number. */
  readonly gaps: Set<string>
  /** Times over which it could not record, or was told not to. */
  suppressed: { readonly fromMs: number; readonly untilMs: number }[]
  calls: boolean
}

type Saved = readonly {
  readonly producer: string
  readonly epochs: readonly (Epoch & { readonly epoch: string })[]
  readonly gaps: readonly string[]
  readonly suppressed: Known['suppressed']
  readonly calls: boolean
}[]

export class Producers {
  readonly #known = new Map<string, Known>()

  save(): Saved {
    return [...this.#known].map(([producer, { epochs, gaps, suppressed, calls }]) => ({
      producer,
      epochs: [...epochs].map(([epoch, at]) => ({ epoch, ...at })),
      gaps: [...gaps],
      suppressed,
      calls,
    }))
  }

  restore(saved: Saved): void {
    for (const { producer, epochs, gaps, suppressed, calls } of saved) {
      const of = this.#of(producer)
      for (const { epoch, ...at } of epochs) of.epochs.set(epoch, at)
      for (const gap of gaps) of.gaps.add(gap)
      of.suppressed = suppressed
      of.calls = calls
    }
  }

  take(event: AuditEvent): void {
    if (event.kind === 'gap' || event.kind === 'spool_lost') {
      // Nobody excuses itself.
      if (!isAuditor(event.producer)) return
      if (event.kind === 'gap') this.#gap(event as AuditEvent<GapBody>)
      else this.#spoolLost(event as AuditEvent<SpoolLostBody>)
      return
    }
    const of = this.#of(event.producer)
    const atMs = timeOf(event.timestamp)
    let epoch = of.epochs.get(event.epoch)
    if (!epoch) {
      epoch = { signedMs: 0, lastMs: atMs, final: false }
      of.epochs.set(event.epoch, epoch)
      if (of.epochs.size > maxEpochs) of.epochs.delete(of.epochs.keys().next().value!)
    }
    epoch.lastMs = Math.max(epoch.lastMs, atMs)
    if (event.kind === 'calls') of.calls = true
    if (event.kind === 'head') {
      epoch.signedMs = Math.max(epoch.signedMs, atMs)
      epoch.final ||= (event as AuditEvent<HeadBody>).final === true
    }
    if (event.kind === 'suppressed' || event.kind === 'dropped') {
      this.#unrecorded(of, event as AuditEvent<SuppressedBody | DroppedBody>)
    }
    if (event.kind === 'start') this.#start(of, event)
  }

  /** Whoever has begun an epoch has a sidecar, or is of the mesh's own. */
  isKnown(producer: string): boolean {
    return this.#known.has(producer)
  }

  calls(producer: string): boolean {
    return this.#known.get(producer)?.calls === true
  }

  /** Time up to which all its living epochs have signed what they recorded. 0 for one that nobody knows. */
  signedTo(producer: string): number {
    const of = this.#known.get(producer)
    if (!of) return 0
    let newest = 0
    for (const { lastMs } of of.epochs.values()) newest = Math.max(newest, lastMs)
    let signed = newest
    for (const { signedMs, lastMs, final } of of.epochs.values()) {
      if (!final && newest - lastMs < goneAfterMs) signed = Math.min(signed, signedMs)
    }
    return signed
  }

  /** Whether its own or the auditor's word says why a record of that time is not there. */
  explains(producer: string, atMs: number): boolean {
    const of = this.#known.get(producer)
    if (!of) return false
    return (
      of.gaps.size > 0 || of.suppressed.some(({ fromMs, untilMs }) => fromMs - 1000 <= atMs && atMs <= untilMs + 1000)
    )
  }

  #of(producer: string): Known {
    const known = this.#known.get(producer)
    if (known) return known
    if (this.#known.size >= maxProducers) this.#known.delete(this.#known.keys().next().value!)
    const of: Known = { epochs: new Map(), gaps: new Set(), suppressed: [], calls: false }
    this.#known.set(producer, of)
    return of
  }

  /** The epoch that it quotes is over, whether it said so itself or not. */
  #start(of: Known, { previous }: AuditEvent & { readonly previous?: unknown }): void {
    const before = isObject(previous) ? of.epochs.get(String(previous['epoch'])) : undefined
    if (before) before.final = true
  }

  #gap({ action, of: about, first, last }: AuditEvent<GapBody>): void {
    if (!isObject(about)) return
    const of = this.#of(String(about.producer))
    // Each number for itself would have no bound: a gap that closes in part is open until its first number came.
    const open = `${about.epoch} ${first}`
    if (action === 'opened' && of.gaps.size < maxExcuses) of.gaps.add(open)
    if (action !== 'closed') return
    of.gaps.delete(open)
    if (of.gaps.size === 0 || last === undefined) return
    for (const gap of of.gaps)
      if (gap.startsWith(`${about.epoch} `) && Number(gap.split(' ')[1]) <= last) of.gaps.delete(gap)
  }

  /** What it may have held is explained; nobody waits for its signature any more. */
  #spoolLost({ of: about, silent_since: from, next_at: until }: AuditEvent<SpoolLostBody>): void {
    if (!isObject(about)) return
    const of = this.#of(String(about.producer))
    const lost = of.epochs.get(String(about.epoch))
    if (lost) lost.final = true
    this.#unrecorded(of, { from, until })
  }

  #unrecorded(of: Known, { from, until }: Pick<SuppressedBody | DroppedBody, 'from' | 'until'>): void {
    of.suppressed.push({ fromMs: timeOf(from), untilMs: timeOf(until) })
    if (of.suppressed.length > maxExcuses) of.suppressed.shift()
  }
}
