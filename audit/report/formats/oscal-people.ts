/** What people answer for, in OSCAL: attestations, the documents they rest on, and exceptions with who accepted them. */

import type { Attested, ComplianceReport, ExceptionState } from '../../../core/compliance.ts'
import { type Members, type NewUuid, prop, text } from './oscal-words.ts'

/** Roles of people. */
export const attester = 'attester'
export const approver = 'approver'

/** Each once, in the order of their names. */
export const peopleOf = ({ attested, exceptions }: ComplianceReport): readonly string[] =>
  [...new Set([...attested.map(({ by }) => by), ...exceptions.map((one) => one.approver)])].filter(Boolean).sort()

/** In the words of whoever attested. An attestation changes no finding. */
export const attestationsOf = ({ attested }: ComplianceReport, uuid: NewUuid): Members[] =>
  attested.map((one) => ({
    'responsible-parties': [{ 'role-id': attester, 'party-uuids': [uuid(`party ${one.by}`)] }],
    parts: [
      {
        uuid: uuid(`attestation ${one.id}`),
        name: one.about.replaceAll('_', '-'),
        title: titleOf(one),
        props: [prop('subject', one.subject), prop('entry', one.id), prop('attested-at', one.at)],
        prose: text(one.statement) || '-',
      },
    ],
  }))

/** What somebody looked at instead of a test: an access review, evidence from elsewhere. */
export const examined = ({ attested }: ComplianceReport, uuid: NewUuid): Members[] =>
  attested.map((one) => ({
    uuid: uuid(`attested ${one.id}`),
    title: titleOf(one),
    description: text(`${one.by} attested: ${one.statement}`),
    props: [prop('subject', one.subject), prop('entry', one.id), prop('attested-by', one.by)],
    methods: ['EXAMINE'],
    ...(one.documents.length > 0 && {
      'relevant-evidence': one.documents.map(({ name }) => ({
        href: `#${uuid(`document ${one.id} ${name}`)}`,
        description: text(name) || '-',
      })),
    }),
    collected: one.at,
  }))

const titleOf = ({ about, subject, by }: Attested): string =>
  text(`${about.replaceAll('_', ' ')} of ${subject} by ${by}`)

/** Of documents the log has the hashes; whoever attested has the documents. */
export const documentsOf = ({ attested }: ComplianceReport, uuid: NewUuid): Members[] =>
  attested.flatMap(({ id, documents }) =>
    documents.map(({ name, sha256 }) => ({
      uuid: uuid(`document ${id} ${name}`),
      title: text(name) || '-',
      description: 'Not handed over with this report: its hash is in the log.',
      rlinks: [{ href: encodeURIComponent(name), hashes: [{ algorithm: 'SHA-256', value: sha256 }] }],
    })),
  )

/** An entry of a risk's log: the exception as it stood at the end of the report's time. */
export const acceptedEntry = (one: ExceptionState, { to }: ComplianceReport, uuid: NewUuid): Members => ({
  uuid: uuid(`exception ${one.id}`),
  title: text(`Exception ${one.id}, until ${one.expires}`),
  description: text(`${one.reason} Risk: ${one.risk}`),
  start: to,
  end: one.expires,
  props: [prop('subject', one.subject), prop('matched', String(one.matched))],
  'logged-by': [{ 'party-uuid': uuid(`party ${one.approver}`), 'role-id': approver }],
  'status-change': 'deviation-approved',
})

/** Those that accept nothing, which no risk speaks of. */
export const exceptionRemarks = ({ exceptions }: ComplianceReport): string =>
  exceptions
    .flatMap(({ id, check, state, expires }) => {
      if (state === 'in-force') return []
      return state === 'ran-out'
        ? [`Exception ${id} of ${check} ran out on ${expires}.`]
        : [`Exception ${id} of ${check} matches nothing.`]
    })
    .join(' ')
