/** What the Mesh document says of the stream, the store and identities. */

import { auditDefaults, type StreamPlace } from '../../core/snapshot.ts'
import { type ComplianceSettings, complianceOf } from './compliance.ts'
import { type AccessSpec, type FindingsPlace, findingsOf, topicProblems } from './findings.ts'
import { kafkaPlace } from './kafka.ts'
import { type KeepingSettings, keepingOf } from './keeping.ts'
import type { MeshSpec, RootKeysSpec, VaultSpec } from './kinds.ts'
import { type OutsideSettings, outsideOf } from './outside.ts'
import type { PolicyData } from './policy-data.ts'
import type { PolicySource } from './policy-sources.ts'
import { type Placed, type Problem, problemAt } from './problem.ts'
import type { IdentitySettings } from './registration.ts'
import { durationMs } from './words.ts'

export interface MeshSettings {
  readonly stream: StreamPlace
  /** Where the log and its rows are kept. `urlEnv` names the environment variable with the database's URL. */
  readonly store: { readonly kind: 'embedded' } | { readonly kind: 'postgres'; readonly urlEnv: string }
  /** Life of an SVID, in milliseconds. Default one hour. */
  readonly svidTtlMs: number
  /** How long after the end of its SVID a workload has another by its recovery key, in milliseconds. Default 72 hours. */
  readonly recoveryMs: number
  /** How a new root follows an old one, in milliseconds. */
  readonly roots: RootSettings
  /** Where the keys of new roots are made. Default beside the authority's state. */
  readonly rootKeys?: RootKeysSpec
  /** Who signs issuers. Default roots of our own. */
  readonly upstream?: { readonly vault: VaultSpec }
  /** The environment variable with the URL of the database that several control planes share. Default none. */
  readonly sharedUrlEnv?: string
  /** Who outside vouches for the log. */
  readonly outside: OutsideSettings
  /** Where the log is published, and how long it stays. */
  readonly keeping: KeepingSettings
  /** What the log tells by itself, and to whom. */
  readonly findings: FindingsPlace
  /** How often checks are looked at, and which reports are made of themselves. */
  readonly compliance: ComplianceSettings
  /** The rule that says who may read the audit. */
  readonly access?: AccessSpec
  /** Bundles that are asked of a server. */
  readonly policySources: readonly PolicySource[]
  /** Data that policies read beside their bundles. */
  readonly policyData: readonly PolicyData[]
  /** Identities by registration entries, and whom this mesh recognises besides itself. */
  readonly identity: IdentitySettings
}

export interface RootSettings {
  /** How long a new root is in the bundle before it signs. Default 15 minutes. */
  readonly publishMs: number
  /** How long an old one stays after the end of the last certificate of its. Default one hour. */
  readonly keepMs: number
}

const minute = 60_000
const hour = 60 * minute

export function settingsOf(mesh: Placed<MeshSpec>): {
  readonly settings: Omit<MeshSettings, 'policySources' | 'policyData' | 'identity'>
  readonly problems: Problem[]
} {
  const { audit, identity } = mesh.spec
  const problems: Problem[] = []
  const svidTtlMs = identity?.ttl === undefined ? hour : durationMs(identity.ttl)
  if (svidTtlMs < minute || svidTtlMs > 24 * hour) {
    const problem = `${identity?.ttl} is not between 1m and 24h`
    problems.push(problemAt(mesh, ['spec', 'identity', 'ttl'], problem, 'short lives are what replaces revocation'))
  }
  const { spoolMaxBytes = auditDefaults.spoolMaxBytes, segmentBytes = auditDefaults.segmentBytes } = audit ?? {}
  if (segmentBytes * 2 > spoolMaxBytes) {
    const problem = `a spool of ${spoolMaxBytes} bytes does not hold two segments of ${segmentBytes}`
    const cure = 'make segmentBytes smaller or spoolMaxBytes larger'
    const field = audit?.segmentBytes === undefined ? 'spoolMaxBytes' : 'segmentBytes'
    problems.push(problemAt(mesh, ['spec', 'audit', field], problem, cure))
  }
  const { outside, problems: outsideProblems } = outsideOf(mesh)
  const { keeping, problems: keepingProblems } = keepingOf(mesh)
  const { compliance, problems: complianceProblems } = complianceOf(mesh)
  problems.push(...outsideProblems, ...keepingProblems, ...complianceProblems)
  const streamSpec = audit?.stream ?? 'embedded'
  const stream: StreamPlace = streamSpec === 'embedded' ? { kind: 'embedded' } : kafkaPlace(streamSpec.kafka)
  problems.push(...topicProblems(mesh, stream))
  const store = audit?.store ?? 'embedded'
  const settings: Omit<MeshSettings, 'policySources' | 'policyData' | 'identity'> = {
    stream,
    store: store === 'embedded' ? { kind: 'embedded' } : { kind: 'postgres', urlEnv: store.postgres.urlEnv },
    svidTtlMs,
    recoveryMs: identity?.recovery === undefined ? 72 * hour : durationMs(identity.recovery), // Over a weekend.
    roots: {
      publishMs: identity?.roots?.publish === undefined ? 15 * minute : durationMs(identity.roots.publish),
      keepMs: identity?.roots?.keep === undefined ? hour : durationMs(identity.roots.keep),
    },
    ...(identity?.store && { sharedUrlEnv: identity.store.postgres.urlEnv }),
    ...(identity?.keys && { rootKeys: identity.keys }),
    ...(identity?.upstream && { upstream: identity.upstream }),
    outside,
    keeping,
    findings: findingsOf(audit?.findings, stream),
    compliance,
    ...(audit?.access && { access: audit.access }),
  }
  return { settings, problems }
}
