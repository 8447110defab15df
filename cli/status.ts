/** `writ status`: what each workload of the mesh runs, from the control process of this machine. */

import { join } from 'node:path'
import { Command } from 'commander'
import { adminRequest } from '../control/node/client.ts'

interface Status {
  readonly trust_domain: string
  readonly cluster: string
  readonly snapshot: string
  readonly workloads: readonly {
    readonly name: string
    readonly current: boolean
    readonly reported_at?: string
    readonly report?: {
      readonly not_after?: string
      readonly spool?: { readonly state: string; readonly pending: number }
    }
  }[]
}

export function statusCommand(): Command {
  return new Command('status')
    .description('show what each workload runs: its snapshot, the end of its certificate, its spool')
    .option('--state <dir>', "the control process's state folder", '.writ')
    .option('--json', 'print JSON')
    .action(async (options: { state: string; json?: boolean }) => {
      const status = (await adminRequest(join(options.state, 'admin.sock'), 'GET', '/v1/status')) as unknown as Status
      process.stdout.write(options.json ? `${JSON.stringify(status)}\n` : formatStatus(status))
    })
}

export function formatStatus({ trust_domain, cluster, snapshot, workloads }: Status): string {
  const rows = workloads.map(({ name, current, reported_at, report }) => [
    name,
    reported_at === undefined ? 'never reported' : current ? 'current' : 'behind',
    reported_at?.slice(0, 19) ?? '-',
    report?.not_after?.slice(0, 19) ?? '-',
    report?.spool ? `${report.spool.state}, ${report.spool.pending} to send` : '-',
  ])
  const table = [['WORKLOAD', 'SNAPSHOT', 'REPORTED (UTC)', 'CERTIFICATE UNTIL', 'SPOOL'], ...rows]
  const widths = table[0]!.map((_, i) => Math.max(...table.map((row) => row[i]!.length)))
  const lines = table.map((row) =>
    row
      .map((cell, i) => cell.padEnd(widths[i]!))
      .join('  ')
      .trimEnd(),
  )
  return `${trust_domain}, cluster ${cluster}, snapshot ${snapshot}\n\n${lines.join('\n')}\n`
}
