/** `writ launch`: opens a sidecar's sockets with privileges that the sidecar does not have, and becomes it without them. */

import { isIPv4 } from 'node:net'
import { Command, InvalidArgumentError } from 'commander'
import { WritError } from '../core/fault.ts'
import type { LaunchSocket } from '../proxy/node/launch.ts'
import { hostAndPort, userNumber } from './options.ts'

interface Options {
  readonly socket: readonly LaunchSocket[]
  readonly transparent?: boolean
  readonly uid: number
  readonly gid?: number
}

export function launchCommand(): Command {
  return new Command('launch')
    .description('open the sockets of a sidecar as root, and run it as another user with them')
    .requiredOption('--socket <listener=ip:port>', 'a listener, as in web/out=127.0.0.1:15001; may be repeated', socket)
    .option('--transparent', 'they take connections that tproxy leads there, whatever address those were sent to')
    .requiredOption('--uid <uid>', 'the user that it runs as', userNumber)
    .option('--gid <gid>', 'its group (default: the same number)', userNumber)
    .argument('<command...>', 'after --: what is run, as in -- writ proxy --control ...')
    .action(run)
}

function socket(text: string, before: readonly LaunchSocket[] = []): readonly LaunchSocket[] {
  const [, name, where] = /^([^=:]+\/[^=:]+)=(.+)$/.exec(text) ?? []
  if (name === undefined) throw new InvalidArgumentError('takes WORKLOAD/LISTENER=IP:PORT')
  const { address, port } = hostAndPort(where!)
  if (!isIPv4(address)) throw new InvalidArgumentError('takes an IPv4 address')
  return [...before, { name, address, port }]
}

async function run(
  command: readonly string[],
  { socket, transparent = false, uid, gid = uid }: Options,
): Promise<void> {
  if (uid === 0) throw new WritError('usage', 'it would run as root', { cure: 'name a user of its own with --uid' })
  const { launch } = await import('../proxy/node/launch.ts')
  await launch({ sockets: socket, transparent, uid, gid, command: command as [string, ...string[]] })
}
