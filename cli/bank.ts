/** `npm start`: the main job on embedded defaults. A small bank runs, every call in it is judged and proven. */

import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { Command } from 'commander'
import pc from 'picocolors'
import { openState } from '../control/node/state.ts'
import { WritError } from '../core/fault.ts'
import { printBank, printProgress, printSummary } from './bank/print.ts'
import { openBankMesh } from './bank/running.ts'
import { type Seen, visit } from './bank/traffic.ts'
import { drillHelp, duration, number } from './options.ts'
import { until } from './signals.ts'
import { type OnEvent, printEvents } from './wire/telemetry.ts'

/** Time between two drills of the sidecars, in milliseconds: the first is at the start. */
const hourMs = 3_600_000

export function bankCommand(): Command {
  return new Command('bank')
    .description('run a small bank under Writ: three services, their sidecars, the log and a page to look at it')
    .option(
      '--once',
      'make a fixed number of calls, verify the log, write a report, exit 0 only if every count adds up',
    )
    .option('--state <dir>', 'where keys, spool and log live; --once empties and uses <dir>-once', '.writ/bank')
    .option('--visits <n>', 'how many visits --once makes', number, 120)
    .option('--drill-every <time>', drillHelp, duration, hourMs)
    .option('--verbose', 'show what the parts say')
    .action(
      async (options: { once?: boolean; state: string; visits: number; drillEvery: number; verbose?: boolean }) => {
        const onEvent = printEvents(options.verbose ? 'info' : 'warn')
        if (options.once) await once(`${options.state.replace(/\/+$/, '')}-once`, options.visits, onEvent)
        else await stay(options.state, onEvent, options.drillEvery)
      },
    )
}

async function stay(state: string, onEvent: OnEvent, drillEveryMs: number): Promise<void> {
  const stop = until('SIGINT', 'SIGTERM', 'SIGHUP')
  const running = await openBankMesh(state, onEvent, 'usual', drillEveryMs)
  try {
    complain(await visit(running.bank.urls.storefront, 12))
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

async function once(state: string, visits: number, onEvent: OnEvent): Promise<void> {
  openState(state).release() // Throws where another run is still at it: its folder is not taken from under it.
  await rm(state, { recursive: true, force: true })
  const running = await openBankMesh(state, onEvent, 'any', hourMs)
  let failed: readonly string[] = []
  try {
    const seen = await visit(running.bank.urls.storefront, visits, 0, (done) => printProgress(done, visits))
    await running.up.settled(30_000)
    const counts = await running.up.inboundCounts()
    const out = join(state, 'report')
    const { verification } = await running.up.verify()
    const report = await running.up.writeReport(out)
    failed = printSummary({ seen, counts, verification, report, html: join(out, 'report.html') })
  } finally {
    await running.close()
  }
  if (failed.length > 0) throw new WritError('log_invalid', failed.join('; '))
}

function complain(seen: Seen): void {
  for (const surprise of seen.surprises.slice(0, 5)) process.stderr.write(`${pc.yellow('surprise')} ${surprise}\n`)
}
