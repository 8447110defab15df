/** `writ audit new-log`: goes on after a loss that nothing brings back. */

import { join } from 'node:path'
import { Command, InvalidArgumentError } from 'commander'
import { openNewLog } from '../audit/node/newlog.ts'
import { openStore } from '../audit/node/store.ts'
import { openState } from '../control/node/state.ts'
import { software } from './version.ts'
import { compileMeshOnly, readMesh } from './wire/control-plane.ts'
import { openSigner, storeOf } from './wire/log.ts'
import { openClock, random, sha256 } from './wire/machine.ts'

interface NewLogOptions {
  readonly file: string
  readonly state: string
  readonly signer?: string
  readonly partition: number
  readonly by: string
  readonly reason: string
  readonly json?: boolean
}

export function newLogCommand(): Command {
  return new Command('new-log')
    .description('open a new log where what was signed is lost for good; it quotes the old one, which never goes on')
    .requiredOption('-f, --file <mesh.yaml>', 'the mesh file; names the trust domain and the store')
    .requiredOption('--by <name>', 'who decides it; stands in the new log')
    .requiredOption('--reason <text>', 'what happened; stands in the new log')
    .option('--partition <n>', 'partition whose log was lost', partitionNumber, 0)
    .option('--state <dir>', "the auditor's state folder; it must not run", '.writ')
    .option('--signer <socket>', 'the signer, where it is another process')
    .option('--json', 'print JSON')
    .action(newLog)
}

async function newLog(options: NewLogOptions): Promise<void> {
  const { snapshot, settings } = compileMeshOnly(await readMesh(options.file), options.file)
  const { trustDomain, cluster } = snapshot
  const state = openState(options.state)
  const closing: (() => unknown)[] = [() => state.release()]
  try {
    const signer = await openSigner({
      signerDir: join(state.root, 'signer'),
      ...(options.signer !== undefined && { signerSocket: options.signer }),
      logDir: state.log,
      trustDomain,
    })
    closing.push(() => signer.close())
    const store = await openStore(storeOf(settings.store, state.store))
    closing.push(() => store.close())
    const { partition, by, reason } = options
    const opened = await openNewLog({
      ...{ store, signer, trustDomain, cluster, software, partition, by, reason, random, sha256 },
      logDir: state.log,
      now: openClock(),
    })
    const { origin, previous, signed } = opened
    const lost = previous.signed ? previous.signed.size - previous.kept.size : undefined
    process.stdout.write(
      options.json
        ? `${JSON.stringify({ shard: opened.shard, origin, previous, note: signed.note }, null, 2)}\n`
        : `${origin} goes on in the place of ${previous.origin}\n` +
            `kept       ${previous.kept.size} entries${lost === undefined ? '' : `; ${lost} that were signed are lost`}\n` +
            `witnesses  have to be told the new origin\n`,
    )
  } finally {
    for (const step of closing.reverse()) await step()
  }
}

function partitionNumber(text: string): number {
  if (!/^\d{1,5}$/.test(text)) throw new InvalidArgumentError('takes the number of a partition')
  return Number(text)
}
