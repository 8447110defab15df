/** `writ ca`: where the certificate authority stands, and each step by which one root follows another. */

import { userInfo } from 'node:os'
import { join } from 'node:path'
import { Command } from 'commander'
import type { AuthorityStatus } from '../control/node/authority-routes.ts'
import { adminRequest } from '../control/node/client.ts'
import { backupCommand, restoreCommand } from './ca-backup.ts'
import { until } from './signals.ts'
import { tableOf } from './status.ts'
import { pause } from './wire/pause.ts'

interface CaOptions {
  readonly state: string
  readonly json?: boolean
  readonly watch?: boolean
  readonly reason?: string
  readonly by?: string
  readonly force?: boolean
}

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
  for (const [name, route, description] of steps) {
    const command = common(new Command(name))
      .description(description)
      .requiredOption('--reason <text>', 'why; it goes on record')
      .option('--by <name>', 'who orders it. Default the user of this process')
      .action((options: CaOptions) => order(route, options))
    if (name === 'activate') command.option('--force', 'also where workloads lack the root: they refuse what it signs')
    ca.addCommand(command)
  }
  return ca
}

const common = (command: Command): Command =>
  command.option('--state <dir>', "the control process's state folder", '.writ').option('--json', 'print JSON')

const socketOf = ({ state }: CaOptions): string => join(state, 'admin.sock')

async function showStatus(options: CaOptions): Promise<void> {
  const stop = until('SIGINT', 'SIGTERM')
  do {
    print((await adminRequest(socketOf(options), 'GET', '/v1/authority')) as unknown as AuthorityStatus, options)
    if (options.watch) await pause(watchMs, stop.signal)
  } while (options.watch && !stop.aborted)
}

async function order(route: string, options: CaOptions): Promise<void> {
  const { reason = '', by = userInfo().username, force } = options
  const body = { reason, by, ...(force && { force }) }
  print(
    (await adminRequest(socketOf(options), 'POST', `/v1/authority/${route}`, body)) as unknown as AuthorityStatus,
    options,
  )
}

function print(status: AuthorityStatus, { json }: CaOptions): void {
  process.stdout.write(json ? `${JSON.stringify(status)}\n` : formatAuthority(status))
}

export function formatAuthority(status: AuthorityStatus): string {
  const { trust_domain, sequence, paused, issuer_not_after, authorities, waiting } = status
  const rows = authorities.map((one) => [one.id, one.phase, minute(one.not_after), nextOf(one)])
  const lacking = waiting.length > 16 ? [...waiting.slice(0, 16), `${waiting.length - 16} more`] : waiting
  return [
    `${trust_domain}, bundle ${sequence}, issuer until ${minute(issuer_not_after)} UTC${paused ? ', paused' : ''}\n\n`,
    tableOf([['AUTHORITY', 'PHASE', 'ROOT UNTIL (UTC)', 'NEXT'], ...rows]),
    lacking.length > 0 ? `\nWithout the new root: ${lacking.join(', ')}\n` : '',
  ].join('')
}

function nextOf(one: AuthorityStatus['authorities'][number]): string {
  if (one.signs_from) return `signs once everybody has it, from ${minute(one.signs_from)}`
  if (one.withdrawn_from) return `leaves the bundle at ${minute(one.withdrawn_from)}`
  return `signs since ${minute(one.activated_at ?? one.prepared_at)}`
}

const minute = (time: string): string => time.slice(0, 16).replace('T', ' ')
