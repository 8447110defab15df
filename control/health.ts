/** What proxies say of themselves. Kept in memory: one report for each workload of the mesh, the last one. */

import { z } from 'zod'
import type { MeshSnapshot } from '../core/snapshot.ts'
import type { SpiffeId } from '../core/spiffe.ts'

export interface HealthReport {
  /** Name of the snapshot that is applied. */
  readonly snapshot: string
  readonly software?: string
  /** Generation of the deny list that is applied. */
  readonly denied?: number
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
}

const count = z.int().min(0)

export const healthReport: z.ZodType<HealthReport> = z.strictObject({
  snapshot: z.string().max(128),
  software: z.string().max(128).exactOptional(),
  denied: count.exactOptional(),
  serial: z
    .string()
    .regex(/^[0-9a-f]{0,64}$/)
    .exactOptional(),
  not_after: z.string().max(40).exactOptional(),
  spool: z
    .strictObject({ state: z.enum(['ok', 'full', 'failed']), bytes: count, max_bytes: count, pending: count })
    .exactOptional(),
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
