/**
 * An event as canonical JSON. Decisions, of which there is one for each request, are written between runs of text that
 * stay the same for a connection, and outcomes one member after the other; the members stand below in the order that
 * RFC 8785 asks for. Held equal to `encodeEvent` by test/audit/stream/event-text.test.ts.
 */

import { canonicalJson, type Json, canonicalString as quoted } from '../../core/json.ts'
import type { DecisionBody, Envelope, EventBody, OutcomeItem, OutcomesBody } from '../../core/record.ts'

/** Throws a TypeError on what JSON cannot hold. */
export function eventText(envelope: Envelope, body: EventBody): string {
  if (body.kind === 'decision') {
    const text = decisionText(envelope, body)
    if (text !== undefined) return text
    const decision_id = `${envelope.epoch}-${envelope.seq}`
    return canonicalJson({ ...body, ...envelope, decision_id } as unknown as Json)
  }
  return (
    (body.kind === 'outcomes' ? outcomesText(envelope, body) : undefined) ??
    canonicalJson({ ...body, ...envelope } as unknown as Json)
  )
}

/** What a connection's decisions have in common, and the text around what they have not. */
interface Runs {
  readonly envelope: Pick<Envelope, 'v' | 'td' | 'cluster' | 'producer' | 'epoch'>
  readonly body: DecisionBody
  readonly members: number
  readonly toDecisionSeq: string
  readonly toInput: string
  readonly toPrev: string
  readonly toReasons: string
  readonly toSeq: string
  readonly toTimestamp: string
  readonly toEnd: string
}

/** By the peer, which is one object for as long as a connection proves the same name: what was decided lately of it. */
const known = new WeakMap<object, Runs[]>()
/** Kept of one peer: it is allowed, refused in a way or two, and one process may serve several workloads that it calls. */
const maxRuns = 4

/** Undefined where the body is not as its type says. */
function decisionText(envelope: Envelope, body: DecisionBody): string | undefined {
  const { peer, reasons, input, request_id, trace_id } = body
  if (peer === undefined || input === undefined || !Array.isArray(reasons)) return undefined
  if (typeof request_id !== 'string' || (trace_id !== undefined && typeof trace_id !== 'string')) return undefined
  const runs = knownRuns(peer, envelope, body)
  if (!runs) return undefined
  if (Object.keys(body).length !== runs.members + (trace_id === undefined ? 0 : 1)) return undefined
  const { seq } = envelope
  const why = reasons.length === 0 ? '[]' : canonicalJson(reasons)
  const trace = trace_id === undefined ? '' : `,"trace_id":${quoted(trace_id)}`
  return (
    `${runs.toDecisionSeq}${seq}${runs.toInput}${canonicalJson(input)}${runs.toPrev}${envelope.prev}${runs.toReasons}` +
    `${why},"request_id":${quoted(request_id)}${runs.toSeq}${seq}${runs.toTimestamp}${envelope.timestamp}"${trace}${runs.toEnd}`
  )
}

function knownRuns(peer: object, envelope: Envelope, body: DecisionBody): Runs | undefined {
  const before = known.get(peer)
  if (before) for (const runs of before) if (isSame(runs, envelope, body)) return runs
  const made = runsOf(envelope, body)
  if (!made) return undefined
  if (!before) known.set(peer, [made])
  else if (before.push(made) > maxRuns) before.shift()
  return made
}

function isSame(runs: Runs, envelope: Envelope, body: DecisionBody): boolean {
  const { envelope: e, body: b } = runs
  return (
    e.epoch === envelope.epoch &&
    e.producer === envelope.producer &&
    e.cluster === envelope.cluster &&
    e.td === envelope.td &&
    e.v === envelope.v &&
    b.peer === body.peer &&
    b.bundles === body.bundles &&
    b.by === body.by &&
    b.code === body.code &&
    b.direction === body.direction &&
    b.enforced === body.enforced &&
    b.listener === body.listener &&
    b.path === body.path &&
    b.route === body.route &&
    b.service === body.service &&
    b.verdict === body.verdict &&
    b.workload === body.workload
  )
}

function runsOf(envelope: Envelope, body: DecisionBody): Runs | undefined {
  const { v, td, cluster, producer, epoch } = envelope
  const { peer, bundles, by, code, direction, enforced, listener, path, route, service, verdict, workload } = body
  const texts: readonly unknown[] = [by, code, direction, listener, verdict, workload]
  const options = [bundles, path, route, service].filter((member) => member !== undefined)
  // Runs are remembered by their objects, so what is remembered must never change.
  if (!texts.every((text) => typeof text === 'string') || typeof enforced !== 'boolean') return undefined
  if (!Object.isFrozen(peer) || (bundles !== undefined && !Object.isFrozen(bundles))) return undefined
  if ([path, route, service].some((text) => text !== undefined && typeof text !== 'string')) return undefined
  const optional = (name: string, value: Json | undefined): string =>
    value === undefined ? '' : `${name}${canonicalJson(value)}`
  return {
    envelope: { v, td, cluster, producer, epoch },
    body,
    members: 12 + options.length, // Those that are always there, the peer among them.
    toDecisionSeq: flat(
      `{${bundles === undefined ? '' : `"bundles":${canonicalJson(bundles)},`}"by":${quoted(by)}` +
        `,"cluster":${quoted(cluster)},"code":${quoted(code)},"decision_id":"${epoch}-`,
    ),
    toInput: flat(`","direction":${quoted(direction)},"enforced":${String(enforced)},"epoch":"${epoch}","input":`),
    toPrev: flat(
      `,"kind":"decision","listener":${quoted(listener)}${optional(',"path":', path)}${optional(',"peer":', peer)},"prev":"`,
    ),
    toReasons: flat(`","producer":${quoted(producer)},"reasons":`),
    toSeq: flat(`${optional(',"route":', route)},"seq":`),
    toTimestamp: flat(`${optional(',"service":', service)},"td":${quoted(td)},"timestamp":"`),
    toEnd: flat(`,"v":${canonicalJson(v)},"verdict":${quoted(verdict)},"workload":${quoted(workload)}}`),
  }
}

/** The same text as one piece of memory rather than a tree of its parts. */
const flat = (text: string): string => JSON.parse(JSON.stringify(text)) as string

function outcomesText(envelope: Envelope, body: OutcomesBody): string | undefined {
  const { outcomes } = body
  if (Object.keys(body).length !== 2 || !Array.isArray(outcomes)) return undefined
  const { cluster, epoch, prev, producer, seq, td, timestamp, v } = envelope
  let items = ''
  for (const item of outcomes as readonly OutcomeItem[]) {
    const text = outcomeText(item)
    if (text === undefined) return undefined
    items += items === '' ? text : `,${text}`
  }
  return (
    `{"cluster":${quoted(cluster)},"epoch":"${epoch}","kind":"outcomes","outcomes":[${items}],"prev":"${prev}"` +
    `,"producer":${quoted(producer)},"seq":${seq},"td":${quoted(td)},"timestamp":"${timestamp}","v":${v}}`
  )
}

function outcomeText(item: OutcomeItem): string | undefined {
  if (typeof item !== 'object' || item === null || Object.keys(item).length !== 7) return undefined
  const { code, duration_us, request_bytes, response_bytes, seq, status, upstream } = item
  if (typeof code !== 'string' || typeof upstream !== 'string') return undefined
  const counts = isCount(duration_us) && isCount(request_bytes) && isCount(response_bytes)
  if (!counts || !isCount(seq) || !isCount(status)) return undefined
  return (
    `{"code":${quoted(code)},"duration_us":${duration_us},"request_bytes":${request_bytes}` +
    `,"response_bytes":${response_bytes},"seq":${seq},"status":${status},"upstream":${quoted(upstream)}}`
  )
}

/** A number that text shows as JSON does; minus zero is shown as zero by both. */
const isCount = (value: number): boolean => Number.isSafeInteger(value)
