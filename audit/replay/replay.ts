/**
 * Asks a policy that is not in force yet what it would have said to the requests of a log. Reads each decision once and
 * keeps sums only. A decision is replayed where the record holds every fact that the candidate may read, and not guessed
 * at where it does not.
 */

import type { Decision } from '../../core/decision.ts'
import type { RequestFacts } from '../../core/facts.ts'
import { isObject } from '../../core/json.ts'
import type { PolicyRef } from '../../core/policy.ts'
import type { Decide, RecordedAnswers } from '../../core/ports.ts'
import type { AuditEvent, DecisionBody } from '../../core/record.ts'
import type { Impact, Obstacle } from './impact.ts'
import { type Leavable, lacking, nothing } from './reads.ts'
import { recall } from './recorded.ts'
import { pathShape } from './shape.ts'
import { Tally, type TallyLimits } from './tally.ts'

export interface Candidate {
  /** Its bundle's name says whose decisions are replayed. */
  readonly ref: PolicyRef
  /** Asks the candidate, whatever bundle is named. */
  readonly decide: Decide
  /** What it may read, by entry point, of the facts that records can leave out. */
  readonly reads: (entrypoint: string) => Leavable
  /** Builtins it calls whose answers depend on more than the request and its time, and that no record holds. */
  readonly worldly: readonly string[]
  /** Whether it has data beside its bundle, in place of what was fetched then. Default false. */
  readonly hasData?: boolean
}

export interface ReplayOptions extends TallyLimits {
  /** Facts known to have been kept whenever they were sent. Default none. */
  readonly kept?: Leavable
}

/** One event, or several at once, as they come by the page. */
export type Some = AuditEvent | readonly AuditEvent[]

export async function replay(
  entries: AsyncIterable<Some> | Iterable<Some>,
  candidate: Candidate,
  options: ReplayOptions = {},
): Promise<Impact> {
  const tally = new Tally(options)
  const kept = options.kept ?? nothing
  const one = (event: AuditEvent): Promise<void> | undefined => {
    if (event.kind !== 'decision') return undefined
    const decision = event as AuditEvent<DecisionBody>
    if (decision.direction !== 'inbound') return undefined // Outbound calls are judged where they arrive.
    const made = madeBy(decision, candidate.ref.bundle)
    if (typeof made !== 'string') {
      tally.decision(made.revision, decision.timestamp)
      return replayOne(decision, made.entrypoint, candidate, kept, tally)
    }
    tally.passedOver[made]++
    return undefined
  }
  for await (const some of entries) {
    for (const event of isList(some) ? some : [some]) {
      const later = one(event)
      if (later) await later // A turn of the event loop's queue for each would cost as much as the decision.
    }
  }
  return { candidate: candidate.ref, ...tally.finish() }
}

const isList = (some: AuditEvent | readonly AuditEvent[]): some is readonly AuditEvent[] => Array.isArray(some)

type PassedOver = keyof Impact['passedOver']

/** A record's body was written by others: what is not said as it should be was made by none of ours. */
function madeBy(
  { by, enforced, bundles, path }: AuditEvent<DecisionBody>,
  bundle: string,
): { readonly revision: string; readonly entrypoint: string } | PassedOver {
  if (by !== 'policy') return 'byProxy'
  const ref: unknown = isObject(bundles) && Object.hasOwn(bundles, bundle) ? bundles[bundle] : undefined
  if (!isObject(ref) || typeof path !== 'string') return 'byOthers'
  if (enforced !== true) return 'shadow'
  return { revision: typeof ref['revision'] === 'string' ? ref['revision'] : '', entrypoint: path }
}

function replayOne(
  event: AuditEvent<DecisionBody>,
  entrypoint: string,
  { ref, decide, reads, worldly, hasData }: Candidate,
  kept: Leavable,
  tally: Tally,
): Promise<void> | undefined {
  const { timestamp: time } = event
  const id = event.decision_id ?? ''
  const unreplayed = (obstacle: Obstacle, what: string): undefined => void tally.unreplayed(obstacle, what, id, time)
  if (worldly.length > 0) return unreplayed('world', worldly.join(', '))
  const besides = hasData ? [] : dataNames(event)
  if (besides.length > 0) return unreplayed('not_recorded', `data ${besides.join(', ')}`)
  const recalled = recall(event)
  if (recalled.kind === 'oversize') return unreplayed('oversize', 'input')
  if (recalled.kind === 'unreadable') return unreplayed('unreadable', recalled.member)
  const { facts, showsQuery, body, token } = recalled
  const lacks = lacking(reads(entrypoint), { head: facts.head, showsQuery, body, token }, kept)
  if (lacks.length > 0) return unreplayed('not_recorded', lacks.join(', '))

  const missed = new Set<string>()
  const settle = ({ verdict, code, reasons }: Decision): undefined => {
    if (missed.size > 0) return unreplayed('world', [...missed].sort().join(', '))
    if (verdict === event.verdict) return undefined
    tally.flip({ ...callOf(facts), was: event.verdict, wouldBe: verdict, code }, { id, time, reasons })
    return undefined
  }
  const use = { bundle: ref.bundle, entrypoint, recordHeaders: [], recordQuery: false }
  const asked = decide(facts, use, answersOf(event, missed))
  return asked instanceof Promise ? asked.then(settle) : settle(asked)
}

/** Data that was fetched beside the rules, by the names that the record has. */
function dataNames({ data }: AuditEvent<DecisionBody>): readonly string[] {
  return isObject(data) ? Object.keys(data).slice(0, 8) : []
}

/** What the world answered then. What the record lacks is noted in `missed`. */
function answersOf({ nd_builtin_cache: cache }: AuditEvent<DecisionBody>, missed: Set<string>): RecordedAnswers {
  return (builtin, args) => {
    const known = isObject(cache) && Object.hasOwn(cache, builtin) ? cache[builtin] : undefined
    const answer = isObject(known) && Object.hasOwn(known, args) ? known[args] : undefined
    if (answer === undefined) missed.add(builtin)
    return answer
  }
}

const callOf = ({ source, workload, head }: RequestFacts) => ({
  caller: source.identified.ok ? source.identified.identity.id : null,
  target: workload,
  method: head?.method ?? '',
  shape: head ? pathShape(head.path) : '',
})
