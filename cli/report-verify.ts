/** `writ report verify`: whether a report is as it was signed, and whether its hash is an entry of the log. */

import { existsSync } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { Command } from 'commander'
import { formatVerifierKey } from '../audit/log/note.ts'
import type { ReportEntry } from '../audit/report/signed.ts'
import { toHex } from '../core/bytes.ts'
import { messageOf, WritError } from '../core/fault.ts'
import { openPlace, type PlaceOptions } from './place.ts'
import { readReport } from './report-framework.ts'

interface VerifyOptions extends PlaceOptions {
  readonly signer?: string
  readonly withoutLog?: boolean
  readonly json?: boolean
}

export const verifyReportCommand = (): Command =>
  new Command('verify')
    .description(
      'check a report: its signature, each of its files, and that its hash is an entry of the log; exit 1 else',
    )
    .argument('<folder>', 'that `writ report` wrote')
    .option(
      '--signer <key>',
      "verifier key of the report's signer, or a file that holds it (default: report.pub beside it)",
    )
    .option('--log <place>', 'folder, http(s) URL or s3://bucket/prefix of the log (default: log in the state folder)')
    .option(
      '--key <key>',
      'verifier key of the log, or a file that holds it (default: signer/log.pub in the state folder)',
    )
    .option('--former-key <key...>', 'the same of logs that were followed by one with another key: `new-log`')
    .option('--without-log', 'look for no entry')
    .option('--state <dir>', "the process's state folder", '.writ')
    .option('--json', 'print JSON')
    .action(verify)

async function verify(folder: string, options: VerifyOptions): Promise<void> {
  const [{ readVerifierKey }, { checkSigned }, { verifyEd25519 }, { sha256 }] = await Promise.all([
    import('../audit/node/logfolder.ts'),
    import('../audit/report/signed.ts'),
    import('../audit/node/ed25519.ts'),
    import('./wire/machine.ts'),
  ])
  const note = await readFile(join(folder, 'report.note'), 'utf8').catch((cause: unknown) => {
    throw new WritError('not_found', `${folder} has no signed report: ${messageOf(cause)}`, { cause })
  })
  const key = await readVerifierKey(options.signer ?? join(folder, 'report.pub'), sha256)
  const read = (path: string): Promise<Uint8Array | undefined> => readFile(join(folder, path)).catch(() => undefined)
  const checked = await checkSigned(note, key, read, { sha256, verifyNote: verifyEd25519 })
  const files = checked.ok ? checked.files : []
  const wrong = files.filter(({ fault }) => fault !== '')
  const named = new Set(files.map(({ path }) => path))
  const unsigned = (await filesBelow(folder)).filter((path) => !named.has(path) && !/^report\.(?:note|pub)$/.test(path))
  const entry = options.withoutLog || !checked.ok ? undefined : await entryIn(folder, options)
  const ok = checked.ok && wrong.length === 0 && (options.withoutLog === true || entry !== undefined)
  if (!ok) process.exitCode = 1
  if (options.json) {
    const detail = checked.ok ? undefined : checked.detail
    process.stdout.write(`${JSON.stringify({ ok, detail, files, unsigned, entry }, null, 2)}\n`)
    return
  }
  const lines = checked.ok
    ? [
        ...wrong.map(({ path, fault }) => `WRONG  ${path}: ${fault}`),
        ...unsigned.map((path) => `unsigned ${path}`),
        `${files.length - wrong.length} of ${files.length} files are as ${formatVerifierKey(key)} signed them`,
        ...(options.withoutLog
          ? []
          : [entry ? entryText(entry) : 'WRONG  no entry of the log has the hash of report.json']),
      ]
    : [`WRONG  report.note: ${checked.detail}`]
  process.stdout.write(`${lines.join('\n')}\n`)
}

const entryText = ({ id, index, event }: ReportEntry): string =>
  `its hash is in the log as ${id}, leaf ${index}: by ${event.by} on ${event.timestamp}`

async function entryIn(folder: string, options: VerifyOptions): Promise<ReportEntry | undefined> {
  const [{ entryOfReport }, { pinSources }, { sourcesIn }, { verifyEd25519 }] = await Promise.all([
    import('../audit/report/signed.ts'),
    import('../audit/report/pinned.ts'),
    import('../audit/node/logfolder.ts'),
    import('../audit/node/ed25519.ts'),
  ])
  if (options.log === undefined && !existsSync(join(options.state, 'log'))) {
    throw new WritError('usage', `there is no log in ${options.state}, in which the report's entry would be`, {
      cure: 'give the log with --log and its key with --key, or --without-log to check the signature alone',
    })
  }
  const { place } = await openPlace({ ...options, database: false })
  const bytes = await readFile(join(folder, 'report.json')).catch(() => undefined)
  const report = bytes && (await readReport(folder).catch(() => undefined))
  if (!bytes || !report) return undefined
  return entryOfReport(toHex(place.sha256(bytes)), {
    sources: await pinSources(await sourcesIn(place.dir, place.s3)),
    sizes: new Map(report.checkpoints.map(({ shard, size }) => [shard, size])),
    keys: [place.key, ...(place.formerKeys ?? [])],
    sha256: place.sha256,
    verifyNote: verifyEd25519,
  })
}

async function filesBelow(folder: string): Promise<readonly string[]> {
  const found = await readdir(folder, { recursive: true, withFileTypes: true })
  return found
    .filter((one) => one.isFile())
    .map((one) => relative(folder, join(one.parentPath, one.name)))
    .sort()
}
