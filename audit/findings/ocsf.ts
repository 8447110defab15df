/** A finding as OCSF 1.8.0 has it: Detection Finding (2004), or where a check turned Compliance Finding (2003). */

import type { MeasuredVerdict } from '../../core/compliance.ts'
import type { FindingBody, FindingType } from '../../core/record.ts'

export const ocsfVersion = '1.8.0'

/** OCSF severity_id. */
const severities = { info: [1, 'Informational'], low: [2, 'Low'], medium: [3, 'Medium'], high: [4, 'High'] } as const

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
  check_turned: 'A compliance check turned',
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

/** OCSF's compliance status: 1 pass, 2 warning, 3 fail, 0 unknown, 99 other. */
export const complianceStatuses: Readonly<Record<MeasuredVerdict, readonly [number, string]>> = {
  pass: [1, 'Pass'],
  fail: [3, 'Fail'],
  'insufficient-data': [0, 'Unknown'],
  'not-observable': [99, 'not-observable'],
  'not-applicable': [99, 'not-applicable'],
}

export function ocsfFinding(
  { id, foundMs, body, acknowledged }: FoundEntry,
  { version, trustDomain }: OcsfProduct,
): Readonly<Record<string, unknown>> {
  const turned = body.finding === 'check_turned'
  const [classId, className] = turned ? [2003, 'Compliance Finding'] : [2004, 'Detection Finding']
  const [severityId, severity] = severities[body.severity]
  const [activityId, activity] = acknowledged ? [2, 'Update'] : [1, 'Create']
  return {
    category_uid: 2,
    category_name: 'Findings',
    class_uid: classId,
    class_name: className,
    activity_id: activityId,
    activity_name: activity,
    type_uid: classId * 100 + activityId,
    type_name: `${className}: ${activity}`,
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
      ...(!turned && {
        analytic: { type_id: analyticOf(body.finding), uid: body.finding, name: titles[body.finding] },
      }),
      ...(body.evidence.length > 0 && {
        related_events: body.evidence.map((uid) => ({ uid, type: 'Writ record' })),
        related_events_count: body.evidence.length,
      }),
    },
    resources: [body.subject, ...(body.target !== undefined && body.target !== body.subject ? [body.target] : [])].map(
      (name) => ({ uid: name, name, type: turned ? 'check' : 'SPIFFE ID' }),
    ),
    ...(turned && { compliance: complianceOf(body) }),
    unmapped: { key: body.key, facts: body.facts },
  }
}

/** OCSF analytic type_id: 1 a rule, 3 statistics. */
const analyticOf = (finding: FindingType): number => (finding === 'denial_spike' || finding === 'mix_moved' ? 3 : 1)

function complianceOf({ subject, facts }: FindingBody): Readonly<Record<string, unknown>> {
  const is = facts['is'] as MeasuredVerdict
  const [statusId, status] = complianceStatuses[is] ?? [99, String(is)]
  return { control: subject, requirements: [String(facts['title'])], standards: ['Writ'], status_id: statusId, status }
}
