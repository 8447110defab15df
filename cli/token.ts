/** `writ token`: a join token for a workload, from the control process of this machine. */

import { join } from 'node:path'
import { Command } from 'commander'
import { adminRequest } from '../control/node/client.ts'
import { WritError } from '../core/fault.ts'

interface TokenOptions {
  readonly state: string
  readonly collector?: boolean
  readonly logs?: boolean
  readonly json?: boolean
}

export function tokenCommand(): Command {
  return new Command('token')
    .description(
      'make a join token: it proves one workload once, within ten minutes, and names the trust bundle to expect',
    )
    .argument('<workload>', 'name of a Workload in the mesh file, or a SPIFFE id of the trust domain')
    .option('--state <dir>', "the control process's state folder", '.writ')
    .option('--collector', 'make a collector token instead: an edge function posts its records with it')
    .option(
      '--logs',
      'make a token for decision logs instead: an OPA, or `writ policy serve`, sends its decisions with it',
    )
    .option('--json', 'print JSON')
    .action(async (workload: string, options: TokenOptions) => {
      if (options.collector && options.logs) {
        throw new WritError('usage', 'a token is for --collector or for --logs', { cure: 'make one of each' })
      }
      const path = options.collector || options.logs ? '/v1/collector-tokens' : '/v1/tokens'
      const body = { workload, ...(options.logs && { right: 'logs' }) }
      const answer = await adminRequest(join(options.state, 'admin.sock'), 'POST', path, body)
      const { token } = answer as { token: string }
      process.stdout.write(options.json ? `${JSON.stringify({ workload, token })}\n` : `${token}\n`)
    })
}
