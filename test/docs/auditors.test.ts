import { execFile } from 'node:child_process'
import { chmod, copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect } from 'vitest'
import { cosign, formatCosignerKey, withLines } from '../../audit/log/cosignature.ts'
import { parseNote } from '../../audit/log/note.ts'
import { decodeBundle } from '../../audit/log/tiles.ts'
import { tileReader } from '../../audit/node/folder.ts'
import { type MadeLog, makeLog } from '../../bench/log/make.ts'
import { openFilesDoor } from '../../control/node/log-files.ts'
import { testWitness } from '../audit/witness/go.ts'
import { repository } from '../cli/writ.ts'
import { commandFile } from '../parts/command.ts'
import { needs, pathOf } from '../parts/needs.ts'
import { type Authority, openAuthority } from '../parts/openssl-tsa.ts'

/**
 * docs/AUDITORS.md, followed word by word in an empty folder with what the page says an auditor has: a key, a policy and
 * the certificate of a time stamp authority. Only the log's address is another one. What it says of evidence folders is
 * followed by test/cli/prove.test.ts.
 */

const test = needs('go', 'openssl', 'curl')
const witness = testWitness()
let dir: string
let auditor: string
let log: MadeLog
let authority: Authority
let door: { readonly url: string; close(): Promise<void> }
let blocks: readonly string[]

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'writ-auditors-'))
  auditor = join(dir, 'auditor')
  log = await makeLog({ dir, entries: 3000, everyEntries: 1000 })
  authority = await openAuthority()
  await publish(log.notes.at(-1)!)
  door = await openFilesDoor(tileReader(log.dir), { address: '127.0.0.1', port: 0 }, () => undefined)

  await mkdir(join(auditor, 'bin'), { recursive: true })
  await writeFile(join(auditor, 'log.pub'), `${log.verifierKey}\n`)
  await writeFile(
    join(auditor, 'policy'),
    `log ${log.verifierKey}\nwitness w ${formatCosignerKey(witness.key)}\nquorum w\n`,
  )
  await copyFile(authority.ca, join(auditor, 'authority.pem'))
  const command = join(auditor, 'bin', 'writ')
  await writeFile(command, `#!/bin/sh\nexec "${process.execPath}" "${commandFile}" "$@"\n`)
  await chmod(command, 0o755)

  const page = await readFile(join(repository, 'docs/AUDITORS.md'), 'utf8')
  blocks = [...page.matchAll(/^```\n(.*?)^```$/gms)].map(([, text]) =>
    text!.replaceAll('https://log.example', door.url),
  )
})
afterAll(async () => {
  await door?.close()
  await authority?.close()
  await rm(dir, { recursive: true, force: true })
})

/** The newest checkpoint as a witness cosigned it, and a time stamp of it. */
async function publish(note: string): Promise<void> {
  const line = await cosign(parseNote(note)!.text, witness.key, 1_800_000_000, witness.sign)
  const folder = join(log.dir, '0')
  await writeFile(join(folder, 'checkpoint'), withLines(note, [line]))
  await mkdir(join(folder, 'timestamps'))
  const stamped = join(folder, 'timestamps', '000001.note')
  await writeFile(stamped, note)
  const query = join(dir, 'query')
  await promisify(execFile)(pathOf('openssl'), ['ts', '-query', '-data', stamped, '-sha256', '-cert', '-out', query])
  const reply = await fetch(authority.url, { method: 'POST', body: await readFile(query) })
  await writeFile(join(folder, 'timestamps', '000001.tsr'), new Uint8Array(await reply.arrayBuffer()))
}

/** What a block of the page prints, on either side, and how it ends. */
async function followed(block: string): Promise<{ readonly code: number; readonly printed: string }> {
  const programs = [join(auditor, 'bin'), ...['go', 'curl', 'openssl'].map((name) => dirname(pathOf(name as 'go')))]
  const env = { ...process.env, PATH: [...programs, process.env['PATH']].join(delimiter), NO_COLOR: '1' }
  return promisify(execFile)('sh', ['-ec', block], { cwd: auditor, env }).then(
    ({ stdout, stderr }) => ({ code: 0, printed: `${stdout}${stderr}` }),
    ({ code, stdout, stderr }) => ({ code, printed: `${stdout}${stderr}` }),
  )
}

const kept = (name: string): Promise<string> => readFile(join(auditor, name), 'utf8')

test('an outsider who follows docs/AUDITORS.md finds what it says', { timeout: 300_000 }, async () => {
  expect(blocks).toHaveLength(6) // The last is followed by test/control/node/auditors-door.test.ts.
  const [checkpoint, fsck, bundle, stamp, ours] = blocks as [string, string, string, string, string]
  expect(await followed(checkpoint)).toEqual({ code: 0, printed: '' })
  const [origin, size, root] = (await kept('checkpoint')).split('\n')
  expect([origin, size]).toEqual(['bank.example/audit/0', `${log.size}`])

  const checked = await followed(fsck)
  expect(checked.printed).toContain(`Successfully fsck'd log with size ${size} and root ${root}`)
  expect(checked.code).toBe(0)

  expect(await followed(bundle)).toEqual({ code: 0, printed: '' })
  const entries = decodeBundle(new Uint8Array(await readFile(join(auditor, 'bundle'))))!
  expect([entries.length, JSON.parse(new TextDecoder().decode(entries[188]))]).toMatchObject([256, { v: 1 }])

  const stamped = await followed(stamp)
  expect(stamped).toEqual({ code: 0, printed: expect.stringContaining('Verification: OK') })

  const verified = await followed(ours)
  expect(verified.printed).toMatch(/^verified\n/)
  expect(verified.code).toBe(0)
})

test('who follows it in a log that was changed is told so by either tool', { timeout: 300_000 }, async () => {
  const [, fsck, , , ours] = blocks as [string, string, string, string, string]
  const tile = join(log.dir, '0', 'tile', '0', '002')
  const before = await readFile(tile)
  await writeFile(
    tile,
    before.map((byte, i) => (i === 7 ? byte ^ 1 : byte)),
  )
  expect((await followed(fsck)).printed).not.toContain('Successfully')
  const broken = await followed(ours)
  expect([broken.code, broken.printed.slice(0, 7)]).toEqual([1, 'BROKEN\n'])
  await writeFile(tile, before)
})
