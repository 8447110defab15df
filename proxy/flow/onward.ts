/** What goes on: where an allowed request is sent and what is changed on the way, or what a refused caller reads. */

import { type Decision, statusOf } from '../../core/decision.ts'
import type { RequestFacts } from '../../core/facts.ts'
import { isOwnField } from '../../core/filters.ts'
import type { PolicyUse } from '../../core/policy.ts'
import { decisionId, type RecordId } from '../../core/record.ts'
import { fieldOf, type Onward, type Refusal } from '../exchange.ts'
import { isFieldValue, isTokenText } from '../http1/fields.ts'
import type { Traced } from '../telemetry/served.ts'
import { changesOf } from './filters/changes.ts'
import { grpcRefusal, grpcTimeoutMs, isGrpc } from './grpc.ts'
import { problem, titles } from './problem.ts'
import { boundedReasons } from './record.ts'
import type { Found } from './route.ts'
import { challengeOf, withoutToken } from './token.ts'

/** Envoy's header for the identity that a proxy vouches for. Only we write it. */
const forwardedIdentity = 'x-forwarded-client-cert'

/** `kept` is left out where the mesh lets requests pass that could not be recorded. */
export function onward(
  facts: RequestFacts,
  found: Found,
  decision: Decision,
  kept?: RecordId,
  traced?: Traced,
): Onward {
  const effects = decision.verdict === 'allow' ? decision.effects : undefined
  const withheld = withoutToken(facts)
  const changes = found.filters && changesOf(facts.head!, found)
  const setHeaders = { ...withheld.set, ...changes?.set, ...theirs(effects?.setOnRequest) }
  setHeaders['x-request-id'] = facts.requestId
  if (traced) Object.assign(setHeaders, traced.headers)
  if (found.fromOutside) Object.assign(setHeaders, seenOutside(facts))
  const vouched = found.endpoint.outside ? undefined : vouchedFor(facts) // Names of the mesh are not for others.
  if (vouched !== undefined) setHeaders[forwardedIdentity] = vouched
  const setResponseHeaders = { ...changes?.setOnResponse, ...theirs(effects?.setOnResponse) }
  setResponseHeaders['x-writ-decision'] = kept ? decisionId(kept) : 'unrecorded'
  const removed = effects?.removeFromRequest?.map((name) => name.toLowerCase()).filter(isTheirs)
  const alike =
    removed || withheld.remove || changes || found.fromOutside
      ? [
          ...(removed ?? []),
          ...(changes?.remove ?? []),
          ...(withheld.remove ? [withheld.remove] : []),
          ...(found.fromOutside ? saidByOutside : []),
          forwardedIdentity,
        ]
      : alwaysRemoved
  return {
    endpoint: found.endpoint,
    setHeaders,
    removeHeaders: traced ? [...alike, ...traced.remove] : alike,
    setResponseHeaders,
    timeoutMs: found.timeoutMs,
    ...(found.times && { times: found.times }),
    ...(found.connections && { connections: found.connections }),
    ...(found.bodyBytes !== undefined && { bodyBytes: found.bodyBytes }),
    ...changes?.onward,
    ...(found.persist && { addResponseHeaders: [...(changes?.onward.addResponseHeaders ?? []), found.persist] }),
    ...deadline(facts, found, setHeaders),
  }
}

/** Of a gRPC call the smaller of its own and the route's, which the next one is told. */
function deadline(
  { head }: RequestFacts,
  { timeoutMs }: Found,
  setHeaders: Record<string, string>,
): { readonly timeoutMs: number } | undefined {
  if (!head || !isGrpc(head)) return undefined
  const ownMs = grpcTimeoutMs(fieldOf(head, 'grpc-timeout'))
  if (ownMs !== undefined && (timeoutMs === 0 || ownMs <= timeoutMs)) return { timeoutMs: Math.max(1, ownMs) }
  if (timeoutMs > 0) setHeaders['grpc-timeout'] = `${timeoutMs}m`
  return undefined
}

/** From where and how it was asked, in place of what the caller says of that. */
const seenOutside = ({ source, head }: RequestFacts): Record<string, string> => ({
  'x-forwarded-for': source.address,
  'x-forwarded-proto': head?.scheme ?? 'http',
  'x-forwarded-host': head?.authority ?? '',
})

/** RFC 7239, and what is written in its place: of a hop before us, which nobody has proved. */
const saidByOutside = ['forwarded', 'x-real-ip', 'x-forwarded-port']

const alwaysRemoved = [forwardedIdentity]

/** Whom we vouch for towards our own workload, in the form of Envoy's SANITIZE_SET. Outbound, the peer proves itself. */
function vouchedFor({ direction, workload, source: { identified } }: RequestFacts): string | undefined {
  if (direction === 'outbound' || !identified.ok) return undefined
  return `By=${workload};URI=${identified.identity.id}`
}

/** What a policy may change: names that are tokens and not ours, values that stay on their line. */
function theirs(fields: Readonly<Record<string, string>> | undefined): Record<string, string> {
  const kept: Record<string, string> = {}
  if (!fields) return kept
  for (const [name, value] of Object.entries(fields)) {
    const lower = name.toLowerCase()
    if (isTheirs(lower) && isFieldValue(value)) kept[lower] = value
  }
  return kept
}

const isTheirs = (name: string): boolean => isTokenText(name) && !isOwnField(name)

/** What a refused caller reads, in the words of the protocol that it speaks. */
export function refusalOf(decision: Decision, facts: RequestFacts, kept?: RecordId, policy?: PolicyUse): Refusal {
  const refusal = httpRefusal(decision, facts, kept, policy)
  if (!facts.head || !isGrpc(facts.head) || decision.verdict === 'allow') return refusal
  return grpcRefusal(refusal, decision.code, toldReasons(decision, policy)[0] ?? titles[decision.code])
}

/** The policy's own answer where it gave one, else a problem with its code. */
function httpRefusal(decision: Decision, facts: RequestFacts, kept?: RecordId, policy?: PolicyUse): Refusal {
  const ids = { requestId: facts.requestId, decisionId: kept && decisionId(kept) }
  if (decision.verdict === 'allow') return problem(503, 'internal', ids) // Allowed, yet there is nowhere to go.
  const answer = decision.verdict === 'deny' ? decision.answer : undefined
  const whole = problem(statusOf(decision.code), decision.code, ids, ownDetail(decision), toldReasons(decision, policy))
  const challenge = challengeOf(decision)
  if (challenge !== undefined) return { ...whole, headers: { ...whole.headers, 'www-authenticate': challenge } }
  if (!answer) return whole
  const { 'content-type': problemType, ...common } = whole.headers
  const type = answer.body === undefined ? problemType! : 'text/plain; charset=utf-8'
  return {
    status: refusedStatus(answer.status) ?? whole.status,
    headers: { 'content-type': type, ...common, ...theirs(answer.headers) },
    body: answer.body ?? whole.body,
  }
}

/** A refusal may redirect, but never looks like a success. */
const refusedStatus = (status: number | undefined): number | undefined =>
  status !== undefined && Number.isInteger(status) && status >= 300 && status <= 599 && status !== 304
    ? status
    : undefined

/** Those that the record has, where the policy said no and its binding lets callers read why. */
const toldReasons = (decision: Decision, policy: PolicyUse | undefined): readonly string[] =>
  policy?.explain === true && decision.code === 'policy_denied' ? boundedReasons(decision.reasons) : []

/** How to mend the request, where that is the caller's business. Reasons of a policy, or of a peer check, are not. */
function ownDetail(decision: Decision): string | undefined {
  switch (decision.code) {
    case 'bad_request':
    case 'head_too_large':
    case 'body_timeout':
    case 'method_unsupported':
    case 'no_route':
      return decision.from.by === 'proxy' ? decision.reasons[0] : undefined
    default:
      return undefined
  }
}
