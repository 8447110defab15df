/** `writ report grant`, `grants` and `revoke`: which outside auditors may look at what, through the auditors' door. */

import { join } from 'node:path'
import { Command } from 'commander'
import { parseMoment } from '../audit/query/moment.ts'
import { layTable } from '../audit/query/table.ts'
import { adminRequest } from '../control/node/client.ts'
import { isObject } from '../core/json.ts'
import { duration } from './options.ts'

interface GrantOptions {
  readonly scope?: string
  readonly from: string
  readonly to: string
  readonly expires: number
  readonly certificate?: string
  readonly state: string
}

const stateHelp = "the process's state folder"

export const grantCommand = (): Command =>
  new Command('grant')
    .description('let an outside auditor look at a part of the log, for a time; prints a token, once')
    .argument('<name>', 'whom the log is to name')
    .requiredOption('--from <time>', 'records not before: 90d or an RFC 3339 time')
    .requiredOption('--to <time>', 'records only before: likewise')
    .option('--scope <scope>', 'a declared scope, or service=, namespace=, zone=, workload= (default: everything)')
    .option('--expires <time>', 'how long it is good for, up to 400d', duration, 30 * 86_400_000)
    .option('--certificate <spiffe-id>', 'who proves this name by a certificate of this mesh, instead of a token')
    .option('--state <dir>', stateHelp, '.writ')
    .action(async (name: string, { scope, certificate, state, ...times }: GrantOptions) => {
      const nowMs = Date.now()
      const moment = (text: string, option: string): string => new Date(parseMoment(text, nowMs, option)).toISOString()
      const answer = await adminRequest(join(state, 'admin.sock'), 'POST', '/v1/grants', {
        ...{ name, from: moment(times.from, '--from'), to: moment(times.to, '--to') },
        until: new Date(nowMs + times.expires).toISOString(),
        ...(scope !== undefined && { scope }),
        ...(certificate !== undefined && { id: certificate }),
      })
      const { token, until } = isObject(answer) ? answer : {}
      process.stdout.write(
        `${name} may look until ${String(until)}\n${token === undefined ? '' : `${String(token)}\n`}`,
      )
    })

export const grantsOfAuditorsCommand = (): Command =>
  new Command('grants')
    .description('list the grants of outside auditors')
    .option('--state <dir>', stateHelp, '.writ')
    .option('--json', 'print JSON')
    .action(async ({ state, json }: { readonly state: string; readonly json?: boolean }) => {
      const answer = await adminRequest(join(state, 'admin.sock'), 'GET', '/v1/grants')
      const list = (isObject(answer) ? answer['grants'] : []) as unknown as readonly Record<string, string>[]
      const columns = ['NAME', 'SCOPE', 'FROM', 'TO', 'UNTIL', 'CERTIFICATE'].map((title) => ({ title }))
      const rows = list.map(({ name, scope, from, to, until, id }) => {
        return [name, scope, from, to, until, id].map((text) => text ?? '-')
      })
      const lines = rows.length === 0 ? ['there is no grant'] : layTable(columns, rows)
      process.stdout.write(json ? `${JSON.stringify(answer, null, 2)}\n` : `${lines.join('\n')}\n`)
    })

export const revokeCommand = (): Command =>
  new Command('revoke')
    .description('take a grant back, at once')
    .argument('<name>', 'of the grant')
    .option('--state <dir>', stateHelp, '.writ')
    .action(async (name: string, { state }: { readonly state: string }) => {
      await adminRequest(join(state, 'admin.sock'), 'DELETE', `/v1/grants/${encodeURIComponent(name)}`)
      process.stdout.write(`${name} may look no more\n`)
    })
