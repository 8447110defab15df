/** `writ audit backup` and `restore`, and `new-log`, which goes on after a loss that nothing brings back. */

import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { Command, InvalidArgumentError } from 'commander'
import { formatVerifierKey } from '../audit/log/note.ts'
import { makeBackup } from '../audit/node/backup.ts'
import { readVerifierKey } from '../audit/node/logfolder.ts'
import { openNewLog } from '../audit/node/newlog.ts'
import { rebuildStore, restoreBackup } from '../audit/node/restore.ts'
import { openStore } from '../audit/node/store.ts'
import { formatVerification } from '../audit/verify/format.ts'
import { verifyHead } from '../ca/node/heads.ts'
import { openState } from '../control/node/state.ts'
import { WritError } from '../core/fault.ts'
import { formatTime } from '../core/time.ts'
import { repeated } from './options.ts'
import { software } from './version.ts'
import { compileMeshOnly, readMesh } from './wire/config.ts'
import { openSigner, storeOf } from './wire/log.ts'
import { openClock, random, sha256 } from './wire/machine.ts'

interface BackupOptions {
  readonly file: string
  readonly state: string
  readonly out: string
  readonly keyTo: readonly string[]
  readonly json?: boolean
}

const ofMesh = (name: string, description: string): Command =>
  new Command(name)
    .description(description)
    .requiredOption('-f, --file <mesh.yaml>', 'the mesh file; names the trust domain and the store')
    .option('--state <dir>', "the auditor's state folder", '.writ')
    .option('--json', 'print JSON')

export const backupCommand = (): Command =>
  ofMesh('backup', 'copy the log up to a signed checkpoint, and where the stream goes on; also while it grows')
    .requiredOption('--out <dir>', 'folder of the backup; of one that is there only what is new is added')
    .option(
      '--key-to <recipient>',
      'put the signing key in it, encrypted to this age recipient; more than once',
      repeated,
      [],
    )
    .addHelpText('after', '\nAn embedded store has one process: back it up while writ up is stopped.')
    .action(async (options: BackupOptions) => {
      const { settings } = compileMeshOnly(await readMesh(options.file), options.file)
      const signerDir = join(options.state, 'signer')
      const logDir = join(options.state, 'log')
      const store = await openStore(storeOf(settings.store, join(options.state, 'store')), logDir)
      try {
        const manifest = await makeBackup(options.out, {
          ...{ store, logDir, sha256 },
          verifierKey: formatVerifierKey(await readVerifierKey(await logKeyFile(options.state), sha256)),
          ...(options.keyTo.length > 0 && {
            secret: { path: join(signerDir, 'log.key'), recipients: options.keyTo },
          }),
          at: formatTime(openClock()()),
        })
        const lines = manifest.shards.map(({ shard, size }) => `log ${shard}      ${size} entries\n`)
        const key = manifest.recipients.length > 0 ? `key        encrypted to ${manifest.recipients.join(', ')}\n` : ''
        process.stdout.write(options.json ? `${JSON.stringify(manifest, null, 2)}\n` : `${lines.join('')}${key}`)
      } finally {
        await store.close()
      }
    })

/** Beside the signer's key, or in the log folder where the signer is another process. */
async function logKeyFile(state: string): Promise<string> {
  const own = join(state, 'signer', 'log.pub')
  return (await stat(own).catch(() => undefined)) ? own : join(state, 'log', 'log.pub')
}

interface RestoreOptions {
  readonly file: string
  readonly state: string
  readonly from?: string
  readonly fromLog?: boolean
  readonly archive?: string
  readonly json?: boolean
}

export const restoreCommand = (): Command =>
  ofMesh('restore', 'make log folder and store again from a backup, and verify them; into an empty place only')
    .option('--from <dir>', 'folder of the backup')
    .option(
      '--archive <place>',
      'with entries that were pruned, from this archive: a folder, s3://bucket/prefix or URL',
    )
    .option('--from-log', 'instead: bring the store up to the log folder of the state, from whatever it has')
    .action(async (options: RestoreOptions) => {
      if ((options.from === undefined) === (options.fromLog !== true)) {
        throw new WritError('usage', 'either --from or --from-log', {
          cure: 'name the backup, or say that the log is it',
        })
      }
      const { settings } = compileMeshOnly(await readMesh(options.file), options.file)
      const state = openState(options.state)
      const store = await openStore(storeOf(settings.store, state.store), state.log).catch((thrown: unknown) => {
        state.release()
        throw thrown
      })
      try {
        const { archive } = options
        const { s3 } = settings.keeping
        const places = { store, logDir: state.log, s3, ...(archive !== undefined && { archive }) }
        const parts = { ...places, verifyHead, sha256, now: openClock() }
        const { shards, verification } =
          options.from === undefined
            ? await rebuildStore(formatVerifierKey(await readVerifierKey(await logKeyFile(state.root), sha256)), parts)
            : await restoreBackup(options.from, parts)
        const lines = shards.map(
          ({ shard, from, size }) => `log ${shard}      ${size} entries, ${size - from} of them new\n`,
        )
        process.stdout.write(
          options.json
            ? `${JSON.stringify({ shards, verification }, null, 2)}\n`
            : `${lines.join('')}${formatVerification(verification)}`,
        )
        if (!verification.ok) process.exitCode = 1
      } finally {
        await store.close()
        state.release()
      }
    })

interface NewLogOptions {
  readonly file: string
  readonly state: string
  readonly signer?: string
  readonly partition: number
  readonly by: string
  readonly reason: string
  readonly json?: boolean
}

export const newLogCommand = (): Command =>
  ofMesh('new-log', 'open a new log where what was signed is lost for good; it quotes the old one, which ends')
    .requiredOption('--by <name>', 'who decides it; stands in the new log')
    .requiredOption('--reason <text>', 'what happened; stands in the new log')
    .option('--partition <n>', 'partition whose log was lost', partitionNumber, 0)
    .option('--signer <socket>', 'the signer, where it is another process')
    .addHelpText('after', '\nThe auditor must not run.')
    .action(newLog)

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
    const store = await openStore(storeOf(settings.store, state.store), state.log)
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
