/** A finding as OCSF has it: Detection Finding, class 2004 of category 2, in the schema's version 1.8.0. */

import type { FindingBody, FindingType } from '../../core/record.ts'

export const ocsfVersion = '1.8.0'

/** OCSF severity_id. */
const severities = { low: [2, 'Low'], medium: [3, 'Medium'], high: [4, 'High'] } as const

const titles: Readonly<Record<FindingType, string>> = {
  first_seen: 'First use of an operation',
  denial_spike: 'Denials far above what is usual',
  mix_moved: 'A caller asks otherwise than before',
  unused_grant: 'Allowed and not used',
  allow_unidentified: 'Allowed without a verified identity',
  gap: 'Records that did not arrive',
  spool_lost: 'A spool that did not come back',
  unmatched: 'A call that one side did not record',
  anomaly: 'Evidence of forged or altered records',
  clock_skew: 'A clock that is off',
  suppressed: 'More findings than the log takes',
}

export interface FoundEntry {
  /** Id of the finding's entry. */
  readonly id: string
  readonly foundMs: number
  readonly body: FindingBody
  readonly acknowledged?: { readonly by: string; readonly note: string; readonly atMs: number } | undefined
}

export interface OcsfProduct {
  readonly version?: string
  readonly trustDomain: string
}

export function detectionFinding(
  { id, foundMs, body, acknowledged }: FoundEntry,
  { version, trustDomain }: OcsfProduct,
): Readonly<Record<string, unknown>> {
  const [severityId, severity] = severities[body.severity]
  const [activityId, activity] = acknowledged ? [2, 'Update'] : [1, 'Create']
  return {
    category_uid: 2,
    category_name: 'Findings',
    class_uid: 2004,
    class_name: 'Detection Finding',
    activity_id: activityId,
    activity_name: activity,
    type_uid: 200400 + activityId,
    type_name: `Detection Finding: ${activity}`,
    time: foundMs,
    start_time: Date.parse(body.first_at),
    end_time: Date.parse(body.last_at),
    count: body.count,
    severity_id: severityId,
    severity,
    status_id: acknowledged ? 2 : 1,
    status: acknowledged ? 'In Progress' : 'New',
    ...(acknowledged && { comment: `${acknowledged.by}: ${acknowledged.note}` }),
    message: body.what,
    metadata: {
      version: ocsfVersion,
      uid: id,
      event_code: 'finding',
      product: { name: 'Writ', vendor_name: 'Writ', ...(version !== undefined && { version }) },
      tenant_uid: trustDomain,
      labels: [body.finding],
    },
    finding_info: {
      uid: id,
      title: titles[body.finding],
      desc: body.what,
      types: [body.finding],
      created_time: foundMs,
      first_seen_time: Date.parse(body.first_at),
      last_seen_time: Date.parse(body.last_at),
      analytic: { type_id: analyticOf(body.finding), uid: body.finding, name: titles[body.finding] },
      ...(body.evidence.length > 0 && {
        related_events: body.evidence.map((uid) => ({ uid, type: 'Writ record' })),
        related_events_count: body.evidence.length,
      }),
    },
    resources: [body.subject, ...(body.target !== undefined && body.target !== body.subject ? [body.target] : [])].map(
      (name) => ({ uid: name, name, type: 'SPIFFE ID' }),
    ),
    unmapped: { key: body.key, facts: body.facts },
  }
}

/** OCSF analytic type_id: 1 a rule, 3 statistics. */
const analyticOf = (finding: FindingType): number => (finding === 'denial_spike' || finding === 'mix_moved' ? 3 : 1)
