/** A span for each request through OpenTelemetry's API; who samples and exports them is the shell's business. */

import {
  type Attributes,
  ROOT_CONTEXT,
  SpanKind,
  SpanStatusCode,
  TraceFlags,
  type Tracer,
  trace,
} from '@opentelemetry/api'
import { decisionId } from '../../core/record.ts'
import { isHead } from '../exchange.ts'
import { answeredBy, calleeOf, callerOf, flagOf, grpcStatusIn, pathOf, type Served, type Telemetry } from './served.ts'
import { type Parent, type Propagation, readParent, spanHeaders, staleFields } from './trace-context.ts'

/** `ways`: how the next one is told, besides the words that the caller used. */
export function makeTrace(tracer: Tracer, ways: readonly Propagation[]): Telemetry['trace'] {
  return (head, atNs, direction) => {
    const parent = isHead(head) ? readParent(head) : undefined
    const kind = direction === 'inbound' ? SpanKind.SERVER : SpanKind.CLIENT
    const name = isHead(head) ? head.method : 'malformed'
    const span = tracer.startSpan(name, { kind, startTime: hrTime(atNs) }, parent ? contextOf(parent) : ROOT_CONTEXT)
    const { traceId, spanId, traceFlags } = span.spanContext()
    const told = new Set(parent ? [...ways, parent.said] : ways)
    const [sampled, random] = [(traceFlags & TraceFlags.SAMPLED) !== 0, parent?.random === true]
    const headers = spanHeaders({ traceId, spanId, sampled, random }, told)
    return {
      traceId,
      headers,
      remove: staleFields(parent, headers),
      end(served) {
        if (span.isRecording()) {
          span.setAttributes(attributesOf(served))
          if (isFailure(served)) span.setStatus({ code: SpanStatusCode.ERROR })
        }
        span.end(hrTime(atNs + BigInt(served.outcome.durationUs) * 1000n))
      },
    }
  }
}

/** A caller that leaves it open is sampled: what we keep of it, our own sampler says only where no trace came. */
const contextOf = ({ traceId, spanId, sampled }: Parent) =>
  trace.setSpanContext(ROOT_CONTEXT, {
    ...{ traceId, spanId, isRemote: true },
    traceFlags: sampled === false ? TraceFlags.NONE : TraceFlags.SAMPLED,
  })

const hrTime = (ns: bigint): [number, number] => [Number(ns / 1_000_000_000n), Number(ns % 1_000_000_000n)]

const isFailure = ({ decision, outcome }: Served): boolean =>
  decision.verdict !== 'allow' || outcome.code !== 'completed' || outcome.status >= 500

/** OpenTelemetry's semantic conventions where they have a name, and ours. */
function attributesOf(served: Served): Attributes {
  const { facts, found, decision, kept, outcome } = served
  const { head } = facts
  const grpc = grpcStatusIn(served)
  const attributes: Attributes = {
    'writ.verdict': decision.verdict,
    'writ.code': decision.code,
    'writ.listener': facts.listener,
    'writ.request_id': facts.requestId,
    'writ.response_flags': flagOf(served),
    'writ.answered_by': answeredBy(served),
    'writ.source': callerOf(facts),
    'writ.destination': calleeOf(facts, found),
  }
  if (kept) attributes['writ.decision_id'] = decisionId(kept)
  if (found) {
    attributes['writ.service'] = found.service
    attributes['writ.route'] = found.route
  }
  if (head) {
    attributes['http.request.method'] = head.method
    attributes['url.scheme'] = head.scheme
    attributes['url.path'] = pathOf(served)
    attributes['server.address'] = head.authority
    attributes['network.protocol.version'] = head.protocol === 'HTTP/2' ? '2' : head.protocol.slice(5)
    attributes['user_agent.original'] = head.headers['user-agent'] ?? ''
  }
  if (outcome.status > 0) attributes['http.response.status_code'] = outcome.status
  if (grpc >= 0) attributes['rpc.grpc.status_code'] = grpc
  if (outcome.upstream !== '') attributes['network.peer.address'] = outcome.upstream
  if (isFailure(served)) attributes['error.type'] = decision.verdict === 'allow' ? outcome.code : decision.code
  return attributes
}
