/**
 * Which roots may vouch for a producer at a time. They come from outside, or from the log's own `trust` events: the
 * first is taken at its word, every later one only once its announcer's head was proven under roots already believed.
 */

import { fromBase64, fromBase64Url, toBase64, toHex } from '../../core/bytes.ts'
import type { Sha256, VerifyHead } from '../../core/ports.ts'
import { type AuditEvent, type HeadBody, headPayload, type StartBody, type TrustBody } from '../../core/record.ts'
import { pathOf, type SpiffeId, trustDomainOf } from '../../core/spiffe.ts'
import { parseTime } from '../../core/time.ts'
import { type Findings, recordId } from './finding.ts'

/** Roots of one trust domain from one time on. */
export interface TrustPeriod {
  readonly trustDomain: string
  readonly sequence: number
  readonly fromMs: number
  readonly roots: readonly Uint8Array[]
  /** `epoch-seq` of the event; empty where pinned by the caller. */
  readonly id: string
}

/** Producers may sign under the former bundle for so long after a change, and under the next one before it. */
export const overlapMs = 3_600_000

/** More bundles than honest rotations make in the life of a log. */
const maxPeriods = 10_000

export const mayAnnounceTrust = (producer: SpiffeId): boolean =>
  ['/writ/control', '/writ/ca'].includes(pathOf(producer))

/** The roots of `trustDomain` in force at a time, with those just before and just after. */
export function rootsAt(periods: readonly TrustPeriod[], trustDomain: string, atMs: number): readonly Uint8Array[] {
  const own = periods.filter((period) => period.trustDomain === trustDomain).sort((a, b) => a.fromMs - b.fromMs)
  const roots = new Map<string, Uint8Array>()
  own.forEach((period, i) => {
    const untilMs = own[i + 1]?.fromMs ?? Number.POSITIVE_INFINITY
    const begun = i === 0 || period.fromMs <= atMs + overlapMs
    if (begun && untilMs + overlapMs >= atMs) for (const root of period.roots) roots.set(toHex(root), root)
  })
  return [...roots.values()]
}

/** `rootsAt` for one who asks again and again: between two changes the answer is the same array. `periods` may grow. */
export function rootsFinder(
  periods: readonly TrustPeriod[],
): (trustDomain: string, atMs: number) => readonly Uint8Array[] {
  const held = new Map<string, { readonly afterMs: number; readonly beforeMs: number; roots: readonly Uint8Array[] }>()
  let known = 0
  return (trustDomain, atMs) => {
    if (known !== periods.length) held.clear()
    known = periods.length
    const last = held.get(trustDomain)
    if (last && last.afterMs < atMs && atMs < last.beforeMs) return last.roots
    const roots = rootsAt(periods, trustDomain, atMs)
    const own = periods.filter((period) => period.trustDomain === trustDomain)
    const changes = own.flatMap(({ fromMs }) => [fromMs - overlapMs, fromMs + overlapMs])
    if (changes.includes(atMs)) return roots
    const afterMs = Math.max(Number.NEGATIVE_INFINITY, ...changes.filter((ms) => ms < atMs))
    const beforeMs = Math.min(Number.POSITIVE_INFINITY, ...changes.filter((ms) => ms > atMs))
    held.set(trustDomain, { afterMs, beforeMs, roots })
    return roots
  }
}

/** What a `TrustReader` knows, as JSON. */
export interface SavedTrust {
  readonly periods: readonly SavedPeriod[]
  readonly announcers: readonly {
    readonly epoch: string
    readonly shard: number
    readonly chains: readonly SavedChain[]
    readonly waiting: readonly { readonly seq: number; readonly index: number; readonly period: SavedPeriod }[]
  }[]
}

/** Certificates that were announced, in base64. */
export interface SavedChain {
  readonly seq: number
  readonly signer: string
  readonly chain: readonly string[]
}

type SavedPeriod = Omit<TrustPeriod, 'roots'> & { readonly roots: readonly string[] }

const savedPeriod = (period: TrustPeriod): SavedPeriod => ({ ...period, roots: period.roots.map(toBase64) })
const periodOf = (saved: SavedPeriod): TrustPeriod => ({ ...saved, roots: saved.roots.map((one) => fromBase64(one)!) })

export const savedChain = ({ seq, signer, chain }: Chain): SavedChain => ({ seq, signer, chain: chain.map(toBase64) })
export const chainOf = ({ seq, signer, chain }: SavedChain): Chain => ({
  ...{ seq, signer },
  chain: chain.map((one) => fromBase64(one)!),
})

export interface Chain {
  readonly seq: number
  readonly signer: string
  readonly chain: readonly Uint8Array[]
}

interface Announcer {
  readonly shard: number
  readonly chains: Chain[]
  waiting: { readonly seq: number; readonly index: number; readonly period: TrustPeriod }[]
}

/** Reads a log's own trust events. Feed it every leaf once, then ask. */
export class TrustReader {
  readonly periods: TrustPeriod[] = []
  readonly #announcers = new Map<string, Announcer>()
  readonly #verifyHead: VerifyHead
  readonly #sha256: Sha256

  constructor(verifyHead: VerifyHead, sha256: Sha256) {
    this.#verifyHead = verifyHead
    this.#sha256 = sha256
  }

  save(): SavedTrust {
    const announcers = [...this.#announcers].map(([epoch, { shard, chains, waiting }]) => ({
      ...{ epoch, shard, chains: chains.map(savedChain) },
      waiting: waiting.map(({ seq, index, period }) => ({ seq, index, period: savedPeriod(period) })),
    }))
    return { periods: this.periods.map(savedPeriod), announcers }
  }

  load({ periods, announcers }: SavedTrust): void {
    this.periods.push(...periods.map(periodOf))
    for (const { epoch, shard, chains, waiting } of announcers) {
      const own = waiting.map(({ seq, index, period }) => ({ seq, index, period: periodOf(period) }))
      this.#announcers.set(epoch, { shard, chains: chains.map(chainOf), waiting: own })
    }
  }

  /** How many announcements no head has proven yet. */
  get waiting(): number {
    return [...this.#announcers.values()].reduce((sum, { waiting }) => sum + waiting.length, 0)
  }

  take(event: AuditEvent, shard: number, index: number): void {
    if (!mayAnnounceTrust(event.producer)) return
    const announcer: Announcer = this.#announcers.get(event.epoch) ?? { shard, chains: [], waiting: [] }
    this.#announcers.set(event.epoch, announcer)
    if (event.kind === 'start' || event.kind === 'svid') {
      const chain = derList((event as AuditEvent<StartBody>).svid)
      if (chain[0]) announcer.chains.push({ seq: event.seq, signer: toHex(this.#sha256(chain[0])), chain })
    }
    if (event.kind === 'trust') this.#announce(event as AuditEvent<TrustBody>, announcer, index)
    if (event.kind === 'head' && announcer.waiting.length > 0) this.#prove(event as AuditEvent<HeadBody>, announcer)
  }

  /** Names what was announced and never proven. */
  finish(findings: Findings): void {
    for (const [epoch, { shard, waiting }] of this.#announcers) {
      for (const { seq, index, period } of waiting) {
        const what = `roots of ${period.trustDomain} (sequence ${period.sequence}) that no head under earlier roots covers`
        findings.add({ level: 'warning', code: 'trust_unproven', shard, index, id: recordId(epoch, seq), what })
      }
    }
  }

  #announce(event: AuditEvent<TrustBody>, announcer: Announcer, index: number): void {
    const roots = derList(event.roots)
    if (typeof event.trust_domain !== 'string' || roots.length === 0) return
    if (this.periods.length + announcer.waiting.length >= maxPeriods) return
    const period: TrustPeriod = {
      trustDomain: event.trust_domain,
      sequence: typeof event.sequence === 'number' ? event.sequence : 0,
      fromMs: timeMs(event),
      roots,
      id: recordId(event.epoch, event.seq),
    }
    const known = this.periods.filter(({ trustDomain }) => trustDomain === period.trustDomain)
    const believed = new Set(known.flatMap((old) => old.roots.map(toHex)))
    if (sameRoots(known.at(-1)?.roots ?? [], roots)) return // Told again at a restart.
    // A bundle without new roots needs no more belief than we have.
    if (known.length === 0 || roots.every((root) => believed.has(toHex(root)))) this.periods.push(period)
    else announcer.waiting.push({ seq: event.seq, index, period })
  }

  #prove(event: AuditEvent<HeadBody>, announcer: Announcer): void {
    const announced = announcer.chains.findLast(({ seq }) => seq < event.seq)
    const signature = typeof event.sig === 'string' ? fromBase64Url(event.sig) : undefined
    if (!announced || announced.signer !== event.signer || !signature) return
    const atMs = timeMs(event)
    const { producer } = event
    const roots = rootsAt(this.periods, trustDomainOf(producer), atMs)
    const payload = headPayload(event)
    if (!this.#verifyHead({ payload, signature, chain: announced.chain, roots, producer, atMs }).ok) return
    this.periods.push(...announcer.waiting.filter(({ seq }) => seq < event.seq).map(({ period }) => period))
    announcer.waiting = announcer.waiting.filter(({ seq }) => seq > event.seq)
  }
}

function sameRoots(a: readonly Uint8Array[], b: readonly Uint8Array[]): boolean {
  const theirs = new Set(b.map(toHex))
  return a.length === b.length && a.every((root) => theirs.has(toHex(root)))
}

const timeMs = (event: AuditEvent): number => Number(parseTime(event.timestamp)! / 1_000_000n)

function derList(value: unknown): readonly Uint8Array[] {
  if (!Array.isArray(value)) return []
  return value.slice(0, 64).flatMap((text) => (typeof text === 'string' ? (fromBase64(text) ?? []) : []))
}
