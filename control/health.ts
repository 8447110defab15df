/** What proxies say of themselves. Kept in memory: one report for each workload of the mesh, the last one. */

import { z } from 'zod'
import type { TrialNumbers } from '../core/policy.ts'
import type { MeshSnapshot } from '../core/snapshot.ts'
import type { SpiffeId } from '../core/spiffe.ts'
import type { VersionReport } from '../proxy/flow/versions.ts'

export interface HealthReport {
  /** Name of the snapshot that is applied. */
  readonly snapshot: string
  readonly software?: string
  /** Generation of the deny list that is applied. */
  readonly denied?: number
  /** Sequence of our own trust domain's bundle that is applied. */
  readonly trust?: number
  /** Serial of the SVID in use, hex, and its end as RFC 3339. */
  readonly serial?: string
  readonly not_after?: string
  readonly spool?: {
    readonly state: 'ok' | 'full' | 'failed'
    readonly bytes: number
    readonly max_bytes: number
    /** Records that the stream does not have yet. */
    readonly pending: number
  }
  /** Requests that passed although nobody could judge them, since the process began. */
  readonly faults_passed?: number
  readonly trials?: readonly TrialHealth[]
  readonly versions?: readonly VersionHealth[]
}

/** How a backend on trial does in one proxy. Numbers are of its window, or those by which it lost its weight. */
export type VersionHealth = VersionReport

/** How a policy on trial does in one proxy. Numbers are since it began there, or since its bundle changed. */
export interface TrialHealth {
  readonly name: string
  readonly mode: 'shadow' | 'canary'
  readonly bundle: string
  readonly revision: string
  readonly sha256: string
  readonly asked: number
  readonly same: number
  readonly differ: number
  readonly faults: number
  readonly dropped: number
  readonly unrecorded: number
  /** Of a canary: both sides within its window. */
  readonly numbers?: TrialNumbers
  readonly rolled_back: boolean
}

/** Trials in one report, and backends on trial; more are not told. */
export const maxTrials = 16

const count = z.int().min(0)

const numbers: z.ZodType<TrialNumbers> = z.strictObject({
  asked: count,
  refused: count,
  in_force_asked: count,
  in_force_refused: count,
})

const version: z.ZodType<VersionHealth> = z.strictObject({
  route: z.string().max(512),
  backend: z.string().max(253),
  version: z.string().max(64).exactOptional(),
  revision: z.string().max(64),
  errors: numbers,
  slow: numbers.exactOptional(),
  returned: z.boolean(),
})

const trial: z.ZodType<TrialHealth> = z.strictObject({
  name: z.string().max(253),
  mode: z.enum(['shadow', 'canary']),
  bundle: z.string().max(128),
  revision: z.string().max(256),
  sha256: z.string().regex(/^(?:[0-9a-f]{64})?$/),
  asked: count,
  same: count,
  differ: count,
  faults: count,
  dropped: count,
  unrecorded: count,
  numbers: numbers.exactOptional(),
  rolled_back: z.boolean(),
})

export const healthReport: z.ZodType<HealthReport> = z.strictObject({
  snapshot: z.string().max(128),
  software: z.string().max(128).exactOptional(),
  denied: count.exactOptional(),
  trust: count.exactOptional(),
  serial: z
    .string()
    .regex(/^[0-9a-f]{0,64}$/)
    .exactOptional(),
  not_after: z.string().max(40).exactOptional(),
  spool: z
    .strictObject({ state: z.enum(['ok', 'full', 'failed']), bytes: count, max_bytes: count, pending: count })
    .exactOptional(),
  faults_passed: count.exactOptional(),
  trials: z.array(trial).max(maxTrials).exactOptional(),
  versions: z.array(version).max(maxTrials).exactOptional(),
})

export interface WorkloadHealth {
  readonly name: string
  readonly id: SpiffeId
  /** Whether the snapshot that it reported is the one it should run; false where it never reported. */
  readonly current: boolean
  readonly reported_at?: string
  readonly report?: HealthReport
}

export interface Health {
  keep(id: SpiffeId, report: HealthReport, nowMs: number): void
  /** Every workload of the mesh, by name. `expected` names the snapshot that a workload should run. */
  list(mesh: MeshSnapshot, expected: (id: SpiffeId) => string | undefined): WorkloadHealth[]
}

/** Callers keep reports of workloads of the mesh only; those that left it are dropped at the next listing. */
export function makeHealth(): Health {
  const reports = new Map<SpiffeId, { readonly report: HealthReport; readonly atMs: number }>()
  return {
    keep(id, report, nowMs) {
      reports.set(id, { report, atMs: nowMs })
    },
    list(mesh, expected) {
      const ids = new Set(mesh.workloads.map(({ id }) => id))
      for (const id of reports.keys()) if (!ids.has(id)) reports.delete(id)
      return mesh.workloads.map(({ name, id }) => {
        const kept = reports.get(id)
        if (!kept) return { name, id, current: false }
        const { report, atMs } = kept
        const current = report.snapshot === expected(id)
        return { name, id, current, reported_at: new Date(atMs).toISOString(), report }
      })
    },
  }
}
