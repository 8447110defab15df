/**
 * Least privilege from what was really used: the edges that cover every allowed inbound decision of a log, and what a
 * policy grants that nobody used. It knows what records show, methods and paths, and nothing of headers or bodies.
 */

import { parsePath } from '../../core/input.ts'
import { isObject } from '../../core/json.ts'
import type { AuditEvent, DecisionBody } from '../../core/record.ts'
import { pathOf, type SpiffeId, trustDomainOf } from '../../core/spiffe.ts'
import type { Grants, GrantUse } from './grants.ts'
import { fits, type PatternLimits, Patterns, type SeenPattern } from './patterns.ts'
import { recall } from './recorded.ts'

export interface SuggestOptions extends Omit<PatternLimits, 'room'> {
  /** Only what this bundle decided. Default all. */
  readonly bundle?: string
  /** Trust domain that the edges' names are within. Default that of most allowed targets. */
  readonly trustDomain?: string
  /** Whose use is counted. Default none. */
  readonly grants?: Grants
  /** Callers, targets and methods that are kept apart, and refused requests that are remembered. Default 10 000. */
  readonly groups?: number
  /** Steps of paths that are remembered. Default 200 000. */
  readonly steps?: number
}

export interface SuggestedEdge extends SeenPattern {
  readonly from: string
  readonly to: string
  readonly method: string
}

/**
 * Why an allowed decision is covered by no edge. `no_identity`: its caller proved no name. `other_domain`: caller or
 * target is of another trust domain. `unwritable`: no pattern says its path and not others too. `no_room`: there were too
 * many. `unreadable`: the record does not show what was asked. `not_http`: no request was made.
 */
export type LeftOut = 'no_identity' | 'other_domain' | 'unwritable' | 'no_room' | 'unreadable' | 'not_http'

/** A request that was refused, and that an edge would allow: made more general than it may be, or decided by more. */
export interface Conflict {
  readonly from: string
  readonly to: string
  readonly method: string
  /** The edge's. */
  readonly path: readonly string[]
  /** Path of the first such request, and how many there were. */
  readonly refused: string
  readonly count: number
}

export interface Suggestion {
  readonly trustDomain: string
  /** Allowed decisions that were seen, and those that the edges cover. */
  readonly allowed: number
  readonly covered: number
  readonly oldest: string | null
  readonly newest: string | null
  readonly edges: readonly SuggestedEdge[]
  readonly conflicts: readonly Conflict[]
  readonly leftOut: readonly { readonly why: LeftOut; readonly count: number; readonly example: string }[]
  /** Refusals that were not compared with the edges, for there were too many. */
  readonly unchecked: number
  readonly grants: readonly GrantUse[]
}

interface Call {
  readonly from: string
  readonly to: string
  readonly method: string
}

interface Asked {
  readonly call: Call
  readonly steps: readonly string[]
}

/** Trust domains of targets that are counted. */
const maxDomains = 256

export async function suggest(
  events: AsyncIterable<AuditEvent> | Iterable<AuditEvent>,
  options: SuggestOptions = {},
): Promise<Suggestion> {
  const seen = new Seen(options)
  for await (const event of events) {
    if (event.kind !== 'decision') continue
    const decision = event as AuditEvent<DecisionBody>
    if (decision.direction !== 'inbound' || decision.enforced !== true || decision.by !== 'policy') continue
    const { bundles } = decision
    if (options.bundle !== undefined && !(isObject(bundles) && Object.hasOwn(bundles, options.bundle))) continue
    if (decision.code === 'allowed') seen.allow(decision)
    else if (decision.code === 'policy_denied') seen.refuse(decision)
  }
  return seen.finish()
}

class Seen {
  readonly #options: SuggestOptions
  readonly #room: { left: number }
  readonly #maxGroups: number
  readonly #groups = new Map<string, { readonly call: Call; readonly patterns: Patterns }>()
  readonly #refused = new Map<string, { readonly call: Call; readonly steps: readonly string[]; count: number }>()
  readonly #leftOut = new Map<LeftOut, { count: number; example: string }>()
  readonly #domains = new Map<string, number>()
  #unchecked = 0
  #allowed = 0
  #oldest: string | null = null
  #newest: string | null = null

  constructor(options: SuggestOptions) {
    this.#options = options
    this.#room = { left: options.steps ?? 200_000 }
    this.#maxGroups = options.groups ?? 10_000
  }

  allow(event: AuditEvent<DecisionBody>): void {
    const { timestamp: time } = event
    this.#allowed++
    if (this.#oldest === null || time < this.#oldest) this.#oldest = time
    if (this.#newest === null || time > this.#newest) this.#newest = time
    const asked = readCall(event)
    const kept = typeof asked === 'string' ? asked : this.#keep(asked, time)
    if (kept !== 'kept') this.#count(kept, 1, event.decision_id ?? '')
  }

  #keep({ call, steps }: Asked, time: string): LeftOut | 'kept' {
    this.#options.grants?.saw({ ...call, steps, time })
    const key = JSON.stringify([call.from, call.to, call.method])
    let group = this.#groups.get(key)
    if (!group) {
      if (this.#groups.size >= this.#maxGroups) return 'no_room'
      group = { call, patterns: new Patterns({ ...this.#options, room: this.#room }) }
      this.#groups.set(key, group)
    }
    const kept = group.patterns.saw(steps, time)
    const domain = trustDomainOf(call.to as SpiffeId)
    if (kept === 'kept' && (this.#domains.size < maxDomains || this.#domains.has(domain))) {
      this.#domains.set(domain, (this.#domains.get(domain) ?? 0) + 1)
    }
    return kept
  }

  refuse(event: AuditEvent<DecisionBody>): void {
    const asked = readCall(event)
    if (typeof asked === 'string') return // Nothing that an edge could allow.
    const { call, steps } = asked
    const key = JSON.stringify([call.from, call.to, call.method, ...steps])
    const known = this.#refused.get(key)
    if (known) known.count++
    else if (this.#refused.size < this.#maxGroups) this.#refused.set(key, { call, steps, count: 1 })
    else this.#unchecked++
  }

  finish(): Suggestion {
    const [first] = [...this.#domains].toSorted(([a, some], [b, more]) => more - some || (a < b ? -1 : 1))
    const trustDomain = this.#options.trustDomain ?? first?.[0] ?? ''
    const edges: SuggestedEdge[] = []
    for (const { call, patterns } of this.#groups.values()) {
      const from = nameIn(call.from, trustDomain)
      const to = nameIn(call.to, trustDomain)
      for (const pattern of patterns.list()) {
        if (from !== undefined && to !== undefined) edges.push({ from, to, method: call.method, ...pattern })
        else this.#count('other_domain', pattern.count, `${call.from} → ${call.to}`)
      }
    }
    edges.sort(byCall)
    return {
      trustDomain,
      allowed: this.#allowed,
      covered: edges.reduce((sum, { count }) => sum + count, 0),
      oldest: this.#oldest,
      newest: this.#newest,
      edges,
      conflicts: this.#conflicts(edges, trustDomain),
      leftOut: [...this.#leftOut].map(([why, left]) => ({ why, ...left })).toSorted((a, b) => (a.why < b.why ? -1 : 1)),
      unchecked: this.#unchecked,
      grants: this.#options.grants?.list() ?? [],
    }
  }

  #conflicts(edges: readonly SuggestedEdge[], domain: string): readonly Conflict[] {
    const found = new Map<SuggestedEdge, { refused: string; count: number }>()
    const byGroup = Map.groupBy(edges, ({ from, to, method }) => JSON.stringify([from, to, method]))
    for (const { call, steps, count } of this.#refused.values()) {
      const key = JSON.stringify([nameIn(call.from, domain), nameIn(call.to, domain), call.method])
      for (const edge of byGroup.get(key) ?? []) {
        if (!fits(edge.path, steps)) continue
        const known = found.get(edge)
        const refused = `/${steps.join('/')}`
        if (known) known.count += count
        else found.set(edge, { refused, count })
      }
    }
    return edges.flatMap((edge) => {
      const conflict = found.get(edge)
      const { from, to, method, path } = edge
      return conflict ? [{ from, to, method, path, ...conflict }] : []
    })
  }

  #count(why: LeftOut, count: number, example: string): void {
    const known = this.#leftOut.get(why)
    if (known) known.count += count
    else this.#leftOut.set(why, { count, example })
  }
}

function readCall(
  event: AuditEvent<DecisionBody>,
): { readonly call: Call; readonly steps: readonly string[] } | LeftOut {
  const recalled = recall(event)
  if (recalled.kind !== 'facts') return 'unreadable'
  const { source, workload, head } = recalled.facts
  if (!source.identified.ok) return 'no_identity'
  if (!head) return 'not_http'
  const call = { from: source.identified.identity.id, to: workload, method: head.method }
  return { call, steps: parsePath(head.path) }
}

const nameIn = (id: string, domain: string): string | undefined =>
  trustDomainOf(id as SpiffeId) === domain ? pathOf(id as SpiffeId).slice(1) : undefined

/** By who calls whom, path and method: the order in which people read them, and the same each time. */
function byCall(a: SuggestedEdge, b: SuggestedEdge): number {
  const key = ({ from, to, path, method }: SuggestedEdge): string => [from, to, path.join('/'), method].join('\n')
  return key(a) < key(b) ? -1 : 1
}
