/** The results as a page: a table for each group, and what has to be known to read it. */

import { execFileSync } from 'node:child_process'
import { cpus } from 'node:os'
import { type Group, groups } from './cases.ts'
import { connections, type LoadResult } from './load.ts'
import type { Ended } from './writ.ts'

export interface Row extends LoadResult {
  readonly group: Group
  readonly name: string
  readonly cpuMsPerThousand: number
  /** Share of one core that the proxy used. */
  readonly busy: number
  /** Share of the proxy's core that others used meanwhile. */
  readonly others: number
  readonly rssBytes: number
  /** Memory of one connection that does nothing; undefined where none was held. */
  readonly bytesEach?: number
  readonly ended: Ended | undefined
}

/** One table for each group that has rows. */
export function tablesOf(rows: readonly Row[]): string {
  return (Object.keys(groups) as Group[])
    .map((group) => [group, rows.filter((row) => row.group === group)] as const)
    .filter(([, own]) => own.length > 0)
    .map(([group, own]) => `### ${groups[group]}\n\n${group === 'idle' ? idleTable(own) : tableOf(own)}`)
    .join('\n\n')
}

const mebibytes = (bytes: number): number => Math.round(bytes / 1024 ** 2)

function tableOf(rows: readonly Row[]): string {
  const ms = (us: number): string => (us / 1000).toFixed(2)
  const percent = (share: number): string => `${Math.round(share * 100)} %`
  const lines = rows.map((row) => {
    const rate = Math.round(row.requests / (row.durationUs / 1e6))
    const cells = [
      ...[row.name, row.cpuMsPerThousand.toFixed(1), rate, ms(row.p50Us), ms(row.p99Us), ms(row.p999Us)],
      ...[mebibytes(row.rssBytes), percent(row.busy), percent(row.others), collectionsOf(row), row.errors],
    ]
    return `| ${cells.join(' | ')} |`
  })
  return [
    '| proxy | CPU ms per 1,000 requests | requests/s | p50 ms | p99 ms | p99.9 ms | RSS MiB | of its core | others there | collections | errors |',
    '|---|---|---|---|---|---|---|---|---|---|---|',
    ...lines,
  ].join('\n')
}

/** Of all objects, and of young ones, since it began. */
function collectionsOf({ ended }: Row): string {
  return ended ? `${ended.collections.all} and ${ended.collections.young}` : ''
}

function idleTable(rows: readonly Row[]): string {
  const lines = rows.map(({ name, rssBytes, bytesEach = 0, cpuMsPerThousand }) => {
    const cells = [name, mebibytes(rssBytes), (bytesEach / 1024).toFixed(1), cpuMsPerThousand.toFixed(0)]
    return `| ${cells.join(' | ')} |`
  })
  return [
    '| proxy | RSS MiB | KiB a connection | CPU ms per 1,000 handshakes with a request |',
    '|---|---|---|---|',
    ...lines,
  ].join('\n')
}

/** Date, machine, and how the rows came about. */
export function headOf(seconds: number, kafka: boolean): string {
  const nginx = /nginx\/([\d.]+)/.exec(execFileSync('sh', ['-c', 'nginx -v 2>&1'], { encoding: 'utf8' }))?.[1]
  const machine = `${cpus().length} × ${cpus()[0]?.model.trim()}, Node ${process.versions.node}, nginx ${nginx}`
  const stream = kafka
    ? 'Apache Kafka on the other core'
    : 'a stream within the process that accepts everything, for there was no Kafka here'
  return `${new Date().toISOString().slice(0, 10)}, ${machine}. ${seconds} s a row after warming, ${connections} kept-alive connections of wrk. The proxy has one core; load, upstream and all else have the other. Records go to ${stream}.`
}
