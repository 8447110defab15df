/** What the commands of `writ ca` share: how one orders a step of a running control, and how it is shown. */

import { userInfo } from 'node:os'
import { join } from 'node:path'
import { type Command, Option } from 'commander'
import type { AuthorityStatus } from '../control/node/authority-routes.ts'
import { adminRequest } from '../control/node/client.ts'
import type { Json } from '../core/json.ts'
import { tableOf } from './status.ts'

export interface CaOptions {
  readonly state: string
  readonly json?: boolean
  readonly watch?: boolean
  readonly reason?: string
  readonly by?: string
  readonly force?: boolean
  readonly issuer?: boolean
  readonly distrust?: boolean
}

export const common = (command: Command): Command =>
  command.option('--state <dir>', "the control process's state folder", '.writ').option('--json', 'print JSON')

/** For steps that go on record. */
export const ordered = (command: Command): Command =>
  common(command)
    .requiredOption('--reason <text>', 'why; it goes on record')
    .option('--by <name>', 'who orders it. Default the user of this process')

export const distrustOption = (): Option =>
  new Option('--distrust', 'the former issuer is lost: what it signed is renewed at once, then refused everywhere')

export const socketOf = ({ state }: CaOptions): string => join(state, 'admin.sock')

export function order(
  route: string,
  options: CaOptions,
  more: { readonly [name: string]: Json } = {},
): Promise<unknown> {
  const { reason = '', by = userInfo().username, force, distrust } = options
  const body = { reason, by, ...(force && { force }), ...(distrust && { distrust }), ...more }
  return adminRequest(socketOf(options), 'POST', `/v1/authority/${route}`, body)
}

export function printAuthority(answer: unknown, { json }: CaOptions): void {
  const status = answer as AuthorityStatus
  process.stdout.write(json ? `${JSON.stringify(status)}\n` : formatAuthority(status))
}

export function formatAuthority(status: AuthorityStatus): string {
  const { trust_domain, sequence, paused, issuer_not_after, authorities, waiting } = status
  const rows = authorities.map((one) => [one.id, one.phase, minute(one.not_after), nextOf(one)])
  const lacking = waiting.length > 16 ? [...waiting.slice(0, 16), `${waiting.length - 16} more`] : waiting
  return [
    `${trust_domain}, bundle ${sequence}, issuer until ${minute(issuer_not_after)} UTC${paused ? ', paused' : ''}\n\n`,
    tableOf([['AUTHORITY', 'PHASE', 'ROOT UNTIL (UTC)', 'NEXT'], ...rows]),
    formerText(authorities),
    lacking.length > 0 ? `\nWithout the new root: ${lacking.join(', ')}\n` : '',
  ].join('')
}

function formerText(authorities: AuthorityStatus['authorities']): string {
  const rows = authorities.flatMap(({ former_issuers }) =>
    former_issuers.map((one) => [one.serial, minute(one.retired_at), stateOf(one)]),
  )
  return rows.length === 0 ? '' : `\n${tableOf([['FORMER ISSUER', 'SIGNED UNTIL (UTC)', 'NEXT'], ...rows])}`
}

function stateOf(one: AuthorityStatus['authorities'][number]['former_issuers'][number]): string {
  if (one.denied_from) return `is refused from ${one.denied_from.slice(0, 19).replace('T', ' ')}`
  const forgotten = `forgotten at ${minute(one.forgotten_from)}`
  return one.denied_at ? `is refused; ${forgotten}` : forgotten
}

function nextOf(one: AuthorityStatus['authorities'][number]): string {
  if (one.signs_from) return `signs once everybody has it, from ${minute(one.signs_from)}`
  if (one.withdrawn_from) return `leaves the bundle at ${minute(one.withdrawn_from)}`
  return `signs since ${minute(one.activated_at ?? one.prepared_at)}`
}

const minute = (time: string): string => time.slice(0, 16).replace('T', ' ')
