/**
 * `npm run bench`: proxies side by side under one load. The proxy has one core, load and upstream the other; nginx runs
 * first and last, so that the table itself shows how steady the machine was. Trust the CPU column and the ratios.
 * Usage: node bench/run.ts [SECONDS, default 10]
 */

import { execFileSync } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Certificates, makeCertificates } from './certificates.ts'
import { buildShim, type LoadResult, program, putUnderLoad } from './load.ts'
import { type Cost, costOf } from './measure.ts'
import { startNginxProxy, startUpstream } from './peers/nginx.ts'
import { type RunningProxy, startWritProxy } from './writ.ts'

interface Case {
  readonly name: string
  readonly repeated: number
  readonly tls: Certificates | undefined
  readonly start: (upstreamPort: number, before: readonly string[]) => Promise<RunningProxy | undefined>
}

interface Row extends LoadResult {
  readonly name: string
  readonly cpuMsPerThousand: number
  /** Share of one core that the proxy used. */
  readonly busy: number
  readonly rssBytes: number
}

function casesOf(tls: Certificates, folder: string): Case[] {
  const nginx = (when: string, with_: Certificates | undefined): Case => ({
    name: `nginx, ${with_ ? 'mTLS' : 'plain'} (${when})`,
    repeated: 0.9,
    tls: with_,
    start: (upstreamPort, before) => startNginxProxy({ upstreamPort, tls: with_, before }),
  })
  const writ = (name: string, with_: Certificates | undefined, judged: boolean, repeated = 0.9): Case => ({
    name: `writ, ${name}`,
    repeated,
    tls: with_,
    start: (upstreamPort, before) => startWritProxy({ upstreamPort, tls: with_, judged, before, folder }),
  })
  return [
    nginx('first', undefined),
    nginx('first', tls),
    writ('plain', undefined, false),
    writ('mTLS', tls, false),
    writ('mTLS, policy and records, 90 % repeated', tls, true),
    writ('mTLS, policy and records, 0 % repeated', tls, true, 0),
    nginx('last', undefined),
    nginx('last', tls),
  ]
}

async function measure(one: Case, seconds: number, folder: string): Promise<Row | undefined> {
  const pinned = cpus().length > 1 ? [await program('taskset'), '-c'] : []
  const onProxyCore = pinned.length > 0 ? [...pinned, '0'] : []
  const onOtherCore = pinned.length > 0 ? [...pinned, '1'] : []
  const upstream = await startUpstream(onOtherCore)
  const proxy = await one.start(upstream.port, onProxyCore)
  try {
    if (!proxy) return undefined
    const load = { port: proxy.port, repeated: one.repeated, tls: one.tls, before: onOtherCore, folder }
    await putUnderLoad({ ...load, seconds: 2 }) // Warm: connections, caches and compiled code are there.
    const before = costOf(proxy.pid()!)
    const result = await putUnderLoad({ ...load, seconds })
    return rowOf(one.name, result, before, costOf(proxy.pid()!))
  } finally {
    await proxy?.remove()
    await upstream.remove()
  }
}

function rowOf(name: string, result: LoadResult, before: Cost, after: Cost): Row {
  const cpuMs = after.cpuMs - before.cpuMs
  return {
    ...result,
    name,
    cpuMsPerThousand: (cpuMs / result.requests) * 1000,
    busy: cpuMs / (result.durationUs / 1000),
    rssBytes: after.rssBytes,
  }
}

function tableOf(rows: readonly Row[], leftOut: readonly string[]): string {
  const ms = (us: number): string => (us / 1000).toFixed(2)
  const lines = rows.map((row) => {
    const rate = Math.round(row.requests / (row.durationUs / 1e6))
    const cells = [
      ...[row.name, row.cpuMsPerThousand.toFixed(1), `${Math.round(row.busy * 100)} %`, rate],
      ...[ms(row.p50Us), ms(row.p99Us), ms(row.p999Us), Math.round(row.rssBytes / 1024 ** 2), row.errors],
    ]
    return `| ${cells.join(' | ')} |`
  })
  return [
    '| proxy | CPU ms per 1,000 requests | of a core | requests/s | p50 ms | p99 ms | p99.9 ms | RSS MiB | errors |',
    '|---|---|---|---|---|---|---|---|---|',
    ...lines,
    ...leftOut.map((name) => `\nLeft out, for it does not run this way yet: ${name}.`),
  ].join('\n')
}

function machine(): string {
  const nginx = /nginx\/([\d.]+)/.exec(execFileSync('sh', ['-c', 'nginx -v 2>&1'], { encoding: 'utf8' }))?.[1]
  const [cpu] = cpus()
  return `${cpus().length} × ${cpu?.model.trim()}, Node ${process.versions.node}, nginx ${nginx}`
}

async function bench(seconds: number): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'writ-bench-'))
  try {
    const tls = await makeCertificates(folder)
    await buildShim(folder)
    const rows: Row[] = []
    const leftOut: string[] = []
    for (const one of casesOf(tls, folder)) {
      process.stderr.write(`${one.name} ...\n`)
      const row = await measure(one, seconds, folder)
      if (row) rows.push(row)
      else leftOut.push(one.name)
    }
    const table = tableOf(rows, leftOut)
    process.stdout.write(`${table}\n`)
    const head = `# Measured\n\n${new Date().toISOString().slice(0, 10)}, ${machine()}. ${seconds} s a row, 32 kept-alive connections; the proxy has one core, load and upstream the other.\n`
    await writeFile(join(import.meta.dirname, 'RESULTS.md'), `${head}\n${table}\n`)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

if (import.meta.main) await bench(Number(process.argv[2] ?? 10))
