/**
 * The report as OSCAL 1.2.2 documents (NIST): assessment results, a plan of action and milestones for what fails, and
 * the definition of the component whose records were measured. Ids are made from the report, so the same report gives
 * the same bytes.
 */

import type { CheckResult, ComplianceReport, PartResult } from '../../../core/compliance.ts'
import type { Json } from '../../../core/json.ts'
import type { Sha256 } from '../../../core/ports.ts'
import { nistId } from '../files/frameworks.ts'
import {
  acceptedEntry,
  approver,
  attestationsOf,
  attester,
  documentsOf,
  examined,
  exceptionRemarks,
  peopleOf,
} from './oscal-people.ts'
import { type Members, type NewUuid, prop, text, uuidsOf } from './oscal-words.ts'

export const oscalVersion = '1.2.2'

/** A framework's id as an OSCAL token: NIST's as its catalogue has it, others after the framework's name. */
export function controlIdOf(framework: ComplianceReport['framework'], id: string): string {
  if (framework.ids === 'nist-800-53-r5') return nistId(id)
  if (framework.ids !== undefined) return id.toLowerCase()
  return `${framework.id}_${id.replace(/[^A-Za-z0-9.]+/g, '.').replace(/^\.+|\.+$/g, '')}`
}

export function assessmentResults(report: ComplianceReport, sha256: Sha256): Json {
  const uuid = uuidsOf(report, sha256)
  const { framework, parts, checks } = report
  const measured = parts.filter(isMeasured)
  const risks = checks.flatMap((check) => (check.verdict === 'fail' ? [riskOf(check, report, uuid)] : []))
  const findings = measured.map((part) => findingOf(part, report, uuid))
  const remarks = text(`${remarksOf(parts.filter((part) => !isMeasured(part)))} ${exceptionRemarks(report)}`)
  return {
    'assessment-results': {
      uuid: uuid('assessment-results'),
      metadata: metadataOf(report, `Assessment results: ${report.title}`, uuid),
      'import-ap': { href: `#${uuid('plan')}` },
      results: [
        {
          uuid: uuid('result'),
          title: report.title,
          description: `${report.summary}. A part is what its remarks say, never the whole of a requirement.`,
          start: report.from,
          end: report.to,
          props: [
            prop('scope', report.scope.name),
            prop('mapping-version', framework.version),
            prop('mapping-reviewed', framework.reviewed),
            prop('sample-seed', report.seed),
            ...report.checkpoints.flatMap(({ origin, size, root }) => [
              prop('log-origin', origin),
              prop('tree-size', String(size)),
              prop('checkpoint-root', root),
            ]),
          ],
          'reviewed-controls': {
            'control-selections': [
              { 'include-controls': parts.map(({ id }) => ({ 'control-id': controlIdOf(framework, id) })) },
            ],
          },
          ...(report.attested.length > 0 && { attestations: attestationsOf(report, uuid) }),
          observations: [...checks.map((check) => observationOf(check, report, uuid)), ...examined(report, uuid)],
          ...(risks.length > 0 && { risks }),
          ...(findings.length > 0 && { findings }),
          ...(remarks !== '' && { remarks }),
        },
      ],
      'back-matter': {
        resources: [
          {
            uuid: uuid('plan'),
            title: 'The checks, their rules and thresholds',
            description: `Rules: ${report.rules.map(({ bundle, revision, sha256: of }) => `${bundle} ${revision} ${of}`).join('; ')}`,
            rlinks: [{ href: 'report.json', 'media-type': 'application/json' }],
          },
          ...documentsOf(report, uuid),
        ],
      },
    },
  }
}

/** Undefined where nothing fails. */
export function planOfAction(report: ComplianceReport, sha256: Sha256): Json | undefined {
  const uuid = uuidsOf(report, sha256)
  const failed = report.checks.filter(({ verdict }) => verdict === 'fail')
  if (failed.length === 0) return undefined
  const items = failed.map((check) => ({
    uuid: uuid(`poam ${check.id}`),
    title: `${check.id}: ${check.title}`,
    description: text(`${check.finding} ${check.cure}`),
    ...(check.accepted && { props: [prop('accepted', 'true')] }),
    'related-observations': [{ 'observation-uuid': uuid(`observation ${check.id}`) }],
    'related-risks': [{ 'risk-uuid': uuid(`risk ${check.id}`) }],
  }))
  return {
    'plan-of-action-and-milestones': {
      uuid: uuid('plan-of-action'),
      metadata: metadataOf(report, `Plan of action: ${report.title}`, uuid),
      'system-id': { 'identifier-type': 'https://writ.example/trust-domain', id: trustDomainOf(report) },
      observations: failed.map((check) => observationOf(check, report, uuid)),
      risks: failed.map((check) => riskOf(check, report, uuid)),
      'poam-items': items,
    },
  }
}

export function componentDefinition(report: ComplianceReport, sha256: Sha256): Json {
  const uuid = uuidsOf(report, sha256)
  const { framework } = report
  const mapped = report.parts.filter(({ checks }) => checks.length > 0)
  return {
    'component-definition': {
      uuid: uuid('component-definition'),
      metadata: metadataOf(report, `Component definition: ${report.title}`),
      components: [
        {
          uuid: uuid('component'),
          type: 'software',
          title: 'Writ',
          description: 'Proxies that prove who calls, ask a policy whether the call may pass, and record the answer.',
          'control-implementations': [
            {
              uuid: uuid('implementation'),
              source: sources[framework.ids ?? ''] ?? `urn:writ:framework:${framework.id}`,
              description: `What Writ does for parts of ${report.title}, in our own words.`,
              'implemented-requirements': mapped.map((part) => ({
                uuid: uuid(`requirement ${part.id}`),
                'control-id': controlIdOf(framework, part.id),
                description: text(`Part spoken for: ${part.part}.`),
                props: [...part.checks.map((check) => prop('check', check)), prop('confirmed', String(part.confirmed))],
              })),
            },
          ],
        },
      ],
    },
  }
}

const sources: Readonly<Record<string, string>> = {
  'nist-800-53-r5':
    'https://raw.githubusercontent.com/usnistgov/oscal-content/main/nist.gov/SP800-53/rev5/json/NIST_SP-800-53_rev5_catalog.json',
}

const isMeasured = ({ verdict }: PartResult): boolean => verdict === 'pass' || verdict === 'fail'

/** With `uuid`, the people who attested something or approved an exception, too. */
function metadataOf(report: ComplianceReport, title: string, uuid?: NewUuid): Members {
  const people = uuid ? peopleOf(report) : []
  return {
    title,
    'last-modified': report.to,
    version: report.framework.version,
    'oscal-version': oscalVersion,
    ...(people.length > 0 && {
      roles: [
        { id: attester, title: 'Answers for what no record shows' },
        { id: approver, title: 'Accepts what breaks a check, until a time' },
      ],
      parties: people.map((name) => ({ uuid: uuid!(`party ${name}`), type: 'person', name: text(name) })),
    }),
  }
}

function observationOf(check: CheckResult, report: ComplianceReport, uuid: NewUuid): Members {
  const { numerator, denominator, threshold, verdict } = check
  const evidence = check.sample.map((record) => evidenceOf(check, record, report))
  return {
    uuid: uuid(`observation ${check.id}`),
    title: `${check.id}: ${check.title}`,
    description: text(`${check.measures} ${check.finding}`),
    props: [
      prop('check', check.id),
      prop('verdict', verdict),
      prop('numerator', `${numerator.value} ${numerator.of}`),
      prop('denominator', `${denominator.value} ${denominator.of}`),
      ...(threshold === '' ? [] : [prop('threshold', threshold)]),
    ],
    methods: ['TEST'],
    ...(evidence.length > 0 && { 'relevant-evidence': evidence }),
    collected: report.to,
    ...(check.notCovered.length > 0 && { remarks: text(`Does not cover: ${check.notCovered.join(' ')}`) }),
  }
}

function evidenceOf(
  check: CheckResult,
  record: CheckResult['sample'][number],
  { checkpoints }: ComplianceReport,
): Members {
  const { origin, size } = checkpoints.find(({ shard }) => shard === record.shard)!
  return {
    href: `evidence/records/${record.id}.tlog-proof`,
    description: `Leaf ${record.index} of ${origin}${record.breaks ? `, which breaks ${check.id}` : ''}`,
    props: [prop('log-origin', origin), prop('tree-size', String(size)), prop('leaf-index', String(record.index))],
  }
}

function findingOf(part: PartResult, report: ComplianceReport, uuid: NewUuid): Members {
  const { framework, checks } = report
  const passes = part.verdict === 'pass'
  const own = checks.filter(({ id }) => part.checks.includes(id))
  const risks = own.filter(({ verdict }) => verdict === 'fail').map(({ id }) => ({ 'risk-uuid': uuid(`risk ${id}`) }))
  const target = controlIdOf(framework, part.id)
  return {
    uuid: uuid(`finding ${part.id}`),
    title: `${part.id}: ${part.about}`,
    description: text(own.map(({ id, finding }) => `${id}: ${finding}`).join(' ')),
    target: {
      type: 'statement-id',
      'target-id': framework.ids === 'nist-800-53-r5' ? `${target}_smt` : target,
      status: {
        state: passes ? 'satisfied' : 'not-satisfied',
        reason: passes ? 'pass' : 'fail',
        remarks: text(
          `Part measured: ${part.part}.${part.accepted ? ' What breaks it is accepted by exceptions.' : ''}`,
        ),
      },
    },
    'related-observations': [
      ...own.map(({ id }) => `observation ${id}`),
      ...report.attested.filter(({ subject }) => subject === part.id).map(({ id }) => `attested ${id}`),
    ].map((name) => ({ 'observation-uuid': uuid(name) })),
    ...(risks.length > 0 && { 'related-risks': risks }),
  }
}

function riskOf(check: CheckResult, report: ComplianceReport, uuid: NewUuid): Members {
  const ids = new Set(check.subjects.flatMap(({ exception }) => exception ?? []))
  const exceptions = report.exceptions.filter(({ id }) => ids.has(id))
  return {
    uuid: uuid(`risk ${check.id}`),
    title: `${check.id} does not hold: ${check.title}`,
    description: text(check.finding),
    statement: text(check.accepted ? exceptions.map(({ risk }) => risk).join('; ') : check.finding),
    ...(exceptions.length > 0 && {
      props: exceptions.flatMap(({ id, approver, expires }) => [
        prop('exception', id),
        prop('approver', approver),
        prop('expires', expires),
      ]),
    }),
    status: check.accepted ? 'deviation-approved' : 'open',
    ...(exceptions.length > 0 && {
      deadline: exceptions.map(({ expires }) => expires).sort((a, b) => Date.parse(a) - Date.parse(b))[0]!,
      'risk-log': { entries: exceptions.map((one) => acceptedEntry(one, report, uuid)) },
    }),
    'related-observations': [{ 'observation-uuid': uuid(`observation ${check.id}`) }],
  }
}

const remarksOf = (parts: readonly PartResult[]): string =>
  text(
    parts
      .map(
        ({ id, verdict, notObservable }) =>
          `Not assessed: ${id} (${verdict}${notObservable ? `: ${notObservable}` : ''}).`,
      )
      .join(' '),
  )

const trustDomainOf = ({ checkpoints }: ComplianceReport): string => checkpoints[0]?.origin.split('/')[0] ?? 'unknown'
