/** `npm start`: the main job on embedded defaults. A small bank runs, every call in it is judged and proven. */

import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Command } from 'commander'
import pc from 'picocolors'
import { WritError } from '../core/fault.ts'
import type { MeshSnapshot } from '../core/snapshot.ts'
import { portNear, withFreePorts } from './bank/ports.ts'
import { printBank, printProgress, printSummary } from './bank/print.ts'
import { type Bank, openBank } from './bank/services.ts'
import { type Seen, visit } from './bank/traffic.ts'
import { until } from './signals.ts'
import { root } from './version.ts'
import { printEvents } from './wire/telemetry.ts'
import { openUp, type Up } from './wire/up.ts'

export function bankCommand(): Command {
  return new Command('bank')
    .description('run a small bank under Writ: three services, their sidecars, the log and a page to look at it')
    .option(
      '--once',
      'make a fixed number of calls, verify the log, write a report, exit 0 only if every count adds up',
    )
    .option('--state <dir>', 'where keys, spool and log live', '.writ/bank')
    .option('--visits <n>', 'how many visits --once makes', '120')
    .option('--verbose', 'show what the parts say')
    .action(async (options: { once?: boolean; state: string; visits: string; verbose?: boolean }) => {
      const onEvent = printEvents(options.verbose ? 'info' : 'warn')
      if (options.once) await once(join(`${options.state}-once`), Number(options.visits), onEvent)
      else await stay(options.state, onEvent)
    })
}

/** A running bank: its mesh and its three programs. */
export interface RunningBank {
  readonly up: Up
  readonly bank: Bank
  readonly meshFile: string
  close(): Promise<void>
}

export async function openBankMesh(
  state: string,
  onEvent: ReturnType<typeof printEvents>,
  policiesDir: string = join(root, 'policies'),
): Promise<RunningBank> {
  const { mesh } = await withFreePorts(await readFile(join(root, 'deploy/bank/mesh.yaml'), 'utf8'))
  await mkdir(state, { recursive: true, mode: 0o700 })
  const meshFile = join(state, 'mesh.yaml')
  await writeFile(meshFile, mesh)
  const up = await openUp({ mesh, meshFile, state, policiesDir, onEvent })
  try {
    const snapshot = up.snapshot()
    const bank = await openBank({
      storefront: await portNear(7101),
      orders: appPort(snapshot, 'orders'),
      ledger: appPort(snapshot, 'ledger'),
      storefrontOut: outPort(snapshot, 'storefront'),
      ordersOut: outPort(snapshot, 'orders'),
    })
    return {
      up,
      bank,
      meshFile,
      async close() {
        await bank.close()
        await up.close()
      },
    }
  } catch (thrown) {
    await up.close()
    throw thrown
  }
}

async function stay(state: string, onEvent: ReturnType<typeof printEvents>): Promise<void> {
  const running = await openBankMesh(state, onEvent)
  const stop = until('SIGINT', 'SIGTERM')
  try {
    const first = await visit(running.bank.urls.storefront, 12)
    complain(first)
    await running.up.settled(10_000)
    await printBank(running, state)
    // The page stays alive; a visit every other second is some 10 records a second.
    for (let i = 12; !stop.aborted; i++) {
      await visit(running.bank.urls.storefront, 1, i)
      await stop.wait(2000)
    }
  } finally {
    process.stderr.write('\nstopping: finishing requests, writing the last heads and a checkpoint\n')
    await running.close()
  }
}

async function once(state: string, visits: number, onEvent: ReturnType<typeof printEvents>): Promise<void> {
  await rm(state, { recursive: true, force: true })
  const running = await openBankMesh(state, onEvent)
  let failed: readonly string[] = []
  try {
    const seen = await visit(running.bank.urls.storefront, visits, 0, (done) => printProgress(done, visits))
    await running.up.settled(30_000)
    const counts = await running.up.inboundCounts()
    const html = join(state, 'report.html')
    const { verification } = await running.up.verify()
    const report = await running.up.writeReport(html, join(state, 'report.json'))
    failed = printSummary({ seen, counts, verification, report, html })
  } finally {
    await running.close()
  }
  if (failed.length > 0) throw new WritError('log_invalid', failed.join('; '))
}

function complain(seen: Seen): void {
  for (const surprise of seen.surprises.slice(0, 5)) process.stderr.write(`${pc.yellow('surprise')} ${surprise}\n`)
}

function appPort(snapshot: MeshSnapshot, name: string): number {
  for (const listener of snapshot.workloads.find((workload) => workload.name === name)?.listeners ?? []) {
    if (listener.direction === 'inbound') return listener.app.port
  }
  throw new WritError('internal', `the bank's mesh has no inbound listener for ${name}`)
}

function outPort(snapshot: MeshSnapshot, name: string): number {
  for (const listener of snapshot.workloads.find((workload) => workload.name === name)?.listeners ?? []) {
    if (listener.direction === 'outbound' && listener.bind.kind === 'tcp') return listener.bind.port
  }
  throw new WritError('internal', `the bank's mesh has no outbound port for ${name}`)
}
