/** `writ policy rollback`: back to a revision that was in force before, until the bundle server gives a new one. */

import { join } from 'node:path'
import { Command } from 'commander'
import { adminRequest } from '../control/node/client.ts'
import type { PolicyRef } from '../core/policy.ts'

export const rollbackCommand = (): Command =>
  new Command('rollback')
    .description('put a kept revision of a PolicySource back in force, until its server gives a new one')
    .argument('<bundle>', 'name of the PolicySource')
    .argument('<revision>', 'one of those that writ status shows as kept')
    .option('--state <dir>', "the control process's state folder", '.writ')
    .option('--json', 'print JSON')
    .action(async (bundle: string, revision: string, options: { state: string; json?: boolean }) => {
      const path = `/v1/policy-sources/${encodeURIComponent(bundle)}/rollback`
      const answer = await adminRequest(join(options.state, 'admin.sock'), 'POST', path, { revision })
      const ref = answer as unknown as PolicyRef
      const said = `${ref.bundle} is at revision ${ref.revision} (sha256 ${ref.sha256})`
      process.stdout.write(options.json ? `${JSON.stringify(ref)}\n` : `${said}\n`)
    })
