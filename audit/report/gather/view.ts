/** One record as tallies see it: its members, and what is worked out of them, once for all who ask. */

import { isObject, type Json } from '../../../core/json.ts'
import type { AuditEvent } from '../../../core/record.ts'
import { parseTime } from '../../../core/time.ts'
import type { Declared } from '../files/declared.ts'
import { personalIn } from './personal.ts'
import { zoneOf } from './scope.ts'

export const nobody = 'nobody by name'

/** What is worked out, by name, and what it is: `writ report explain` prints these. */
export const derivedMembers: Readonly<Record<string, string>> = {
  '@caller': 'the name that the caller proved: input.attributes.source.principal',
  '@workload': 'whom the record is about: workload, else producer',
  '@edge': 'caller -> workload',
  '@proven': 'the caller proved a name by a certificate or a token: peer.proof is x509 or jwt, and @caller is there',
  '@source': 'address that the call came from: input.attributes.source.address',
  '@operation': 'what was asked: method and path of input.attributes.request.http, or the protocol of a connection',
  '@digest': 'the input was too large for a leaf and is kept as its digest: input.sha256',
  '@life': 'validity of the caller’s certificate, in hours: peer.not_after - peer.not_before',
  '@used': 'how much of that validity was over, in percent: timestamp against peer.not_before and peer.not_after',
  '@policies': 'how many policies the record names with revision and digest: bundles',
  '@zones': 'declared zone of the caller -> that of the workload',
  '@flow': 'same, declared, undeclared or unzoned: @zones against the declared flows',
  '@reader': 'declared or undeclared: reader of an audit_read against the declared readers',
  '@personal': 'what stands in clear that should not: a declared personal member, a card number, or nothing (empty)',
}

const sourceAddress = 'input.attributes.source.address.socketAddress.address'

/** Members that what is worked out depends on: those of `filled` alone by whether something stands there. */
export const derivedReads: Readonly<Record<string, readonly string[]>> = {
  '@caller': ['input.attributes.source.principal'],
  '@workload': ['workload', 'producer'],
  '@edge': ['input.attributes.source.principal', 'workload', 'producer'],
  '@proven': ['peer.proof', '? input.sha256', '? input.attributes.source.principal'],
  '@source': [sourceAddress],
  '@source of jwt': [`jwt ${sourceAddress}`],
  '@operation': ['input.attributes.request.http.method', 'input.attributes.request.http.path', 'input.writ.protocol'],
  '@digest': ['? input.sha256'],
  '@life': ['peer.not_before', 'peer.not_after'],
  '@used': ['peer.not_before', 'peer.not_after'],
  '@policies': ['bundles'],
  '@zones': ['input.attributes.source.principal', 'workload', 'producer'],
  '@flow': ['input.attributes.source.principal', 'workload', 'producer'],
  '@reader': ['reader'],
  '@personal': ['# input', '# reasons'],
}

export class View {
  event!: AuditEvent
  atMs = 0
  readonly #declared: Declared
  readonly #known = new Map<string, Json | undefined>()

  constructor(declared: Declared) {
    this.#declared = declared
  }

  /** The next record takes this one's place. */
  show(event: AuditEvent, atMs: number): void {
    this.event = event
    this.atMs = atMs
    this.#known.clear()
  }

  /** Times at which a record like this one comes to lie over, or under, one of these shares of its certificate's life. */
  turnsOf(event: AuditEvent, bounds: readonly number[]): readonly number[] {
    const from = msOf(memberAt(event as unknown as Json, 'peer', 'not_before'))
    const to = msOf(memberAt(event as unknown as Json, 'peer', 'not_after'))
    if (from === undefined || to === undefined || to <= from) return []
    const turns = new Set<number>()
    for (const bound of new Set(bounds)) {
      let ms = Math.floor(from + (bound / 100) * (to - from)) - 2
      if (!Number.isSafeInteger(ms)) continue
      while (usedAt(ms, from, to) < bound) ms++
      turns.add(ms)
      while (usedAt(ms, from, to) <= bound) ms++
      turns.add(ms)
    }
    return [...turns].sort((a, b) => a - b)
  }

  derived(name: string): Json | undefined {
    if (this.#known.has(name)) return this.#known.get(name)
    const value = this.#derive(name)
    this.#known.set(name, value)
    return value
  }

  #derive(name: string): Json | undefined {
    const event = this.event as unknown as { readonly [member: string]: Json | undefined }
    switch (name) {
      case '@caller':
        return textAt(event['input'], 'attributes', 'source', 'principal')
      case '@workload':
        return typeof event['workload'] === 'string' ? event['workload'] : event['producer']
      case '@edge':
        return `${this.derived('@caller') ?? nobody} -> ${this.derived('@workload')}`
      case '@proven':
        return this.#proven()
      case '@source':
        return textAt(event['input'], 'attributes', 'source', 'address', 'socketAddress', 'address')
      case '@operation':
        return this.#operation()
      case '@digest':
        return textAt(event['input'], 'sha256') !== undefined
      case '@life':
        return this.#life()?.hours
      case '@used':
        return this.#life()?.used
      case '@policies':
        return namedPolicies(event['bundles'])
      case '@zones':
        return this.#zones().join(' -> ')
      case '@flow':
        return this.#flow()
      case '@reader':
        return this.#declared.readers.includes(String(event['reader'])) ? 'declared' : 'undeclared'
      case '@personal':
        return personalIn(this.event, this.#declared.personal)
      default:
        return undefined
    }
  }

  /** An input too large for a leaf is kept as its digest; how the peer proved its name stands beside it. */
  #proven(): boolean {
    const proof = textAt(this.event as unknown as Json, 'peer', 'proof')
    if (proof !== 'x509' && proof !== 'jwt') return false
    return this.derived('@digest') === true || this.derived('@caller') !== undefined
  }

  #operation(): string | undefined {
    const { input } = this.event as unknown as { readonly input?: Json }
    const http = memberAt(input, 'attributes', 'request', 'http')
    if (http === undefined) return textAt(input, 'writ', 'protocol') ?? undefined
    const [method, path] = [textAt(http, 'method'), textAt(http, 'path')]
    return method === undefined || path === undefined ? undefined : `${method} ${path}`
  }

  #life(): { readonly hours: number; readonly used: number } | undefined {
    const from = msOf(memberAt(this.event as unknown as Json, 'peer', 'not_before'))
    const to = msOf(memberAt(this.event as unknown as Json, 'peer', 'not_after'))
    if (from === undefined || to === undefined || to <= from) return undefined
    return { hours: (to - from) / 3_600_000, used: usedAt(this.atMs, from, to) }
  }

  #zones(): readonly [string, string] {
    const name = (id: Json | undefined) => (typeof id === 'string' ? (zoneOf(this.#declared.zones, id) ?? '?') : '?')
    return [name(this.derived('@caller')), name(this.derived('@workload'))]
  }

  #flow(): string {
    const [from, to] = this.#zones()
    if (from === '?' || to === '?') return 'unzoned'
    if (from === to) return 'same'
    return this.#declared.flows.some((flow) => flow.from === from && flow.to === to) ? 'declared' : 'undeclared'
  }
}

const usedAt = (atMs: number, from: number, to: number): number => (100 * (atMs - from)) / (to - from)

function namedPolicies(bundles: Json | undefined): number {
  if (!isObject(bundles)) return 0
  return Object.values(bundles).filter((one) => textAt(one, 'revision') && textAt(one, 'sha256')).length
}

export function memberAt(value: Json | undefined, ...steps: readonly string[]): Json | undefined {
  let here = value
  for (const step of steps) here = isObject(here) && Object.hasOwn(here, step) ? here[step] : undefined
  return here
}

/** A text that is not empty. */
export function textAt(value: Json | undefined, ...steps: readonly string[]): string | undefined {
  const found = memberAt(value, ...steps)
  return typeof found === 'string' && found !== '' ? found : undefined
}

/** RFC 3339 with nine digits as records have it, or with fewer. */
export function msOf(text: unknown): number | undefined {
  if (typeof text !== 'string') return undefined
  const ns = parseTime(text)
  if (ns !== undefined) return Number(ns / 1_000_000n)
  const ms = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z$/.test(text) ? Date.parse(text) : Number.NaN
  return Number.isNaN(ms) ? undefined : ms
}
