/**
 * A line for each request, for people and their collectors; the record in the log is what proves anything. Lines wait in
 * a bounded buffer: what has no room in it is dropped and counted, and no request ever waits for its line.
 */

import { decisionId } from '../../core/record.ts'
import { addressOf, answeredBy, calleeOf, callerOf, flagOf, grpcStatusIn, pathOf, type Served } from './served.ts'

export interface AccessEntry {
  readonly time: string
  readonly direction: 'inbound' | 'outbound'
  readonly listener: string
  readonly protocol: string
  readonly method: string
  readonly authority: string
  readonly path: string
  /** 0 where none was sent. */
  readonly status: number
  readonly flags: string
  readonly grpc_status?: number
  readonly verdict: string
  readonly code: string
  readonly outcome: string
  readonly answered_by: 'upstream' | 'proxy' | 'nobody'
  /** Empty where no record was kept. */
  readonly decision_id: string
  readonly request_id: string
  readonly trace_id: string
  /** Empty where nobody proved a name. */
  readonly source: string
  readonly source_address: string
  readonly destination: string
  readonly service: string
  readonly route: string
  readonly upstream: string
  /** Attempts in all, where there were several. */
  readonly attempts?: number
  readonly request_bytes: number
  readonly response_bytes: number
  readonly duration_ms: number
}

export function entryOf(served: Served): AccessEntry {
  const { facts, found, decision, kept, outcome } = served
  const { head } = facts
  const grpc = grpcStatusIn(served)
  return {
    time: new Date(Number(facts.atNs / 1_000_000n)).toISOString(),
    direction: facts.direction,
    listener: facts.listener,
    protocol: facts.protocol ?? head?.protocol ?? '',
    method: head?.method ?? '',
    authority: head?.authority ?? '',
    path: pathOf(served),
    status: outcome.status,
    flags: flagOf(served),
    ...(grpc >= 0 && { grpc_status: grpc }),
    verdict: decision.verdict,
    code: decision.code,
    outcome: outcome.code,
    answered_by: answeredBy(served),
    decision_id: kept ? decisionId(kept) : '',
    request_id: facts.requestId,
    trace_id: facts.traceId,
    source: callerOf(facts),
    source_address: addressOf(served),
    destination: calleeOf(facts, found),
    service: facts.destination.service ?? '',
    route: found?.route ?? '',
    upstream: outcome.upstream,
    ...(outcome.attempts && { attempts: outcome.attempts.length + 1 }),
    request_bytes: outcome.requestBytes,
    response_bytes: outcome.responseBytes,
    duration_ms: outcome.durationUs / 1000,
  }
}

export type AccessFormat = 'json' | 'text'

/** One line without its end. Whatever a caller wrote stands in it as a JSON string, so it stays one line. */
export function lineOf(entry: AccessEntry, format: AccessFormat): string {
  if (format === 'json') return JSON.stringify(entry)
  const e = entry
  const quoted = (text: string): string => JSON.stringify(text)
  const request = quoted([e.method, e.path, e.protocol].filter((word) => word !== '').join(' '))
  return [
    ...[`[${e.time}]`, request, e.status, e.flags, e.grpc_status ?? '-', e.code, e.outcome],
    ...[e.request_bytes, e.response_bytes, e.duration_ms, e.source || '-', e.source_address || '-'],
    ...[quoted(e.authority), e.service || '-', e.route || '-', e.upstream || '-'],
    ...[e.decision_id || '-', e.request_id, e.trace_id || '-'],
  ].join(' ')
}

export interface AccessLog {
  served(served: Served): void
  /** Hands over what waits; called by a timer of the shell. */
  flush(): void
  written(): number
  dropped(): number
}

export interface AccessSink {
  write(text: string): void
  /** Characters that were written and have not left. */
  waiting(): number
}

/** `maxWaiting`: characters that may wait, here and in the sink together. Default 1 MiB. */
export function makeAccessLog(format: AccessFormat, sink: AccessSink, maxWaiting = 1_048_576): AccessLog {
  let text = ''
  let written = 0
  let dropped = 0
  const flush = (): void => {
    if (text === '') return
    const out = text
    text = ''
    sink.write(out)
  }
  return {
    served(served) {
      if (text.length + sink.waiting() >= maxWaiting) {
        dropped++
        return
      }
      text += `${lineOf(entryOf(served), format)}\n`
      written++
      if (text.length >= flushAt) flush()
    },
    flush,
    written: () => written,
    dropped: () => dropped,
  }
}

const flushAt = 16_384
