/** `writ ca`: where the certificate authority stands, and each step by which one root follows another. */

import { Command } from 'commander'
import { adminRequest } from '../control/node/client.ts'
import { WritError } from '../core/fault.ts'
import { backupCommand, restoreCommand } from './ca-backup.ts'
import { type CaOptions, common, distrustOption, order, ordered, printAuthority, socketOf } from './ca-order.ts'
import { csrCommand, importCommand, signCommand } from './ca-upstream.ts'
import { until } from './signals.ts'
import { pause } from './wire/pause.ts'

/** Time between two looks of `--watch`, in milliseconds. */
const watchMs = 2000

const steps = [
  ['rotate', 'prepare', 'publish a new root; it signs by itself once every workload has it'],
  ['activate', 'activate', 'let the prepared root sign now'],
  ['undo', 'undo', 'take the last step back: the prepared root goes, or the former one signs again'],
  ['pause', 'pause', 'let nothing move by itself'],
  ['resume', 'resume', 'let it move by itself again'],
] as const

export function caCommand(): Command {
  const ca = new Command('ca').description('the certificate authority: its roots, and how one follows another')
  ca.addCommand(
    common(new Command('status'))
      .description('show its roots, which one signs, when the next step is due, and who is waited for')
      .option('--watch', 'go on showing it until interrupted')
      .action(showStatus),
  )
  ca.addCommand(backupCommand())
  ca.addCommand(restoreCommand())
  for (const command of [csrCommand(), signCommand(), importCommand()]) ca.addCommand(command)
  for (const [name, route, description] of steps) {
    const command = ordered(new Command(name))
      .description(description)
      .action(async (options: CaOptions) => printAuthority(await order(routeOf(route, options), options), options))
    if (name === 'rotate') {
      command.option('--issuer', 'a new issuer under the same root instead; it signs at once')
      command.addOption(distrustOption())
    }
    if (name === 'undo') command.option('--issuer', 'the former issuer signs again')
    if (name === 'activate') command.option('--force', 'also where workloads lack the root: they refuse what it signs')
    ca.addCommand(command)
  }
  return ca
}

function routeOf(route: string, { issuer, distrust }: CaOptions): string {
  if (issuer) return route === 'prepare' ? 'rotate-issuer' : 'undo-issuer'
  if (!distrust) return route
  throw new WritError('usage', '--distrust is about the issuer', { cure: 'give --issuer as well' })
}

async function showStatus(options: CaOptions): Promise<void> {
  const stop = until('SIGINT', 'SIGTERM')
  do {
    printAuthority(await adminRequest(socketOf(options), 'GET', '/v1/authority'), options)
    if (options.watch) await pause(watchMs, stop.signal)
  } while (options.watch && !stop.aborted)
}
