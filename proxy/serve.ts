/** Serves one request from first byte to last record. Read this file first. */

import type { Decision } from '../core/decision.ts'

import type { Outcome } from '../core/outcome.ts'
import type { PolicyUse } from '../core/policy.ts'
import type { Authenticate, Decide, Identify, LogRules, NowNs, RandomBytes, RecordSink } from '../core/ports.ts'
import type { RecordId } from '../core/record.ts'
import type { SpiffeId } from '../core/spiffe.ts'
import type { Exchange } from './exchange.ts'
import { stillAllowed } from './flow/again.ts'
import { seeBody } from './flow/body/see.ts'
import { tellCalls } from './flow/calls.ts'
import { readFacts } from './flow/facts.ts'
import { judge } from './flow/judge.ts'
import { underRules } from './flow/log-rules.ts'
import { onward, refusalOf } from './flow/onward.ts'
import { cutOff, type FindQuarantine } from './flow/quarantine.ts'
import { decisionBody, keep, strangerOf } from './flow/record.ts'
import type { FindRoute, Found } from './flow/route.ts'

import { send } from './flow/send.ts'

import type { Strangers } from './flow/strangers.ts'

import { seeToken } from './flow/token.ts'
import type { Trials } from './flow/trial.ts'
import type { AskRates } from './limit/rates.ts'
import type { Sources } from './limit/sources.ts'
import type { Telemetry } from './telemetry/served.ts'

/** What a listener brings to every request. */
export interface Parts {
  readonly direction: 'inbound' | 'outbound'
  /** `workload/listener`. */
  readonly listener: string
  readonly workload: SpiffeId
  readonly policy: PolicyUse | undefined
  readonly findRoute: FindRoute
  /** Where connections go that are passed as bytes. Default they are HTTP, and each request is routed. */
  readonly connectTo?: (() => Found | undefined) | undefined
  /** Whether they are told from HTTP by their first bytes, or by what the proxy of the caller has found. Default not. */
  readonly detects?: boolean
  /** Where TLS goes that is passed on as bytes, by the name that it asks for. Default none is. */
  readonly passedOn?: ((serverName: string) => (() => Found | undefined) | undefined) | undefined
  /** Where a connection goes that is passed on as bytes, by the address that it was sent to. Default none is. */
  readonly captured?: ((address: string) => (() => Found | undefined) | undefined) | undefined
  readonly identify: Identify
  /** Callers who prove no name are judged like any other. Default they are refused. */
  readonly strangers?: Strangers | undefined
  /** Judges tokens, where the policy's binding takes any. Default nobody can, and then such a binding passes nobody. */
  readonly authenticate?: Authenticate | undefined
  readonly decide: Decide
  /** Masks records, or leaves them out, as the policy itself says. Default each is kept as it is. */
  readonly logRules?: LogRules | undefined
  /** Callers that are cut off for now. Default nobody. */
  readonly quarantined?: FindQuarantine | undefined
  /** Refuses what has to be asked elsewhere, and says where. Default nothing has. */
  readonly diverted?: ((head: Exchange['head']) => Decision | undefined) | undefined
  /** Refuses what is over a limit. Default everything is taken. */
  readonly limited?: AskRates | undefined
  /** Who may connect, and how often. Default anybody. */
  readonly sources?: Sources | undefined
  /** Policies that are tried out beside those in force. Default none. */
  readonly trials?: Pick<Trials, 'answered'> | undefined
  /** Counts, lists, shows and traces requests. Default nobody does. */
  readonly telemetry?: Telemetry | undefined
  readonly sink: RecordSink
  readonly now: NowNs
  readonly random: RandomBytes
}

/** `latest`: the parts in force later on, by which a tunnel is judged again. */
export async function serve(exchange: Exchange, parts: Parts, latest: () => Parts = () => parts): Promise<void> {
  const atNs = parts.now()
  const atMs = Number(atNs / 1_000_000n)
  const source = await parts.identify(exchange.peer, atMs)
  const barred =
    cutOff(source, parts.quarantined, atMs) ??
    parts.diverted?.(exchange.head) ??
    parts.limited?.(source, exchange.head, atMs, exchange.peer)
  const found = parts.findRoute(exchange.head, parts.workload)
  const traced = parts.telemetry?.trace(exchange.head, atNs, parts.direction)
  const use = found?.policy ?? parts.policy
  const token = use?.tokens && !barred ? await seeToken(exchange, source, found, use.tokens, atNs, parts) : undefined
  const body =
    use?.bodyBytes && !barred && token?.ok !== false
      ? await seeBody(exchange, source, found, use.bodyBytes, parts.strangers)
      : undefined
  const facts = readFacts(exchange, source, found, atNs, parts, body, token, traced)
  const decision = barred ?? (await judge(exchange, facts, found, parts, body, token))

  if (!source.ok && !parts.strangers?.keeps(decision, atMs)) {
    // Counted, not kept: no stranger can fill the spool.
    parts.sink.refused(strangerOf(facts, decision))
    over(await exchange.refuse(refusalOf(decision, facts)))
    return
  }

  const record = underRules(decisionBody(facts, found, decision, use), use, atNs, parts)
  // Kept first: no crash can lose it, no full disk can hide it.
  const kept = record === 'dropped' ? undefined : await keep(parts.sink, record)
  if (kept && 'unavailable' in kept) {
    const passes = parts.sink.account?.(decision.verdict, kept.thrown) === true
    if (passes && decision.verdict === 'allow' && found) {
      over(await send(exchange, facts, found, onward(facts, found, decision, undefined, traced), parts.sink))
    } else over(await exchange.refuse(refusalOf(kept.unavailable, facts)), kept.unavailable)
    return
  }
  const outcome =
    decision.verdict === 'allow' && found
      ? await send(
          exchange,
          facts,
          found,
          exchange.upgrades
            ? {
                ...onward(facts, found, decision, kept, traced),
                stillAllowed: () => stillAllowed(exchange, facts, latest()),
              }
            : onward(facts, found, decision, kept, traced),
          parts.sink,
          kept,
        )
      : await exchange.refuse(refusalOf(decision, facts, kept, parts.policy))
  over(outcome, decision, kept)
  if (!kept) return // It is counted, and there is nothing that could be said of it.
  parts.sink.outcome(kept, outcome)
  if (found) tellCalls(parts.sink, kept, facts, found, outcome)
  void parts.trials?.answered({ facts, found, decision, use, kept })

  function over(outcome: Outcome, of = decision, kept?: RecordId): void {
    if (!parts.telemetry) return
    const reached = found && outcome.endpoint ? { ...found, endpoint: outcome.endpoint } : found
    const served = { facts, found: reached, use, decision: of, kept, outcome }
    parts.telemetry.served(served)
    traced?.end(served)
  }
}
