/** What an organisation declares beside the log: inventory, zones, approvals, readers, exceptions, scopes. One file. */

import { z } from 'zod'
import type { ComplianceException, ComplianceScope } from '../../../core/compliance.ts'
import { readShape } from './shape.ts'

export interface Approval {
  readonly bundle: string
  /** Digest or revision, or both: what is given has to be the same. */
  readonly sha256?: string
  readonly revision?: string
  readonly author: string
  readonly approvers: readonly string[]
  /** RFC 3339. */
  readonly approvedAt: string
  readonly tests: 'passed' | 'failed'
  readonly link?: string
}

export interface Declared {
  /** What is declared at all: a check without what it needs is `insufficient-data`. */
  readonly given: readonly string[]
  readonly inventory: { readonly source: string; readonly workloads: readonly string[] }
  readonly zones: Readonly<Record<string, readonly string[]>>
  readonly flows: readonly { readonly from: string; readonly to: string }[]
  readonly approvals: readonly Approval[]
  /** Who may read the audit store, as its doors know them. */
  readonly readers: readonly string[]
  /** JSON Pointers of personal members of records. */
  readonly personal: readonly string[]
  readonly exceptions: readonly ComplianceException[]
  readonly scopes: readonly ComplianceScope[]
  /** Other thresholds, by check and parameter. */
  readonly parameters: Readonly<Record<string, Readonly<Record<string, number>>>>
}

const text = z.string().min(1).max(2048)
const texts = z.array(text).max(100_000)
const time = z.iso.datetime({ offset: true })

const declaredShape = z.strictObject({
  inventory: z.strictObject({ source: text, workloads: texts }).optional(),
  zones: z.record(text, texts).optional(),
  flows: z
    .array(z.strictObject({ from: text, to: text }))
    .max(10_000)
    .optional(),
  approvals: z
    .array(
      z
        .strictObject({
          ...{ bundle: text, sha256: text.optional(), revision: text.optional(), author: text, approvers: texts },
          ...{ approvedAt: time, tests: z.enum(['passed', 'failed']), link: text.optional() },
        })
        .refine((one) => one.sha256 !== undefined || one.revision !== undefined, 'names neither sha256 nor revision'),
    )
    .max(100_000)
    .optional(),
  readers: texts.optional(),
  personal: z.array(text.startsWith('/')).max(1000).optional(),
  exceptions: z
    .array(
      z.strictObject({
        ...{ id: text, check: text, subject: text, approver: text, risk: text, reason: text, expires: time },
      }),
    )
    .max(10_000)
    .optional(),
  scopes: z
    .record(
      text,
      z.strictObject({
        ...{ services: texts.default([]), namespaces: texts.default([]), zones: texts.default([]) },
        workloads: texts.default([]),
      }),
    )
    .optional(),
  parameters: z.record(text, z.record(text, z.number())).optional(),
})

/** What may be declared by an entry of the log too; thresholds and scopes stand in the file alone. */
export const declarable: readonly string[] = [
  'inventory',
  'zones',
  'flows',
  'approvals',
  'readers',
  'personal',
  'exceptions',
]

export const nothingDeclared: Declared = readDeclared({}, 'nothing')

/** Throws `config_invalid`, naming the member that is wrong. */
export function readDeclared(value: unknown, file: string): Declared {
  const said = readShape(declaredShape, value ?? {}, file)
  const { scopes = {} } = said
  return {
    given: Object.entries(said).flatMap(([name, is]) => (is === undefined ? [] : [name])),
    inventory: said.inventory ?? { source: '', workloads: [] },
    zones: said.zones ?? {},
    flows: said.flows ?? [],
    approvals: (said.approvals ?? []) as readonly Approval[],
    readers: said.readers ?? [],
    personal: said.personal ?? [],
    exceptions: said.exceptions ?? [],
    scopes: Object.entries(scopes).map(([name, scope]) => ({ name, ...scope })),
    parameters: said.parameters ?? {},
  }
}
