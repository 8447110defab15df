/** `writ signer`: holds the key of the log and the last checkpoints, apart from the process that keeps the log. */

import { join } from 'node:path'
import { Command } from 'commander'
import { openFileSigner } from '../audit/node/signer.ts'
import { openSocketDoor } from '../control/node/admin-door.ts'
import { signerRoutes } from '../control/node/signer-door.ts'
import { openState } from '../control/node/state.ts'
import { messageOf, WritError } from '../core/fault.ts'
import { parseTrustDomain } from '../core/spiffe.ts'
import { until } from './signals.ts'
import { sha256 } from './wire/machine.ts'
import { printEvents } from './wire/telemetry.ts'

interface Options {
  readonly state: string
  readonly trustDomain: string
  readonly listen?: string
}

export function signerCommand(): Command {
  return new Command('signer')
    .description('run the signer: the key of the log and its last checkpoints, in a process of their own')
    .requiredOption('--trust-domain <name>', 'trust domain of the mesh whose log it signs')
    .option('--state <dir>', 'where key and last checkpoints live; mode 0700', '.writ-signer')
    .option('--listen <socket>', 'Unix socket, made with mode 0600 (default: signer.sock in the state folder)')
    .addHelpText('after', '\nThe auditor asks it with --signer <socket>. What it signed once it never contradicts.')
    .action(run)
}

async function run(options: Options): Promise<void> {
  const onEvent = printEvents()
  const stop = until('SIGINT', 'SIGTERM')
  const trustDomain = parseTrustDomain(options.trustDomain)
  if (!trustDomain) {
    throw new WritError('usage', `${options.trustDomain} is no trust domain`, { cure: 'such as bank.example' })
  }
  const state = openState(options.state)
  try {
    const signer = await openFileSigner({ dir: join(state.root, 'signer'), name: `${trustDomain}/audit`, sha256 })
    const unexpected = (thrown: unknown): void => onEvent({ level: 'error', from: 'door', text: messageOf(thrown) })
    const socketPath = options.listen ?? join(state.root, 'signer.sock')
    const door = await openSocketDoor(socketPath, signerRoutes(signer, unexpected))
    process.stdout.write(`signer     ${door.socketPath}\nlog key    ${signer.verifierKey}\n`)
    await stop.wait()
    await door.close()
    await signer.close()
  } finally {
    state.release()
  }
}
