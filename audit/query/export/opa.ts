/** Decisions as OPA logs them (EventV1), so that what reads an OPA's decision log reads these. */

import { isObject, type Json } from '../../../core/json.ts'
import type { AuditEvent } from '../../../core/record.ts'
import type { DecisionRow } from '../answer.ts'
import { sealedTexts } from '../sealed.ts'

/** Undefined for what is no decision. Of what an OPA sent, its own event, as far as the record has it. */
export function opaEvent(event: AuditEvent, row: DecisionRow): Json | undefined {
  const body = event as unknown as { readonly [member: string]: Json | undefined }
  if (event.kind === 'opa_decision') return body['event']
  if (event.kind !== 'decision') return undefined
  const bundles = isObject(body['bundles']) ? body['bundles'] : {}
  const members: { [member: string]: Json | undefined } = {
    labels: {
      app: 'writ',
      id: event.producer,
      cluster: event.cluster,
      shard: String(row.shard),
      index: String(row.index),
      ...(row.sealed && { sealed: sealedTexts(row).join('; ') }),
    },
    decision_id: row.id,
    trace_id: body['trace_id'],
    bundles: Object.fromEntries(
      Object.entries(bundles).map(([name, one]) => [name, { revision: isObject(one) ? (one['revision'] ?? '') : '' }]),
    ),
    path: body['path'],
    input: body['input'],
    result: { allowed: row.verdict === 'allow', verdict: row.verdict, code: row.code, reasons: [...row.reasons] },
    requested_by: row.sourceAddress ?? undefined,
    timestamp: event.timestamp,
    nd_builtin_cache: body['nd_builtin_cache'],
    metrics: row.durationUs === null ? undefined : { timer_request_ns: row.durationUs * 1000 },
  }
  return Object.fromEntries(Object.entries(members).filter(([, value]) => value !== undefined)) as Json
}
