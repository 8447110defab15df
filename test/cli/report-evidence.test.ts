import { execFile } from 'node:child_process'
import { appendFile, mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { createServer, request, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { delimiter, dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, vi } from 'vitest'
import { openFileSigner } from '../../audit/node/signer.ts'
import { auditCommand } from '../../cli/audit.ts'
import { reportCommand } from '../../cli/report.ts'
import { sha256 } from '../../cli/wire/machine.ts'
import { openUp, type Up } from '../../cli/wire/up.ts'
import { toHex } from '../../core/bytes.ts'
import { readPolicyFolder } from '../../engine/node/open.ts'
import { opaBuild } from '../engine/signed.ts'
import { needs, pathOf } from '../parts/needs.ts'
import { type Authority, openAuthority } from '../parts/openssl-tsa.ts'
import { freePort } from '../parts/ports.ts'
import { eventsIn } from './events.ts'
import { printed } from './recorded.ts'
import { type Started, start, temporaryForAll } from './writ.ts'

/** A report that is handed over: sealed, erased and masked records, a witness, a time stamp authority, Go and openssl. */

const test = needs('opa', 'go', 'openssl')
vi.setConfig({ testTimeout: 180_000, hookTimeout: 60_000 })

const folder = temporaryForAll()
const state = join(folder, 'state')
const report = join(folder, 'report')
let authority: Authority | undefined
let witness: Started | undefined
let app: Server
let up: Up | undefined
let outbound: number
let entry = ''
let keys: readonly [report: string, log: string]

const wait = { timeout: 30_000, interval: 250 }

const rego = `package app
# METADATA
# entrypoint: true
default allow := true
`
const masks = `package system.log
mask contains "/input/attributes/source/address"
`

beforeAll(async () => {
  const policiesDir = join(folder, 'policies')
  await mkdir(join(policiesDir, 'base'), { recursive: true })
  await writeFile(
    join(policiesDir, 'base/bundle.tar.gz'),
    await opaBuild(pathOf('opa'), { rego, more: masks, flags: ['-r', '1', '-e', 'system/log/mask'] }),
  )
  authority = await openAuthority()
  const signer = await openFileSigner({ dir: join(state, 'signer'), name: 'shop.example/audit', sha256 })
  await signer.close()
  await writeFile(
    join(folder, 'logs.yaml'),
    `logs:\n  - origin: shop.example/audit/0\n    key: ${signer.verifierKey}\n`,
  )
  const place = ['--state', join(folder, 'witness'), '--listen', '127.0.0.1:0']
  witness = start(['witness', '--name', 'witness.example/w', '--logs', join(folder, 'logs.yaml'), ...place])
  const [, key] = await witness.said(/key {8}(\S+)/)
  const [, url] = await witness.said(/witness {4}(\S+)/)
  app = createServer((_, answer) => answer.end('served\n'))
  await new Promise<void>((listening) => app.listen(0, '127.0.0.1', listening))
  outbound = await freePort()
  const { port } = app.address() as AddressInfo
  const own = (kind: string, name: string, spec: string): string =>
    `---\napiVersion: writ.dev/v1\nkind: ${kind}\nmetadata: {name: ${name}}\nspec: ${spec}\n`
  const stamps = `timestamps: {url: "${authority.url}", every: 1h}`
  const mesh = [
    own('Mesh', 'shop', `{trustDomain: shop.example, audit: {witnesses: [{url: "${url}", key: "${key}"}], ${stamps}}}`),
    own('Workload', 'shop', `{inbound: {port: ${await freePort()}, app: {port: ${port}}}}`),
    own('Workload', 'web', `{outbound: {port: ${outbound}}}`),
    own('Service', 'shop', '{hosts: [shop]}'),
    own(
      'PolicyBinding',
      'shop',
      '{targetRefs: [{kind: Workload, name: shop}], bundle: base, entrypoint: app/allow, record: {personal: [header x-user, path], subject: header x-user}}',
    ),
  ].join('')
  const meshFile = join(folder, 'mesh.yaml')
  await writeFile(meshFile, mesh)
  up = await openUp({ mesh, meshFile, state, policiesDir, onEvent: () => undefined })
  await up.apply(mesh, await readPolicyFolder(policiesDir))
  for (const user of ['ann', 'ann', 'bea', 'bea']) expect(await call(`/patients/${user}`, user)).toBe(200)
  await up.settled(10_000)
  const erase = ['erase', '--subject', 'ann', '--basis', 'GDPR 17', '--by', 'carol', '--state', state]
  await vi.waitFor(async () => expect((await printed(await auditCommand(), ...erase)).out).toContain('"keys":1'), wait)
  await up.settled(10_000)
  // Its stamp and its cosignatures come after a checkpoint.
  await vi.waitFor(async () => {
    expect(await readdir(join(state, 'log/0/timestamps'))).toContain('000001.note')
    expect((await readFile(join(state, 'log/0/checkpoint.witnessed'), 'utf8')).length).toBeGreaterThan(0)
  }, wait)
  const made = await reported('all', '--out', report, '--evidence', '--by', 'Ada', '--state', state)
  entry = /^in the log as (\S+)$/m.exec(made.out)![1]!
  await up.settled(10_000)
  keys = [
    await readFile(join(report, 'report.pub'), 'utf8').then((text) => text.trim()),
    await readFile(join(state, 'signer/log.pub'), 'utf8').then((text) => text.trim()),
  ]
})
afterAll(async () => {
  await up?.close()
  app?.close()
  witness?.signal('SIGTERM')
  await authority?.close()
})

const reported = (...words: readonly string[]) => printed(reportCommand().enablePositionalOptions(), ...words)

const call = (path: string, user: string): Promise<number> =>
  new Promise((resolve, reject) => {
    const headers = { host: 'shop', 'x-user': user }
    const sent = request({ host: '127.0.0.1', port: outbound, agent: false, path, headers }, (answer) => {
      answer.resume().on('end', () => resolve(answer.statusCode ?? 0))
    })
    sent.on('error', reject)
    sent.end()
  })

interface Checked {
  readonly ok: boolean
  readonly said: string
}

/** What a script of the evidence says, with the authority's certificate and the log's own policy at hand. */
async function checked(script: string, ...args: readonly string[]): Promise<Checked> {
  const path = [dirname(pathOf('go')), dirname(pathOf('openssl')), process.env['PATH']].join(delimiter)
  const env = { ...process.env, PATH: path, TSA_CA: authority!.ca }
  return promisify(execFile)('sh', [join(report, 'evidence', script), ...args], { env }).then(
    ({ stdout }) => ({ ok: true, said: stdout }),
    ({ stdout, stderr }) => ({ ok: false, said: `${stdout}${stderr}` }),
  )
}
const policy = join(state, 'log/witness.policy')

const changed = new Map<string, Uint8Array>()
/** Changes one byte in the middle of a file; `restore` puts all back. */
async function change(path: string, at = 0.5): Promise<void> {
  const file = join(report, path)
  const bytes = new Uint8Array(await readFile(file))
  if (!changed.has(file)) changed.set(file, bytes)
  const place = Math.floor(bytes.length * at)
  await writeFile(file, bytes.with(place, bytes[place]! ^ 1))
}
async function restore(): Promise<void> {
  for (const [file, bytes] of changed) await writeFile(file, bytes)
  changed.clear()
}
const below = async (path: string, end: string): Promise<readonly string[]> =>
  (await readdir(join(report, path))).filter((name) => name.endsWith(end)).map((name) => `${path}/${name}`)

test('evidence of sealed, erased and masked records is checked whole by Go and openssl, which name them as withheld', async () => {
  const { ok, said } = await checked('report/check.sh', ...keys, policy)
  expect(said).not.toContain('WRONG')
  expect(said).not.toContain('unread')
  expect(ok).toBe(true)
  expect(said).toMatch(/\n(\d+) of \1 files are as shop\.example\/reports signed them\n/)
  expect(said).toMatch(/ok {5}timestamps\/0\/000001\.tsr {2}Time stamp: /)
  expect(said).toMatch(/ok {5}checkpoints\/0 {2}\d+ leaves of shop\.example\/audit\/0\n/)
  expect(said).toMatch(/ok {5}checkpoints\/0\.witnessed {2}\d+ leaves, which the log extends\n/)
  expect(said).toMatch(/ok {5}timestamps\/0\/000001\.note {2}\d+ leaves, which the log extends\n/)
  const hidden = 'withheld: /input/attributes/source/address, header x-user, path'
  const records = said.split('\n').filter((line) => line.includes(hidden))
  expect(records.length).toBeGreaterThanOrEqual(4)
  expect(records[0]).toMatch(/^ok {5}[0-9a-f]{24}-\d+ {2}leaf \d+ of .*, witnessed by witness\.example\/w, withheld/)
  const texts = await Promise.all(
    (await below('evidence/records', '.json')).map((path) => readFile(join(report, path), 'utf8')),
  )
  const sealed = texts.filter((text) => text.includes('"sealed"'))
  expect(sealed.length).toBeGreaterThanOrEqual(4)
  for (const clear of ['/patients/', '"ann"', '"bea"', '"path":"/']) expect(sealed.join('')).not.toContain(clear)
})

test('a byte that is changed in any kind of file is found: by the signature over all, and by what proves it', async () => {
  const kinds = ['evidence/rows/M01.json', 'evidence/log.pub', 'evidence/README.md', 'evidence/witness.policy']
  for (const [path, end] of [
    ...[['evidence/records', '.json'] as const, ['evidence/records', '.tlog-proof'] as const],
    ...[['evidence/checkpoints', '0'] as const, ['evidence/checkpoints', '.witnessed'] as const],
    ...[['evidence/checkpoints', '.consistency'] as const, ['evidence/timestamps/0', '.note'] as const],
    ...[['evidence/timestamps/0', '.tsr'] as const, ['evidence/timestamps/0', '.consistency'] as const],
    ...[['evidence/check', '.go'] as const, ['csv', '.csv'] as const],
  ]) {
    kinds.push((await below(path, end))[0]!)
  }
  for (const name of ['report.html', 'report.json', 'assessment-results.json', 'poam.json', 'ocsf.ndjson']) {
    kinds.push(name)
  }
  for (const kind of kinds) await change(kind)
  const all = await checked('report/check.sh', keys[0])
  expect(all.ok).toBe(false)
  expect([...all.said.matchAll(/^WRONG {2}(.*)$/gm)].map(([, path]) => path).sort()).toEqual(kinds.sort())
  await restore()

  for (const path of ['report.note', 'evidence/SHA256SUMS']) {
    await change(path, 0.1)
    expect(await checked('report/check.sh', keys[0]), path).toMatchObject({ ok: false })
    await restore()
  }

  // Without the report's signature, by what each stands for.
  const [first, second] = await below('evidence/records', '.json')
  await change(first!)
  await change(second!.replace('.json', '.tlog-proof'))
  await change('evidence/timestamps/0/000001.tsr', 0.9)
  await change('evidence/timestamps/0/000001.consistency', 0.1)
  await change('evidence/checkpoints/0.consistency', 0.02)
  const some = await checked('check.sh', keys[1], policy)
  expect(some.ok).toBe(false)
  const id = (path: string): string => /([0-9a-f]{24}-\d+)/.exec(path)![1]!
  for (const named of [id(first!), id(second!), 'timestamps/0/000001.tsr', 'timestamps/0/000001.note']) {
    expect(some.said).toMatch(new RegExp(`^WRONG {2}${named}`, 'm'))
  }
  expect(some.said).toContain('WRONG  checkpoints/0.witnessed')
  await restore()
  await change('evidence/checkpoints/0', 0.3)
  expect((await checked('check.sh', keys[1])).said).toContain('WRONG  checkpoints/0:')
  await restore()
  expect(await checked('check.sh', keys[1], policy)).toMatchObject({ ok: true })
})

test('the hash of a report is an entry of the log, and one that was changed since is found by verify', async () => {
  const json = new Uint8Array(await readFile(join(report, 'report.json')))
  const entries = (await eventsIn(join(state, 'log'))).filter(({ kind }) => kind === 'report')
  expect(entries).toMatchObject([{ framework: 'all', sha256: toHex(sha256(json)), by: 'Ada', signer: keys[0] }])
  const verify = (...more: string[]) => reported('verify', report, '--state', state, ...more)
  const whole = await verify()
  expect(whole.out).toMatch(/^(\d+) of \1 files are as shop\.example\/reports\+/)
  expect(whole.out).toMatch(new RegExp(`^its hash is in the log as ${entry}, leaf \\d+: by Ada on 20`, 'm'))
  expect(whole.code).toBe(0)

  await change('report.html')
  const changed = await verify()
  expect(changed).toMatchObject({
    code: 1,
    out: expect.stringContaining('WRONG  report.html: it is not what was signed'),
  })
  await restore()

  // Whoever has the key signs another report: its hash is no entry.
  const other = join(folder, 'other')
  const made = ['all', '--out', other, '--sign-key', join(state, 'report.key'), '--state', join(folder, 'nowhere')]
  await reported(...made, '--log', join(state, 'log'), '--key', keys[1])
  const forged = await reported('verify', other, '--state', state)
  expect(forged).toMatchObject({ code: 1, out: expect.stringContaining('WRONG  no entry of the log has the hash') })
  const alone = await reported('verify', other, '--state', state, '--without-log')
  expect(alone).toMatchObject({ code: 0, out: expect.stringContaining(`signed them\n`) })
  await appendFile(join(other, 'note.txt'), 'mine')
  expect((await reported('verify', other, '--without-log')).out).toContain('unsigned note.txt')
  const wrongKey = await reported('verify', other, '--signer', keys[1], '--without-log')
  expect(wrongKey).toMatchObject({ code: 1, out: expect.stringContaining('WRONG  report.note') })
})
