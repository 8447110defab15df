import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, afterEach, beforeAll, beforeEach, expect, vi } from 'vitest'
import { cosign, formatCosignerKey, withLines } from '../../audit/log/cosignature.ts'
import { parseNote } from '../../audit/log/note.ts'
import { formatQuorum } from '../../audit/log/policy.ts'
import { formatAddCheckpoint } from '../../audit/log/witness.ts'
import { tileReader } from '../../audit/node/folder.ts'
import { openStore, type Store } from '../../audit/node/store.ts'
import { openTimestamps } from '../../audit/node/timestamps.ts'
import { auditCommand } from '../../cli/audit.ts'
import { readLogs } from '../../cli/witness.ts'
import { toHex, utf8 } from '../../core/bytes.ts'
import { fill } from '../audit/query/store.ts'
import { filesOf, Mesh, rootOfLeaves, Signer } from '../audit/verify/log.ts'
import { sha256 } from '../audit/verify/producer.ts'
import { testWitness } from '../audit/witness/go.ts'
import { startChild } from '../parts/child.ts'
import { needs, pathOf } from '../parts/needs.ts'
import { openAuthority } from '../parts/openssl-tsa.ts'

/** Witnesses on the command line: one that runs, a log that is verified by them, evidence that carries their word. */

const test = needs('go', 'openssl')
const signer = new Signer()
const mesh = new Mesh().calls(40).head()
const [one, two] = [testWitness('witness.example/w1'), testWitness('witness.example/w2')]
let dir: string
let printed: string
let store: Store

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'writ-witness-cli-'))
  for (const [path, bytes] of await filesOf(mesh.leaves, signer)) await put(join('log', '0', path), bytes)
  await put('signer/log.pub', `${signer.text}\n`)
  await put('policy', formatQuorum(signer.key, [one, two], 2))
  store = await openStore({ kind: 'pglite', dir: join(dir, 'store') })
  await fill(store.db, mesh.leaves, signer)
  await store.close()
}, 120_000)
afterAll(() => rm(dir, { recursive: true, force: true }))
beforeEach(() => {
  printed = ''
  vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
    printed += String(text)
    return true
  })
})
afterEach(() => {
  vi.restoreAllMocks()
  process.exitCode = undefined
})

async function put(path: string, content: string | Uint8Array): Promise<void> {
  await mkdir(dirname(join(dir, path)), { recursive: true })
  await writeFile(join(dir, path), content)
}
const audit = async (...words: string[]) => (await auditCommand()).exitOverride().parseAsync(words, { from: 'user' })
const state = () => ['--state', dir]
const note = () => signer.checkpoint(0, mesh.leaves.length, rootOfLeaves(mesh.leaves))
async function cosignedBy(...witnesses: readonly (typeof one)[]): Promise<string> {
  const signed = await note()
  const { text } = parseNote(signed)!
  return withLines(signed, await Promise.all(witnesses.map(({ key, sign }) => cosign(text, key, 1_800_000_000, sign))))
}

test('a witness process cosigns, survives kill -9 without forgetting, and ends cleanly', async () => {
  const logs = join(dir, 'logs.yaml')
  await writeFile(logs, `logs:\n  - origin: bank.example/audit/0\n    key: ${signer.text}\n`)
  const start = async () => {
    const args = ['bin/writ.js', 'witness', '--name', 'witness.example/w1', '--logs', logs, '--listen', '127.0.0.1:0']
    const child = startChild(process.execPath, [...args, '--state', join(dir, 'w1')])
    await child.printed(/key {8}\S+\n/, 30_000)
    return { child, url: /witness {4}(\S+)/.exec(child.logs())![1]!, key: /key {8}(\S+)/.exec(child.logs())![1]! }
  }
  const first = await start()
  const body = formatAddCheckpoint({ old: 0, proof: [], note: await note() })
  const post = (url: string) => fetch(`${url}/add-checkpoint`, { method: 'POST', body })
  const answer = await post(first.url)
  expect(answer.status).toBe(200)
  const line = await answer.text()
  await first.child.kill()

  const second = await start()
  expect(second.key).toBe(first.key)
  const again = await post(second.url)
  expect([again.status, await again.text()]).toEqual([409, `${mesh.leaves.length}\n`])
  const kept = await fetch(`${second.url}/${toHex(sha256(utf8('bank.example/audit/0')))}/checkpoint`)
  expect(await kept.text()).toBe(withLines(await note(), [line]))
  await second.child.stop()
  expect(await second.child.ended).toBe(0)

  // What it says is what `verify` asks for, by its key alone.
  await put('log/0/checkpoint.witnessed', withLines(await note(), [line]))
  await audit('verify', ...state(), '--witness', join(dir, 'w1', 'witness.pub'))
  expect(printed).toContain(`witnessed: bank.example/audit/0 up to ${mesh.leaves.length} leaves, by witness.example/w1`)
}, 60_000)

test('verify asks for the quorum of a policy file, and takes the key of the log from it', async () => {
  await put('log/0/checkpoint.witnessed', await cosignedBy(one, two))
  await audit('verify', '--log', join(dir, 'log'), '--policy', join(dir, 'policy'))
  expect(printed).not.toContain('quorum_missing') // The heads of this log are none; its tree is.
  expect(printed).toContain('witness.example/w2 at 2027-01-15T08:00:00Z')
  await put('log/0/checkpoint.witnessed', await cosignedBy(one))
  printed = ''
  await audit('verify', '--log', join(dir, 'log'), '--policy', join(dir, 'policy'))
  expect(printed).toContain('broken   quorum_missing')
})

test('verify compares the log with a checkpoint that somebody else has', async () => {
  await put('log/0/checkpoint.witnessed', await cosignedBy(one, two))
  await put('theirs', await note())
  await audit('verify', ...state(), '--checkpoint', join(dir, 'theirs'))
  expect(printed).toContain('1 kept checkpoint that this log extends')
  const fork = await signer.checkpoint(0, 9, rootOfLeaves(mesh.leaves.slice(1, 10)))
  await put('theirs', fork)
  printed = ''
  await audit('verify', ...state(), '--checkpoint', join(dir, 'theirs'))
  expect(printed).toContain('broken   checkpoint_forked')
})

test('what is no policy, no key, another log’s policy or both at once is refused', async () => {
  await put('bad', 'quorum everybody\n')
  const refused = async (...words: string[]): Promise<string> =>
    audit('verify', ...state(), ...words).then(
      () => 'accepted',
      (thrown: Error & { code?: string }) => `${thrown.code}: ${thrown.message}`,
    )
  expect(await refused('--policy', join(dir, 'bad'))).toContain('line 1: everybody is not defined above')
  expect(await refused('--policy', join(dir, 'nowhere'))).toContain('usage: ')
  expect(await refused('--witness', signer.text)).toContain('usage: ')
  const key = formatCosignerKey(one.key)
  expect(await refused('--witness', key, key)).toContain('the same witness twice')
  expect(await refused('--witness', key, '--policy', join(dir, 'policy'))).toContain('do not go together')
  expect(await refused('--policy', join(dir, 'policy'), '--key', new Signer().text)).toContain('does not name the log')
  expect(await refused('--checkpoint', join(dir, 'bad'))).toContain('holds no checkpoint')
  expect(() => readLogs('logs: []', 'f')).toThrow('f: logs')
  expect(() => readLogs(`logs: [{ origin: a, key: ${key} }]`, 'f')).toThrow('no Ed25519 verifier key')
  expect(() => readLogs('logs: &a [*a]', 'f')).toThrow('f: ')
})

test('evidence carries policy and time stamps, and its check says who cosigned; with a policy given it asks for them', async () => {
  await put('log/0/checkpoint.witnessed', await cosignedBy(one, two))
  const authority = await openAuthority()
  try {
    const random = (length: number) => crypto.getRandomValues(new Uint8Array(length))
    const stamps = openTimestamps({
      ...{ url: authority.url, everyMs: 3_600_000, logDir: join(dir, 'log'), sha256, random, nowMs: Date.now },
      onEvent: () => undefined,
    })
    stamps.offer(0, tileReader(join(dir, 'log', '0')))
    await stamps.settled()
    const out = join(dir, 'evidence')
    await audit('bundle', ...state(), '--out', out, '--verdict', 'deny', '--policy', join(dir, 'policy'))
    const env = { ...process.env, PATH: `${dirname(pathOf('go'))}:${process.env['PATH']}`, GOFLAGS: '-mod=readonly' }
    const check = (args: readonly string[], more = {}) =>
      promisify(execFile)('sh', [join(out, 'check.sh'), ...args], { env: { ...env, ...more }, cwd: dir }).then(
        ({ stdout }) => ({ ok: true, said: stdout }),
        ({ stdout, stderr }) => ({ ok: false, said: `${stdout}${stderr}` }),
      )
    const own = await check([signer.text])
    expect(own.said).toMatch(/ok {5}\S+ {2}leaf \d+ of .*, witnessed by witness.example\/w1 witness.example\/w2\n/)
    expect(own).toMatchObject({ ok: true, said: expect.stringContaining('unread timestamps') })
    const stamped = await check([signer.text, 'policy'], { TSA_CA: authority.ca })
    expect(stamped).toMatchObject({
      ok: true,
      said: expect.stringMatching(/ok {5}timestamps\/0\/000001.tsr .*Time stamp:/),
    })

    await put('strict', formatQuorum(signer.key, [one, testWitness('witness.example/w3')], 2))
    expect(await check([signer.text, 'strict'])).toMatchObject({
      ok: false,
      said: expect.stringContaining('lacks the quorum of witnesses'),
    })
    await writeFile(join(out, 'timestamps/0/000001.note'), 'another')
    expect(await check([signer.text], { TSA_CA: authority.ca })).toMatchObject({
      ok: false,
      said: expect.stringContaining('WRONG  timestamps/0/000001.tsr'),
    })
    expect(await readFile(join(out, 'README.md'), 'utf8')).toContain('witness.policy')
  } finally {
    await authority.close()
  }
}, 120_000)
