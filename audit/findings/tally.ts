/** Sums of what was seen between two looks: bounded, and the same whether entries came by memory or were read again. */

import type { NotedEvent, Seen } from './seen.ts'
import { hourOf } from './spike.ts'

export interface EdgeSum {
  readonly caller: string
  readonly target: string
  readonly operation: string
  count: number
  firstMs: number
  lastMs: number
  /** Id of the first record. */
  readonly firstId: string
}

export interface HourSum {
  readonly caller: string
  readonly hour: number
  allowed: number
  denied: number
  /** Ids of denials, three at most. */
  readonly ids: string[]
}

export interface MixSum {
  readonly caller: string
  /** Days since 1970. */
  readonly day: number
  readonly target: string
  readonly operation: string
  count: number
}

export interface NobodySum {
  readonly target: string
  readonly hour: number
  count: number
  readonly firstId: string
}

export class Tally {
  readonly edges: Map<string, EdgeSum> = new Map()
  readonly hours: Map<string, HourSum> = new Map()
  readonly mix: Map<string, MixSum> = new Map()
  readonly nobody: Map<string, NobodySum> = new Map()
  readonly events: { readonly event: NotedEvent; readonly atMs: number }[] = []

  /** How many things are remembered. */
  get size(): number {
    return this.edges.size + this.hours.size + this.mix.size + this.nobody.size + this.events.length
  }

  saw(seen: Seen): void {
    if (seen.kind === 'event') {
      this.events.push(seen)
      return
    }
    const { caller, target, operation, allowed, atMs, id } = seen
    const hour = hourOf(atMs)
    if (caller === '') {
      if (!allowed) return
      const nobody = this.nobody.get(`${target}\n${hour}`)
      if (nobody) nobody.count++
      else this.nobody.set(`${target}\n${hour}`, { target, hour, count: 1, firstId: id })
      return
    }
    const hourKey = `${caller}\n${hour}`
    let sums = this.hours.get(hourKey)
    if (!sums) {
      sums = { caller, hour, allowed: 0, denied: 0, ids: [] }
      this.hours.set(hourKey, sums)
    }
    if (!allowed) {
      sums.denied++
      if (sums.ids.length < 3) sums.ids.push(id)
      return
    }
    sums.allowed++
    const key = `${caller}\n${target}\n${operation}`
    const edge = this.edges.get(key)
    if (!edge) {
      this.edges.set(key, { caller, target, operation, count: 1, firstMs: atMs, lastMs: atMs, firstId: id })
    } else {
      edge.count++
      if (atMs < edge.firstMs) edge.firstMs = atMs
      if (atMs > edge.lastMs) edge.lastMs = atMs
    }
    const day = Math.floor(hour / 24)
    const mixKey = `${key}\n${day}`
    const mixed = this.mix.get(mixKey)
    if (mixed) mixed.count++
    else this.mix.set(mixKey, { caller, day, target, operation, count: 1 })
  }
}
