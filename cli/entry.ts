/** `writ entry`: which identity whoever proves something gets, from the control process of this machine. */

import { join } from 'node:path'
import { Command } from 'commander'
import { layTable } from '../audit/query/table.ts'
import { adminRequest } from '../control/node/client.ts'
import { WritError } from '../core/fault.ts'
import type { Json } from '../core/json.ts'

interface Shared {
  readonly state: string
  readonly json?: boolean
}

interface PutOptions extends Shared {
  readonly identity?: string
  readonly parent?: string
  readonly selector: readonly string[]
  readonly ttl?: string
  readonly jwtTtl?: string
  readonly dns?: readonly string[]
  readonly federatesWith?: readonly string[]
  readonly hint?: string
}

interface Shown {
  readonly name: string
  readonly id: string
  readonly parent?: string
  readonly selectors: readonly string[]
  readonly revision: string
  readonly source: string
}

const state = ['--state <dir>', "the control process's state folder", '.writ'] as const
const socketOf = ({ state }: Shared): string => join(state, 'admin.sock')

export function entryCommand(): Command {
  return new Command('entry')
    .description('registration entries: which identity whoever proves all selectors gets')
    .addCommand(putCommand())
    .addCommand(listCommand())
    .addCommand(removeCommand())
}

const many = (value: string, before: readonly string[] = []): readonly string[] => [...before, value]

const putCommand = (): Command =>
  new Command('put')
    .description('register an entry, or put it in the place of one of that name')
    .argument('<name>', 'name of the entry')
    .requiredOption('--selector <selector>', 'what must be proven, such as unix:uid:1000; may be repeated', many)
    .option('--identity <path>', 'SPIFFE path or whole id (default: /<name>)')
    .option('--parent <path>', 'the agent on whose host it runs, as in /writ/agent/host-1 (default: control itself)')
    .option('--ttl <span>', 'life of its certificates, 1m to 24h (default: that of the mesh)')
    .option('--jwt-ttl <span>', 'life of its JWT-SVIDs, 1m to 1h (default: 5m)')
    .option('--dns <name>', 'DNS name beside the id in its certificates; may be repeated', many)
    .option('--federates-with <domain>', 'trust domain whose bundle it gets; may be repeated', many)
    .option('--hint <word>', 'what tells it from other identities of the same workload')
    .option(...state)
    .option('--json', 'print JSON')
    .action(async (name: string, options: PutOptions) => {
      const { identity, parent, selector, ttl, jwtTtl, dns, federatesWith, hint } = options
      const spec = { identity, parent, selectors: selector, ttl, jwtTtl, dnsNames: dns, federatesWith, hint }
      const answer = await adminRequest(socketOf(options), 'PUT', '/v1/registration-entries', { name, spec })
      print(options, answer, `${(answer as unknown as Shown).id} ${(answer as unknown as Shown).revision}`)
    })

const listCommand = (): Command =>
  new Command('list')
    .description('all entries, of the mesh file and of the API')
    .option(...state)
    .option('--json', 'print JSON')
    .action(async (options: Shared) => {
      const answer = await adminRequest(socketOf(options), 'GET', '/v1/registration-entries')
      const { entries } = answer as unknown as { entries: readonly Shown[] }
      const rows = entries.map(({ name, id, parent = '', selectors, source }) => [
        ...[name, id, parent, selectors.join(' '), source],
      ])
      const columns = ['name', 'identity', 'parent', 'selectors', 'from'].map((title) => ({ title }))
      print(options, answer, rows.length === 0 ? 'no entries' : layTable(columns, rows).join('\n'))
    })

const removeCommand = (): Command =>
  new Command('remove')
    .description('take an entry away: what was issued by it holds until its end, and is renewed no more')
    .argument('<name>', 'name of the entry')
    .option(...state)
    .option('--json', 'print JSON')
    .action(async (name: string, options: Shared) => {
      if (!/^[a-z0-9.-]{1,253}$/.test(name)) {
        throw new WritError('usage', `${name} is no name of an entry`, { cure: 'see: writ entry list' })
      }
      const answer = await adminRequest(socketOf(options), 'DELETE', `/v1/registration-entries/${name}`)
      print(options, answer, `${(answer as unknown as Shown).id} is registered no more`)
    })

function print({ json }: Shared, answer: Json, text: string): void {
  process.stdout.write(json ? `${JSON.stringify(answer, null, 2)}\n` : `${text}\n`)
}
