/** What the checks look at, gathered leaf by leaf from a log that is verified in the same pass. Counts and samples only. */

import { toHex } from '../../core/bytes.ts'
import { isObject, type Json } from '../../core/json.ts'
import type { AuditEvent, DecisionBody, RefusalsBody } from '../../core/record.ts'
import { parseTime } from '../../core/time.ts'
import type { VerifiedLeaf } from '../verify/verify.ts'
import { Sample, type Sampled } from './sample.ts'

/** From included, to not; milliseconds since 1970. An open end is undefined. */
export interface Range {
  readonly fromMs?: number
  readonly toMs?: number
}

/** So many, and some of them to look up. */
export interface Tally {
  readonly count: number
  readonly sample: readonly Sampled[]
}

export interface Evidence {
  readonly range: Range
  /** Times of the first and the last record in the range, RFC 3339; empty where there is none. */
  readonly firstAt: string
  readonly lastAt: string
  readonly records: number
  readonly verdicts: { readonly allow: number; readonly deny: number; readonly fault: number }
  /** Decisions of shadow policies, which changed nothing. */
  readonly shadow: number
  /** Decisions at outbound listeners: a workload's own calls, judged where they arrive. */
  readonly outbound: number
  /** Decisions that OPA servers sent. They stand for no request that a proxy saw, and no check counts them. */
  readonly told: number
  /** Inbound and enforced, by how the peer proved its name. */
  readonly inbound: {
    readonly mutualTls: Tally
    /** Proven by a token and no certificate. */
    readonly token: Tally
    /** Nothing proven, and refused for it. */
    readonly refused: Tally
    /** Nothing proven, and yet not refused for it. */
    readonly unproven: Tally
  }
  readonly allowed: {
    readonly proven: Tally
    readonly unproven: Tally
    /** By a policy's yes. */
    readonly byPolicy: Tally
    /** Although no policy could tell, since the binding lets such requests pass. */
    readonly faultPassed: Tally
    /** By no policy, and for no reason that we know of. */
    readonly byNone: Tally
  }
  readonly certificates: {
    readonly seen: Tally
    readonly tooLong: Tally
    /** Let in after its certificate's end or before its beginning. */
    readonly outsideLife: Tally
    /** Validity that could not be read. */
    readonly unreadable: Tally
    /** Used after two thirds of its life. */
    readonly late: Tally
    readonly longestMs: number
  }
  readonly refusals: { readonly counted: number; readonly others: number }
}

/** A leaf certificate's longest life, in milliseconds. Default 24 h. */
export const defaultMaxLifeMs = 86_400_000

const sampleSize = 5

const tallies = [
  'mutualTls',
  'token',
  'refused',
  'unproven',
  'allowedProven',
  'allowedUnproven',
  'allowedByPolicy',
  'faultPassed',
  'allowedByNone',
  'seen',
  'tooLong',
  'outsideLife',
  'unreadable',
  'late',
] as const
type TallyName = (typeof tallies)[number]

export class Gatherer {
  readonly #range: Range
  readonly #maxLifeMs: number
  readonly #tallies = new Map(tallies.map((name) => [name, { count: 0, sample: new Sample(sampleSize) }]))
  readonly #verdicts = { allow: 0, deny: 0, fault: 0 }
  #records = 0
  #shadow = 0
  #outbound = 0
  #told = 0
  #refusals = 0
  #others = 0
  #longestMs = 0
  #firstAt = ''
  #lastAt = ''

  constructor(range: Range, maxLifeMs: number = defaultMaxLifeMs) {
    this.#range = range
    this.#maxLifeMs = maxLifeMs
  }

  take(leaf: VerifiedLeaf): void {
    const { event } = leaf
    if (!event) return
    const atMs = msOf(event.timestamp)
    const { fromMs = Number.NEGATIVE_INFINITY, toMs = Number.POSITIVE_INFINITY } = this.#range
    if (atMs === undefined || atMs < fromMs || atMs >= toMs) return
    this.#records++
    if (this.#firstAt === '' || event.timestamp < this.#firstAt) this.#firstAt = event.timestamp
    if (event.timestamp > this.#lastAt) this.#lastAt = event.timestamp
    if (event.kind === 'decision') this.#decision(event as AuditEvent<DecisionBody>, leaf, atMs)
    if (event.kind === 'opa_decision') this.#told++
    if (event.kind === 'refusals') this.#refused(event as AuditEvent<RefusalsBody>)
  }

  finish(): Evidence {
    const tally = (name: TallyName): Tally => {
      const { count, sample } = this.#tallies.get(name)!
      return { count, sample: sample.list }
    }
    return {
      range: this.#range,
      firstAt: this.#firstAt,
      lastAt: this.#lastAt,
      records: this.#records,
      verdicts: { ...this.#verdicts },
      shadow: this.#shadow,
      outbound: this.#outbound,
      told: this.#told,
      inbound: {
        mutualTls: tally('mutualTls'),
        token: tally('token'),
        refused: tally('refused'),
        unproven: tally('unproven'),
      },
      allowed: {
        proven: tally('allowedProven'),
        unproven: tally('allowedUnproven'),
        byPolicy: tally('allowedByPolicy'),
        faultPassed: tally('faultPassed'),
        byNone: tally('allowedByNone'),
      },
      certificates: {
        seen: tally('seen'),
        tooLong: tally('tooLong'),
        outsideLife: tally('outsideLife'),
        unreadable: tally('unreadable'),
        late: tally('late'),
        longestMs: this.#longestMs,
      },
      refusals: { counted: this.#refusals, others: this.#others },
    }
  }

  #count(name: TallyName, leaf: VerifiedLeaf): void {
    const tally = this.#tallies.get(name)!
    tally.count++
    tally.sample.offer(toHex(leaf.hash), { shard: leaf.shard, index: leaf.index })
  }

  #decision(event: AuditEvent<DecisionBody>, leaf: VerifiedLeaf, atMs: number): void {
    const { verdict } = event
    if (event.enforced === false) {
      this.#shadow++
      return
    }
    if (verdict === 'allow' || verdict === 'deny' || verdict === 'fault') this.#verdicts[verdict]++
    const proof: unknown = isObject(event.peer) ? event.peer.proof : undefined
    if (event.direction === 'outbound') {
      this.#outbound++
      return
    }
    const proven = (proof === 'x509' || proof === 'jwt') && namesCaller(event.input)
    const refused = verdict === 'deny' && typeof event.code === 'string' && event.code.startsWith('identity_')
    if (proven) this.#count(proof === 'x509' ? 'mutualTls' : 'token', leaf)
    else this.#count(refused ? 'refused' : 'unproven', leaf)
    if (verdict === 'allow') this.#count(proven ? 'allowedProven' : 'allowedUnproven', leaf)
    if (verdict === 'allow') this.#count(allowedBy(event), leaf)
    if (proof === 'x509') this.#certificate(event, leaf, atMs)
  }

  #certificate(event: AuditEvent<DecisionBody>, leaf: VerifiedLeaf, atMs: number): void {
    this.#count('seen', leaf)
    const from = msOf(event.peer?.not_before)
    const to = msOf(event.peer?.not_after)
    if (from === undefined || to === undefined || to <= from) {
      this.#count('unreadable', leaf)
      return
    }
    const life = to - from
    this.#longestMs = Math.max(this.#longestMs, life)
    if (life > this.#maxLifeMs) this.#count('tooLong', leaf)
    if (event.verdict === 'allow' && (atMs < from || atMs > to)) this.#count('outsideLife', leaf)
    if (atMs - from > (life * 2) / 3) this.#count('late', leaf)
  }

  #refused(event: AuditEvent<RefusalsBody>): void {
    const list: unknown = event.refusals
    for (const item of Array.isArray(list) ? list : []) if (isObject(item)) this.#refusals += countOf(item['count'])
    this.#refusals += countOf(event.others)
    this.#others += countOf(event.others)
  }
}

const allowedBy = ({ code, by }: AuditEvent<DecisionBody>): TallyName =>
  code === 'fault_passed' ? 'faultPassed' : code === 'allowed' && by === 'policy' ? 'allowedByPolicy' : 'allowedByNone'

/** An input too large for a leaf is kept as its digest; how the peer proved its name stands beside it. */
function namesCaller(input: Json): boolean {
  if (!isObject(input)) return false
  if (typeof input['sha256'] === 'string') return true
  const attributes = input['attributes']
  const source = isObject(attributes) ? attributes['source'] : undefined
  return isObject(source) && typeof source['principal'] === 'string' && source['principal'] !== ''
}

/** RFC 3339 with nine digits as records have it, or with fewer. */
function msOf(text: unknown): number | undefined {
  if (typeof text !== 'string') return undefined
  const ns = parseTime(text)
  if (ns !== undefined) return Number(ns / 1_000_000n)
  const ms = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z$/.test(text) ? Date.parse(text) : Number.NaN
  return Number.isNaN(ms) ? undefined : ms
}

const countOf = (value: unknown): number =>
  typeof value === 'number' && Number.isSafeInteger(value) && value > 0 ? value : 0
