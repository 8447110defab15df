/**
 * Asks a policy that is not in force yet what it would have said to the requests of a log. Reads each decision once and
 * keeps sums only. A decision is replayed where the record holds every fact that the candidate may read, and not guessed
 * at where it does not.
 */

import type { RequestFacts } from '../../core/facts.ts'
import { isObject } from '../../core/json.ts'
import type { PolicyRef } from '../../core/policy.ts'
import type { Decide, RecordedAnswers } from '../../core/ports.ts'
import type { AuditEvent, DecisionBody } from '../../core/record.ts'
import type { Impact } from './impact.ts'
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

export async function replay(
  entries: AsyncIterable<AuditEvent> | Iterable<AuditEvent>,
  candidate: Candidate,
  options: ReplayOptions = {},
): Promise<Impact> {
  const tally = new Tally(options)
  const kept = options.kept ?? nothing
  for await (const event of entries) {
    if (event.kind !== 'decision') continue
    const decision = event as AuditEvent<DecisionBody>
    if (decision.direction !== 'inbound') continue // Outbound calls are judged where they arrive.
    const made = madeBy(decision, candidate.ref.bundle)
    if (typeof made === 'string') tally.passedOver[made]++
    else {
      tally.decision(made.revision, decision.timestamp)
      await replayOne(decision, made.entrypoint, candidate, kept, tally)
    }
  }
  return { candidate: candidate.ref, ...tally.finish() }
}

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

async function replayOne(
  event: AuditEvent<DecisionBody>,
  entrypoint: string,
  { ref, decide, reads, worldly, hasData }: Candidate,
  kept: Leavable,
  tally: Tally,
): Promise<void> {
  const { timestamp: time } = event
  const id = event.decision_id ?? ''
  if (worldly.length > 0) return tally.unreplayed('world', worldly.join(', '), id, time)
  const besides = hasData ? [] : dataNames(event)
  if (besides.length > 0) return tally.unreplayed('not_recorded', `data ${besides.join(', ')}`, id, time)
  const recalled = recall(event)
  if (recalled.kind === 'oversize') return tally.unreplayed('oversize', 'input', id, time)
  if (recalled.kind === 'unreadable') return tally.unreplayed('unreadable', recalled.member, id, time)
  const { facts, showsQuery, body, token } = recalled
  const lacks = lacking(reads(entrypoint), { head: facts.head, showsQuery, body, token }, kept)
  if (lacks.length > 0) return tally.unreplayed('not_recorded', lacks.join(', '), id, time)

  const missed = new Set<string>()
  const use = { bundle: ref.bundle, entrypoint, recordHeaders: [], recordQuery: false }
  const asked = decide(facts, use, answersOf(event, missed))
  const { verdict, code, reasons } = asked instanceof Promise ? await asked : asked
  if (missed.size > 0) return tally.unreplayed('world', [...missed].sort().join(', '), id, time)
  if (verdict === event.verdict) return
  tally.flip({ ...callOf(facts), was: event.verdict, wouldBe: verdict, code }, { id, time, reasons })
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
