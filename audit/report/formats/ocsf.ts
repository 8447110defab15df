/** Each part of a framework as an OCSF Compliance Finding (2003). */

import type { ComplianceReport, PartResult } from '../../../core/compliance.ts'
import type { Json } from '../../../core/json.ts'
import { complianceStatuses, ocsfVersion } from '../../findings/ocsf.ts'

export const complianceFindings = (report: ComplianceReport): readonly Json[] =>
  report.parts.map((part) => findingOf(part, report))

function findingOf(part: PartResult, report: ComplianceReport): Json {
  const [statusId, status] = complianceStatuses[part.verdict]
  const own = report.checks.filter(({ id }) => part.checks.includes(id))
  const failed = own.filter(({ verdict }) => verdict === 'fail')
  const uid = `${report.framework.id} ${part.id} ${report.from} ${report.to}`
  const atMs = Date.parse(report.to)
  const attested = report.attested.filter(({ subject }) => subject === part.id || part.checks.includes(subject))
  const details = acceptedBy(failed, report)
  const records = failed.flatMap(({ sample }) => sample.filter(({ breaks }) => breaks))
  return {
    category_uid: 2,
    category_name: 'Findings',
    class_uid: 2003,
    class_name: 'Compliance Finding',
    activity_id: 1,
    activity_name: 'Create',
    type_uid: 200301,
    type_name: 'Compliance Finding: Create',
    time: atMs,
    start_time: Date.parse(report.from),
    end_time: atMs,
    severity_id: part.verdict === 'fail' ? 4 : 1,
    severity: part.verdict === 'fail' ? 'High' : 'Informational',
    status_id: part.accepted ? 3 : 1,
    status: part.accepted ? 'Suppressed' : 'New',
    message: own.map(({ id, finding }) => `${id}: ${finding}`).join(' ') || (part.notObservable ?? ''),
    metadata: {
      version: ocsfVersion,
      uid,
      event_code: 'compliance',
      product: { name: 'Writ', vendor_name: 'Writ' },
      labels: [report.framework.id, report.scope.name],
    },
    compliance: {
      control: part.id,
      requirements: [part.part || part.about],
      standards: [report.title],
      status_id: statusId,
      status,
      ...(details.length > 0 && { status_details: details }),
    },
    finding_info: {
      uid,
      title: `${part.id}: ${part.about}`,
      desc: part.part || (part.notObservable ?? ''),
      types: [...part.checks],
      created_time: atMs,
      ...(records.length > 0 && {
        related_events: records.map(({ id }) => ({ uid: id, type: 'Writ record' })),
        related_events_count: records.length,
      }),
    },
    // What people answer for beside the measuring; it changes no status.
    ...(attested.length > 0 && {
      comment: attested.map(({ about, by, statement }) => `${about} by ${by}: ${statement}`).join('\n'),
      evidences: attested.map(({ id, at, about, subject, statement, by, documents }) => ({
        ...{ uid: id, name: `${about} of ${subject} by ${by}` },
        data: { at, about, subject, statement, by, documents },
      })),
    }),
    resources: [{ uid: report.scope.name, name: report.scope.name, type: 'scope' }],
    unmapped: {
      accepted: part.accepted,
      verdict: part.verdict,
      checkpoints: report.checkpoints.map(({ origin, size, root }) => ({ origin, size, root })),
    },
  } as Json
}

/** Exceptions in force that speak of what broke these checks, with who accepted it and until when. */
function acceptedBy(failed: ComplianceReport['checks'], { exceptions }: ComplianceReport): readonly string[] {
  const ids = new Set(failed.flatMap(({ subjects }) => subjects.flatMap(({ exception }) => exception ?? [])))
  return exceptions
    .filter(({ id }) => ids.has(id))
    .map(({ id, check, approver, expires, risk, reason }) => {
      return `${check}: accepted by ${approver} until ${expires} (${id}): ${reason}; risk: ${risk}`
    })
}
